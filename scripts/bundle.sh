#!/usr/bin/env bash
# Packs trainer, tests and data for a machine that has a GPU and a Python with torch, but neither Rust nor a network.
#   scripts/bundle.sh [FILE]         default: target/bundle.tar.xz
# There: mkdir check && tar xJf bundle.tar.xz -C check && bash check/run.sh [--python PATH] [--device D] [--model FOLDER] [--minutes N] [STAGE...]
# The machine's torch must be of the version that this script builds against (scripts/install-libtorch.sh --python). With SQUAD_DATA,
# real questions and a tokenizer go along; TRAINER_MODEL=FOLDER adds a model as model/.
set -euo pipefail
output=$(realpath -m "${1:-$(dirname "$0")/../target/bundle.tar.xz}")
cd "$(dirname "$0")/.."
root=$PWD limit_mib=60
data=${SQUAD_DATA:-../shared/data}

scripts/install-libtorch.sh
libtorch=$(realpath "${LIBTORCH:-.libtorch}")
# From torch 2.10 on the version stands in the second header.
version=$({ sed -nE 's/^# *define TORCH_VERSION_(MAJOR|MINOR) ([0-9]+)$/\2/p' \
    "$libtorch"/include/torch/{csrc/api/include/torch,headeronly}/version.h 2>/dev/null || true; } | paste -sd .)
cargo build --locked --workspace --bin trainer --features trainer/cuda
tests=$(cargo test --locked --workspace --features trainer/cuda --test fused_ops --test bert_qa --test trainer --no-run --message-format=json |
    python3 -c '
import json, sys
for message in map(json.loads, sys.stdin):
    if message.get("executable") and message["profile"]["test"]:
        print(message["target"]["name"], message["executable"])')

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$work/bundle
mkdir -p "$folder"/{debug,tmp,data}
git archive HEAD | tar xf - -C "$folder"
target=$(realpath "${CARGO_TARGET_DIR:-target}")
strip -s -o "$folder/debug/trainer" "$target/debug/trainer"
while read -r name file; do strip -s -o "$folder/debug/test-$name" "$file"; done <<<"$tests"
[[ ! -d $data/vocab ]] || cp "$data/vocab/bert-base-uncased-tokenizer.json" "$folder/data/tokenizer.json"
[[ ! -d $data/squad ]] || cp "$data"/squad/{train-v1.1-random-paragraphs,train-v2.0-first10articles,dev-v1.1,dev-v2.0}.json "$folder/data/"
[[ -z ${TRAINER_MODEL:-} ]] || cp -rL "$TRAINER_MODEL" "$folder/model"
echo "$version" >"$folder/TORCH_VERSION"
# Without CUDA's libraries, the trace is all that the bundle lacks.
scripts/gpu/build-trace.sh "$libtorch" "$folder/debug/libcupti_trace.so" || echo "the bundle has no trace"

# Paths of this machine that the binaries hold become paths of the same length: those that tests read become /dev/fd/9, the unpacked
# folder, which run.sh opens.
python3 - "$folder/debug" "$target" "$root" "$libtorch" "${LIBTORCH:-$root/.libtorch}" "${CARGO_HOME:-$HOME/.cargo}" "$HOME" <<'PYTHON'
import pathlib, sys

binaries, target, root, libtorch, link, cargo, home = sys.argv[1:]
packages = str(pathlib.Path(libtorch).parent)
read = {path: b"/dev/fd/9" for path in (target, root)}
named = {libtorch: b"/torch", link: b"/torch", packages: b"/torch", cargo: b"/cargo"}
paths = sorted((read | named).items(), key=lambda item: -len(item[0]))
for file in pathlib.Path(binaries).iterdir():
    content = file.read_bytes()
    for path, new in paths:
        path = path.encode()
        if len(path) < len(new):
            sys.exit(f"error: {path.decode()} is too short a path to be replaced: move the workspace or CARGO_TARGET_DIR")
        content = content.replace(path, new.ljust(len(path), b"/"))
    for path in (root, target, home if len(home) > 1 else cargo):
        at = content.find(path.encode() + b"/")
        if at >= 0:
            sys.exit(f"error: {file.name} holds a path of this machine: {content[at:at + 80]!r}")
    file.write_bytes(content)
PYTHON

cat >"$folder/run.sh" <<'RUN'
#!/usr/bin/env bash
# Runs scripts/check-gpu.sh with the binaries of this bundle and the libtorch of a Python:
#   bash run.sh [--python PATH] [--device D] [--model FOLDER] [--minutes N] [tests|speed|trace|real|configs|all]
# D is cuda:0 (default), or libtorch for the CPU. With --minutes N it ends after N minutes, and the same command goes on from there.
set -euo pipefail
python=python3
[[ ${1:-} != --python ]] || { python=${2:?--python needs a path} && shift 2; }
[[ $python != */* || $python == /* ]] || python=$PWD/$python
arguments=()
while [[ $# != 0 ]]; do # A model's folder is the caller's.
    if [[ $1 == --model ]]; then arguments+=(--model "$(realpath "${2:?--model needs a folder}")") && shift; else arguments+=("$1"); fi
    shift
done
cd "$(dirname "${BASH_SOURCE[0]}")"
wanted=$(<TORCH_VERSION)
fail() { echo "error: $*" >&2 && exit 2; }
command -v "$python" >/dev/null || fail "there is no program $python: name a Python that has torch $wanted with --python PATH"
found=$("$python" -c '
from importlib import metadata, util
spec = util.find_spec("torch")
print(spec and spec.submodule_search_locations[0], spec and metadata.version("torch"))')
torch=${found% *} version=${found##* }
[[ $torch != None ]] || fail "$python has no torch: this bundle needs torch $wanted"
[[ $version == "$wanted".* ]] || fail "$python has torch $version: this bundle needs $wanted; make one with scripts/install-libtorch.sh --python"
libraries=$torch/lib
for folder in "$torch"/../nvidia/*/lib; do [[ ! -d $folder ]] || libraries+=:$folder; done # CUPTI's, for the trace.
export PATH LD_LIBRARY_PATH=$libraries PYTHON=$python BUNDLE=1 HOME=${HOME:-$PWD/tmp}
exec 9<. # What the tests read, as /dev/fd/9.
exec bash scripts/check-gpu.sh "${arguments[@]}"
RUN
mkdir -p "$(dirname "$output")"
# Sorted and without owners, so that equal contents give equal bundles.
tar c --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$folder" . | xz -6 -T2 >"$output.partial"
mib=$((($(stat -c %s "$output.partial") + (1 << 20) - 1) >> 20))
[[ $mib -lt $limit_mib ]] || { rm "$output.partial" && echo "error: the bundle has $mib MiB, and may have $limit_mib" >&2 && exit 2; }
mv "$output.partial" "$output"
echo "$output: $mib MiB, for torch $version"
