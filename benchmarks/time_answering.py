"""Times answering by the crate bert-qa and by PyTorch on the same questions of a SQuAD file, one after the other, in several rounds.

usage: python benchmarks/time_answering.py MODEL DATASET [--questions 96] [--rounds 8] [--threads 2]
           [--program target/debug/examples/answer_file]
The questions are spread evenly over the file. Both go from texts to answers: tokenising, the model, the search for the
best span. bert-qa is its example `answer_file`; PyTorch is transformers' AutoModelForQuestionAnswering on batches padded
to their longest feature, without gradients, and run_qa.py's search in NumPy, over tokens of the context only. Both get
the allocator of run_qa_features.py. Short rounds, of which the best counts, because other work on the machine only ever
makes them slower. Needs torch and transformers; made with torch 2.9.0 and transformers 5.23.0.
"""
import argparse, json, os, statistics, subprocess, tempfile, time

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("model")
parser.add_argument("dataset")
parser.add_argument("--questions", type=int, default=96)
parser.add_argument("--rounds", type=int, default=8)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--program", default="target/debug/examples/answer_file")
args = parser.parse_args()

import run_qa_features  # Starts this script again with an allocator that keeps its pages.
import numpy as np
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

torch.set_num_threads(args.threads)
tokenizer = AutoTokenizer.from_pretrained(args.model)
model = AutoModelForQuestionAnswering.from_pretrained(args.model).eval()
every = [(paragraph, question) for article in json.load(open(args.dataset))["data"]
         for paragraph in article["paragraphs"] for question in paragraph["qas"]]
chosen = [every[i * len(every) // args.questions] for i in range(args.questions)]
subset = {"data": [{"title": "", "paragraphs": [{"context": paragraph["context"], "qas": [question]}
                                                for paragraph, question in chosen]}]}
texts = [(question["question"].lstrip(), paragraph["context"]) for paragraph, question in chosen]


def best_span(context, offsets, start, end):
    inside = np.array([offset is not None for offset in offsets])
    start, end = np.where(inside, start, -np.inf), np.where(inside, end, -np.inf)
    best, text = -np.inf, ""
    for first in np.argsort(start)[-1:-21:-1]:
        for last in np.argsort(end)[-1:-21:-1]:
            if first <= last < first + 30 and start[first] + end[last] > best:
                best, text = start[first] + end[last], context[offsets[first][0]:offsets[last][1]]
    return best, text


def answer(pairs):
    inputs = tokenizer([question for question, _ in pairs], [context for _, context in pairs], truncation="only_second",
                       max_length=384, stride=128, return_overflowing_tokens=True, return_offsets_mapping=True,
                       padding=True, return_tensors="pt")
    offset_mapping, sample_mapping = inputs.pop("offset_mapping").tolist(), inputs.pop("overflow_to_sample_mapping").tolist()
    with torch.no_grad():
        output = model(**inputs)
    best = [(-np.inf, "")] * len(pairs)
    for i, pair in enumerate(sample_mapping):
        offsets = [offset if part == 1 else None for offset, part in zip(offset_mapping[i], inputs.sequence_ids(i))]
        found = best_span(pairs[pair][1], offsets, output.start_logits[i].numpy(), output.end_logits[i].numpy())
        best[pair] = max(best[pair], found)
    return [text for _, text in best]


def time_pytorch(batch):
    started = time.perf_counter()
    texts_found = [text for i in range(0, len(texts), batch) for text in answer(texts[i:i + batch])]
    return len(texts) / (time.perf_counter() - started), texts_found


def time_bert_qa(batch, file):
    with tempfile.NamedTemporaryFile() as out:
        command = [args.program, args.model, file, f"batch={batch}", f"out={out.name}"]
        run = subprocess.run(command, env=os.environ | {"RAYON_NUM_THREADS": str(args.threads)}, check=True,
                             capture_output=True, text=True)
        answers = json.load(open(out.name))
    found = [answers[question["id"]]["spans"][0] for _, question in chosen]
    return float(run.stdout.split()[0]), [context[span["start"]:span["end"]] for (_, context), span in zip(texts, found)]


with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    json.dump(subset, file)
    file.flush()
    answer(texts[:8])  # the first calls are slower
    print(f"{len(texts)} questions, {args.threads} threads; questions/s")
    for batch in (1, 32):
        bert_qa, pytorch = [], []
        for number in range(args.rounds):
            (rate, answers), (pytorch_rate, pytorch_answers) = time_bert_qa(batch, file.name), time_pytorch(batch)
            same = sum(a == b for a, b in zip(answers, pytorch_answers))
            print(f"batch {batch}, round {number + 1}: bert-qa {rate:.2f}, PyTorch {pytorch_rate:.2f}, "
                  f"{rate / pytorch_rate:.2f} x ({same} answers equal)", flush=True)
            bert_qa.append(rate)
            pytorch.append(pytorch_rate)
        print(f"batch {batch}, best: bert-qa {max(bert_qa):.2f}, PyTorch {max(pytorch):.2f}, {max(bert_qa) / max(pytorch):.2f} x; "
              f"median: bert-qa {statistics.median(bert_qa):.2f}, PyTorch {statistics.median(pytorch):.2f}", flush=True)
