"""Writes the seeds of the fuzz targets into crates/fuzz-targets/seeds. Needs Python alone; equal on every run.

Fixtures of other crates are seeds too, through symbolic links. Those of run_state are copies of a run's state.json.
"""

import gzip
import json
import struct
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
    rows = "\n".join(json.dumps(row(number, *texts)) for number, texts in enumerate([["nectar"], [], ["東京"]]))
    write("dataset_json_lines", "rows.jsonl", rows + "\n")
    write("dataset_json_lines", "one.jsonl", json.dumps(first) + "\n")
    for fixture in ("hub", "plain"):
        link("dataset_parquet", f"crates/squad-data/tests/fixtures/{fixture}.parquet")
    write("predictions", "v2.json", json.dumps({"q1": "nectar", "q2": ""}))
    write("na_probs", "odds.json", json.dumps({"q1": -3.5, "q2": 1e-3, "q3": 1}))


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


def models():
    tiny = "crates/bert-qa/tests/fixtures/tiny-bert"
    link("model_config", f"{tiny}/config.json")
    link("model_config", "configs/shapes/distilbert-base-uncased/config.json")
    link("tokenizer", f"{tiny}/tokenizer.json")
    link("tokenizer_config", f"{tiny}/tokenizer_config.json")
    link("safetensors", f"{tiny}/model.safetensors")
    for name in ("pytorch_model", "legacy", "mixed", "hostile"):
        link("pytorch_bin", f"crates/bert-qa/tests/fixtures/tiny-bert-bin/{name}.bin")
    shard = "model-00001-of-00001.safetensors"
    names = ["bert.embeddings.LayerNorm.weight", "qa_outputs.weight", "qa_outputs.bias"]
    index = {"metadata": {"total_size": 144}, "weight_map": {name: shard for name in names}}
    write("safetensors_index", "one.json", json.dumps(index))


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
run_files()
models()
hub()
