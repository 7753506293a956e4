#!/usr/bin/env bash
# Runs SLURM on the two nodes that two-nodes.sh makes, to test job scripts: two processors and two slots per node, no GPU, accounts or
# cgroups. Needs root and Debian's slurm-wlm and munge. Its files are in $SQUAD_SLURM (default /run/squad-slurm).
#
#   slurm.sh up                  makes the nodes, starts munged, slurmctld and a slurmd on each
#   slurm.sh run COMMAND…        runs srun, sbatch, squeue … on the first node
#   slurm.sh down                stops and removes everything
set -euo pipefail

nodes=$(dirname "$(realpath "$0")")/two-nodes.sh
folder=${SQUAD_SLURM:-/run/squad-slurm}
prefix=${TWO_NODES_PREFIX:-squad}
export SLURM_CONF=$folder/slurm.conf

configure() {
    local memory
    memory=$(awk '/MemTotal/ { print int($2 / 1024 / 2) }' /proc/meminfo)
    cat >"$SLURM_CONF" <<END
ClusterName=squad
SlurmctldHost=$prefix-node1(10.77.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
MpiDefault=pmix
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
NodeName=$prefix-node1 NodeAddr=10.77.0.1 CPUs=2 RealMemory=$memory
NodeName=$prefix-node2 NodeAddr=10.77.0.2 CPUs=2 RealMemory=$memory
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
    echo "PMIxCliTmpDirBase=$folder/pmix" >"$folder/mpi.conf"
    # No cgroup is used, but slurmd starts a plugin for them; this one needs none of the system's.
    echo CgroupPlugin=cgroup/v1 >"$folder/cgroup.conf"
}

run() { "$nodes" on 10.77.0.1 "$(printf '%q ' "$@")"; }

up() {
    "$nodes" up
    mkdir -p "$folder/state" "$folder/pmix" "$folder"/{spool,pmix}."$prefix"-node{1,2}
    configure
    (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
    munged --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
        --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
    run slurmctld
    local number node
    for number in 1 2; do
        node=$prefix-node$number
        # The nodes share a disk, and files of their PMIx servers would have the same names.
        "$nodes" on "10.77.0.$number" unshare --mount sh -c \
            "'mount --bind $folder/pmix.$node $folder/pmix && exec slurmd -N $node'"
    done
    for _ in {1..100}; do
        [[ $(run sinfo -h -N -t idle 2>/dev/null | wc -l) == 2 ]] && return
        sleep 0.2
    done
    echo "slurm.sh: the nodes are not idle; see $folder/*.log" >&2
    return 1
}

down() {
    "$nodes" down
    local pid=$folder/munged.pid
    [[ ! -e $pid ]] || kill "$(<"$pid")"
    # It removes the file at its end.
    for _ in {1..50}; do [[ ! -e $pid ]] || sleep 0.1; done
    rm -rf "$folder"
}

case ${1:-} in
    up | down) "$1" ;;
    run)
        shift
        run "$@"
        ;;
    *)
        sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
