"""Checks a model folder's README.md as its readers will: the Hub, and someone who copies its Python example.

usage: python scripts/reference/check_model_card.py FOLDER ANSWER
ANSWER: what bert-qa answers to the example's question. Needs torch and transformers; made with torch 2.9.0
and transformers 5.23.0 (huggingface_hub 2.4.0).

Fails (exit 1) if the front matter is not the Hub's, lacks what the Hub shows, or the example, run in the folder with a
fresh interpreter, prints another answer.
"""
import argparse, os, subprocess, sys
from huggingface_hub import ModelCard

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folder")
parser.add_argument("answer")
args = parser.parse_args()

card = ModelCard.load(os.path.join(args.folder, "README.md"))
front_matter = card.data.to_dict()
for key, expected in {"library_name": "transformers", "pipeline_tag": "question-answering", "metrics": ["exact_match", "f1"]}.items():
    if front_matter.get(key) != expected:
        sys.exit(f"front matter: {key} is {front_matter.get(key)!r}, not {expected!r}")
# Scores stand twice, for the Hub and for readers.
scores = {result.metric_type: result.metric_value for result in card.data.eval_results}
cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in card.text.splitlines()]
rows = dict(row for row in cells if len(row) == 2)
for name, value in scores.items():
    shown = rows.get(name, rows.get(name.removesuffix("_match")))
    if shown != f"{value:.2f}":
        sys.exit(f"{name} is {value} in the front matter, {shown} in the text")
if set(scores) != {"exact_match", "f1"}:
    sys.exit(f"front matter: its scores are {sorted(scores)}")

example = card.text.split("```python\n")[1].split("```")[0]
run = subprocess.run([sys.executable, "-c", example], cwd=args.folder, capture_output=True, text=True)
if run.returncode != 0:
    sys.exit(f"the example failed: {run.stderr}")
answer = run.stdout.strip()
if answer != args.answer:
    sys.exit(f"the example answers {answer!r}, bert-qa {args.answer!r}")
print(f"{args.folder}: front matter good, scores {scores}, the example answers {answer!r}")
