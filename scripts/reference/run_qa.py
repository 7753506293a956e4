"""From logits to answers and scores, as Hugging Face's run_qa.py and SQuAD's official v2.0 script go about it, written for this
project: what `squad-data`, `qa-metrics` and `trainer evaluate` are compared with. Needs numpy.

Windows are dicts with `example` (index of the question), `offsets` (a pair of characters per token of the context, None for
the other tokens, padding included); logits are float32 arrays [windows, tokens].
"""
import collections
import json
import re
import string

import numpy as np


def answer(examples, windows, starts, ends, n_best_size=20, max_answer_length=30, threshold=0.0, context_first=False):
    """Texts, n-best lists and null odds by question id, as run_qa.py finds them with version_2_with_negative; the best span of each
    question besides.

    run_qa.py takes the best `n_best_size` starts and ends among all tokens and leaves out those outside the context afterwards;
    with `context_first` they are left out before, as this project does.
    """
    windows_of = collections.defaultdict(list)
    for index, window in enumerate(windows):
        windows_of[window["example"]].append(index)
    texts, n_best, null_odds, best_spans = {}, {}, {}, {}
    for number, example in enumerate(examples):
        null, spans = None, []
        for index in windows_of[number]:
            start_logits, end_logits, offsets = starts[index], ends[index], windows[index]["offsets"]
            null_score = start_logits[0] + end_logits[0]
            if null is None or null["score"] > null_score:
                null = {"offsets": (0, 0), "score": null_score, "start_logit": start_logits[0], "end_logit": end_logits[0]}
            if context_first:
                inside = np.array([pair is not None for pair in offsets])
                start_logits = np.where(inside, start_logits, -np.inf)
                end_logits = np.where(inside, end_logits, -np.inf)
            best_starts = np.argsort(start_logits)[-1 : -n_best_size - 1 : -1].tolist()
            best_ends = np.argsort(end_logits)[-1 : -n_best_size - 1 : -1].tolist()
            for start in best_starts:
                for end in best_ends:
                    if offsets[start] is None or offsets[end] is None:
                        continue
                    if end < start or end - start + 1 > max_answer_length:
                        continue
                    spans.append({
                        "offsets": (offsets[start][0], offsets[end][1]),
                        "score": start_logits[start] + end_logits[end],
                        "start_logit": start_logits[start],
                        "end_logit": end_logits[end],
                    })
        spans.append(null)
        spans = sorted(spans, key=lambda span: span["score"], reverse=True)[:n_best_size]
        if not any(span["offsets"] == (0, 0) for span in spans):
            spans.append(null)
        context = example["context"]
        for span in spans:
            span["text"] = context[span["offsets"][0] : span["offsets"][1]]
        best = next((span for span in spans if span["text"]), None)
        scores = np.array([span["score"] for span in spans])
        probabilities = np.exp(scores - scores.max())
        probabilities = probabilities / probabilities.sum()
        for span, probability in zip(spans, probabilities):
            span["probability"] = probability
        odds = null["score"] if best is None else null["score"] - best["start_logit"] - best["end_logit"]
        name = example["id"]
        null_odds[name] = float(odds)
        best_spans[name] = "" if best is None else best["text"]
        texts[name] = "" if odds > threshold else best_spans[name]
        n_best[name] = [
            {key: float(value) if isinstance(value, np.floating) else value for key, value in span.items()} for span in spans
        ]
    return texts, n_best, null_odds, best_spans


ARTICLE = re.compile(r"\b(a|an|the)\b", re.UNICODE)
PUNCTUATION = set(string.punctuation)


def normalize(text):
    text = "".join(c for c in text.lower() if c not in PUNCTUATION)
    return " ".join(ARTICLE.sub(" ", text).split())


def f1(gold, prediction):
    gold, prediction = normalize(gold).split(), normalize(prediction).split()
    if not gold or not prediction:
        return float(gold == prediction)
    same = sum((collections.Counter(gold) & collections.Counter(prediction)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(prediction), same / len(gold)
    return (2 * precision * recall) / (precision + recall)


def best_threshold(scores, has_answer, predictions, odds):
    current = best = sum(1 for known in has_answer.values() if not known)
    threshold = 0.0
    for name in sorted(odds, key=odds.get):
        if has_answer[name]:
            current += scores[name]
        elif predictions[name]:
            current -= 1
        if current > best:
            best, threshold = current, odds[name]
    return 100.0 * best / len(scores), threshold


def score_v2(examples, predictions, odds, threshold):
    """The official v2.0 figures of `predictions`, with a threshold on the odds of no answer and the best thresholds."""
    has_answer = {example["id"]: bool(example["answers"]) for example in examples}
    raw = {"exact": {}, "f1": {}}
    for example in examples:
        prediction = predictions[example["id"]]
        golds = [gold for gold in example["answers"] if normalize(gold)] or [""]
        raw["exact"][example["id"]] = max(int(normalize(gold) == normalize(prediction)) for gold in golds)
        raw["f1"][example["id"]] = max(f1(gold, prediction) for gold in golds)
    figures = {}
    for metric, scores in raw.items():
        final = {k: float(not has_answer[k]) if odds[k] > threshold else score for k, score in scores.items()}
        for prefix, wanted in (("", (True, False)), ("HasAns_", (True,)), ("NoAns_", (False,))):
            chosen = [score for name, score in final.items() if has_answer[name] in wanted]
            total = 0.0
            for score in chosen:  # Not `sum`, which compensates rounding from Python 3.12 on.
                total += score
            figures[prefix + metric] = 100.0 * total / len(chosen)
            figures[prefix + "total"] = len(chosen)
    for metric, scores in raw.items():
        best, at = best_threshold(scores, has_answer, predictions, odds)
        figures["best_" + metric], figures[f"best_{metric}_thresh"] = best, at
    return figures


def read_examples(path):
    with open(path, encoding="utf-8") as file:
        articles = json.load(file)["data"]
    return [
        {
            "id": question["id"],
            "question": question["question"],
            "context": paragraph["context"],
            "answers": [answer["text"] for answer in question["answers"]],
            "starts": [answer["answer_start"] for answer in question["answers"]],
        }
        for article in articles
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def make_windows(examples, tokenizer_file, max_seq_length, doc_stride):
    """Windows as run_qa.py makes them, without padding."""
    from transformers import PreTrainedTokenizerFast

    special = dict(pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file), **special)
    encoded = tokenizer(
        [example["question"].lstrip() for example in examples],
        [example["context"] for example in examples],
        truncation="only_second",
        max_length=max_seq_length,
        stride=doc_stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    windows = []
    for index, example in enumerate(encoded["overflow_to_sample_mapping"]):
        pairs = zip(encoded["offset_mapping"][index], encoded.sequence_ids(index))
        windows.append({"example": example, "offsets": [pair if part == 1 else None for pair, part in pairs]})
    return windows
