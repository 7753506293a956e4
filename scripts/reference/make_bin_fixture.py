"""Makes crates/bert-qa/tests/fixtures/tiny-bert-bin/: the weights of tiny-bert as PyTorch files.

usage: python scripts/reference/make_bin_fixture.py
needs numpy, torch and safetensors; made with torch 2.9.0, and others.bin with torch 2.11.0. Run again, it writes files that hold the same.

pytorch_model.bin   f32, as transformers wrote them: a zip file
mixed.bin           tensor after tensor f16, bf16 and f64
legacy.bin          the format before PyTorch 1.6, as the first BERT models had it: LayerNorm's `gamma` and `beta`, the
                    heads of pretraining with a tensor that is shared with the embedding, the buffer of positions, a
                    pooler; no span head
others.bin          with objects that are no tensors, as training loops store them
hostile.bin         one tensor, and a guest that Python would call `os.mkdir("hostile-bin-was-executed")` for
"""
import argparse, collections, os, pathlib
import numpy, torch
from safetensors.torch import load_file

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "crates" / "bert-qa" / "tests" / "fixtures"
OUT = FIXTURES / "tiny-bert-bin"


class Guest:
    def __reduce__(self):
        return os.mkdir, ("hostile-bin-was-executed",)


def old_name(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


OUT.mkdir(exist_ok=True)
weights = load_file(FIXTURES / "tiny-bert" / "model.safetensors")
torch.save(weights, OUT / "pytorch_model.bin")

dtypes = [torch.float16, torch.bfloat16, torch.float64]
mixed = {name: tensor.to(dtypes[i % 3]) for i, (name, tensor) in enumerate(sorted(weights.items()))}
torch.save(mixed, OUT / "mixed.bin")

old = {old_name(name): tensor for name, tensor in weights.items() if not name.startswith("qa_outputs.")}
old["cls.predictions.decoder.weight"] = old["bert.embeddings.word_embeddings.weight"]
old["cls.predictions.bias"] = torch.zeros(60)
old["cls.seq_relationship.weight"] = torch.zeros(2, 12)
old["bert.pooler.dense.bias"] = torch.zeros(12)
old["bert.embeddings.position_ids"] = torch.arange(40)[None]
torch.save(old, OUT / "legacy.bin", _use_new_zipfile_serialization=False)

torch.save({
    "state_dict": weights, "best_metric": numpy.float64(0.5), "curve": numpy.arange(5.0), "history": collections.defaultdict(list),
    "labels": collections.Counter("no"), "args": argparse.Namespace(seed=numpy.int64(3), device=torch.device("cpu"), dtype=torch.float32),
    "rng_state": {"python": (3, (0, 1), None), "numpy": ("MT19937", numpy.zeros(4, numpy.uint32), 4, 0, 0.0),
                  "cpu": torch.zeros(4, dtype=torch.uint8)}}, OUT / "others.bin")

torch.save({"guest": Guest(), "qa_outputs.bias": weights["qa_outputs.bias"]}, OUT / "hostile.bin")
for path in sorted(OUT.iterdir()):
    print(f"{path.stat().st_size:7} {path.relative_to(FIXTURES)}")
