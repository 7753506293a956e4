#!/usr/bin/env bash
# Tests what needs an NVIDIA GPU: the build, kernels, short runs in each precision against the CPU's, resuming, a timing; NCCL, with two
# ranks if there are two GPUs. Exit code 0 if all passed, 1 if not, 2 without a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-libtorch.sh
cargo build --locked -p trainer --features cuda
trainer=${CARGO_TARGET_DIR:-target}/debug/trainer
"$trainer" devices
if ! "$trainer" devices --json | grep -q '"cuda:0"'; then
    echo "no GPU is here, so nothing was checked: $("$trainer" devices | sed -n 's/^cuda *not present: //p')" >&2
    exit 2
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
encoder=sentence-transformers/all-MiniLM-L6-v2 # The quick start's.
summary=()
failed=0

check() { # NAME COMMAND...
    local name=$1 start=$SECONDS outcome=ok
    shift
    echo "== $name"
    "$@" || { outcome=FAILED && failed=1; }
    summary+=("$(printf '%-7s %4d s  %s' $outcome $((SECONDS - start)) "$name")")
}

tests() { # BINARY FILTER...
    local binary=$1
    shift
    cargo test --locked --workspace --features trainer/cuda --test "$binary" -- "$@"
}

# The quick start's first steps without dropout, whose masks differ from device to device.
steps() { # RUN SETTING...
    local run=$1
    shift
    "$trainer" --run-dir "$scratch/$run" train.dropout=false train.max_steps=20 eval.max_eval_samples=8 "$@" >"$scratch/$run.log" 2>&1 ||
        { tail -n 3 "$scratch/$run.log" && return 1; }
}

# The largest difference between the losses of two runs is below a limit.
same_losses() { # RUN OTHER LIMIT
    python3 - "$scratch/$1/metrics.jsonl" "$scratch/$2/metrics.jsonl" "$3" <<'PYTHON'
import json, sys

def losses(path):
    lines = map(json.loads, open(path))
    return [line["train/loss"] for line in lines if "train/loss" in line]

one, other, limit = losses(sys.argv[1]), losses(sys.argv[2]), float(sys.argv[3])
largest = max(abs(a - b) for a, b in zip(one, other, strict=True))
print(f"{len(one)} losses, {one[0]:.4f} to {one[-1]:.4f}; they differ by {largest:.2e} at most (limit {limit:g})")
sys.exit(not largest < limit)
PYTHON
}

precision() { # NAME LIMIT SETTING...
    local name=$1 limit=$2
    shift 2
    steps "$name" run.device=cuda:0 "$@" && same_losses cpu "$name" "$limit"
}

# A GPU adds in any order, so equal runs differ a little.
resume() {
    local whole=(run.device=cuda:0 train.num_train_epochs=2 eval.max_eval_samples=8 checkpoints.every_steps=5)
    "$trainer" --run-dir "$scratch/whole" "${whole[@]}" >"$scratch/whole.log" 2>&1
    "$trainer" --run-dir "$scratch/stopped" "${whole[@]}" >"$scratch/stopped.log" 2>&1 &
    local process=$! code=0
    until [[ $(grep -c train/loss "$scratch/stopped/metrics.jsonl" 2>/dev/null) -ge 7 ]]; do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.02
    done
    kill -KILL "$process" 2>/dev/null || true
    wait "$process" || code=$?
    [[ $code == 137 ]] || { echo "the run ended before it could be killed: $code" && return 1; }
    "$trainer" --resume "$scratch/stopped" >"$scratch/resumed.log" 2>&1
    same_losses whole stopped 2e-2
}

# The settings of configs/reproductions/a100-baseline.toml on the sample, with random weights of BERT's size.
timing() { # SETTING...
    local model=$scratch/bert-base run
    run=timing-$(printf '%s' "$*" | tr -c 'a-z0-9' -)
    mkdir -p "$model"
    cp configs/shapes/bert-base-uncased/config.json "$("$trainer" fetch model "$encoder")/tokenizer.json" "$model"
    "$trainer" --run-dir "$scratch/$run" --config configs/reproductions/a100-baseline.toml run.device=cuda:0 train.files=datasets/sample/train.json \
        train.max_train_samples=0 train.train_fraction=0 eval.file=datasets/sample/dev.json eval.max_eval_samples=8 eval.metric_for_best_model= \
        model.source="$model" model.init=random train.max_steps=60 "$@" >"$scratch/$run.log" 2>&1 ||
        { tail -n 3 "$scratch/$run.log" && return 1; }
    python3 -c 'import json, sys; print("%.1f features/s" % json.load(open(sys.argv[1]))["features_per_second"])' \
        "$scratch/$run/metrics.json"
}

check "kernels against the references" tests fused_ops gpu --include-ignored
check "logits and gradients against transformers" tests bert_qa gpu --include-ignored
check "training and AdamW against PyTorch" tests trainer parity optimizer
check "devices" tests trainer devices
check "20 steps on the CPU" steps cpu run.device=libtorch
check "20 steps in f32 beside the CPU's" precision highest 1e-3
check "20 steps with TF32 (float32_matmul_precision = high)" precision high 2e-2 run.float32_matmul_precision=high
check "20 steps in bf16" precision bf16 5e-2 run.bf16=true
check "killed and resumed" resume
check "timing of BERT base in f32" timing
check "timing with TF32" timing run.float32_matmul_precision=high
check "timing in bf16" timing run.bf16=true

# Two ranks, each with a GPU and half a batch, against the run on one GPU.
two_ranks() { # RUN LIMIT SETTING...
    local run=$1 limit=$2
    shift 2
    mpirun --allow-run-as-root --oversubscribe -n 2 "$trainer" --run-dir "$scratch/$run" train.dropout=false train.max_steps=20 \
        train.per_device_train_batch_size=4 eval.max_eval_samples=8 "$@" >"$scratch/$run.log" 2>&1 || { tail -n 3 "$scratch/$run.log" && return 1; }
    grep 'processes, .* through NCCL' "$scratch/$run.log" && same_losses highest "$run" "$limit"
}

# NCCL needs a GPU for each rank.
nccl() {
    if ! command -v mpirun >/dev/null; then
        summary+=("SKIPPED           NCCL: no MPI is here (Debian: libopenmpi-dev openmpi-bin libclang-dev)")
        return
    fi
    check "NCCL with one rank" cargo test --locked -p trainer -p process-group --features trainer/nccl --lib --test process_group -- \
        nccl distributed --include-ignored
    if [[ $("$trainer" devices | grep -c '^cuda:') -lt 2 ]]; then
        summary+=("SKIPPED           NCCL between ranks: there is one GPU")
        return
    fi
    check "a build with NCCL" cargo build --locked -p trainer --features nccl
    check "two ranks by DDP" two_ranks ddp 1e-3 distributed.strategy=ddp distributed.verify_params_every_steps=1
    check "two ranks by FSDP" two_ranks fsdp 1e-3 distributed.strategy=fsdp
    check "two ranks by FSDP, grad_op" two_ranks grad-op 1e-3 distributed.strategy=fsdp distributed.sharding_strategy=shard_grad_op
    check "two ranks by DDP, sums in bf16" two_ranks ddp-bf16 5e-2 distributed.strategy=ddp distributed.bf16_compress=true
    check "two ranks by FSDP, sums in bf16" two_ranks fsdp-bf16 5e-2 distributed.strategy=fsdp distributed.bf16_compress=true
}
nccl

echo
printf '%s\n' "${summary[@]}"
exit $failed
