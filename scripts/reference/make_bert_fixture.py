"""Makes crates/bert-qa/tests/fixtures/: a tiny random BERT in Hugging Face layout, and what `transformers` computes
with it.

usage: python scripts/reference/make_bert_fixture.py
needs torch, transformers and safetensors; made with torch 2.9.0 and transformers 5.23.0. Run again, it writes the same
bytes; there is nothing else to do to renew the expected values.

tiny-bert/           BertForQuestionAnswering: config.json, model.safetensors, tokenizer.json, tokenizer_config.json
tiny-bert-encoder/   the same encoder as BertModel: no prefix `bert.`, a pooler, no span head, no tokenizer_config.json
expected.json        windows with their logits and losses
gradients.safetensors   gradient of the mean loss with respect to every parameter, in PyTorch's layout

- Every parameter is drawn wide (LayerNorm and biases too), and LayerNorm's epsilon is large, so that leaving one out,
  or mixing two up, shows.
- The sizes are no multiples of a vector register's width, so that the ends of loops count.
- `eval()`: no dropout. The forward and backward passes run in float64 on the float32 parameters that are saved, so that
  a difference found by a test is the tested code's own rounding.
- The loss is taken over each window's real tokens (the mean of the cross-entropies of start and end), window by window
  without padding. `padded_loss` is what transformers reports for the same windows padded into one batch: padding takes
  part in its softmax, so it is another number.
- Id 0, `[PAD]`, is left out: transformers gives its embedding no gradient, and no window holds it.
"""
import json, pathlib, random, shutil
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForQuestionAnswering, BertModel, PreTrainedTokenizerFast
from tiny import make_tokenizer

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates" / "bert-qa" / "tests" / "fixtures"
LENGTHS = [17, 1, 40, 3, 24, 9]  # one token, and all positions there are, among them


def make_model(vocab_size):
    torch.manual_seed(20)
    config = BertConfig(
        vocab_size=vocab_size, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
        max_position_embeddings=40, layer_norm_eps=1e-3, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
        attn_implementation="eager")
    model = BertForQuestionAnswering(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if name.endswith("LayerNorm.weight") else 0.0, 0.3)
    return model.eval()


def make_windows(vocab_size):
    numbers = random.Random(21)
    windows = []
    for length in LENGTHS:
        question = numbers.randint(0, length // 2)
        start = numbers.randrange(length)
        windows.append({
            "input_ids": [numbers.randrange(1, vocab_size) for _ in range(length)],
            "token_type_ids": [0] * question + [1] * (length - question),
            "start_position": start,
            "end_position": numbers.randrange(start, length),
        })
    return windows


def forward(model, window, swap_types=False):
    ids, types = torch.tensor([window["input_ids"]]), torch.tensor([window["token_type_ids"]])
    output = model(input_ids=ids, token_type_ids=1 - types if swap_types else types)
    return output.start_logits[0], output.end_logits[0]


def span_loss(logits, window):
    sides = zip(logits, (window["start_position"], window["end_position"]))
    return sum(torch.nn.functional.cross_entropy(side, torch.tensor(position)) for side, position in sides) / 2


def padded_loss(model, windows):
    longest = max(LENGTHS)
    pad = lambda values: torch.tensor([list(v) + [0] * (longest - len(v)) for v in values])
    return model(
        input_ids=pad(w["input_ids"] for w in windows), token_type_ids=pad(w["token_type_ids"] for w in windows),
        attention_mask=pad([1] * len(w["input_ids"]) for w in windows),
        start_positions=torch.tensor([w["start_position"] for w in windows]),
        end_positions=torch.tensor([w["end_position"] for w in windows])).loss


def write_models(model, tokenizer):
    for name in "tiny-bert", "tiny-bert-encoder":
        shutil.rmtree(OUT / name, ignore_errors=True)
    model.save_pretrained(OUT / "tiny-bert")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=model.config.max_position_embeddings,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"], pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", unk_token="[UNK]", mask_token="[MASK]").save_pretrained(OUT / "tiny-bert")
    encoder = BertModel(model.config)  # with a pooler, which a span head does not use
    encoder.load_state_dict(model.bert.state_dict(), strict=False)
    encoder.save_pretrained(OUT / "tiny-bert-encoder")
    for name in "tiny-bert", "tiny-bert-encoder":
        tokenizer.save(str(OUT / name / "tokenizer.json"), pretty=False)


def write_expected(model, windows):
    model = model.double()
    losses = []
    for window in windows:
        logits, swapped = forward(model, window), forward(model, window, swap_types=True)
        losses.append(span_loss(logits, window))
        window["loss"] = losses[-1].item()
        for name, values in zip(["start_logits", "end_logits", "swapped_start_logits", "swapped_end_logits"], logits + swapped):
            window[name] = [round(value, 9) for value in values.tolist()]
    loss = sum(losses) / len(losses)
    loss.backward()
    gradients = {name: parameter.grad.float().contiguous() for name, parameter in model.named_parameters()}
    save_file(gradients, OUT / "gradients.safetensors")
    with open(OUT / "expected.json", "w") as file:
        line = lambda value: json.dumps(value, separators=(",", ":"))
        file.write('{"loss":%r,"padded_loss":%r,"windows":[\n' % (loss.item(), padded_loss(model, windows).item()))
        file.write(",\n".join(map(line, windows)) + "]}\n")


tokenizer = make_tokenizer()
model = make_model(tokenizer.get_vocab_size())
windows = make_windows(tokenizer.get_vocab_size())
write_models(model, tokenizer)
write_expected(model, windows)
for path in sorted(OUT.rglob("*.*")):
    print(f"{path.stat().st_size:7} {path.relative_to(OUT)}")
