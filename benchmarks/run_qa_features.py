"""run_qa's features, batches and optimizer for the scripts of this folder. Importing it starts the script again with an allocator that keeps
its pages: glibc's defaults triple PyTorch's time by page faults."""
import os, pathlib, sys

ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ALLOCATOR)

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "scripts" / "reference"))
from run_qa import answer, read_examples

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def make_features(examples, model_folder, max_seq_length, doc_stride):
    """Token ids and types, character offsets of context tokens, and the label of the first gold answer."""
    special = dict(pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(model_folder / "tokenizer.json"), **special)
    encoded = tokenizer([example["question"].lstrip() for example in examples], [example["context"] for example in examples],
                        truncation="only_second", max_length=max_seq_length, stride=doc_stride,
                        return_overflowing_tokens=True, return_offsets_mapping=True, return_token_type_ids=True)
    features = []
    for index, number in enumerate(encoded["overflow_to_sample_mapping"]):
        pairs = zip(encoded["offset_mapping"][index], encoded.sequence_ids(index))
        offsets = [pair if part == 1 else None for pair, part in pairs]
        features.append({"example": number, "offsets": offsets, "label": label(examples[number], offsets),
                         "input_ids": encoded["input_ids"][index], "token_type_ids": encoded["token_type_ids"][index]})
    return features


def label(example, offsets):
    """First and last token of the first gold answer, or [CLS] where the feature does not hold the whole of it."""
    if not example["answers"]:
        return 0, 0
    first, last = example["starts"][0], example["starts"][0] + len(example["answers"][0])
    context = [token for token, pair in enumerate(offsets) if pair is not None]
    if offsets[context[0]][0] > first or offsets[context[-1]][1] < last:
        return 0, 0
    return (max(token for token in context if offsets[token][0] <= first),
            min(token for token in context if offsets[token][1] >= last))


def tensors(batch, model, length=None):
    """The model's inputs, padded to `length`, else to the longest feature."""
    length = length or max(len(feature["input_ids"]) for feature in batch)
    pad = lambda rows: torch.tensor([row + [0] * (length - len(row)) for row in rows])
    inputs = {"input_ids": pad([feature["input_ids"] for feature in batch]),
              "attention_mask": pad([[1] * len(feature["input_ids"]) for feature in batch])}
    if model.config.model_type == "bert":
        inputs["token_type_ids"] = pad([feature["token_type_ids"] for feature in batch])
    return inputs


def labels(batch):
    starts, ends = (torch.tensor(side) for side in zip(*(feature["label"] for feature in batch)))
    return {"start_positions": starts, "end_positions": ends}


def make_optimizer(model, learning_rate, weight_decay, num_warmup_steps, num_steps):
    """AdamW (fused) without weight decay for biases and norms, and the linear schedule."""
    is_bare = lambda name: name.endswith("bias") or "norm" in name.lower()
    groups = [{"params": [p for name, p in model.named_parameters() if is_bare(name) == bare], "weight_decay": decay}
              for bare, decay in ((False, weight_decay), (True, 0.0))]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, eps=1e-8, fused=True)
    return optimizer, transformers.get_linear_schedule_with_warmup(optimizer, num_warmup_steps, num_steps)
