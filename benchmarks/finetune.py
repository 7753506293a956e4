"""Fine-tunes a model with transformers and PyTorch on SQuAD files, as run_qa.py does, and answers an evaluation file: the scores
beside which docs/results.md puts the trainer's.

    python benchmarks/finetune.py MODEL --train FILE... --eval FILE --output FOLDER [options]
    trainer score --dataset FOLDER/questions.jsonl --predictions FOLDER/predictions.json

MODEL is a folder with config.json, tokenizer.json and weights. Batches hold features of similar length and are padded to their longest.
FOLDER gets the trained model, the questions answered (questions.jsonl), predictions.json and null_odds.json. Standard output has the losses, seconds and features per second.
Last run with torch 2.9.0 and transformers 5.23.0.
"""
import argparse, json, os, pathlib, sys, time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--train", nargs="+", required=True, metavar="FILE", help="SQuAD files to train on")
    parser.add_argument("--eval", required=True, metavar="FILE", help="SQuAD file to answer")
    parser.add_argument("--output", type=pathlib.Path, required=True, metavar="FOLDER")
    parser.add_argument("--answerable-only", action="store_true", help="train on questions with an answer only")
    parser.add_argument("--version-2-with-negative", action="store_true", help="answer nothing where no answer scores best")
    for name, default in (("max-train-samples", None), ("max-eval-samples", None), ("max-steps", None), ("num-train-epochs", 2),
                          ("batch-size", 8), ("max-seq-length", 384), ("doc-stride", 128), ("seed", 0), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in (("learning-rate", 5e-5), ("warmup-ratio", 0.1), ("weight-decay", 0.01), ("max-grad-norm", 1.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    return parser.parse_args()


args = arguments()

import torch
import transformers
from transformers.trainer_pt_utils import LengthGroupedSampler

from run_qa_features import answer, labels, make_features, make_optimizer, read_examples, tensors

torch.set_num_threads(args.threads or os.cpu_count())
transformers.set_seed(args.seed)


def train(model, features):
    """Returns the number of features trained on."""
    lengths = [len(feature["input_ids"]) for feature in features]
    steps_per_epoch = -(-len(features) // args.batch_size)
    total = min(steps_per_epoch * args.num_train_epochs, args.max_steps or sys.maxsize)
    optimizer, schedule = make_optimizer(model, args.learning_rate, args.weight_decay, int(args.warmup_ratio * total), total)
    model.train()
    step = seen = 0
    while step < total:
        order, losses = list(LengthGroupedSampler(args.batch_size, lengths=lengths)), []
        for first in range(0, len(order), args.batch_size):
            batch = [features[index] for index in order[first:first + args.batch_size]]
            loss = model(**tensors(batch, model), **labels(batch)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            step, seen = step + 1, seen + len(batch)
            if step == total:
                break
        print(f"step {step}/{total}: train loss {sum(losses) / len(losses):.4f}", flush=True)
    return seen


def predict_logits(model, features):
    """Start and end logits of each feature, in order of features; the longest go first."""
    starts, ends = [None] * len(features), [None] * len(features)
    order = sorted(range(len(features)), key=lambda index: -len(features[index]["input_ids"]))
    model.eval()
    with torch.no_grad():
        for first in range(0, len(order), 16):
            chosen = order[first:first + 16]
            output = model(**tensors([features[index] for index in chosen], model))
            for row, index in enumerate(chosen):
                length = len(features[index]["input_ids"])
                starts[index], ends[index] = output.start_logits[row, :length].numpy(), output.end_logits[row, :length].numpy()
    return starts, ends


def main():
    featurize = lambda examples: make_features(examples, args.model, args.max_seq_length, args.doc_stride)
    examples = [example for file in args.train for example in read_examples(file) if example["answers"] or not args.answerable_only]
    train_features = featurize(examples[:args.max_train_samples])
    questions = read_examples(args.eval)[:args.max_eval_samples]
    eval_features = featurize(questions)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(args.model, dtype=torch.float32)
    print(f"{len(train_features)} training features, {len(questions)} questions with {len(eval_features)} features to answer")

    started = time.perf_counter()
    seen = train(model, train_features)
    seconds = time.perf_counter() - started
    print(f"training: {seconds:.1f} s, {seen / seconds:.2f} features/s")

    started = time.perf_counter()
    logits = predict_logits(model, eval_features)
    seconds = time.perf_counter() - started
    print(f"inference: {seconds:.1f} s, {len(eval_features) / seconds:.2f} features/s")

    texts, _, null_odds, best_spans = answer(questions, eval_features, *logits)
    model.save_pretrained(args.output)
    for name, content in (("predictions", texts if args.version_2_with_negative else best_spans), ("null_odds", null_odds)):
        (args.output / f"{name}.json").write_text(json.dumps(content, indent=1))
    with open(args.output / "questions.jsonl", "w") as file:  # the Hub's flat form
        for question in questions:
            answers = {"text": question["answers"], "answer_start": question["starts"]}
            print(json.dumps({key: question[key] for key in ("id", "question", "context")} | {"answers": answers}), file=file)


if __name__ == "__main__":
    main()
