#!/usr/bin/env bash
# What the job scripts have in common: starts the run of a job, or goes on with it, and puts the job back into the queue
# where it was stopped with a checkpoint.
#
#   slurm/run.sh CONFIG [KEY=VALUE…]       within a job, in the workspace's root
#
# RUN_DIR is the run's folder, on a disk that all nodes share (runs/NAME-JOBID); each rank's log lies beside it. TRAINER is the
# program (target/debug/trainer), built before: cargo build -p trainer --features nccl, or mpi where there are no GPUs.
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
    # Ended before its first checkpoint: the run begins again.
    mv "$run" "$run.ended-$(date +%s)"
fi
echo "$(date +%T) start ${SLURM_RESTART_COUNT:-0} on $SLURM_JOB_NODELIST: ${start[*]}"

code=0
srun --mpi=pmix --kill-on-bad-exit=1 --output="$logs/rank-%t.log" --open-mode=append "$trainer" "${start[@]}" "$@" || code=$?
echo "$(date +%T) the ranks ended with $code"
if [[ $code == 75 ]]; then
    scontrol requeue "$SLURM_JOB_ID"
    # SLURM ends this script.
    sleep 60
fi
exit "$code"
