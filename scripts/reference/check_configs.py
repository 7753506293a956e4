"""Runs the configurations of the reference systems for a few steps and compares their losses with PyTorch's.

usage: python scripts/reference/check_configs.py [--steps 4] TRAINER SQUAD_DATA [NAME ...]
needs torch and transformers. TRAINER is the built command, SQUAD_DATA the folder with `squad/` and `vocab/`.

Pretrained weights of these models are large and come from the Hub, so the models here are drawn at random in the shapes of
`configs/shapes/`: the loss of the first steps is near that of a guess, and what is compared is the arithmetic of a step.
For each configuration (all of NAME, or all there are):

1. `trainer` runs it without dropout for N steps with `model.init=random`, logging which features a step holds;
   training files that are not at hand are replaced by others of the same version.
2. `trainer` runs it for one step at a learning rate that changes nothing, which saves the initial weights.
3. PyTorch trains the same weights on the same features with the configuration's AdamW, schedule and clipping. Padding is kept
   out of the loss's softmax, as it is here.

The losses must agree to 1e-4: twelve layers of f32 sums in another order, and AdamW's steps on top of them. Negative control:
the losses of the same batches without the steps between them must not.
"""
import argparse, json, math, os, pathlib, re, shutil, subprocess, sys, tempfile, tomllib
import torch
from transformers import AutoModelForQuestionAnswering, PreTrainedTokenizerFast

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
NAMES = ["a100-baseline", "a100-single", "a100-ddp", "a100-fsdp", "distilbert-subset", "squad2-full", "laptop-distilbert"]
STAND_INS = {"train-v1.1.json": "train-v1.1-random-paragraphs.json", "train-v2.0.json": "train-v2.0-first10articles.json"}

arguments = argparse.ArgumentParser()
arguments.add_argument("trainer"); arguments.add_argument("squad_data", type=pathlib.Path)
arguments.add_argument("names", nargs="*"); arguments.add_argument("--steps", type=int, default=4)
options = arguments.parse_args()


def data_file(name):
    name = pathlib.Path(name).name
    return options.squad_data / "squad" / STAND_INS.get(name, name)


def model_folder(source, folder):
    shape = source.split("/")[-1]
    shutil.copy(ROOT / "configs" / "shapes" / shape / "config.json", folder)
    casing = "cased" if shape.endswith("-cased") else "uncased"
    shutil.copy(options.squad_data / "vocab" / f"bert-base-{casing}-tokenizer.json", folder / "tokenizer.json")


def run(name, config, model, folder, *settings):
    files = ",".join(str(data_file(file)) for file in config["train"]["files"])
    command = [options.trainer, "--config", ROOT / "configs" / "reproductions" / f"{name}.toml", "--run-dir", folder, f"model.source={model}",
               "model.init=random", f"train.files={files}", "train.dropout=false", "eval.max_eval_samples=1", "eval.every_epochs=0",
               "checkpoints.every_epochs=0", "checkpoints.every_steps=0", *settings]
    if "file" in config.get("eval", {}):
        command.append(f"eval.file={data_file(config['eval']['file'])}")
    done = subprocess.run(command, env=os.environ | {"RUST_LOG": "trainer=debug"}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name}: {done.stderr.splitlines()[-1]}")
    steps = re.findall(r"step \d+: features (.*)", done.stderr)
    lines = map(json.loads, open(folder / "metrics.jsonl"))
    return [step.split() for step in steps], [line["train/loss"] for line in lines if "train/loss" in line]


def windows(tokenizer, config):
    """Every window as `QUESTION_ID#NUMBER`: ids, token types, start, end."""
    found = {}
    for file in config["train"]["files"]:
        for article in json.load(open(data_file(file)))["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    found[question["id"]] = (question, paragraph["context"])
    def of(window):
        id, number = window.rsplit("#", 1)
        question, context = found[id]
        cut = tokenizer(question["question"].lstrip(), context, truncation="only_second", max_length=384, stride=128,
                        return_overflowing_tokens=True, return_offsets_mapping=True, return_token_type_ids=True)
        ids, offsets, sequence = (cut["input_ids"][int(number)], cut["offset_mapping"][int(number)], cut.sequence_ids(int(number)))
        start = end = 0
        if question["answers"]:
            begin = question["answers"][0]["answer_start"]
            stop = begin + len(question["answers"][0]["text"])
            inside = [i for i, (a, b) in enumerate(offsets) if sequence[i] == 1 and b > begin and a < stop]
            if inside and offsets[inside[0]][0] <= begin and offsets[inside[-1]][1] >= stop:
                start, end = inside[0], inside[-1]
        return ids, cut["token_type_ids"][int(number)], start, end
    return of


def loss_of(model, batch, is_bert):
    longest = max(len(ids) for ids, *_ in batch)
    pad = lambda rows: torch.tensor([list(row) + [0] * (longest - len(row)) for row in rows])
    mask = pad([1] * len(ids) for ids, *_ in batch)
    types = {"token_type_ids": pad(types for _, types, *_ in batch)} if is_bert else {}
    out = model(input_ids=pad(ids for ids, *_ in batch), attention_mask=mask, **types)
    sides = zip((out.start_logits, out.end_logits), ([b[2] for b in batch], [b[3] for b in batch]))
    losses = [torch.nn.functional.cross_entropy(logits.masked_fill(mask == 0, -math.inf), torch.tensor(gold)) for logits, gold in sides]
    return sum(losses) / 2


def pytorch_losses(folder, train, steps, total_steps, window, learns=True):
    model = AutoModelForQuestionAnswering.from_pretrained(folder)
    model.eval()  # no dropout; gradients all the same
    plain = lambda name: name.endswith("bias") or "LayerNorm" in name or "layer_norm" in name
    groups = [{"params": [p for n, p in model.named_parameters() if plain(n) == flag], "weight_decay": 0.0 if flag else 0.01}
              for flag in (False, True)]
    optimizer = torch.optim.AdamW(groups, lr=train["learning_rate"], eps=1e-8)
    warmup = int(train.get("warmup_ratio", 0.1) * total_steps)
    def factor(step):
        if step < warmup:
            return step / warmup
        return 1.0 if train.get("lr_scheduler_type") == "constant" else (total_steps - step) / (total_steps - warmup)
    losses = []
    for step, names in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = train["learning_rate"] * factor(step)
        loss = loss_of(model, [window(name) for name in names], model.config.model_type == "bert")
        optimizer.zero_grad(); loss.backward()
        if train.get("max_grad_norm", 1.0) > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), train.get("max_grad_norm", 1.0))
        if learns:
            optimizer.step()
        losses.append(loss.item())
    return losses


worst = 0.0
for name in options.names or NAMES:
    config = tomllib.load(open(ROOT / "configs" / "reproductions" / f"{name}.toml", "rb"))
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        model_folder(config["model"]["source"], scratch)
        steps, losses = run(name, config, scratch, scratch / "run", f"train.max_steps={options.steps}")
        run(name, config, scratch, scratch / "start", "train.max_steps=1", "train.learning_rate=1e-30")
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(scratch / "tokenizer.json"))
        expected, untrained = (pytorch_losses(scratch / "start" / "model", config["train"], steps, options.steps,
                                            windows(tokenizer, config), learns) for learns in (True, False))
    largest = lambda others: max(abs(a - b) for a, b in zip(losses, others, strict=True))
    difference, control = largest(expected), largest(untrained)
    worst = max(worst, difference)
    shown, expected = (" ".join(f"{loss:.5f}" for loss in some) for some in (losses, expected))
    print(f"{name:18} trainer {shown}  PyTorch {expected}  difference {difference:.1e}, without steps {control:.1e}", flush=True)
    if difference > TOLERANCE:
        sys.exit(f"{name}: the losses differ by {difference:.1e}, more than {TOLERANCE}")
    if control < 10 * TOLERANCE:
        sys.exit(f"{name}: the steps change so little that the comparison says nothing")
print(f"all agree to {worst:.1e}")
