"""Asks transformers' question-answering pipeline the questions of a SQuAD file, and compares its answers with those of `trainer predict --pipeline`.

usage: PYTHONPATH=FOLDER_WITH_TRANSFORMERS_4 python scripts/reference/check_pipeline.py TRAINER MODEL DATASET [options]
TRAINER: the program, which is asked with the same settings. Needs torch and transformers before 5.3:
later versions have no such pipeline. Made with torch 2.9.0 and transformers 4.57.6.

For all questions the pipeline's own preprocess and postprocess are called, with logits of the model in batches of features of about
one length; for the first --called questions, the pipeline itself. --settings chooses some of
SETTINGS.

An answer is equal if text, start and end are, and the score to 1e-5 and to a hundredth of itself. Of those that are not, these are explained:
  tie     one of the two answers is in the other list too, with a score that differs by less than 1e-5: rounding decides which one is
          first, or which one is the last of a list
  cut     the text and place are equal, and the score differs by no more than 5e-3: of two spans of equal probability at the end of
          the list of candidates, which are summed by text, rounding decides which one is a candidate
  zero    the pipeline has filled its list with spans of probability 0
Fails (exit 1) if any other answer differs, or if more than one in a hundred are ties or cuts.
Negative control: each list against the next question's must differ in most cases.
"""
import argparse, json, subprocess, sys, time
import torch
import transformers
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, PreTrainedTokenizerFast
from transformers.pipelines.question_answering import QuestionAnsweringPipeline, SquadExample

EQUAL, CUT = 1e-5, 5e-3
SETTINGS = {
    "default": {},
    "list": {"top_k": 5, "handle_impossible_answer": True},
    "tokens": {"top_k": 3, "align_to_words": False, "max_answer_len": 30},
    "short": {"handle_impossible_answer": True, "max_answer_len": 4, "max_seq_len": 128, "doc_stride": 32},
    "window": {"top_k": 2, "align_to_words": False, "max_seq_len": 256, "doc_stride": 64, "max_question_len": 16},
}
WINDOW = ("max_seq_len", "doc_stride", "max_question_len")

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
for name in ("trainer", "model", "dataset"):
    parser.add_argument(name)
parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
parser.add_argument("--max-questions", type=int, default=None)
parser.add_argument("--called", type=int, default=0, help="questions for which the pipeline itself is called")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=0, help="measure the called pipeline and the trainer, one after the other, N times", metavar="N")
args = parser.parse_args()
torch.set_num_threads(args.threads)
transformers.logging.set_verbosity_error()


def read(path):
    rows = [(qa["id"], qa["question"], paragraph["context"])
            for article in json.load(open(path))["data"]
            for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    return rows[: args.max_questions]


def load_tokenizer(folder):
    try:
        return AutoTokenizer.from_pretrained(folder)
    except Exception:  # A class that version 5 has added, or a name that it has given to all of them.
        config = json.load(open(f"{folder}/tokenizer_config.json"))
        tokens = {key: value for key, value in config.items() if key.endswith("_token")}
        length = config.get("model_max_length", 512)
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json", model_max_length=length, **tokens)
        tokenizer.model_input_names = config.get("model_input_names", ["input_ids", "token_type_ids", "attention_mask"])
        return tokenizer


@torch.inference_mode()
def logits_of(pipe, features, batch=16):
    """Start and end logits of each feature, [tokens], through padded batches."""
    names = pipe.tokenizer.model_input_names
    order = sorted(range(len(features)), key=lambda i: features[i]["input_ids"].shape[1])
    found = [None] * len(features)
    for begin in range(0, len(order), batch):
        chosen = [features[i] for i in order[begin:begin + batch]]
        longest = max(f["input_ids"].shape[1] for f in chosen)
        pad = {"input_ids": pipe.tokenizer.pad_token_id or 0}
        inputs = {name: torch.cat([torch.nn.functional.pad(f[name], (0, longest - f[name].shape[1]), value=pad.get(name, 0))
                                   for f in chosen]) for name in names}
        output = pipe.model(**inputs)
        for row, (index, feature) in enumerate(zip(order[begin:begin + batch], chosen)):
            length = feature["input_ids"].shape[1]
            found[index] = (output.start_logits[row:row + 1, :length].clone(), output.end_logits[row:row + 1, :length].clone())
    return found


def pipeline_answers(pipe, rows, settings, chunk=256):
    """For each of `settings`, which share a window, the list of answers to each row."""
    window = {key: value for key, value in settings[0].items() if key in WINDOW}
    found = [[] for _ in settings]
    for begin in range(0, len(rows), chunk):
        examples = [SquadExample(None, q, c, None, None, None) for _, q, c in rows[begin:begin + chunk]]
        made = [list(pipe.preprocess(example, **window)) for example in examples]
        logits = iter(logits_of(pipe, [feature for features in made for feature in features]))
        for features in made:
            outputs = [{**feature, "start": start, "end": end} for feature, (start, end) in zip(features, logits)]
            for answers, one in zip(found, settings):
                post = {key: value for key, value in one.items() if key not in WINDOW}
                result = pipe.postprocess([dict(output) for output in outputs], **post)
                answers.append(result if isinstance(result, list) else [result])
        print(f"\r{len(found[0])} of {len(rows)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def trainer_answers(settings):
    """The trainer's answers by id."""
    flags = {"top_k": "--top-k", "max_answer_len": "--max-answer-len", "max_seq_len": "--max-seq-length", "doc_stride": "--doc-stride"}
    command = [args.trainer, "predict", "--pipeline", "--model", args.model, "--dataset", args.dataset, "--threads", str(args.threads)]
    for key, value in settings.items():
        if key in flags:
            command += [flags[key], str(value)]
    command += ["--handle-impossible-answer"] * settings.get("handle_impossible_answer", False)
    command += ["--no-align-to-words"] * (not settings.get("align_to_words", True))
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {line["id"]: line["answers"] for line in map(json.loads, lines)}


def place(answer):
    return answer["answer"], answer["start"], answer["end"]


def difference(expected, found):
    """The gravest kind of difference of two lists, the pipeline's and the trainer's; None if they are equal."""
    kinds = set()
    for rank in range(max(len(expected), len(found))):
        if rank >= len(found):
            kinds.add("zero" if expected[rank]["score"] < 1e-30 else "missing")
            continue
        if rank >= len(expected):
            return "more"
        e, f = expected[rank], found[rank]
        gap = abs(e["score"] - f["score"])
        if place(e) == place(f):
            # Scores of random models are small: their own size counts too.
            if gap > min(EQUAL, 0.01 * max(e["score"], 1e-30)):
                kinds.add("cut" if gap <= CUT else "score")
        else:
            near = lambda one, others: any(place(one) == place(x) and abs(one["score"] - x["score"]) <= EQUAL for x in others)
            last = rank == len(expected) - 1
            kinds.add("tie" if gap <= EQUAL and (last or near(e, found) or near(f, expected)) else "answer")
    for kind in ("more", "answer", "score", "missing", "cut", "tie", "zero"):
        if kind in kinds:
            return kind


rows = read(args.dataset)
tokenizer = load_tokenizer(args.model)
pipe = QuestionAnsweringPipeline(model=AutoModelForQuestionAnswering.from_pretrained(args.model).eval(), tokenizer=tokenizer)
chosen = {name: SETTINGS[name] for name in args.settings}
windows = {}
for name, settings in chosen.items():
    windows.setdefault(tuple(settings.get(key) for key in WINDOW), []).append(name)
failed = False


def compare(name, rows, lists, found, how):
    """Compares the pipeline's lists, in the order of the rows, with the trainer's, by id."""
    global failed
    kinds, shown = {}, 0
    for (id, question, _), answers in zip(rows, lists):
        kind = difference(answers, found[id])
        if kind:
            kinds[kind] = kinds.get(kind, 0) + 1
            if kind not in ("tie", "zero") and shown < 5:
                shown += 1
                print(f"  {kind}: {id} {question!r}\n    pipeline {answers}\n    trainer  {found[id]}")
    control = sum(difference(answers, found[id]) is not None for answers, (id, *_) in zip(lists, rows[1:] + rows[:1]))
    print(f"{how}, {name} {chosen[name]}: {len(rows)} questions, differences {kinds or 'none'}; {control} differ from the next question's",
          flush=True)
    rare = sum(kinds.get(kind, 0) for kind in ("tie", "cut")) <= max(1, len(rows) // 100)
    failed |= not rare or not set(kinds) <= {"tie", "cut", "zero"} or control < len(rows) // 2


for names in windows.values():
    by_settings = pipeline_answers(pipe, rows, [chosen[name] for name in names])
    for name, lists in zip(names, by_settings):
        found = trainer_answers(chosen[name])
        compare(name, rows, lists, found, "pre- and postprocess")
        called = rows[: args.called]
        if called:
            lists = [pipe(question=q, context=c, **chosen[name]) for _, q, c in called]
            compare(name, called, [x if isinstance(x, list) else [x] for x in lists], found, "the pipeline called")
        for _ in range(args.rounds):
            started = time.time()
            for _, q, c in called:
                pipe(question=q, context=c, **chosen[name])
            middle = time.time()
            found = trainer_answers(chosen[name])  # Of the whole file, with starting the program and loading the model.
            rates = len(called) / (middle - started), len(found) / (time.time() - middle)
            print(f"  questions/s: the pipeline {rates[0]:.2f}, the trainer {rates[1]:.2f}, {rates[1] / rates[0]:.2f} times", flush=True)
print(f"transformers {transformers.__version__}, torch {torch.__version__}")
sys.exit("answers differ" if failed else 0)
