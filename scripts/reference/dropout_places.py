"""transformers' models in train mode with masks that are a function of the place, and with dropout at wrong places.

needs numpy, torch and transformers; used by make_parity_fixture.py.
"""
import copy, re
import numpy as np, torch
from torch import nn
from transformers.activations import ACT2FN
from tiny import dropout_factors

SEED, STEP, HEAD_SITE, CONV_SITE = 5, 7, 65535, 65534


def has_convolution(model):
    return model.config.model_type == "deberta-v2" and model.deberta.encoder.conv is not None


class Masks:
    """Stands in for torch's dropout, with the masks that belong to a place. nn.Dropout modules know their places; the call
    inside attention is told by the four dimensions of what it drops, and counted."""

    def __init__(self, model):
        self.calls, self.offset, self.layer = [], 0, 0
        # MPNet and DeBERTa drop probabilities by a module, others by a call.
        attention = [m.dropout for name, m in model.named_modules()
                     if name.endswith("attention.self") and model.config.model_type != "deberta-v2"
                     or name.endswith(".attention") and model.config.model_type == "distilbert"]
        for name, module in model.named_modules():
            if isinstance(module, nn.Dropout) and not any(module is other for other in attention):
                module.site = self.site(name)

    @staticmethod
    def site(name):
        if "albert_layers." in name:  # shared by layers: the place depends on the call
            return lambda layer: 3 * layer + 2
        if name.endswith("encoder.conv.dropout"):
            return CONV_SITE
        found = re.search(r"layers?\.(\d+)\.", name)
        if not found:
            return 0 if "embeddings" in name else HEAD_SITE
        layer = int(found[1])
        if name.endswith("pos_dropout"):  # of the embeddings of relative positions
            return 2**15 + layer
        if name.endswith(("attention.attn.dropout", "attention.self.dropout")):  # of probabilities
            return 3 * layer + 1
        return 3 * layer + (2 if "attention" in name or ".attn." in name else 3)

    def drop(self, values, prob, site):
        # [1, heads, queries, keys], where a row is a query of a head; [1, tokens, width]; or the rows of a table.
        heads, length = (values.shape[-3] if values.dim() > 2 else 1), values.shape[-2]
        head, token = np.divmod(np.arange(heads * length), length)
        rows = (self.offset * (values.dim() > 2) + token) * heads + head
        factors = dropout_factors(rows, values.shape[-1], prob, site, SEED, STEP)
        self.calls.append((site, prob))
        return values * torch.from_numpy(factors).double().reshape(values.shape)

    def run(self, model, inputs):
        """The logits of one window in train mode, `[tokens, 2]`."""
        self.layer, original_call, original = 0, nn.Dropout.forward, nn.functional.dropout

        def in_attention(values, p=0.5, training=True, inplace=False):
            assert training and values.dim() == 4
            self.layer += 1
            return self.drop(values, p, 3 * self.layer - 2) if p > 0 else values

        def site(module):
            return module.site(self.layer - 1) if callable(module.site) else module.site

        nn.Dropout.forward = lambda module, values: self.drop(values, module.p, site(module)) if module.p > 0 else values
        nn.functional.dropout = in_attention
        output = model.train()(**inputs)
        nn.Dropout.forward, nn.functional.dropout = original_call, original
        model.eval()
        self.offset += inputs["input_ids"].shape[1]
        return torch.stack([output.start_logits[0], output.end_logits[0]], 1)


def wrong_dropouts(model):
    """The model with dropout at a wrong place, by what is wrong."""
    def changed(change):
        other = copy.deepcopy(model)
        encoder = getattr(other, other.base_model_prefix)
        change(other, getattr(encoder, "encoder", None) or encoder.transformer)
        return other

    def dropout(site, prob):
        module = nn.Dropout(prob)
        module.site = site
        return module

    def after(module, dropout):
        return nn.Sequential(module, dropout)

    def after_norm(other, encoder):
        for layer in encoder.layer:
            place, norm = (layer.output, "LayerNorm") if is_bert else (layer, "output_layer_norm")
            owner = layer.output if is_bert else layer.ffn
            setattr(place, norm, after(getattr(place, norm), owner.dropout))
            owner.dropout = nn.Identity()

    def before_second_linear(other, encoder):
        for layer in encoder.layer:
            place, act = (layer.intermediate, "intermediate_act_fn") if is_bert else (layer.ffn, "activation")
            owner = layer.output if is_bert else layer.ffn
            setattr(place, act, after(getattr(place, act), owner.dropout))
            owner.dropout = nn.Identity()

    def other_architecture(other, encoder):
        for i, layer in enumerate(encoder.layer):
            if is_bert:
                (layer.attention if is_mpnet else layer.attention.output).dropout = nn.Identity()
            else:
                layer.attention.out_lin = after(layer.attention.out_lin, dropout(3 * i + 2, 0.1))

    def no_attention_dropout(other, encoder):
        for layer in encoder.layer:
            attention = layer.attention
            (attention.attn if is_mpnet else attention.self if is_bert else attention).dropout.p = 0.0

    def no_position_dropout(other, encoder):
        for layer in encoder.layer:
            layer.attention.self.pos_dropout.p = 0.0

    def no_convolution_dropout(other, encoder):
        encoder.conv.dropout.p = 0.0

    def after_convolution_activation(other, encoder):
        conv = encoder.conv

        def forward(hidden, residual, mask):
            convolved = conv.conv(hidden.permute(0, 2, 1)).permute(0, 2, 1)
            return conv.LayerNorm(residual + conv.dropout(ACT2FN[conv.conv_act](convolved)))

        conv.forward = forward

    def no_head_dropout(other, encoder):
        other.dropout.p = 0.0

    def before_embeddings_norm(other, encoder):
        embeddings = getattr(other, other.base_model_prefix).embeddings
        embeddings.LayerNorm, embeddings.dropout = nn.Sequential(embeddings.dropout, embeddings.LayerNorm), nn.Identity()

    def modern(change):
        other = copy.deepcopy(model)
        change(other)
        return other

    def no_probabilities_dropout(other):
        for layer in other.model.layers:
            layer.attn.attention_dropout = 0.0

    def no_output_dropout(other):
        for layer in other.model.layers:
            layer.attn.out_drop = nn.Identity()

    def after_feed_forward(other):
        for layer in other.model.layers:
            layer.mlp.Wo = after(layer.mlp.Wo, layer.mlp.drop)
            layer.mlp.drop = nn.Identity()

    def no_dropout_before_classifier(other):
        other.drop.p = 0.0

    def no_embeddings_dropout(other):
        other.model.embeddings.drop.p = 0.0

    if model.config.model_type == "modernbert":
        Masks(model)
        changes = [no_probabilities_dropout, no_output_dropout, after_feed_forward, no_dropout_before_classifier, no_embeddings_dropout]
        return {change.__name__: modern(change) for change in changes}
    is_bert, is_mpnet = model.config.model_type != "distilbert", model.config.model_type == "mpnet"
    is_deberta = model.config.model_type == "deberta-v2"
    Masks(model)  # gives modules their places, which copies keep
    if model.config.model_type == "albert":
        return {change.__name__: changed(change) for change in albert_changes(dropout, after) + [before_embeddings_norm]}
    changes = [after_norm, before_second_linear, other_architecture, no_attention_dropout, before_embeddings_norm]
    changes += [no_head_dropout] * (not is_bert) + [no_position_dropout] * is_deberta
    changes += [no_convolution_dropout, after_convolution_activation] * has_convolution(model)
    return {change.__name__: changed(change) for change in changes}


def albert_changes(dropout, after):
    """What is wrong in ALBERT, which has no dropout behind the feed-forward layers."""
    def layers(encoder):
        return [layer for group in encoder.albert_layer_groups for layer in group.albert_layers]

    def after_norm(other, encoder):
        for attention in (layer.attention for layer in layers(encoder)):
            attention.LayerNorm, attention.output_dropout = after(attention.LayerNorm, attention.output_dropout), nn.Identity()

    def before_second_linear(other, encoder):
        for layer in layers(encoder):
            layer.activation = after(layer.activation, dropout(lambda index: 3 * index + 3, 0.1))

    def other_architecture(other, encoder):
        for layer in layers(encoder):
            layer.ffn_output = after(layer.ffn_output, dropout(lambda index: 3 * index + 3, 0.1))

    def no_attention_dropout(other, encoder):
        for layer in layers(encoder):
            layer.attention.attention_dropout.p = 0.0

    return [after_norm, before_second_linear, other_architecture, no_attention_dropout]
