#!/usr/bin/env bash
# Starts or resumes the run of a job, and requeues the job if a signal stopped it with a checkpoint. The job scripts call it:
#
#   slurm/run.sh CONFIG [KEY=VALUE…]       within a job, in the workspace's root
#
# RUN_DIR is the run's folder on a disk that all nodes share (default runs/NAME-JOBID); the ranks' logs lie in RUN_DIR-logs. TRAINER is
# the program (default target/debug/trainer); build it first: cargo build -p trainer --features nccl, or mpi without GPUs.
set -euo pipefail

config=$1
shift
run=${RUN_DIR:-runs/$SLURM_JOB_NAME-$SLURM_JOB_ID}
trainer=${TRAINER:-target/debug/trainer}
logs=$run-logs
mkdir -p "$logs"

start=(--config "$config" --run-dir "$run")
if compgen -G "$run/checkpoints/step-*" >/dev/null; then
    start=(--resume "$run")
elif [[ -e $run/config.toml ]]; then
    # The run ended before its first checkpoint: start again.
    mv "$run" "$run.ended-$(date +%s)"
fi
echo "$(date +%T) start ${SLURM_RESTART_COUNT:-0} on $SLURM_JOB_NODELIST: ${start[*]}"

code=0
srun --mpi=pmix --kill-on-bad-exit=1 --output="$logs/rank-%t.log" --open-mode=append "$trainer" "${start[@]}" "$@" || code=$?
echo "$(date +%T) the ranks ended with $code"
if [[ $code == 75 ]]; then
    scontrol requeue "$SLURM_JOB_ID"
    # SLURM kills this script.
    sleep 60
fi
exit "$code"
