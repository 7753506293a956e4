#!/usr/bin/env bash
# Finds or installs libtorch for builds with trainer's features `libtorch` and `cuda`, and makes `.libtorch` in the workspace's root, a
# link to it that .cargo/config.toml names:
#   scripts/install-libtorch.sh                  PyPI's torch in a virtual environment in the user's cache, once per machine
#   scripts/install-libtorch.sh --python PATH    the torch that this Python has, as on a cluster; nothing is installed
# If LIBTORCH is set, the script only checks that libtorch.
set -euo pipefail

version=2.11.0               # What the first form installs.
supported=(2.9 2.10 2.11)    # What crates/torch-shim compiles against.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/squad-burn
venv=$cache/venv

fail() { # MESSAGE...
    echo "error: $*" >&2
    exit 2
}

python=
case $# in
0) ;;
2) [[ $1 == --python ]] || fail "unknown option $1: this script knows --python PATH" && python=$2 ;;
*) fail "usage: $0 [--python PATH]" ;;
esac
[[ $python != */* || $python == /* ]] || python=$PWD/$python # This script changes the folder.
cd "$(dirname "$0")/.."

# The version of a libtorch, or nothing. From 2.10 on it stands in the second header.
version_of() { # FOLDER
    local header
    for header in "$1"/include/torch/{csrc/api/include/torch,headeronly}/version.h; do
        [[ -f $header ]] || continue
        sed -nE 's/^# *define TORCH_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+)$/\2/p' "$header"
    done | paste -sd .
}

# What is wrong with a libtorch, or nothing.
fault() { # FOLDER
    local found
    found=$(version_of "$1")
    if [[ -z $found ]]; then
        echo "there is no libtorch in $1"
    elif [[ " ${supported[*]} " != *" ${found%.*} "* ]]; then
        echo "$1 is libtorch $found, and this project supports ${supported[*]}"
    elif [[ ! -e $1/lib/libtorch_cpu.so ]]; then
        echo "$1 has no lib/libtorch_cpu.so: this project needs libtorch for Linux, as shared libraries"
    fi
}

# Makes `.libtorch`. Cargo sees the path of the link alone, so what was built with another libtorch behind it goes.
link() { # FOLDER
    local before
    before=$(readlink .libtorch || true)
    ln -sfn "$1" .libtorch
    [[ -n $before && $before != "$1" ]] || return 0
    cargo clean --quiet -p torch-sys -p torch-shim ||
        echo "builds with the libtorch before are stale: run \`cargo clean -p torch-sys -p torch-shim\`" >&2
}

ready() { # FOLDER NAME
    echo "libtorch $(version_of "$1"): $2"
    [[ -e $1/lib/libtorch_cuda.so ]] || echo "It has no CUDA: builds with --features cuda will find no GPU."
    echo "Next: cargo run -p trainer --features libtorch -- devices    (or --features cuda)"
}

if [[ -n ${LIBTORCH:-} ]]; then
    [[ -z $python ]] || fail "LIBTORCH is set, and builds would use it instead of $python's: unset it"
    wrong=$(fault "$LIBTORCH")
    [[ -z $wrong ]] || fail "LIBTORCH: $wrong; without LIBTORCH, this script installs one"
    ready "$LIBTORCH" "$LIBTORCH (your LIBTORCH)"
    exit
fi
[[ ! -e .libtorch || -L .libtorch ]] || fail "$PWD/.libtorch is not a link: move it away, or name it as LIBTORCH"

# The folder of a Python's torch, without importing it.
if [[ -n $python ]]; then
    command -v "$python" >/dev/null || fail "there is no program $python"
    folder=$("$python" -c 'from importlib.util import find_spec as f; s = f("torch"); print(s.submodule_search_locations[0] if s else "")') ||
        fail "$python is no Python 3, or cannot run; it says why above"
    [[ -n $folder ]] || fail "$python has no torch: this project supports ${supported[*]}"
    wrong=$(fault "$folder")
    [[ -z $wrong ]] || fail "$python: $wrong"
    link "$folder"
    ready "$folder" "$PWD/.libtorch, which $python has"
    exit
fi

# The folder of the environment's torch, or nothing.
torch() {
    local folder
    for folder in "$venv"/lib/python3*/site-packages/torch; do
        [[ -z $(fault "$folder") ]] && echo "$folder" && return
    done
    return 0
}

free_gb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1000000) }'; }

install_torch() {
    command -v python3 >/dev/null || fail "python3 is missing: install Python 3.10 to 3.14 with its venv module"
    mkdir -p "$cache"
    # What is unpacked; and the wheels, until it is.
    [[ $(free_gb "$cache") -ge 8 ]] || fail "libtorch needs 8 GB in $cache: $(free_gb "$cache") GB are free there"
    local temporary=${TMPDIR:-/tmp}
    [[ $(free_gb "$temporary") -ge 4 ]] ||
        fail "the download needs 4 GB in $temporary: $(free_gb "$temporary") GB are free there; TMPDIR names another folder"
    if [[ ! -x $venv/bin/pip ]]; then
        rm -rf "$venv"
        # What is not whole goes, whatever ends this script.
        trap 'rm -rf "$venv"' EXIT
        python3 -m venv "$venv" || fail "python3 cannot make a virtual environment: install its venv module (on Debian: apt install python3-venv)"
    fi
    echo "installing torch $version into $venv: 4 GB to fetch"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir "torch==$version" ||
        fail "pip could not install torch $version; it says why above (it needs the network, and Python 3.10 to 3.14)"
    [[ -n $(torch) ]] || fail "pip installed torch $version, but $venv has no libtorch of it"
    trap - EXIT
}

[[ -n $(torch) ]] || install_torch
# Through the cache, so that the path that builds see is the same whatever Python's version.
installed=$(torch)
ln -sfn "$installed" "$cache/libtorch-$(version_of "$installed")"
link "$cache/libtorch-$(version_of "$installed")"
ready "$installed" "$PWD/.libtorch"
