"""Starts evcxr for a notebook. `cargo xtask notebooks setup` copies this file into the user's cache and names it in the
kernel's description; Jupyter calls it with the connection file.

Around evcxr it puts what evcxr leaves open: a build folder that outlives the kernel, the versions of the workspace's
Cargo.lock, and a `rustup` that refuses.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent


def claim_build_folder():
    """The first build folder that no other kernel has, locked until this kernel ends: one serves one kernel at a time.
    All but the first begin as a copy of it, which takes seconds where a build takes minutes."""
    first = HOME / "build" / "1"
    for number in range(1, 100):
        folder = HOME / "build" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder.with_suffix(".lock"), os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        os.set_inheritable(lock, True)
        if (first / "target").is_dir() and not (folder / "target").is_dir():
            copy = folder / "target.partial"
            shutil.rmtree(copy, ignore_errors=True)
            subprocess.run(["cp", "-a", "--reflink=auto", first / "target", copy], check=True)
            copy.rename(folder / "target")
        return folder
    sys.exit("a hundred notebooks are open already")


def inherited():
    """The environment without what a surrounding `cargo run` or a build server set for another build: build scripts
    would run again, and another build's libraries would be loaded."""
    names = ["CARGO", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "RUSTFLAGS", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN"]
    prefixes = ("CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_PRIMARY_")
    # From .cargo/config.toml, not there where Jupyter is started by hand, and others in every clone.
    configured = {"LIBTORCH": "/.libtorch", "CPLUS_INCLUDE_PATH": "/scripts/libtorch-missing"}
    names += [n for n, end in configured.items() if os.environ.get(n, "").endswith(end)]
    return {n: value for n, value in os.environ.items() if n not in names and not n.startswith(prefixes)}


def library_path(standard_library):
    """A cell's run path to the standard library is relative, and one folder off after evcxr has moved the file."""
    folders = [standard_library, *os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)]
    return os.pathsep.join(f for f in folders if f and not Path(f, "libnotebook_kit.so").exists())


def main():
    rustc = ["rustc", "--print=target-libdir", "--print=sysroot"]
    printed = subprocess.run(rustc, check=True, capture_output=True, text=True).stdout
    standard_library, sysroot = printed.splitlines()
    tools = [HOME / "bin", Path(sysroot) / "bin", os.environ["PATH"]]
    environment = {
        **inherited(),
        "PATH": os.pathsep.join(map(str, tools)),
        "LD_LIBRARY_PATH": library_path(standard_library),
        "EVCXR_TMPDIR": str(claim_build_folder()),
        # The user's own evcxr settings could bring dependencies and other optimisation.
        "EVCXR_CONFIG_DIR": str(HOME / "config"),
        "NOTEBOOK_LOCK": str(Path.cwd().parent / "Cargo.lock"),
        "NOTEBOOK_CARGO": str(tools[1] / "cargo"),
        # Where the workspace's own builds are, for what a notebook builds of it.
        "NOTEBOOK_TARGET_DIR": str(Path.cwd().parent / os.environ.get("CARGO_TARGET_DIR", "target")),
    }
    evcxr = HOME / "evcxr" / "bin" / "evcxr_jupyter"
    os.execve(evcxr, [evcxr, "--control_file", sys.argv[1]], environment)


if __name__ == "__main__":
    main()
