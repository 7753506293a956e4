"""Answers of transformers' question-answering pipeline, for given logits.

Last run with transformers 4.57.6 (the last release line with the pipeline), tokenizers 0.22.2, torch 2.9.0.

    python scripts/reference/make_pipeline_fixture.py
    python scripts/reference/make_pipeline_fixture.py MODEL_FOLDER SQUAD_FILE NUM_QUESTIONS OUT_FOLDER

The first form draws logits for questions on the committed tokenizer and writes crates/squad-data/tests/fixtures/pipeline.json. The
second one takes those of a model, for the first
questions of a file, and writes `logits.bin` (for each feature its length as u32, then start and end logits as f32,
little-endian) beside `answers.json`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    BertConfig,
    BertForQuestionAnswering,
    PreTrainedTokenizerFast,
)
from transformers.pipelines.question_answering import QuestionAnsweringPipeline, SquadExample

FIXTURES = Path(__file__).resolve().parents[2] / "crates/squad-data/tests/fixtures"
SETTINGS = [
    {},
    {"top_k": 5, "handle_impossible_answer": True},
    {"top_k": 3, "align_to_words": False, "max_answer_len": 30},
    {"top_k": 1, "align_to_words": False, "handle_impossible_answer": True, "max_answer_len": 4},
]
SPECIAL = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}


def answers(pipe, example, features, logits):
    outputs = [
        {**feature, "start": torch.tensor(start[None]), "end": torch.tensor(end[None]), "example": example}
        for feature, (start, end) in zip(features, logits)
    ]
    found = []
    for settings in SETTINGS:
        result = pipe.postprocess([dict(output) for output in outputs], **settings)
        found.append(result if isinstance(result, list) else [result])
    return found


def fixture():
    file = FIXTURES / "tokenizer.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file), **SPECIAL)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    pipe = QuestionAnsweringPipeline(model=BertForQuestionAnswering(config), tokenizer=tokenizer)
    rows = [
        ("who ate the bread?", "The old king ate the BREAD. the Bread was good, said king John."),
        ("what is in the café?", "Zoë’s café, 1,250 chairs; (old) bread\r\nand 漢字 in it. " * 4),
        ("who?", "king bread"),
        ("which king?", "The king of the old land ate. " * 12),
    ]
    generator = np.random.default_rng(7)
    cases = []
    for question, context in rows:
        example = SquadExample(None, question, context, None, None, None)
        features = list(pipe.preprocess(example, max_seq_len=60, doc_stride=20))
        logits = []
        for feature in features:
            length = feature["input_ids"].shape[1]
            logits.append(generator.normal(0, 3, (2, length)).astype(np.float32).round(3))
        cases.append(
            {
                "question": question,
                "context": context,
                "logits": [[[float(f"{x:.3f}") for x in side] for side in both] for both in logits],
                "answers": answers(pipe, example, features, logits),
            }
        )
    fixture = {"max_seq_len": 60, "doc_stride": 20, "settings": SETTINGS, "cases": cases}
    (FIXTURES / "pipeline.json").write_text(json.dumps(fixture, ensure_ascii=False, indent=1), encoding="utf-8")


def real(model, file, count, out):
    torch.set_num_threads(2)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(Path(model) / "tokenizer.json"), **SPECIAL)
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    network = AutoModelForQuestionAnswering.from_pretrained(model).eval()
    pipe = QuestionAnsweringPipeline(model=network, tokenizer=tokenizer)
    pairs = [
        (qa["question"], paragraph["context"])
        for article in json.load(open(file))["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    ][: int(count)]
    found = []
    with open(Path(out) / "logits.bin", "wb") as binary, torch.inference_mode():
        for begin in range(0, len(pairs), 64):
            examples = [SquadExample(None, q, c, None, None, None) for q, c in pairs[begin : begin + 64]]
            made = [list(pipe.preprocess(example, max_seq_len=384, doc_stride=128)) for example in examples]
            flat = [(index, place) for index, features in enumerate(made) for place in range(len(features))]
            flat.sort(key=lambda at: made[at[0]][at[1]]["input_ids"].shape[1])
            logits = [[None] * len(features) for features in made]
            for start in range(0, len(flat), 16):
                batch = flat[start : start + 16]
                longest = max(made[i][p]["input_ids"].shape[1] for i, p in batch)
                inputs = {
                    name: torch.cat(
                        [torch.nn.functional.pad(made[i][p][name], (0, longest - made[i][p][name].shape[1])) for i, p in batch]
                    )
                    for name in tokenizer.model_input_names
                }
                output = network(**inputs)
                for row, (i, p) in enumerate(batch):
                    length = made[i][p]["input_ids"].shape[1]
                    logits[i][p] = (output.start_logits[row, :length].numpy(), output.end_logits[row, :length].numpy())
            for example, features, both in zip(examples, made, logits):
                for start_logits, end_logits in both:
                    binary.write(np.uint32(len(start_logits)).tobytes())
                    binary.write(start_logits.astype("<f4").tobytes() + end_logits.astype("<f4").tobytes())
                found.append(answers(pipe, example, features, both))
            print(f"{len(found)} of {len(pairs)}", file=sys.stderr, flush=True)
    json.dump({"max_seq_len": 384, "doc_stride": 128, "settings": SETTINGS, "answers": found}, open(Path(out) / "answers.json", "w"))


if len(sys.argv) > 1:
    real(*sys.argv[1:])
else:
    fixture()
