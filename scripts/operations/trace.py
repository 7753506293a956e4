"""Lists the operations of Burn that training and answering call: `python3 trace.py [--check] PROGRAM`, from the repository's root.

Burn 0.22 sends each tensor operation through a function of the crate burn-dispatch, and a backend has a function for each. gdb
sets a breakpoint on every one that the program contains and notes those that are reached. `PROGRAM` is `trainer` from the dev
profile, with the device ndarray. Writes operations.txt beside this file, or with `--check` compares with it. Needs gdb and nm;
last run with gdb 16.3.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

LIST = Path(__file__).with_name("operations.txt")
OPERATION = re.compile(r"^([0-9a-f]+) [tT] burn_\w+::ops::.* for (burn_dispatch|burn_ndarray)::backend::\w+>::([a-z0-9_]+)$")
TRAIN = (
    "train.max_steps=2 train.gradient_accumulation_steps=2 train.per_device_train_batch_size=2 eval.max_eval_samples=2 "
    "run.float32_matmul_precision=highest"
)
QUESTION = ["--question", "Who built the bridge?", "--context", "The bridge was built by Ane Holm in 1871."]


def linked(program):
    """The operations that a program contains, as (crate, name) by address."""
    symbols = subprocess.run(["nm", "-C", program], capture_output=True, text=True, check=True).stdout
    found = filter(None, map(OPERATION.match, symbols.splitlines()))
    return {int(match[1], 16): (match[2], match[3]) for match in found}


def called(command, names):
    """Those that a run of the command calls."""
    image = Path(command[0]).resolve().as_posix()
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(f"""
import gdb
for setting in ("pagination off", "confirm off", "debuginfod enabled off"):
    gdb.execute("set " + setting)
gdb.execute("starti", to_string=True)
mappings = gdb.execute("info proc mappings", to_string=True).splitlines()
base = next(int(line.split()[0], 16) for line in mappings if line.endswith({image!r}))
for address in {sorted(names)}:
    gdb.execute(f"tbreak *{{base + address}}", to_string=True)
while gdb.selected_inferior().pid:
    gdb.execute("continue", to_string=True)
    if gdb.selected_inferior().pid:
        print("REACHED", gdb.selected_frame().pc() - base)
print("EXIT", gdb.parse_and_eval("$_exitcode"))
""")
        script.flush()
        arguments = ["gdb", "-batch", "-nx", "-x", script.name, "--args", *command]
        output = subprocess.run(arguments, capture_output=True, text=True).stdout
    if "EXIT 0\n" not in output:
        sys.exit(f"`{' '.join(command)}` failed below gdb:\n{output[-2000:]}")
    return {names[int(line.split()[1])] for line in output.splitlines() if line.startswith("REACHED ")}


def table(program):
    names = linked(program)
    if not names:
        sys.exit(f"{program} has no operations of Burn: is it `trainer` from the dev profile?")
    with tempfile.TemporaryDirectory() as folder:
        run = f"{folder}/run"
        train = called([program, "--device=ndarray", f"--run-dir={run}", *TRAIN.split()], names)
        answer = called([program, "predict", "--device=ndarray", f"--model={run}/model", *QUESTION], names)
    lines = ["# Operations of Burn that `trainer` calls. Written by trace.py."]
    for title, calls in (("training", train), ("answering", answer)):
        for crate, what in (("burn_dispatch", "forward"), ("burn_ndarray", "forward and backward, in the backend")):
            operations = sorted(name for of, name in calls if of == crate)
            lines += ["", f"## {title}, {what}: {len(operations)}", *operations]
    # Negative control: no program calls everything that it contains.
    assert len(train | answer) < len(set(names.values())), "is the trace blind?"
    return "\n".join(lines) + "\n"


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--check"]
    found = table(arguments[0])
    if "--check" not in sys.argv:
        LIST.write_text(found)
    elif found != LIST.read_text():
        kept = set(LIST.read_text().splitlines())
        new = [line for line in found.splitlines() if line not in kept]
        sys.exit(f"{LIST.name} is not what is called (new: {', '.join(new)}): run trace.py without --check and say why in the commit")


if __name__ == "__main__":
    main()
