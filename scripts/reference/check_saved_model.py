"""Loads a model folder with transformers, as anyone would, and compares what it computes with the answers of bert-qa.

usage: python scripts/reference/check_saved_model.py FOLDER DATASET ANSWERS
DATASET: SQuAD JSON; every question's window must fit the model whole. ANSWERS: what the example `answer_file` of the
crate bert-qa wrote about it. Needs torch and transformers; made with torch 2.9.0 and transformers 5.23.0.

Fails (exit 1) if
- transformers had to make up a parameter, found one that it has no place for, or has a tokenizer that does not give the model's inputs
  (token types, which BERT has and DistilBERT does not);
- a logit of bert-qa (start and end of every span listed, and both of [CLS]) differs from transformers' by more than 1e-4:
  f32 sums of some hundred terms through 6 layers, in another order, differ by about 1e-5;
- the best span by transformers' logits, searched as run_qa.py does, is another than bert-qa's, and not as good.
Negative control: with token types swapped (DistilBERT: the first two tokens), logits must differ by more than that.
"""
import argparse, json, sys
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

TOLERANCE = 1e-4
MAX_ANSWER_LENGTH = 30
N_BEST = 20

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folder")
parser.add_argument("dataset")
parser.add_argument("answers")
args = parser.parse_args()


def load(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, report = AutoModelForQuestionAnswering.from_pretrained(folder, output_loading_info=True)
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys")
    wrong = {kind: sorted(map(str, report[kind])) for kind in kinds if report[kind]}
    if wrong:
        sys.exit(f"{folder}: {wrong}")
    return tokenizer, model.eval()


def logits(model, inputs):
    with torch.no_grad():
        output = model(**inputs)
    return output.start_logits[0].tolist(), output.end_logits[0].tolist()


def swap(inputs):
    """What the model must not see: token types swapped, or where it has none, the first tokens of the window."""
    if "token_type_ids" in inputs:
        return dict(inputs, token_type_ids=1 - inputs["token_type_ids"])
    ids = inputs["input_ids"].clone()
    ids[0, :2] = ids[0, :2].flip(0)
    return dict(inputs, input_ids=ids)


def differences(start, end, offsets, in_context, answer):
    """Of bert-qa's logits from these, at the tokens that its spans begin and end with."""
    first_of = {offsets[i][0]: i for i in reversed(in_context)}
    last_of = {offsets[i][1]: i for i in in_context}
    yield abs(start[0] + end[0] - answer["null_score"])
    for span in answer["spans"]:
        yield abs(start[first_of[span["start"]]] - span["start_logit"])
        yield abs(end[last_of[span["end"]]] - span["end_logit"])


def best_span(start, end, in_context):
    """As run_qa.py searches: the 20 best starts with the 20 best ends."""
    starts, ends = (sorted(in_context, key=lambda i: -logits[i])[:N_BEST] for logits in (start, end))
    spans = [(start[first] + end[last], (first, last)) for first in starts for last in ends
             if first <= last < first + MAX_ANSWER_LENGTH]
    score, span = max(spans, key=lambda span: span[0])
    return span, score


torch.set_num_threads(1)  # one window at a time: more threads wait for each other
tokenizer, model = load(args.folder)
answers = json.load(open(args.answers))
rows = [(paragraph["context"], question) for article in json.load(open(args.dataset))["data"]
        for paragraph in article["paragraphs"] for question in paragraph["qas"]]
largest, control, ties = 0.0, 0.0, 0
for context, question in rows:
    answer = answers[question["id"]]
    inputs = tokenizer(question["question"].lstrip(), context, return_tensors="pt", return_offsets_mapping=True)
    if ("token_type_ids" in inputs) != (model.config.model_type == "bert"):
        sys.exit(f"{args.folder}: its tokenizer gives {sorted(inputs)}, which are not what a {model.config.model_type} reads")
    offsets = inputs.pop("offset_mapping")[0].tolist()
    in_context = [i for i, part in enumerate(inputs.sequence_ids()) if part == 1]
    start, end = logits(model, inputs)
    largest = max(largest, *differences(start, end, offsets, in_context, answer))
    (first, last), score = best_span(start, end, in_context)
    best = answer["spans"][0]
    if (offsets[first][0], offsets[last][1]) != (best["start"], best["end"]):
        if score - best["start_logit"] - best["end_logit"] > TOLERANCE:
            sys.exit(f"{question['id']}: transformers' best span is {context[offsets[first][0]:offsets[last][1]]!r}, "
                     f"bert-qa's {context[best['start']:best['end']]!r}")
        ties += 1
    swapped = swap(inputs)
    control = max(control, *differences(*logits(model, swapped), offsets, in_context, answer))
print(f"{len(rows)} questions: logits differ by {largest:.1e} at most (with inputs swapped by {control:.1e}); "
      f"best spans equal but for {ties} ties")
if not largest <= TOLERANCE:
    sys.exit(f"logits differ by more than {TOLERANCE}")
if not control > 100 * TOLERANCE:
    sys.exit("the negative control did not fail: this comparison shows nothing")
