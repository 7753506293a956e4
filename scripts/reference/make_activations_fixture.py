"""Makes crates/bert-qa/tests/fixtures/activations.json: values and slopes of transformers' activations, by their names.

usage: python scripts/reference/make_activations_fixture.py
needs torch and transformers; made with torch 2.11.0 and transformers 5.23.0. Run again, it writes the same bytes.
"""
import json, pathlib
import torch
from transformers.activations import ACT2FN

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates" / "bert-qa" / "tests" / "fixtures" / "activations.json"
NAMES = ["gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_10", "quick_gelu",
         "relu", "silu", "swish", "tanh"]

# -12, -11.625, ..., 12, and numbers near 0. They are `float32`.
inputs = torch.cat([torch.arange(-32, 33) * 0.375, torch.arange(-8, 8) / 64 + 1 / 128]).double().requires_grad_()


def values_and_slopes(name):
    values = ACT2FN[name](inputs)
    slopes = torch.autograd.grad(values.sum(), inputs)[0]
    return [[float(f"{number:.9g}") for number in tensor.tolist()] for tensor in (values, slopes)]


lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(values_and_slopes(name), separators=(',', ':'))}" for name in NAMES)
OUT.write_text('{"inputs":%s,\n"activations":{\n%s}}\n' % (json.dumps(inputs.tolist(), separators=(",", ":")), lines))
print(OUT.stat().st_size, OUT.name)
