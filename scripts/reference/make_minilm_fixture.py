"""Makes crates/bert-qa/tests/fixtures/minilm-logits.json: what transformers computes with all-MiniLM-L6-v2 and a span head
of fixed numbers, at some tokens of 50 real questions. No text of theirs is in it.

usage: python scripts/reference/make_minilm_fixture.py MODEL_FOLDER SQUAD_DATA
needs numpy, torch and transformers; made with torch 2.9.0 and transformers 5.23.0.

MODEL_FOLDER holds sentence-transformers/all-MiniLM-L6-v2, SQUAD_DATA the file squad/dev-v1.1.json. The first window of each
question is cut by transformers' tokenizer, and run by itself in float64. The head's numbers are the formula of tiny.py.
"""
import json, pathlib, sys
import torch
from transformers import AutoTokenizer, BertModel
from tiny import weights

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates" / "bert-qa" / "tests" / "fixtures" / "minilm-logits.json"
DATASET, SCALE, PLACES = "squad/dev-v1.1.json", 0.5, 8
folder, data = sys.argv[1:]

tokenizer = AutoTokenizer.from_pretrained(folder)
model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
weight = torch.from_numpy(weights("qa_outputs.weight", [2, 384], SCALE, 0))
bias = torch.from_numpy(weights("qa_outputs.bias", [2], SCALE, 0))
articles = json.loads((pathlib.Path(data) / DATASET).read_text())["data"]
questions = [(qa["question"], paragraph["context"])
             for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
rows, rounding, largest = [], 0.0, 0.0
for index in range(0, len(questions), len(questions) // 49)[:50]:
    question, context = questions[index]
    inputs = tokenizer(question.lstrip(), context, truncation="only_second", max_length=384, stride=128,
                       return_overflowing_tokens=True, return_tensors=None)
    window = {key: torch.tensor([inputs[key][0]]) for key in ("input_ids", "token_type_ids")}
    with torch.no_grad():
        single = model.float()(**window).last_hidden_state[0] @ weight.T + bias
        logits = model.double()(**window).last_hidden_state[0] @ weight.double().T + bias.double()
    rounding, largest = max(rounding, (single - logits).abs().max().item()), max(largest, logits.abs().max().item())
    ids = inputs["input_ids"][0]
    places = [i * (len(ids) - 1) // (PLACES - 1) for i in range(PLACES)]
    rows.append({"index": index, "length": len(ids), "checksum": sum(i * token for i, token in enumerate(ids)), "places": places,
                 "logits": [[round(x, 6) for x in logits[i].tolist()] for i in places]})
line = lambda value: json.dumps(value, separators=(",", ":"))
OUT.write_text('{"dataset":%s,"max_seq_length":384,"doc_stride":128,"head_scale":%r,"questions":[\n%s]}\n' % (
    line(DATASET), SCALE, ",\n".join(map(line, rows))))
print(f"{len(rows)} questions, logits up to {largest:.1f}; transformers in float32 differs from float64 by {rounding:.1e}")
