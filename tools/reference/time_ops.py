"""Runs PyTorch's own operations as often as it is asked to and tells how long that took: PyTorch's part of `cargo xtask bench ops`.

usage: THREADS=2 python tools/reference/time_ops.py
A line of standard input is `pytorch its OPERATION minilm|bert-base forward|training ITERATIONS`, the answer nanoseconds. The shapes are
those of crates/fused-ops/benches/stopwatch: token by token on the 1400 tokens themselves; attention and the span loss, which PyTorch has
no packed form of, padded to the longest window. Forward is without gradients and dropout, training with both. Needs torch; last run with
2.9.0. Starts itself again with an allocator that keeps its pages.
"""
import os, sys, time

ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ALLOCATOR)

import torch
import torch.nn.functional as F

LENGTHS = [97, 118, 136, 152, 168, 187, 224, 318]
TOKENS, LONGEST, HEADS, DROPOUT = sum(LENGTHS), max(LENGTHS), 12, 0.1
torch.manual_seed(0)
torch.set_num_threads(int(os.environ.get("THREADS", 0)) or os.cpu_count())


def linear_gelu(hidden, intermediate, training):
    inputs = [torch.randn(TOKENS, hidden), torch.randn(intermediate, hidden), torch.randn(intermediate)]
    return inputs, lambda x, weight, bias: F.gelu(F.linear(x, weight, bias))


def attention(hidden, intermediate, training):
    inputs = [torch.randn(len(LENGTHS), LONGEST, hidden) for _ in range(3)]
    mask = (torch.arange(LONGEST) < torch.tensor(LENGTHS)[:, None])[:, None, None, :]
    heads = lambda x: x.view(len(LENGTHS), LONGEST, HEADS, hidden // HEADS).transpose(1, 2)
    drop = DROPOUT if training else 0.0
    return inputs, lambda *three: F.scaled_dot_product_attention(*map(heads, three), attn_mask=mask, dropout_p=drop)


def dropout_add_layer_norm(hidden, intermediate, training):
    inputs = [torch.randn(TOKENS, hidden), torch.randn(TOKENS, hidden), torch.randn(hidden), torch.randn(hidden)]
    return inputs, lambda x, residual, gamma, beta: F.layer_norm(
        F.dropout(x, DROPOUT, training) + residual, (hidden,), gamma, beta, 1e-12)


def span_loss(hidden, intermediate, training):
    starts = torch.tensor([length // 2 for length in LENGTHS])

    def loss(logits):
        start, end = logits.split(1, dim=-1)
        return (F.cross_entropy(start.squeeze(-1), starts) + F.cross_entropy(end.squeeze(-1), starts + 3)) / 2

    return [torch.randn(len(LENGTHS), LONGEST, 2)], loss


def adamw(hidden, intermediate):
    parameter = torch.nn.Parameter(torch.randn(hidden, intermediate))
    parameter.grad = torch.randn(hidden, intermediate)
    return torch.optim.AdamW([parameter], lr=3e-5, weight_decay=0.01, fused=True).step


def case(operation, width, which):
    hidden = {"minilm": 384, "bert-base": 768}[width]
    if operation == "adamw":
        return adamw(hidden, 4 * hidden)
    training = which == "training"
    make = {function.__name__: function for function in (linear_gelu, attention, dropout_add_layer_norm, span_loss)}[operation]
    inputs, forward = make(hidden, 4 * hidden, training)

    def answer():
        with torch.no_grad():
            forward(*inputs)

    def train():
        for tensor in inputs:
            tensor.grad = None
        forward(*inputs).sum().backward()

    for tensor in inputs:
        tensor.requires_grad_(training)
    return train if training else answer


def main():
    print("pytorch", flush=True)
    current = None
    for line in sys.stdin:
        _, _, operation, width, which, iterations = line.split()
        if current != (operation, width, which):
            current, run = (operation, width, which), case(operation, width, which)
        started = time.perf_counter_ns()
        for _ in range(int(iterations)):
            run()
        print(time.perf_counter_ns() - started, flush=True)


if __name__ == "__main__":
    main()
