"""Makes crates/bert-qa/tests/fixtures/parity/: for small models of every kind, what `transformers` and PyTorch compute.

usage: python scripts/reference/make_parity_fixture.py
needs numpy, tokenizers, torch, transformers, safetensors; made with torch 2.9.0 and transformers 5.23.0. Run again, it writes the same
bytes; there is nothing else to do to renew the expected values.

Of each model there are:
config.json, tokenizer.json   as transformers writes them
case.json                     the tensors of its weights file with the formula of their values (tiny.py), texts, windows, and a training run
expected.safetensors          what comes out, in float32; of a tensor with more than 1000 numbers, 1000 at even distances

- Weights are not stored, so that a model of MiniLM's width (12 heads of 32) costs no more than a tiny one.
- Word, position and token-type embeddings are small, as trained ones are: their variance is about 1e-3, so that an epsilon
  of 1e-5 in place of 1e-12 shows in the first LayerNorm. All other parameters are wide, so that leaving one out shows.
- All passes run in float64 on float32 parameters, so that a difference found by a test is the tested code's own rounding.
- Windows run one by one: no padding. The loss is the mean over a batch of each window's, the mean of the cross-entropies
  of start and end.
- Passes `train` have dropout, at the places where transformers' code has it, with masks that Philox gives for a place.
- `wrong` are the same passes with one mistake: what a test must be able to tell from the right ones.
- The run of 20 steps: AdamW without decay on biases and LayerNorms, warm-up, clipping; no dropout. Its epsilon is 1e-4: with
  1e-8, the gradients that are zero in mathematics (a key's bias) would be rounding divided by rounding.
"""
import copy, json, pathlib, random, shutil
import torch
from safetensors.numpy import save_file
from torch import nn
from transformers import (AutoModel, AutoModelForQuestionAnswering, BertConfig, CamembertConfig, CamembertTokenizer, DistilBertConfig,
                          RobertaConfig, XLMRobertaConfig, XLMRobertaTokenizer, get_linear_schedule_with_warmup)
from dropout_places import Masks, wrong_dropouts
from tiny import byte_level_tokenizer, make_tokenizer, unigram_tokenizer, weights

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates" / "bert-qa" / "tests" / "fixtures" / "parity"
TEXTS = [("Who ate it?", "A cat ate the bread, and Ann saw it."), ("Where, then?", "In Ulm.")]
LENGTHS = [17, 1, 40, 3, 24, 9]  # one token, and all positions there are, among them
RUN = {"learning_rate": 5e-3, "eps": 1e-4, "weight_decay": 0.1, "warmup_ratio": 0.2, "steps": 20}
MOST = 1000  # numbers of a tensor that are kept

BERT = dict(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2, max_position_embeddings=40)
SMALL = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20)
# As many positions as others have after the padding token's.
ROBERTA = SMALL | BERT | dict(max_position_embeddings=42, layer_norm_eps=1e-5)
CASES = {  # configuration; tokenizer; whether names have the prefix; whether there is a pooler
    "bert-uncased": (BertConfig(vocab_size=60, **SMALL, **BERT), make_tokenizer(True), True, False),
    "bert-cased": (BertConfig(vocab_size=112, hidden_size=20, num_hidden_layers=1, num_attention_heads=5,
                              intermediate_size=12, layer_norm_eps=1e-6, **BERT), make_tokenizer(False), False, True),
    "distilbert": (DistilBertConfig(vocab_size=60, dim=12, n_layers=2, n_heads=3, hidden_dim=20, max_position_embeddings=40,
                                    dropout=0.1, attention_dropout=0.2, qa_dropout=0.3), make_tokenizer(True), True, False),
    "minilm": (BertConfig(vocab_size=60, hidden_size=384, num_hidden_layers=1, num_attention_heads=12,
                          intermediate_size=64, **BERT), make_tokenizer(True), False, True),
    # Two token types, of which the second serves nothing.
    "roberta": (RobertaConfig(vocab_size=73, type_vocab_size=2, **ROBERTA), byte_level_tokenizer(), True, True),
    "camembert": (CamembertConfig(vocab_size=73, type_vocab_size=1, **ROBERTA), unigram_tokenizer(CamembertTokenizer), True, False),
    "xlm-roberta": (XLMRobertaConfig(vocab_size=70, type_vocab_size=1, **ROBERTA), unigram_tokenizer(XLMRobertaTokenizer), False, True),
}
SEGMENTS = {"bert"}  # model types that tell question and context apart
AFTER_PADDING = {"roberta", "camembert", "xlm-roberta"}  # whose positions begin after the padding token's


def make_model(config, has_prefix, has_pooler):
    """A model with weights by the formula, and [name in the file, shape, scale, offset] of each."""
    config._attn_implementation = "eager"
    model = AutoModelForQuestionAnswering.from_config(config)
    prefix = model.base_model_prefix + "."
    shapes = {name: list(p.shape) for name, p in model.state_dict().items()}
    if has_pooler:
        shapes |= {prefix + name: list(p.shape) for name, p in AutoModel.from_config(config).state_dict().items() if "pooler" in name}
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    tensors = []
    for name, shape in shapes.items():
        is_gamma = name.endswith("weight") and name.rpartition(".")[0] in norms
        scale = 1 / 32 if "_embeddings." in name else 0.125 if shape[-1] > 200 and len(shape) == 2 else 0.5
        in_file = name if has_prefix else name.removeprefix(prefix)
        tensors.append([in_file, shape, scale, float(is_gamma)])
        if name in model.state_dict():
            model.state_dict()[name].copy_(torch.from_numpy(weights(*tensors[-1])))
    return model.double().eval(), tensors


def make_windows(tokenizer, pad):
    numbers, windows = random.Random(21), []
    for question, context in TEXTS:
        encoding = tokenizer.encode(question, context)
        windows.append({"input_ids": encoding.ids, "token_type_ids": encoding.type_ids})
    for length in LENGTHS:
        question = numbers.randint(0, length // 2)
        windows.append({
            # Without the padding token, whose embedding gets no gradient from PyTorch.
            "input_ids": [id if (id := numbers.randrange(1, tokenizer.get_vocab_size())) != pad else 0 for _ in range(length)],
            "token_type_ids": [0] * question + [1] * (length - question)})
    for window in windows:
        window["start_position"] = numbers.randrange(len(window["input_ids"]))
        window["end_position"] = numbers.randrange(window["start_position"], len(window["input_ids"]))
    return windows


def inputs(model, windows):
    """A batch in transformers' form. Others than BERT get no token types: their tokenizers return none."""
    longest = max(len(w["input_ids"]) for w in windows)
    pad = lambda values, value=0: torch.tensor([list(v) + [value] * (longest - len(v)) for v in values])
    batch = {"input_ids": pad((w["input_ids"] for w in windows), model.config.pad_token_id)}
    if model.config.model_type in SEGMENTS:
        batch["token_type_ids"] = pad(w["token_type_ids"] for w in windows)
    return batch


def loss_of(logits, window):
    positions = torch.tensor([window["start_position"], window["end_position"]])
    return nn.functional.cross_entropy(logits.T, positions)


def evaluate(model, window, **others):
    output = model(**inputs(model, [window]) | others, output_hidden_states=True)
    return torch.stack([output.start_logits[0], output.end_logits[0]], 1), [h[0] for h in output.hidden_states]


def logits_of(model, windows):
    return torch.cat([evaluate(model, window)[0] for window in windows])


def train_pass(model, windows):
    masks = Masks(model)
    logits = [masks.run(model, inputs(model, [window])) for window in windows]
    return logits, masks.calls[:len(masks.calls) // len(windows)]


def gradients(model, losses):
    model.zero_grad()
    (sum(losses) / len(losses)).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def batch_of_step(windows, step):
    return [windows[(3 * step + i) % len(windows)] for i in range(3)]


def train(model, windows, max_grad_norm, steps, warmup_ratio=RUN["warmup_ratio"], kept=1, decay_biases=False):
    """Losses of a run, norms of its gradients, and the parameters after `kept` steps."""
    model = copy.deepcopy(model)
    norms = {id(p) for module in model.modules() if isinstance(module, nn.LayerNorm) for p in module.parameters()}
    decays = lambda name, p: decay_biases or not (name.endswith("bias") or id(p) in norms)
    named = list(model.named_parameters())
    groups = [{"params": [p for name, p in named if decays(name, p)], "weight_decay": RUN["weight_decay"]},
              {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=RUN["learning_rate"], eps=RUN["eps"])
    schedule = get_linear_schedule_with_warmup(optimizer, int(warmup_ratio * RUN["steps"]), RUN["steps"])
    losses, sizes, parameters = [], [], None
    for step in range(steps):
        batch = batch_of_step(windows, step)
        loss = sum(loss_of(evaluate(model, window)[0], window) for window in batch) / len(batch)
        optimizer.zero_grad()
        loss.backward()
        sizes.append(nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item())
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step + 1 == kept:
            parameters = {name: p.detach().clone() for name, p in named}
    return losses, sizes, parameters


def wrong_activation(model):
    model = copy.deepcopy(model)
    for module in model.modules():
        for name in "intermediate_act_fn", "activation":
            if hasattr(module, name):
                setattr(module, name, nn.GELU(approximate="tanh"))
    return model


def wrong_epsilon(model):
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5 if module.eps < 1e-5 else 1e-12
    return model


def unmasked_logits(model, windows):
    output = model(**inputs(model, windows))
    pairs = torch.stack([output.start_logits, output.end_logits], 2)
    return torch.cat([pairs[i, :len(window["input_ids"])] for i, window in enumerate(windows)])


def expected(model, windows, clip, name):
    out = {}
    evaluated = [evaluate(model, window) for window in windows]
    for i, hidden in enumerate(zip(*(hidden for _, hidden in evaluated))):
        out["embeddings" if i == 0 else f"layer.{i - 1}"] = torch.cat(hidden)
    out["logits"] = torch.cat([logits for logits, _ in evaluated])
    losses = [loss_of(logits, window) for (logits, _), window in zip(evaluated, windows)]
    out["losses"] = torch.stack(losses)
    out |= {f"grad.{key}": value for key, value in gradients(model, losses).items()}

    wrong = {"tanh_gelu": logits_of(wrong_activation(model), windows), "epsilon": logits_of(wrong_epsilon(model), windows),
             "unmasked_padding": unmasked_logits(model, windows)}
    if model.config.model_type in SEGMENTS:
        swapped = [w | {"token_type_ids": [1 - t for t in w["token_type_ids"]]} for w in windows]
        wrong["swapped_segments"] = logits_of(model, swapped)
    elif getattr(model.config, "type_vocab_size", 0) > 1:
        types = lambda w: torch.tensor([w["token_type_ids"]])
        wrong["segments"] = torch.cat([evaluate(model, w, token_type_ids=types(w))[0] for w in windows])
    if model.config.model_type in AFTER_PADDING:
        positions = lambda w: torch.arange(len(w["input_ids"]))[None]
        wrong["positions_from_zero"] = torch.cat([evaluate(model, w, position_ids=positions(w))[0] for w in windows])
    out |= {f"wrong.{key}.logits": value for key, value in wrong.items()}

    # A text may hold padding tokens: in one window the fourth token and the eighth.
    window = copy.deepcopy(windows[2])
    window["input_ids"][3] = window["input_ids"][7] = model.config.pad_token_id
    out["padding_in_text.logits"] = evaluate(model, window)[0]

    others = {key: train_pass(other, windows)[0] for key, other in wrong_dropouts(model).items()}
    out |= {f"wrong.{key}.train.logits": torch.cat(value) for key, value in others.items()}
    logits, calls = train_pass(model, windows)
    print(name, "drops at (site, probability):", *calls)
    out["train.logits"] = torch.cat(logits)
    losses = [loss_of(l, window) for l, window in zip(logits, windows)]
    if name != "minilm":  # its gradients are large, and its training would be no other
        out |= {f"train.grad.{key}": value for key, value in gradients(model, losses).items()}
        out |= {f"step1.{key}": p for key, p in train(model, windows, clip, 1, warmup_ratio=0.0)[2].items()}
        curve, norms, parameters = train(model, windows, clip, RUN["steps"], kept=5)
        assert min(norms[1:5]) < clip < max(norms[1:5]), f"clipping must change some steps: {norms}"
        out |= {"curve": torch.tensor(curve, dtype=torch.float64)} | {f"step5.{key}": p for key, p in parameters.items()}
        _, _, parameters = train(model, windows, clip, 5, kept=5, decay_biases=True)
        out |= {f"wrong.decay.{key}": p for key, p in parameters.items() if p.dim() == 1}
        print(name, "losses:", *(f"{loss:.4f}" for loss in curve), "norms:", *(f"{norm:.2f}" for norm in norms))
    return {key: sample(value) for key, value in out.items()}


def sample(tensor):
    numbers = tensor.detach().flatten()
    if len(numbers) > MOST:
        numbers = numbers[torch.arange(MOST) * len(numbers) // MOST]
    return numbers.float().numpy()


def main():
    torch.manual_seed(0)
    shutil.rmtree(OUT, ignore_errors=True)
    for name, (config, tokenizer, has_prefix, has_pooler) in CASES.items():
        folder = OUT / name
        folder.mkdir(parents=True)
        assert tokenizer.get_vocab_size() == config.vocab_size, (name, tokenizer.get_vocab_size())
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        model, tensors = make_model(config, has_prefix, has_pooler)
        config.architectures = [type(model).__name__ if has_prefix else type(model.base_model).__name__]
        config.save_pretrained(folder)
        windows = make_windows(tokenizer, config.pad_token_id)
        clip = round(sorted(train(model, windows, 1e9, 5)[1])[2], 1)  # between the norms of the first steps
        save_file(expected(model, windows, clip, name), folder / "expected.safetensors")
        line = lambda value: json.dumps(value, separators=(",", ":"))
        lines = lambda values: "[\n" + ",\n".join(map(line, values)) + "]"
        (folder / "case.json").write_text(
            '{"tensors":%s,\n"texts":%s,\n"windows":%s,\n"run":%s}\n' % (lines(tensors), line(TEXTS), lines(windows), line(RUN | {"max_grad_norm": clip})))
    for path in sorted(OUT.rglob("*.*")):
        print(f"{path.stat().st_size:7} {path.relative_to(OUT)}")


main()
