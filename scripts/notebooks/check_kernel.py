"""What a reader may do to a kernel: a cell that fails, a restart, a notebook in another folder.

usage: check_kernel.py NOTEBOOK    the notebook whose first cell brings notebook-kit
"""

import sys
import tempfile
from pathlib import Path

from session import Session, code_cells, errors, text

CELL = 600
FIRST_CELL = 3000


def expect(what, holds, outputs):
    if not holds:
        sys.exit(f"{what}: {outputs}")
    print(f"{what}: yes", flush=True)


def main():
    path = Path(sys.argv[1])
    first_cell = code_cells(path)[0].source
    with Session(path.parent) as session:
        here(session, first_cell)
    elsewhere(first_cell)


def here(session, first_cell):
    expect("the first cell runs", not errors(outputs := session.run(first_cell, FIRST_CELL)), outputs)
    works(session, "let (kept, dev) = sample()?;\nprintln!(\"{} questions\", kept.len());")
    failing_cells(session)
    session.restart()
    expect("a restart forgets variables", errors(outputs := session.run("kept.len()", CELL)), outputs)
    # Without a `let`, for whose type rust-analyzer would look through all of Burn once more, ten seconds long.
    works(session, first_cell + "\nprintln!(\"{} questions\", sample()?.0.len());")


def elsewhere(first_cell):
    with tempfile.TemporaryDirectory() as folder, Session(folder) as session:
        stderr = "\n".join(errors(outputs := session.run(first_cell, CELL)))
        is_named = "No such file or directory" in stderr and "../crates/notebook-kit" in stderr
        expect("the error in another folder names the missing path", is_named, outputs)


def works(session, code):
    expect("the kit works", text(outputs := session.run(code, CELL), "stdout") == "576 questions\n", outputs)


def failing_cells(session):
    """Each must be seen to fail, and leave what was there before."""
    for what, code, message in [
        ("a panic", "let numbers = vec![1];\nnumbers[kept.len()];", "index out of bounds"),
        ("an Err", "let missing = Dataset::read(std::path::Path::new(\"none.json\"))?;", "none.json"),
        ("what does not compile", "let wrong: usize = \"text\";", "mismatched types"),
        ("a mistaken setting", "quickstart(&[\"train.epoch=1\"])?;", "train.epoch"),
    ]:
        stderr = "\n".join(errors(outputs := session.run(code, CELL)))
        expect(f"{what} shows its message", message in stderr, outputs)
        after = session.run('println!("{}", kept.len());', CELL)
        expect(f"after {what} variables are still there", text(after, "stdout") == "576\n", after)


if __name__ == "__main__":
    main()
