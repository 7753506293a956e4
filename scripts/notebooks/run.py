"""Runs notebooks in one kernel, one after the other, and fails where a cell fails or a notebook does not reach its end.

Each notebook's last cell calls `finished("NAME")`, which prints `NAME: finished`.
"""

import argparse
import sys
import time
from pathlib import Path

import check_kernel
import nbformat
from session import Failed, Session, code_cells, errors, text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, help="a folder for the notebooks with their outputs")
    parser.add_argument("--first-cell", action="store_true", help="run each notebook's first cell only")
    parser.add_argument("--check", action="store_true", help="check afterwards what a reader may do to a kernel")
    parser.add_argument("--cell-seconds", type=float, default=600, help="the longest a cell may take")
    parser.add_argument("--first-cell-seconds", type=float, default=3000, help="the same where dependencies are compiled")
    parser.add_argument("--timings", action="store_true", help="print how long each cell took")
    options = parser.parse_args()
    started = time.monotonic()
    first_cell = code_cells(options.notebooks[0])[0].source
    with Session(options.notebooks[0].parent) as session:
        for number, path in enumerate(options.notebooks):
            if number:
                session.run(":clear", options.cell_seconds)
            notebook = nbformat.read(path, as_version=4)
            try:
                run(session, path, notebook, options)
            except Failed as failure:
                print(f"{path.stem}: {failure}", file=sys.stderr)
                return 1
            finally:
                if options.out:
                    options.out.mkdir(parents=True, exist_ok=True)
                    nbformat.write(notebook, options.out / path.name)
        print(f"{len(options.notebooks)} notebooks in {time.monotonic() - started:.0f} s", flush=True)
        if options.check:
            session.run(":clear", options.cell_seconds)
            check_kernel.here(session, first_cell)
    if options.check:
        check_kernel.elsewhere(first_cell)
    return 0


def run(session, path, notebook, options):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    started = time.monotonic()
    for number, cell in enumerate(cells[:1] if options.first_cell else cells, 1):
        begun = time.monotonic()
        seconds = options.first_cell_seconds if number == 1 else options.cell_seconds
        try:
            cell.outputs = session.run(cell.source, seconds)
        except Failed as failure:
            raise Failed(f"cell {number}: {failure}\n{cell.source}") from None
        cell.execution_count = number
        if found := errors(cell.outputs):
            raise Failed(f"cell {number} failed:\n{cell.source}\n\n" + "\n".join(found))
        if options.timings:
            print(f"  cell {number}: {time.monotonic() - begun:.1f} s", flush=True)
    if not options.first_cell:
        end = f"{path.stem}: finished"
        if end not in text(cells[-1].outputs, "stdout").splitlines():
            raise Failed(f"the last cell did not print `{end}`")
    print(f"{path.stem}: {number} cells in {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
