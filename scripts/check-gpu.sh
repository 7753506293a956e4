#!/usr/bin/env bash
# Everything that waits for an NVIDIA GPU. Needs no network. Builds first, except in a bundle of scripts/bundle.sh, whose run.sh calls it.
#   scripts/check-gpu.sh [--device D] [--model FOLDER] [--minutes N] [STAGE...]
# Stages, in this order; without one, `all`:
#   tests       kernels, parity, masks, AdamW; 20 steps in f32, TF32 and bf16 beside the CPU's losses; kill and resume
#   speed       features/s of BERT base in each precision, the trainer's and transformers'; speed-8 and speed-64 are its halves, by batch size
#   trace       busy share of the GPU, launches a step, waits of the host, the longest kernels
#   real        all-MiniLM-L6-v2 (--model) on 7,783 questions in each precision, with the F1 of the CPU
#   configs     each configuration a100-* whole, seconds an epoch
#   nccl        NCCL on one rank; between ranks if there are two GPUs. Not in a bundle
# `--device libtorch` tries the same on the CPU, with small models. Exit code 0 if all passed, 1 if not, 2 without the device, 3 if
# `--minutes` has left checks out: what lasts longer is ended, and in a bundle the same command goes on where this one ended (`rm -r
# scratch` begins again). With OUT, a folder, it gets the log, the summary, the rates and the traces.
set -euo pipefail
cd "$(dirname "$0")/.."

device=cuda:0 model= minutes=1440
while [[ ${1:-} == --* ]]; do
    case $1 in
    --device) device=${2:?--device needs a name} ;;
    --model) model=$(realpath "${2:?--model needs a folder}") ;;
    --minutes) minutes=${2:?--minutes needs a number} ;;
    *) echo "error: unknown option $1: this script knows --device D, --model FOLDER and --minutes N" >&2 && exit 2 ;;
    esac
    shift 2
done
stages=" ${*:-all} "
stages=${stages/ all / tests speed trace real configs nccl }
stages=${stages/ speed / speed-8 speed-64 }
for name in $stages; do
    [[ " tests speed-8 speed-64 trace real configs nccl " == *" $name "* ]] ||
        { echo "error: there is no stage $name: tests, speed, speed-8, speed-64, trace, real, configs, nccl, all" >&2 && exit 2; }
done
[[ $minutes =~ ^([2-9]|[1-9][0-9]{1,3})$ ]] || { echo "error: --minutes $minutes: 2 to 9999 are possible" >&2 && exit 2; }
python=${PYTHON:-python3}
on_gpu() { [[ $device == cuda:* ]]; }

# What this script prints is kept in $OUT as well.
if [[ -n ${OUT:-} ]]; then
    mkdir -p "$OUT"
    exec 3>&1 > >(tee "$OUT/log.txt" >&3) 2>&1
    logger=$!
fi

if [[ -n ${BUNDLE:-} ]]; then
    trainer=debug/trainer
    tests() { limited debug/"test-$1" "${@:2}"; } # BINARY ARGUMENTS...
else
    scripts/install-libtorch.sh
    cargo build --locked -p trainer --features cuda
    trainer=${CARGO_TARGET_DIR:-target}/debug/trainer
    tests() { limited cargo test --locked --workspace --features trainer/cuda --test "$1" -- "${@:2}"; }
fi
"$trainer" devices
if ! "$trainer" devices --json | grep -q "\"$device\""; then
    echo "device $device is not here, so nothing was checked: $("$trainer" devices | sed -n 's/^cuda *not present: //p')" >&2
    exit 2
fi
if on_gpu && command -v nvidia-smi >/dev/null; then nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader; fi

# A bundle keeps what runs leave, for a later call.
if [[ -n ${BUNDLE:-} ]]; then
    scratch=$PWD/scratch
    mkdir -p "$scratch"
else
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
fi
touch "$scratch"/{passed,rates,traces}
summary=()
failed=0
left_out=0

# For programs that a check starts: ends them when the minutes are over.
limited() { timeout --kill-after=5 $((minutes * 60 > SECONDS ? minutes * 60 - SECONDS : 1)) "$@"; }

check() { # NAME COMMAND...
    local name=$1 start=$SECONDS outcome=ok
    shift
    if grep -qxF "$device $name" "$scratch/passed"; then
        summary+=("$(printf '%-7s %4s    %s' ok before "$name")")
        return
    fi
    # None begins in the last minute.
    if ((SECONDS + 60 > minutes * 60)); then
        left_out=1
        summary+=("$(printf '%-7s %4s    %s' LATER "" "$name")")
        return
    fi
    echo "== $name"
    if "$@"; then
        [[ -z ${BUNDLE:-} ]] || echo "$device $name" >>"$scratch/passed"
    elif ((SECONDS >= minutes * 60)); then
        outcome=LATER left_out=1
    else
        outcome=FAILED failed=1
    fi
    summary+=("$(printf '%-7s %4d s  %s' $outcome $((SECONDS - start)) "$name")")
    save
}

# So far, in case the machine ends this script.
save() {
    [[ -n ${OUT:-} ]] || return 0
    printf '%s\n' "${summary[@]}" >"$OUT/summary.txt"
    cp "$scratch/rates" "$OUT/rates.txt"
    cp "$scratch/traces" "$OUT/traces.txt"
}

skipped() { summary+=("SKIPPED           $1"); }

stage() { [[ $stages == *" $1 "* ]]; }

first() { # FILE...
    local file
    for file in "$@"; do [[ -f $file ]] && echo "$file" && return; done
    return 1
}

# The data of a bundle, the shared data, or what is committed, whose vocabulary is small.
data=${SQUAD_DATA:-../shared/data}
tokenizer=$(first data/tokenizer.json "$data/vocab/bert-base-uncased-tokenizer.json" crates/bert-qa/tests/fixtures/tiny-bert/tokenizer.json)
squad() { first "data/$1" "$data/squad/$1" "datasets/sample/$2"; } # FILE SAMPLE
questions=$(squad train-v1.1-random-paragraphs.json train.json)
[[ -n $model || ! -d model ]] || model=$PWD/model # A bundle's.

# A model folder for random weights: BERT base with other numbers of layers, heads and columns.
shape() { # NAME LAYERS HEADS WIDTH
    mkdir -p "$scratch/$1"
    cp "$tokenizer" "$scratch/$1/tokenizer.json"
    sed -E -e "s/(\"num_hidden_layers\": )[0-9]+/\1$2/" -e "s/(\"num_attention_heads\": )[0-9]+/\1$3/" \
        -e "s/(\"hidden_size\": )[0-9]+/\1$4/" -e "s/(\"intermediate_size\": )[0-9]+/\1$((4 * $4))/" \
        configs/shapes/bert-base-uncased/config.json >"$scratch/$1/config.json"
}
if on_gpu; then
    shape minilm 6 12 384
    shape timed 12 12 768
else
    shape minilm 2 4 128
    shape timed 2 2 128
fi

train() { # RUN SETTING...
    local run=$1
    shift
    rm -rf "${scratch:?}/$run"
    limited "$trainer" --run-dir "$scratch/$run" model.init=random eval.max_eval_samples=8 \
        run.float32_matmul_precision=highest "$@" >"$scratch/$run.log" 2>&1 ||
        { tail -n 3 "$scratch/$run.log" && return 1; }
}

# The first steps without dropout, whose masks differ from device to device.
steps() { # RUN SETTING...
    train "$1" model.source="$scratch/minilm" train.dropout=false train.max_steps=20 "${@:2}"
}

# The largest difference between the losses of two runs is below a limit.
same_losses() { # RUN OTHER LIMIT
    "$python" - "$scratch/$1/metrics.jsonl" "$scratch/$2/metrics.jsonl" "$3" <<'PYTHON'
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
    steps "$name" run.device="$device" "$@" && same_losses cpu "$name" "$limit"
}

# A GPU adds in any order, so equal runs differ a little.
resume() {
    local whole=(--run-dir "$scratch/whole" run.device="$device" model.source="$scratch/minilm" model.init=random train.max_steps=30
        eval.max_eval_samples=8 checkpoints.every_steps=5 run.float32_matmul_precision=highest)
    rm -rf "$scratch"/{whole,stopped}
    limited "$trainer" "${whole[@]}" >"$scratch/whole.log" 2>&1
    whole[1]=$scratch/stopped
    "$trainer" "${whole[@]}" >"$scratch/stopped.log" 2>&1 &
    local process=$! code=0
    until [[ $(grep -c train/loss "$scratch/stopped/metrics.jsonl" 2>/dev/null) -ge 7 ]]; do
        kill -0 "$process" 2>/dev/null || break
        sleep 0.02
    done
    kill -KILL "$process" 2>/dev/null || true
    wait "$process" || code=$?
    [[ $code == 137 ]] || { echo "the run ended before it could be killed: $code" && return 1; }
    limited "$trainer" --resume "$scratch/stopped" >"$scratch/resumed.log" 2>&1
    same_losses whole stopped "$(on_gpu && echo 2e-2 || echo 1e-30)"
}

# The rate of a run: the median of the later half of its steps, because the first ones load kernels and fill the allocator.
rate() { # RUN NAME
    "$python" - "$scratch/$1" "$2" "$scratch/rates" <<'PYTHON'
import json, statistics, sys

run, name, rates = sys.argv[1:]
lines = [json.loads(line) for line in open(run + "/metrics.jsonl")]
steps = [line for line in lines if "train/loss" in line]
later = steps[len(steps) // 2:]
rate = {what: statistics.median(line[f"train/{what}_per_second"] for line in later) for what in ("features", "tokens")}
memory = json.load(open(run + "/metrics.json")).get("device_peak_memory_bytes") or 0
print("%.1f features/s, %.0f tokens/s, median of %d steps" % (rate["features"], rate["tokens"], len(later)), end="")
print(f"; peak memory of the device {memory / 2**30:.2f} GiB" if memory else "")
print("trainer", name, rate["features"], memory, file=open(rates, "a"))
PYTHON
}

# BERT base on the questions, with dropout.
timed_steps() { # RUN BATCH_SIZE STEPS SETTING...
    train "$1" run.device="$device" model.source="$scratch/timed" train.files="$questions" train.num_train_epochs=1000 train.max_steps="$3" \
        train.learning_rate=3e-5 train.warmup_ratio=0.1 train.per_device_train_batch_size="$2" eval.file=datasets/sample/dev.json \
        eval.every_epochs=0 eval.metric_for_best_model= checkpoints.every_epochs=0 "${@:4}"
}

timing() { # BATCH_SIZE PRECISION
    timed_steps "timing-$2-$1" "$1" "$(on_gpu && echo 80 || echo 6)" ${settings[$2]} && rate "timing-$2-$1" "$1 $2"
}

# transformers with SDPA and fused AdamW on the same questions.
baseline() { # BATCH_SIZE PRECISION PADDING [--compile]
    local steps=(--steps 80 --warmup-steps 40 --device cuda)
    on_gpu || steps=(--steps 2 --warmup-steps 1)
    limited timeout 180 "$python" benchmarks/transformers_baseline.py train "$scratch/timed" "$questions" --batch-size "$1" --padding "$3" \
        "${steps[@]}" ${baseline_settings[$2]} "${@:4}" >"$scratch/baseline.json" 2>"$scratch/baseline.log" ||
        { tail -n 1 "$scratch/baseline.log" && return 1; }
    "$python" - "$scratch/baseline.json" "$3${4:+-compiled}" "$1 $2" "$scratch/rates" <<'PYTHON'
import json, sys

path, who, name, rates = sys.argv[1:]
result = json.loads(open(path).read().splitlines()[-1])
rate, memory = result["features_per_second"], result.get("device_peak_memory_bytes", 0)
print(f"{rate:.1f} features/s" + (f"; peak memory of the device {memory / 2**30:.2f} GiB" if memory else ""))
print(who, name, rate, memory, file=open(rates, "a"))
PYTHON
}

# The trainer beside transformers. The goals: 2 times the padded and 1.3 times the best, at most half of the padded memory.
ratios() {
    "$python" - "$scratch/rates" <<'PYTHON'
import sys

found = {}
for line in open(sys.argv[1]):
    who, batch, precision, rate, memory = line.split()
    found.setdefault((batch, precision), {})[who] = float(rate), float(memory)
for (batch, precision), of in found.items():
    trainer, baselines = of.get("trainer"), {who: of[who] for who in of if who != "trainer"}
    if not trainer or "padded" not in baselines:
        continue
    best = max(baselines, key=lambda who: baselines[who][0])
    line = f"batches of {batch}, {precision}: {trainer[0] / baselines['padded'][0]:.2f} times the padded, {trainer[0] / baselines[best][0]:.2f} times {best}"
    if trainer[1] and baselines["padded"][1]:
        line += f", {trainer[1] / baselines['padded'][1]:.2f} of the padded memory"
    print(line)
PYTHON
}

declare -A settings=([f32]="" [tf32]="run.float32_matmul_precision=high" [bf16]="run.bf16=true")
declare -A baseline_settings=([f32]="" [tf32]="--float32-matmul-precision high" [bf16]="--bf16")
precisions=(f32 tf32 bf16)

speed() { # BATCH_SIZE
    local precision padding
    for precision in "${precisions[@]}"; do check "trainer, $precision, batches of $1" timing "$1" "$precision"; done
    if ! "$python" -c 'import torch, transformers' 2>/dev/null; then
        skipped "transformers' speed: $python has no torch or no transformers"
        return
    fi
    for precision in "${precisions[@]}"; do
        for padding in padded grouped; do check "transformers $padding, $precision, batches of $1" baseline "$1" "$precision" "$padding"; done
    done
    # In f32 compilation gains least, and it costs a minute.
    if on_gpu; then
        for precision in tf32 bf16; do check "transformers grouped, compiled, $precision, batches of $1" baseline "$1" "$precision" grouped --compile; done
    fi
    ratios
}

# Busy share, launches and waits in the last half second of the steps, and whether launches would be worth a CUDA graph. AdamW's
# kernels mark the steps.
trace() { # PRECISION BATCH_SIZE
    local run=trace-$1-$2 library=$PWD/debug/libcupti_trace.so
    if [[ -z ${BUNDLE:-} ]]; then
        library=$scratch/libcupti_trace.so
        scripts/gpu/build-trace.sh "$(realpath "${LIBTORCH:-.libtorch}")" "$library"
    fi
    CUDA_INJECTION64_PATH=$library TRACE_SECONDS=0.5 TRACE_LAST=FusedAdam timed_steps "$run" "$2" 60 ${settings[$1]} &&
        grep -q '^trace: .* busy ' "$scratch/$run.log" || return 1
    echo "$1, batches of $2:" >>"$scratch/traces"
    sed -n '/^trace: /,$p' "$scratch/$run.log" | tee -a "$scratch/traces"
    "$python" - "$scratch/$run" "$scratch/$run.log" "$2" <<'PYTHON' | tee -a "$scratch/traces"
import json, re, statistics, sys

lines = [line for line in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if "train/loss" in line]
seconds = float(sys.argv[3]) / statistics.median(line["train/features_per_second"] for line in lines[len(lines) // 2:])
found = re.search(r"trace: ([\d.]+) ms, busy ([\d.]+) %, (\d+) kernels and copies, (\d+) waits", open(sys.argv[2]).read())
steps = float(found[1]) / 1e3 / seconds
busy, launches, waits = float(found[2]), int(found[3]) / steps, int(found[4]) / steps
print(f"{steps:.1f} steps of {seconds * 1e3:.2f} ms, traced: {launches:.0f} launches and {waits:.1f} waits a step")
idle = seconds * (1 - busy / 100)
if busy >= 90:
    print(f"The GPU is busy {busy:.0f} % of the time: a CUDA graph would gain {idle * 1e3:.2f} ms a step at most. It is not needed.")
elif waits > 1.5:
    print(f"The GPU idles {idle * 1e3:.2f} ms a step, and the host waits {waits:.1f} times: mend those waits first.")
else:
    print(f"The GPU idles {idle * 1e3:.2f} ms a step, {idle / launches * 1e6:.1f} us for each launch: a CUDA graph of steps of equal shape is worth it.")
PYTHON
}

# all-MiniLM-L6-v2 for two epochs. The CPU's F1 is that of docs/results.md.
real() { # PRECISION
    local run=real-$1 source=$model few=()
    [[ -n $source ]] || { source=$scratch/minilm && few=(model.init=random); }
    rm -rf "${scratch:?}/$run"
    on_gpu || few+=(train.max_train_samples=64 eval.max_eval_samples=32 train.num_train_epochs=1)
    limited "$trainer" --run-dir "$scratch/$run" --config configs/minilm-squad1.toml run.device="$device" model.source="$source" \
        train.files="$questions,$(squad train-v2.0-first10articles.json train.json)" eval.file="$(squad dev-v1.1.json dev.json)" \
        checkpoints.every_epochs=0 ${settings[$1]} "${few[@]}" >"$scratch/$run.log" 2>&1 || { tail -n 3 "$scratch/$run.log" && return 1; }
    "$python" - "$scratch/$run/metrics.json" "${#few[@]}" <<'PYTHON'
import json, sys

metrics, is_whole = json.load(open(sys.argv[1])), sys.argv[2] == "0"
f1 = metrics["eval"]["f1"]
print(f"F1 {f1:.2f}" + (", on the CPU 69.48" if is_whole else " of a part"))
sys.exit(is_whole and abs(f1 - 69.48) > 0.5)
PYTHON
}

# Seconds of the reference's epochs on one A100 for a100-single: 49 in f32, 16 in TF32.
configuration() { # NAME PRECISION
    local run=$1-$2 few=()
    rm -rf "${scratch:?}/$run"
    on_gpu || few=(train.max_train_samples=32 train.num_train_epochs=1)
    limited "$trainer" --run-dir "$scratch/$run" --config "configs/reproductions/$1.toml" run.device="$device" model.source="$scratch/timed" \
        model.init=random train.files="$(squad dev-v2.0.json train.json)" ${settings[$2]} "${few[@]}" >"$scratch/$run.log" 2>&1 ||
        { tail -n 3 "$scratch/$run.log" && return 1; }
    "$python" - "$scratch/$run" <<'PYTHON'
import json, sys

metrics = json.load(open(sys.argv[1] + "/metrics.json"))
epochs = max(line["epoch"] for line in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if "train/loss" in line)
print("%d steps; %.1f s of training an epoch, %.1f s in all" % (metrics["steps"], metrics["training_seconds"] / epochs, metrics["seconds"]))
PYTHON
    rm -rf "${scratch:?}/$run"
}

if stage tests; then
    if on_gpu; then
        check "kernels against the references" tests fused_ops gpu --include-ignored --test-threads=1
        check "logits and gradients against transformers" tests bert_qa gpu --include-ignored --test-threads=1
    else
        check "kernels against the references" tests fused_ops --skip gpu
        check "logits and gradients against transformers" tests bert_qa parity gradients
    fi
    check "training and AdamW against PyTorch" tests trainer parity optimizer
    check "devices" tests trainer devices
    check "20 steps on the CPU" steps cpu run.device=libtorch
    check "20 steps in f32 beside the CPU's" precision highest 1e-3
    check "20 steps with TF32 (float32_matmul_precision = high)" precision high 2e-2 run.float32_matmul_precision=high
    check "20 steps in bf16" precision bf16 5e-2 run.bf16=true
    check "killed and resumed" resume
fi
for batch in 8 64; do
    if stage speed-$batch; then speed $batch; fi
done
if stage trace; then
    if on_gpu; then
        for precision in tf32 bf16; do
            for batch in 8 64; do check "trace, $precision, batches of $batch" trace $precision $batch; done
        done
    else
        skipped "trace: no GPU"
    fi
fi
if stage real; then
    [[ -n $model ]] || skipped "F1 beside the CPU's: no --model FOLDER with all-MiniLM-L6-v2, so weights are random"
    for precision in "${precisions[@]}"; do check "real run, $precision" real "$precision"; done
fi
if stage configs; then
    for name in a100-baseline a100-single a100-ddp a100-fsdp; do
        for precision in f32 tf32; do check "$name, $precision" configuration $name $precision; done
    done
fi

# Two ranks, each with a GPU and half a batch, against the run on one GPU.
two_ranks() { # RUN LIMIT SETTING...
    local run=$1 limit=$2
    shift 2
    mpirun --allow-run-as-root --oversubscribe -n 2 "$trainer" --run-dir "$scratch/$run" model.init=random model.source="$scratch/minilm" \
        train.dropout=false train.max_steps=20 train.per_device_train_batch_size=4 eval.max_eval_samples=8 \
        run.float32_matmul_precision=highest "$@" >"$scratch/$run.log" 2>&1 ||
        { tail -n 3 "$scratch/$run.log" && return 1; }
    grep 'processes, .* through NCCL' "$scratch/$run.log" && same_losses highest "$run" "$limit"
}

# NCCL needs a GPU for each rank.
nccl() {
    on_gpu || { skipped "NCCL: no GPU" && return; }
    [[ -z ${BUNDLE:-} ]] || { skipped "NCCL: a bundle has no MPI" && return; }
    command -v mpirun >/dev/null || { skipped "NCCL: no MPI is here (Debian: libopenmpi-dev openmpi-bin libclang-dev)" && return; }
    check "NCCL with one rank" cargo test --locked -p trainer -p process-group --features trainer/nccl --lib --test process_group -- \
        nccl distributed --include-ignored
    [[ $("$trainer" devices | grep -c '^cuda:') -ge 2 ]] || { skipped "NCCL between ranks: there is one GPU" && return; }
    check "a build with NCCL" cargo build --locked -p trainer --features nccl
    stage tests || check "20 steps in f32" steps highest run.device=cuda:0
    check "two ranks by DDP" two_ranks ddp 1e-3 distributed.strategy=ddp distributed.verify_params_every_steps=1
    check "two ranks by FSDP" two_ranks fsdp 1e-3 distributed.strategy=fsdp
    check "two ranks by FSDP, shard_grad_op" two_ranks grad-op 1e-3 distributed.strategy=fsdp distributed.sharding_strategy=shard_grad_op
    check "two ranks by DDP, sums in bf16" two_ranks ddp-bf16 5e-2 distributed.strategy=ddp distributed.bf16_compress=true
    check "two ranks by FSDP, sums in bf16" two_ranks fsdp-bf16 5e-2 distributed.strategy=fsdp distributed.bf16_compress=true
}
if stage nccl; then nccl; fi

echo
printf '%s\n' "${summary[@]}"
save
if [[ -n ${OUT:-} ]]; then
    exec >&3 2>&3
    wait "$logger"
fi
[[ $failed == 0 ]] || exit 1
[[ $left_out == 0 ]] || exit 3
