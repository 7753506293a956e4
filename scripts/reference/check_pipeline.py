"""Asks transformers' question-answering pipeline the questions of a SQuAD file, and compares its answers with ours.

usage: PYTHONPATH=FOLDER_WITH_TRANSFORMERS_4 python scripts/reference/check_pipeline.py MODEL DATASET ANSWERS
ANSWERS: what the example `answer_file` of the crate bert-qa wrote about DATASET. Needs torch and transformers 4:
version 5 has no such pipeline. Made with torch 2.9.0 and transformers 4.57.6.

The pipeline is asked with our settings: answers of at most 30 tokens (its default is 15), tokens not widened to words
(it does so by default, and adds up the scores of spans that become one text), windows as ours; with and without "no
answer" allowed. Its score is the product of two softmaxes over one window. In one window that orders spans as our sum
of logits does. Over several windows the two differ by design, so questions of more than one window are left out.

Fails (exit 1) if an answer differs in text or place. The one exception: two spans whose sums of logits differ by less
than 1e-4, to which the two programs come by different roundings; they are counted as ties, at most one in a hundred.
Negative control: every question against the answer to the next one must differ in most cases.
"""
import argparse, json, sys
import torch
import transformers
from transformers import pipeline

TIE = 1e-4

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("model")
parser.add_argument("dataset")
parser.add_argument("answers")
args = parser.parse_args()

torch.set_num_threads(1)  # one window at a time: more threads wait for each other
ask = pipeline("question-answering", model=args.model, device="cpu")
answers = json.load(open(args.answers))
MAX_SEQ_LENGTH = min(ask.model.config.max_position_embeddings, 384)


def in_one_window(question, context):
    return len(ask.tokenizer(question, context)["input_ids"]) <= MAX_SEQ_LENGTH


def theirs(row, no_answer):
    answer = ask(question=row["question"], context=row["context"], top_k=1, max_answer_len=30, align_to_words=False,
                 max_seq_len=MAX_SEQ_LENGTH, doc_stride=MAX_SEQ_LENGTH // 3, max_question_len=MAX_SEQ_LENGTH,
                 handle_impossible_answer=no_answer)
    return answer["answer"], answer["start"], answer["end"]


def ours(row, no_answer):
    answer = answers[row["id"]]
    if no_answer and answer["text"] == "":
        return "", 0, 0
    span = answer["spans"][0]
    return row["context"][span["start"]:span["end"]], span["start"], span["end"]


def is_tie(row, their_place, our_place):
    """Whether two answers are as good as each other by our logits."""
    answer = answers[row["id"]]
    scores = {(span["start"], span["end"]): span["start_logit"] + span["end_logit"] for span in answer["spans"]}
    scores[0, 0] = answer["null_score"]
    return their_place in scores and abs(scores[their_place] - scores[our_place]) < TIE


every = [dict(id=question["id"], question=question["question"].lstrip(), context=paragraph["context"])
         for article in json.load(open(args.dataset))["data"]
         for paragraph in article["paragraphs"] for question in paragraph["qas"]]
rows = [row for row in every if in_one_window(row["question"], row["context"])]
ties, declined, control = 0, 0, 0
for no_answer in (False, True):
    asked = [theirs(row, no_answer) for row in rows]
    for row, their in zip(rows, asked):
        our = ours(row, no_answer)
        if their != our:
            if not is_tie(row, their[1:], our[1:]):
                sys.exit(f"{row['id']}: the pipeline answers {their}, we {our}")
            ties += 1
        declined += no_answer and their[0] == ""
    following = rows[1:] + rows[:1]
    control += sum(answer != ours(row, no_answer) for answer, row in zip(asked, following))
words = [ask(question=row["question"], context=row["context"])["answer"] for row in rows]
same_words = sum(text == ours(row, False)[0] for text, row in zip(words, rows))
print(f"transformers {transformers.__version__}: {len(rows)} questions of one window ({len(every) - len(rows)} left out), with and "
      f"without \"no answer\": all answers equal but for {ties} ties, {declined} are \"no answer\"; {control} of {2 * len(rows)} are "
      f"not the next question's. With the pipeline's own defaults {same_words} of {len(rows)} are ours.")
if len(rows) < 100:
    sys.exit("fewer than 100 questions were compared")
if ties > len(rows) // 100:
    sys.exit("too many ties: is the model trained?")
if control < len(rows):
    sys.exit("the negative control did not fail: this comparison shows nothing")
