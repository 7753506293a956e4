"""Makes a model folder of random weights for each architecture: what check_pipeline.py compares, where no trained model can be had.

usage: PYTHONPATH=FOLDER_WITH_TRANSFORMERS_4 python scripts/reference/make_tiny_models.py OUT
Needs torch and transformers 4; made with torch 2.9.0 and transformers 4.57.6. Configurations and tokenizers are those of the parity
fixtures, with 512 positions and weights that are large enough for answers to differ.
"""
import json, shutil, sys
from pathlib import Path
import torch
from transformers import AutoConfig, AutoModelForQuestionAnswering

FIXTURES = Path(__file__).parents[2] / "crates/bert-qa/tests/fixtures/parity"
NAMES = {"cls_token": ("[CLS]", "<s>"), "sep_token": ("[SEP]", "</s>"), "pad_token": ("[PAD]", "<pad>"), "unk_token": ("[UNK]", "<unk>")}
TYPED = ("bert", "electra", "albert", "deberta-v2")

out = Path(sys.argv[1])
for fixture in sorted(FIXTURES.iterdir()):
    config = json.loads((fixture / "config.json").read_text())
    kind = config["model_type"]
    tokenizer = json.loads((fixture / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    tokens = set(vocab if isinstance(vocab, dict) else [piece for piece, _ in vocab]) | {t["content"] for t in tokenizer["added_tokens"]}
    special = {key: name for key, names in NAMES.items() for name in names if name in tokens}
    folder = out / fixture.name
    folder.mkdir(parents=True, exist_ok=True)
    positions = 512 + 2 * (kind in ("roberta", "camembert", "xlm-roberta", "mpnet"))
    config.update(max_position_embeddings=positions, initializer_range=0.3)
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(len(fixture.name))
    model = AutoModelForQuestionAnswering.from_config(AutoConfig.from_pretrained(folder))
    for name, parameter in model.named_parameters():
        if "bias" in name and "attn" not in name:
            torch.nn.init.normal_(parameter, std=0.1)
        if "embedding" in name and "LayerNorm" not in name or "qa_outputs.weight" in name or name.startswith("classifier.weight"):
            torch.nn.init.normal_(parameter, std=1.0)
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    shutil.copy(fixture / "tokenizer.json", folder)
    has_types = kind in TYPED and config.get("type_vocab_size", 2) > 0
    names = ["input_ids"] + ["token_type_ids"] * has_types + ["attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "model_input_names": names, **special}, indent=2))
    print(fixture.name)
