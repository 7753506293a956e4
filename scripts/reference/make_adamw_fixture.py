"""Makes crates/trainer/tests/fixtures/adamw.json: what PyTorch's AdamW with clipping makes of fixed gradients.

usage: python scripts/reference/make_adamw_fixture.py
needs torch; made with torch 2.9.0. Run again, it writes the same bytes.

Four parameters, a weight that decays, its bias and a LayerNorm's two that do not, and the gradients of five steps, large
ones and small ones in turn, so that clipping changes some steps and not others. The last number of the weight has gradients
of 1e-8 and less: there an epsilon of 1e-8 counts. Computed in float64; `wrong` are optimizers with one mistake.
"""
import json, math, pathlib
import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "crates" / "trainer" / "tests" / "fixtures" / "adamw.json"
START = [[0.5, -1.0, 2.0, 0.25, -0.75, 1.5], [0.1, -0.2], [1.0, 1.0], [0.3, -0.6]]
RATES = [0.1 / step for step in range(1, 6)]
GROUPS = [True, False, False, False]


def gradients(step):
    count, size, values = 0, 0.1 if step % 2 else 3.0, []
    for parameter in START:
        values.append([size * math.sin(1.7 * (count + i + 1) + 0.9 * step) for i in range(len(parameter))])
        count += len(parameter)
    values[0][-1] *= 1e-8
    return [torch.tensor(value, dtype=torch.float32).tolist() for value in values]


def run(decays, max_norm=1.0, **settings):
    parameters = [torch.tensor(value, dtype=torch.float32).double().requires_grad_() for value in START]
    groups = [{"params": [p], "weight_decay": 0.1 if decay else 0.0} for p, decay in zip(parameters, decays)]
    optimizer = torch.optim.AdamW(groups, lr=0.0, **({"eps": 1e-8} | settings))
    norms = []
    for step, rate in enumerate(RATES, 1):
        for parameter, gradient in zip(parameters, gradients(step)):
            parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, max_norm).item())
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    return [p.tolist() for p in parameters], norms


expected, norms = run(GROUPS)
wrong = {
    "decay on biases": run([True, True, False, True])[0], "decay on LayerNorm": run([True, False, True, False])[0],
    "no decay": run([False] * 4)[0], "no clipping": run(GROUPS, max_norm=math.inf)[0],
    "another beta": run(GROUPS, betas=(0.9, 0.99))[0], "another epsilon": run(GROUPS, eps=1e-7)[0],
}
line = lambda value: json.dumps(value, separators=(",", ":"))
rows = lambda values: "{\n" + ",\n".join(f"{line(name)}:{line(value)}" for name, value in values.items()) + "}"
OUT.parent.mkdir(exist_ok=True)
OUT.write_text(rows({"start": START, "rates": RATES, "gradients": [gradients(step) for step in range(1, 6)], "norms": norms,
                     "expected": expected})[:-1] + ',\n"wrong":' + rows(wrong) + "}\n")
print(OUT.read_text())
