"""Makes crates/bert-qa/tests/fixtures/parity/: for small models of every kind, what `transformers` and PyTorch compute.

usage: python scripts/reference/make_parity_fixture.py [CASE ...]     all cases, or some
needs numpy, tokenizers, torch, transformers, safetensors; made with transformers 5.23.0 and torch 2.9.0, or 2.11.0 (bert-relu,
deberta-v2-conv, modernbert-bias). Run again, it writes the same bytes; there is nothing else to do to renew the expected values.

Of each model there are:
config.json, tokenizer.json   as transformers writes them
case.json                     the tensors of its weights file with the formula of their values (tiny.py), texts, windows, and a training run
expected.safetensors          what comes out, in float32; of a tensor with more than 1000 numbers, 1000 at even distances

- Weights are not stored, so that a model of MiniLM's width (12 heads of 32) costs no more than a tiny one.
- Word, position and token-type embeddings, but not those of relative positions, are small, as trained ones are: their variance is about 1e-3, so that an epsilon
  of 1e-5 in place of 1e-12 shows in the first LayerNorm. All other parameters are wide, so that leaving one out shows.
- All passes run in float64 on float32 parameters, so that a difference found by a test is the tested code's own rounding.
- Windows run one by one: no padding. The loss is the mean over a batch of each window's, the mean of the cross-entropies
  of start and end.
- Passes `train` have dropout, at the places where transformers' code has it, with masks that Philox gives for a place.
- `wrong` are the same passes with one mistake: what a test must be able to tell from the right ones.
- The run of 20 steps: AdamW without decay on biases and LayerNorms, warm-up, clipping; no dropout. Its epsilon is 1e-4: with
  1e-8, the gradients that are zero in mathematics (a key's bias) would be rounding divided by rounding.
"""
import copy, json, pathlib, random, shutil, sys
import torch
from safetensors.numpy import save_file
from torch import nn
from transformers import (AlbertConfig, AlbertTokenizer, AutoModel, AutoModelForQuestionAnswering, BertConfig, CamembertConfig,
                          CamembertTokenizer, DebertaV2Config, DistilBertConfig, ElectraConfig, ModernBertConfig, MPNetConfig, RobertaConfig,
                          XLMRobertaConfig, XLMRobertaTokenizer, get_linear_schedule_with_warmup)
from transformers.models.modernbert import modeling_modernbert
from dropout_places import Masks, has_convolution, wrong_dropouts
from tiny import byte_level_tokenizer, make_tokenizer, mpnet_tokenizer, unigram_tokenizer, weights

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates" / "bert-qa" / "tests" / "fixtures" / "parity"
TEXTS = [("Who ate it?", "A cat ate the bread, and Ann saw it."), ("Where, then?", "In Ulm.")]
LENGTHS = [17, 1, 40, 3, 24, 9]  # one token, and all positions there are, among them
RUN = {"learning_rate": 5e-3, "eps": 1e-4, "weight_decay": 0.1, "warmup_ratio": 0.2, "steps": 20}
LONG = 150  # the longest window where positions are relative: longer than the distances that have a row each
MOST = 1000  # numbers of a tensor that are kept

BERT = dict(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2, max_position_embeddings=40)
SMALL = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20)
# As many positions as others have after the padding token's.
ROBERTA = SMALL | BERT | dict(max_position_embeddings=42, layer_norm_eps=1e-5)
# Distances from 9 on share rows.
DEBERTA = SMALL | BERT | dict(relative_attention=True, pos_att_type="p2c|c2p", max_position_embeddings=LONG)
MODERNBERT = SMALL | dict(vocab_size=60, local_attention=16, max_position_embeddings=LONG, embedding_dropout=0.05, attention_dropout=0.2,
                          mlp_dropout=0.1, classifier_dropout=0.3, pad_token_id=0, bos_token_id=2, cls_token_id=2, eos_token_id=3,
                          sep_token_id=3)
CASES = {  # configuration; tokenizer; whether names have the prefix; whether there is a pooler
    "bert-uncased": (BertConfig(vocab_size=60, **SMALL, **BERT), make_tokenizer(True), True, False),
    "bert-cased": (BertConfig(vocab_size=112, hidden_size=20, num_hidden_layers=1, num_attention_heads=5,
                              intermediate_size=12, layer_norm_eps=1e-6, **BERT), make_tokenizer(False), False, True),
    "bert-relu": (BertConfig(vocab_size=60, hidden_act="relu", **SMALL | BERT | dict(num_hidden_layers=1)), make_tokenizer(True), True, False),
    "distilbert": (DistilBertConfig(vocab_size=60, dim=12, n_layers=2, n_heads=3, hidden_dim=20, max_position_embeddings=40,
                                    dropout=0.1, attention_dropout=0.2, qa_dropout=0.3), make_tokenizer(True), True, False),
    "minilm": (BertConfig(vocab_size=60, hidden_size=384, num_hidden_layers=1, num_attention_heads=12,
                          intermediate_size=64, **BERT), make_tokenizer(True), False, True),
    # Two token types, of which the second serves nothing.
    "roberta": (RobertaConfig(vocab_size=73, type_vocab_size=2, **ROBERTA), byte_level_tokenizer(), True, True),
    "camembert": (CamembertConfig(vocab_size=73, type_vocab_size=1, **ROBERTA), unigram_tokenizer(CamembertTokenizer), True, False),
    "xlm-roberta": (XLMRobertaConfig(vocab_size=70, type_vocab_size=1, **ROBERTA), unigram_tokenizer(XLMRobertaTokenizer), False, True),
    "mpnet": (MPNetConfig(vocab_size=60, layer_norm_eps=1e-5, **SMALL | BERT | dict(max_position_embeddings=LONG + 2)),
              mpnet_tokenizer(), False, True),
    # As DeBERTa-v3: shared projections, normalized embeddings of positions in buckets.
    "deberta-v3": (DebertaV2Config(vocab_size=60, share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False,
                                   position_buckets=16, max_relative_positions=-1, **DEBERTA), make_tokenizer(True), True, False),
    # The keys' other values: projections of their own, a row for each distance, positions in the input, token types.
    "deberta-v2": (DebertaV2Config(vocab_size=60, share_att_key=False, position_biased_input=True, type_vocab_size=2,
                                   max_relative_positions=24, **DEBERTA), make_tokenizer(True), False, False),
    # As DeBERTa-v2's large models: with a convolution.
    "deberta-v2-conv": (DebertaV2Config(vocab_size=60, share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False,
                                        position_buckets=16, max_relative_positions=-1, conv_kernel_size=3, conv_act="gelu", **DEBERTA),
                        make_tokenizer(True), True, False),
    "electra": (ElectraConfig(vocab_size=60, embedding_size=8, **SMALL, **BERT), make_tokenizer(True), True, False),
    # As electra-base: no projection, and files without the prefix.
    "electra-base": (ElectraConfig(vocab_size=60, embedding_size=12, **SMALL, **BERT), make_tokenizer(True), False, False),
    "albert": (AlbertConfig(vocab_size=70, embedding_size=8, **(SMALL | BERT | dict(num_hidden_layers=3))), unigram_tokenizer(AlbertTokenizer),
               True, True),
    # Four layers by two groups of parameters, and a projection from a width to itself.
    "albert-groups": (AlbertConfig(vocab_size=70, embedding_size=12, num_hidden_groups=2, **(SMALL | BERT | dict(num_hidden_layers=4))),
                      unigram_tokenizer(AlbertTokenizer), False, True),
    # Layers 0 and 3 see all tokens, the others eight on either side.
    "modernbert": (ModernBertConfig(**MODERNBERT | dict(num_hidden_layers=4)), make_tokenizer(True), True, False),
    # With every bias that there can be.
    "modernbert-bias": (ModernBertConfig(attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True, **MODERNBERT),
                        make_tokenizer(True), False, False),
}
AFTER_PADDING = {"roberta", "camembert", "xlm-roberta", "mpnet"}  # model types whose positions begin after the padding token's


def in_float64():
    """Takes the casts to float32 out of ModernBERT's attention: they would be the reference's rounding. Angles stay float32."""
    softmax = nn.functional.softmax
    nn.functional.softmax = lambda values, dim, dtype=None: softmax(values, dim=dim)

    def rotary(module, values, position_ids, layer_type):
        angles = position_ids[..., None].float() * getattr(module, f"{layer_type}_inv_freq").float()
        angles = torch.cat((angles, angles), dim=-1).double()
        return angles.cos(), angles.sin()

    def apply(query, key, cos, sin, unsqueeze_dim):
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return [x * cos + modeling_modernbert.rotate_half(x) * sin for x in (query, key)]

    modeling_modernbert.ModernBertRotaryEmbedding.forward = rotary
    modeling_modernbert.apply_rotary_pos_emb = apply


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
        scale = 1 / 32 if "_embeddings." in name and "rel_" not in name else 0.125 if shape[-1] > 200 and len(shape) == 2 else 0.5
        scale = 0.25 if len(shape) == 3 else scale  # a convolution sums over three tokens
        in_file = name if has_prefix else name.removeprefix(prefix)
        tensors.append([in_file, shape, scale, float(is_gamma)])
        if name in model.state_dict():
            model.state_dict()[name].copy_(torch.from_numpy(weights(*tensors[-1])))
    return model.double().eval(), tensors


def has_segments(config):
    """Whether the model tells question and context apart."""
    return config.model_type in {"bert", "electra", "albert"} or config.model_type == "deberta-v2" and config.type_vocab_size > 0


def make_windows(tokenizer, config):
    pad, is_relative = config.pad_token_id, config.model_type in {"mpnet", "deberta-v2", "modernbert"}
    numbers, windows = random.Random(21), []
    for question, context in TEXTS:
        encoding = tokenizer.encode(question, context)
        windows.append({"input_ids": encoding.ids, "token_type_ids": encoding.type_ids})
    for length in [LONG if is_relative and length == max(LENGTHS) else length for length in LENGTHS]:
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
    """A batch in transformers' form. Models without token types get none: their tokenizers return none."""
    longest = max(len(w["input_ids"]) for w in windows)
    pad = lambda values, value=0: torch.tensor([list(v) + [value] * (longest - len(v)) for v in values])
    batch = {"input_ids": pad((w["input_ids"] for w in windows), model.config.pad_token_id)}
    if has_segments(model.config):
        batch["token_type_ids"] = pad(w["token_type_ids"] for w in windows)
    return batch


def loss_of(logits, window):
    positions = torch.tensor([window["start_position"], window["end_position"]])
    return nn.functional.cross_entropy(logits.T, positions)


def evaluate(model, window, **others):
    encoder, hidden = getattr(model, model.base_model_prefix), []
    # transformers gives the last layer's output of ModernBERT after the final norm.
    stages = [encoder.embeddings, *encoder.layers] if model.config.model_type == "modernbert" else []
    hooks = [stage.register_forward_hook(lambda module, args, output: hidden.append(output)) for stage in stages]
    output = model(**inputs(model, [window]) | others, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    return torch.stack([output.start_logits[0], output.end_logits[0]], 1), [h[0] for h in hidden or output.hidden_states]


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
    decays = lambda name, p: decay_biases or not ("bias" in name or id(p) in norms)  # as in transformers' Trainer
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
    """GELU by tanh, or the exact one where tanh or ReLU is right."""
    model = copy.deepcopy(model)
    other = "none" if getattr(model.config, "hidden_act", "gelu") in {"gelu_new", "relu"} else "tanh"
    for module in model.modules():
        for name in "intermediate_act_fn", "activation", "act":
            if hasattr(module, name):
                setattr(module, name, nn.GELU(approximate=other))
    return model


def without_projection_bias(model):
    model = copy.deepcopy(model)
    for name, parameter in model.named_parameters():
        if name.endswith(("embeddings_project.bias", "embedding_hidden_mapping_in.bias")):
            nn.init.zeros_(parameter)
    return model


def without_biases(model):
    model = copy.deepcopy(model)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias") and name != "classifier.bias":
            nn.init.zeros_(parameter)
    return model


def first_group_only(model):
    model = copy.deepcopy(model)
    model.config.num_hidden_groups = 1
    return model


def wrong_epsilon(model):
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5 if module.eps < 1e-5 else 1e-12
    return model


def wrong_relations(model):
    """The model with another relation of distances to rows, or without a term, by what is wrong."""
    def changed(change):
        other = copy.deepcopy(model)
        encoder = getattr(other, other.base_model_prefix)
        encoder = getattr(encoder, "encoder", encoder)
        change(encoder, [layer.attention for layer in getattr(encoder, "layer", [])])
        return other

    def no_bias(encoder, attentions):
        encoder.relative_attention_bias.weight.data.zero_()

    def other_distance(encoder, attentions):
        right = encoder.relative_position_bucket
        encoder.relative_position_bucket = lambda positions, num_buckets: right(positions, num_buckets, max_distance=64)

    def exchanged_direction(encoder, attentions):
        right = encoder.relative_position_bucket
        encoder.relative_position_bucket = lambda positions, num_buckets: right(-positions, num_buckets)

    def other_range(encoder, attentions):
        encoder.max_relative_positions -= 8
        for attention in attentions:
            attention.self.max_relative_positions -= 8
            if attention.self.position_buckets < 1:
                attention.self.pos_ebd_size -= 8

    def c2p_alone(encoder, attentions):
        for attention in attentions:
            attention.self.pos_att_type = ["c2p"]

    def unscaled(encoder, attentions):
        for attention in attentions:
            attention.self.query_proj.weight.data *= 3 ** 0.5
            attention.self.query_proj.bias.data *= 3 ** 0.5

    def one_theta(encoder, attentions):
        rotary = encoder.rotary_emb
        rotary.sliding_attention_inv_freq.copy_(rotary.full_attention_inv_freq)

    def other_window(encoder, attentions):
        encoder.config.local_attention -= 2

    def no_window(encoder, attentions):
        encoder.config.local_attention = 2 * LONG

    changes = {"modernbert": [one_theta, other_window, no_window], "mpnet": [no_bias, other_distance, exchanged_direction], "deberta-v2": [other_range, c2p_alone, unscaled]}
    return {change.__name__: changed(change) for change in changes.get(model.config.model_type, [])}


def wrong_convolutions(model, windows):
    """Logits with another convolution, by what is wrong."""
    def changed(change):
        other = copy.deepcopy(model)
        change(other.deberta.encoder, other.deberta.encoder.conv)
        return logits_of(other, windows)

    def no_convolution(encoder, conv):
        encoder.conv = None

    def across_features(encoder, conv):
        # Of the packed batch, as if it were one text.
        whole, start = conv.conv(torch.cat([evaluate(model, window)[1][0] for window in windows]).T[None]), 0

        def convolve(hidden):
            nonlocal start
            start += hidden.shape[-1]
            return whole[..., start - hidden.shape[-1]:start].clone()

        conv.conv.forward = convolve

    def reversed_kernel(encoder, conv):
        conv.conv.weight.data = conv.conv.weight.data.flip(-1)

    def other_activation(encoder, conv):
        conv.conv_act = "tanh"

    return {change.__name__: changed(change) for change in [no_convolution, across_features, reversed_kernel, other_activation]}


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
    if has_segments(model.config):
        swapped = [w | {"token_type_ids": [1 - t for t in w["token_type_ids"]]} for w in windows]
        wrong["swapped_segments"] = logits_of(model, swapped)
    elif getattr(model.config, "type_vocab_size", 0) > 1:
        types = lambda w: torch.tensor([w["token_type_ids"]])
        wrong["segments"] = torch.cat([evaluate(model, w, token_type_ids=types(w))[0] for w in windows])
    if any("project" in name or "mapping_in" in name for name, _ in model.named_parameters()):
        wrong["projection_without_bias"] = logits_of(without_projection_bias(model), windows)
    if getattr(model.config, "mlp_bias", False):
        wrong["no_biases"] = logits_of(without_biases(model), windows)
    if getattr(model.config, "num_hidden_groups", 1) > 1:
        wrong["first_group_only"] = logits_of(first_group_only(model), windows)
    if model.config.model_type in AFTER_PADDING:
        positions = lambda w: torch.arange(len(w["input_ids"]))[None]
        wrong["positions_from_zero"] = torch.cat([evaluate(model, w, position_ids=positions(w))[0] for w in windows])
    wrong |= {key: logits_of(other, windows) for key, other in wrong_relations(model).items()}
    if has_convolution(model):
        wrong |= wrong_convolutions(model, windows)
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
    in_float64()
    for name in sys.argv[1:] or CASES:
        config, tokenizer, has_prefix, has_pooler = CASES[name]
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        assert tokenizer.get_vocab_size() == config.vocab_size, (name, tokenizer.get_vocab_size())
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        model, tensors = make_model(config, has_prefix, has_pooler)
        config.architectures = [type(model).__name__ if has_prefix else type(model.base_model).__name__]
        config.save_pretrained(folder)
        windows = make_windows(tokenizer, config)
        clip = round(sorted(train(model, windows, 1e9, 5)[1])[2], 1)  # between the norms of the first steps
        save_file(expected(model, windows, clip, name), folder / "expected.safetensors")
        line = lambda value: json.dumps(value, separators=(",", ":"))
        lines = lambda values: "[\n" + ",\n".join(map(line, values)) + "]"
        (folder / "case.json").write_text(
            '{"tensors":%s,\n"texts":%s,\n"windows":%s,\n"run":%s}\n' % (lines(tensors), line(TEXTS), lines(windows), line(RUN | {"max_grad_norm": clip})))
    for path in sorted(OUT.rglob("*.*")):
        print(f"{path.stat().st_size:7} {path.relative_to(OUT)}")


main()
