"""Loads model folders that bert-qa saved with transformers, and compares tensors and logits with those of the originals.

usage: python scripts/reference/check_saved_architectures.py CASES
CASES: JSON, a list of {"original", "saved": folders, "windows": [{"input_ids", "token_type_ids"}], "logits": bert-qa's, start and
end of every token of all windows}. Needs safetensors, torch and transformers; made with torch 2.9.0 and transformers 5.23.0.

Fails (exit 1) if transformers has to make up a parameter of a saved folder, finds one that it has no place for, or gets other tensors
than from the original; or if a logit of bert-qa differs by more than 1e-4.
Negative control: logits of a model whose word embeddings are rolled by one must differ by more than that.
"""
import json, sys
import torch
from transformers import AutoModelForQuestionAnswering

TOLERANCE = 1e-4


def load(folder):
    model, report = AutoModelForQuestionAnswering.from_pretrained(folder, output_loading_info=True)
    wrong = {key: sorted(map(str, report[key])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if report[key]}
    return model.eval(), wrong


@torch.no_grad()
def logits(model, windows):
    found = []
    for window in windows:
        inputs = {"input_ids": torch.tensor([window["input_ids"]])}
        if model.config.model_type in ("bert", "electra", "albert") or model.config.model_type == "deberta-v2" and model.config.type_vocab_size:
            inputs["token_type_ids"] = torch.tensor([window["token_type_ids"]])
        output = model(**inputs)
        found.append(torch.stack([output.start_logits[0], output.end_logits[0]], 1).flatten())
    return torch.cat(found)


def check(case):
    (original, _), (saved, wrong) = load(case["original"]), load(case["saved"])
    if wrong:
        sys.exit(f"{case['saved']}: {wrong}")
    before, after = original.state_dict(), saved.state_dict()
    if before.keys() != after.keys() or not all(torch.equal(before[name], after[name]) for name in before):
        sys.exit(f"{case['saved']}: other tensors than in {case['original']}")
    expected = torch.tensor(case["logits"])
    error = (logits(saved, case["windows"]) - expected).abs().max().item()
    table = saved.get_input_embeddings().weight
    table.data = table.data.roll(1, 0)
    control = (logits(saved, case["windows"]) - expected).abs().max().item()
    print(f"{saved.config.model_type}: {len(after)} tensors equal, logits differ by {error:.1e} at most (control: {control:.1e})")
    if not error <= TOLERANCE:
        sys.exit(f"logits differ by more than {TOLERANCE}")
    if not control > TOLERANCE:
        sys.exit("the negative control did not fail: this comparison shows nothing")


for case in json.load(open(sys.argv[1])):
    check(case)
