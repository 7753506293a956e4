"""Loads a model folder with transformers, as anyone would, and prints its logits for one question as JSON.

usage: python tools/reference/check_saved_model.py FOLDER [QUESTION CONTEXT]
needs torch and transformers; made with torch 2.9.0 and transformers 5.23.0.

Fails (exit 1, one line) if transformers had to make up a parameter, found one that it has no place for, or has a
tokenizer that does not give the model's inputs (token types, which BERT has and DistilBERT does not): none of them is so
with a model that was saved whole.
"""
import argparse, json, sys
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folder")
parser.add_argument("question", nargs="?", default="Who ate it?")
parser.add_argument("context", nargs="?", default="The cat ate the bread.")
args = parser.parse_args()

tokenizer = AutoTokenizer.from_pretrained(args.folder)
model, report = AutoModelForQuestionAnswering.from_pretrained(args.folder, output_loading_info=True)
wrong = {kind: sorted(map(str, report[kind])) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if report[kind]}
if wrong:
    sys.exit(f"{args.folder}: {wrong}")
inputs = tokenizer(args.question, args.context, return_tensors="pt")
if ("token_type_ids" in inputs) != (model.config.model_type == "bert"):
    sys.exit(f"{args.folder}: its tokenizer gives {sorted(inputs)}, which are not what a {model.config.model_type} reads")
with torch.no_grad():
    output = model.eval()(**inputs)
json.dump({
    "model": type(model).__name__, "tokenizer": type(tokenizer).__name__, "dtype": str(model.dtype).removeprefix("torch."),
    "question": args.question, "context": args.context,
    **{name: values[0].tolist() for name, values in inputs.items()},
    "start_logits": output.start_logits[0].tolist(), "end_logits": output.end_logits[0].tolist(),
}, sys.stdout)
print()
