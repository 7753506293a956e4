"""Times run_qa.py's way from logits to answers, files and scores on SQuAD's dev-v2.0, on made-up logits of all its windows, and leaves
both for `trainer`'s own time on the same logits.

usage: python scripts/reference/time_postprocessing.py DATA OUT      (needs numpy and transformers; made with 2.4 and 5.23)
then:  POSTPROCESSING=OUT cargo test --workspace --test trainer -- --ignored --nocapture time_of_postprocessing

DATA has squad/dev-v2.0.json and vocab/bert-base-uncased-tokenizer.json. Timed are, as in run_qa.py: answers with their four files, and
the official v2.0 scores. Not timed: the answers among tokens of the context only (`context_first`), for comparison.
"""
import json
import pathlib
import sys
import time

import numpy as np

import run_qa

MAX_SEQ_LENGTH, DOC_STRIDE, SEED = 384, 128, 0


def make_logits(windows):
    """Like a trained model's: low in the context and lower outside it, two likely spans whose neighbours are likely too, `[CLS]` anywhere."""
    rng = np.random.default_rng(SEED)
    logits = rng.normal(-10.0, 0.5, (2, len(windows), MAX_SEQ_LENGTH)).astype(np.float32)
    for index, window in enumerate(windows):
        context = [token for token, pair in enumerate(window["offsets"]) if pair is not None]
        first, last = context[0], context[-1] + 1
        tokens = np.arange(first, last)
        noise = rng.normal(-5.0, 1.5, (2, last - first))
        for _ in range(2):
            start = rng.integers(first, last)
            end = min(start + rng.integers(0, 8), last - 1)
            height = rng.normal(5.0, 2.5)
            for side, place in enumerate((start, end)):
                slope = height + rng.normal() - 0.8 * np.abs(tokens - place)
                noise[side] = np.maximum(noise[side], slope + rng.normal(0.0, 0.5, last - first))
        logits[:, index, first:last] = noise
        logits[:, index, 0] = rng.normal(5.0, 3.0) + rng.normal(0.0, 0.5, 2)
    return logits


def write_json(folder, **files):
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value, indent=4) + "\n", encoding="utf-8")


def main():
    data, out = map(pathlib.Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    examples = run_qa.read_examples(data / "squad" / "dev-v2.0.json")
    tokenizer = data / "vocab" / "bert-base-uncased-tokenizer.json"
    windows, lengths = run_qa.make_windows(examples, tokenizer, MAX_SEQ_LENGTH, DOC_STRIDE, pad=True)
    starts, ends = make_logits(windows)
    # Per window its start logits, then its end logits, without padding.
    with open(out / "logits.f32", "wb") as file:
        for index, length in enumerate(lengths):
            file.write(starts[index, :length].astype("<f4").tobytes())
            file.write(ends[index, :length].astype("<f4").tobytes())

    clocks = {"seconds": time.perf_counter, "cpu_seconds": time.process_time}
    began = {key: clock() for key, clock in clocks.items()}
    texts, n_best, null_odds, best_spans = run_qa.answer(examples, windows, starts, ends)
    write_json(out, predictions=texts, nbest=n_best, null_odds=null_odds)
    answered = {key: clock() for key, clock in clocks.items()}
    metrics = run_qa.score_v2(examples, best_spans, null_odds, 0.0)
    write_json(out, metrics=metrics)
    times = {key: {"answers_and_files": answered[key] - began[key], "scores": clock() - answered[key]} for key, clock in clocks.items()}

    texts, n_best, null_odds, best_spans = run_qa.answer(examples, windows, starts, ends, context_first=True)
    write_json(out, predictions_context_first=texts, nbest_context_first=n_best, null_odds_context_first=null_odds)
    write_json(out, metrics_context_first=run_qa.score_v2(examples, best_spans, null_odds, 0.0))
    write_json(out, times=times)
    print(f"{len(examples)} questions, {len(windows)} windows:", times, metrics)


if __name__ == "__main__":
    main()
