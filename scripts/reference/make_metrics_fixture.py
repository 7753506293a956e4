"""Writes crates/qa-metrics/tests/fixtures/metrics.json: what the official scripts of MLQA, KorQuAD 1.0 and CMRC 2018 compute.

An independent statement of the three metrics in Python, on texts invented here and on random mixtures of their pieces.
Last run with Python 3.11.7 and nltk 3.10.4 with its data package punkt_tab (`python -m nltk.downloader punkt_tab`):

    python scripts/reference/make_metrics_fixture.py

Each row is [metric, prediction, gold, normalized prediction, exact match, F1]; floats are strings, so that a JSON reader
cannot round them. Each dataset has its questions, predictions and averages.
"""

import collections
import json
import pathlib
import random
import re
import string
import sys
import unicodedata

import nltk

OUT = pathlib.Path(__file__).parents[2] / "crates/qa-metrics/tests/fixtures/metrics.json"

PUNCTUATION = {chr(c) for c in range(sys.maxunicode) if unicodedata.category(chr(c))[0] == "P"} | set(string.punctuation)
ARTICLES = {
    "en": "a an the",
    "es": "un una unos unas el la los las",
    "vi": "của là cái chiếc những",
    "de": "ein eine einen einem eines einer der die das den dem des",
}
KORQUAD_SEPARATORS = "'\"《》<>〈〉()‘’"
CMRC_MARKS = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
HAN = re.compile("([\u4e00-\u9fa5])")


def mlqa_normal(text, language):
    text = "".join(c for c in text.lower() if c not in PUNCTUATION)
    if language == "ar":
        text = text.replace("ال", " ")
    elif language in ARTICLES:
        text = re.sub(rf"\b(?:{ARTICLES[language].replace(' ', '|')})\b", " ", text)
    elif language == "zh":
        text = HAN.sub(r" \1 ", text)
    return " ".join(text.split())


def korquad_normal(text):
    text = "".join(" " if c in KORQUAD_SEPARATORS else c for c in text).lower()
    return " ".join("".join(c for c in text if c not in string.punctuation).split())


def cmrc_normal(text):
    return "".join(c for c in text.lower().strip() if c not in CMRC_MARKS)


def cmrc_segments(text):
    parts = HAN.split(cmrc_normal(text))
    return [s for part in parts if part for s in ([part] if HAN.fullmatch(part) else nltk.word_tokenize(part))]


def multiset_overlap(prediction, gold):
    return sum((collections.Counter(prediction) & collections.Counter(gold)).values())


def longest_run(prediction, gold):
    ends = [0] * (len(gold) + 1)
    longest = 0
    for segment in prediction:
        ends = [0] + [ends[j] + 1 if segment == gold[j] else 0 for j in range(len(gold))]
        longest = max(longest, *ends)
    return longest


def f1(same, prediction, gold):
    if same == 0:
        return 0.0
    precision, recall = same / len(prediction), same / len(gold)
    return (2 * precision * recall) / (precision + recall)


def score(metric, prediction, gold):
    """Normalized prediction, exact match and F1."""
    if metric.startswith("mlqa:"):
        p, g = (mlqa_normal(text, metric[5:]) for text in (prediction, gold))
        units = p.split(), g.split()
        same = multiset_overlap(*units)
    elif metric == "korquad":
        p, g = korquad_normal(prediction), korquad_normal(gold)
        units = list(p.replace(" ", "")), list(g.replace(" ", ""))
        same = multiset_overlap(*units)
    else:
        p, g = cmrc_normal(prediction), cmrc_normal(gold)
        units = cmrc_segments(prediction), cmrc_segments(gold)
        same = longest_run(*units)
    return p, p == g, f1(same, *units)


PIECES = {
    "": ["Mill", "mill ", "The mill", "1871", "3.5 ", "1,000", ", ", ". ", "...", "?", "! ", "; ", ":", "-", "–", "—", "…"]
    + ["'", '"', "''", "“", "”", "‘", "’", "«", "»", "(", ") ", "[", "]", "<", ">", "《", "》", "〈", "〉", "、", "。", "，", "·"]
    + [" ", "  ", "\t", "\n", "\u3000", "\u00a0", "\x1c", "$", "%", "&", "@", "_", "/", "+", "=", "~", "😀", "é", "e\u0301", "²", "٣"],
    "cmrc": ["磨坊", "埃尔姆福德", "安妮", "一八七一年", "鋼琴", "龥", "龦", "㐀", "カ", "水"]
    + ["Mr. Holm ", "a. holm ", "b. smith ", "u.s. army", "no. 5 ", "1871. dividend ", "12. who ", "etc. and ", "e.g. ", "x. ", "p.m. "]
    + ["don't ", "it's ", "they're ", "we'll ", "n't ", "'tis ", "cannot ", "gonna ", "wanna ", "more'n ", "rock 'n roll ", ". . ."],
    "korquad": ["물레방아", "엘름퍼드", "의 ", "안네 홀름", "이 ", "1871년", "ㄱ", "水車"],
    "ar": ["ال", "الطاحونة ", "في ", "بناها", " ال ", "١٨٧١"],
    "de": ["der ", "die ", "das", "einem ", "Mühle ", "des Müllers", "Straße", "STRASSE"],
    "en": ["the ", "a ", "an", "The", "theory ", "Elmford "],
    "es": ["el ", "la ", "los", "una ", "molino ", "aún", "él "],
    "hi": ["चक्की ", "का", "एक ", "१८७१"],
    "vi": ["của ", "là ", "những", "cái ", "cối xay ", "chiếc"],
    "zh": ["磨坊", "安妮", "一八七一年", "龥", "龦", "水"],
}


def text(rng, metric):
    pieces = PIECES[metric.removeprefix("mlqa:")] * 2 + PIECES[""]
    return "".join(rng.choice(pieces) + rng.choice(["", " "]) for _ in range(rng.randrange(9)))


def changed(rng, metric, gold):
    """A prediction that shares a part with its gold answer."""
    start, end = sorted(rng.randrange(len(gold) + 1) for _ in range(2))
    return rng.choice([gold, gold[start:end], gold[:end] + text(rng, metric), text(rng, metric)])


def dataset(rng, metric, number):
    questions, predictions = [], {}
    for index in range(12):
        golds = [text(rng, metric) for _ in range(rng.randrange(1, 4))]
        questions.append({"id": f"{number}-{index}", "answers": golds})
        if rng.random() < 0.9:
            predictions[f"{number}-{index}"] = changed(rng, metric, rng.choice(golds))
    exact = f1_sum = 0
    for question in questions:
        if question["id"] in predictions:
            scores = [score(metric, predictions[question["id"]], gold)[1:] for gold in question["answers"]]
            exact += max(exact for exact, _ in scores)
            f1_sum += max(f1 for _, f1 in scores)
    averages = {"exact_match": repr(100.0 * exact / 12), "f1": repr(100.0 * f1_sum / 12)}
    return {"metric": metric, "questions": questions, "predictions": predictions, **averages}


def main():
    rng = random.Random(18)
    metrics = ["cmrc", "cmrc", "cmrc", "korquad"] + [f"mlqa:{language}" for language in "ar de en es hi vi zh".split()]
    rows, datasets = [], []
    for metric in metrics:
        for _ in range(60):
            gold = text(rng, metric)
            prediction = changed(rng, metric, gold)
            normal, exact, f = score(metric, prediction, gold)
            rows.append([metric, prediction, gold, normal, exact, repr(f)])
        datasets += [dataset(rng, metric, number) for number in range(2)]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    sets = ",\n".join(json.dumps(one, ensure_ascii=False) for one in datasets)
    OUT.write_text(f'{{"pairs": [\n{lines}\n], "datasets": [\n{sets}\n]}}\n', encoding="utf-8")
    print(len(rows), "pairs,", len(datasets), "data sets")


main()
