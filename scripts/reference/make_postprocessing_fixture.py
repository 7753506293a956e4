"""Makes crates/trainer/tests/fixtures/postprocessing.json: what run_qa.py's way from logits to answers gives for the sample's dev set.

usage: python scripts/reference/make_postprocessing_fixture.py       (needs numpy and transformers; made with 2.4 and 5.23)

Windows are those of crates/squad-data/tests/fixtures/tokenizer.json, 160 tokens with 32 shared; logits are a function of window and
token, which the test computes as well. Tokens outside the context are left out before the best are taken.
"""
import json
import pathlib

import numpy as np

import run_qa

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_SEQ_LENGTH, DOC_STRIDE, N_BEST_SIZE, MAX_ANSWER_LENGTH = 160, 32, 6, 12


def noise(window, token, side):
    """Between -10 and 10."""
    mixed = (window * 0x9E3779B1 + token * 0x85EBCA77 + side * 0xC2B2AE3D) & 0xFFFFFFFF
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    return (mixed >> 8) * 20 / 2**24 - 10


def logit(number, side, token, offsets, golds):
    """Noise, 14 more for `[CLS]`, and 8 more where the first gold answer begins or ends."""
    more = 14 if token == 0 else 8 if offsets is not None and offsets[side] in golds else 0
    return np.float32(noise(number, token, side) + more)


def logits(examples, windows, side):
    rows = []
    for number, window in enumerate(windows):
        example = examples[window["example"]]
        golds = [start + (len(text) if side else 0) for start, text in zip(example["starts"], example["answers"])][:1]
        row = [logit(number, side, token, offsets, golds) for token, offsets in enumerate(window["offsets"])]
        rows.append(np.array(row, np.float32))
    return rows


def main():
    examples = run_qa.read_examples(ROOT / "datasets" / "sample" / "dev.json")
    tokenizer = ROOT / "crates" / "squad-data" / "tests" / "fixtures" / "tokenizer.json"
    windows = run_qa.make_windows(examples, tokenizer, MAX_SEQ_LENGTH, DOC_STRIDE)
    starts, ends = (logits(examples, windows, side) for side in (0, 1))
    texts, n_best, null_odds, best_spans = run_qa.answer(
        examples, windows, starts, ends, N_BEST_SIZE, MAX_ANSWER_LENGTH, context_first=True
    )
    metrics = run_qa.score_v2(examples, best_spans, null_odds, 0.0)
    lines = {
        name: {
            "text": texts[name],
            "null_odds": null_odds[name],
            "n_best": [[*span["offsets"], span["start_logit"], span["end_logit"], span["probability"]] for span in n_best[name]],
        }
        for name in texts
    }
    fixture = {"windows": len(windows), "metrics": metrics, "answers": lines}
    one_per_line = ",\n".join(f"{json.dumps(name)}: {json.dumps(line)}" for name, line in lines.items())
    head = {key: fixture[key] for key in ("windows", "metrics")}
    text = json.dumps(head)[:-1] + ', "answers": {\n' + one_per_line + "\n}}\n"
    (ROOT / "crates" / "trainer" / "tests" / "fixtures" / "postprocessing.json").write_text(text, encoding="utf-8")
    print(len(examples), "questions,", len(windows), "windows,", sum(not t for t in texts.values()), "declined", metrics)


if __name__ == "__main__":
    main()
