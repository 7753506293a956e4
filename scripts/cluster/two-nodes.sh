#!/usr/bin/env bash
# Makes two nodes on one machine: network namespaces with host names, joined by a bridge. Needs root, iproute2 and Open MPI.
#
#   two-nodes.sh up                      makes the nodes
#   two-nodes.sh mpirun ARGS…            runs mpirun on the first node: two slots on each, TCP between them
#   two-nodes.sh cut | heal              cuts the second node off the network and back: frames are lost, links stay up
#   two-nodes.sh on ADDRESS LINE…        runs a shell command on the node 10.77.0.1 or 10.77.0.2
#   two-nodes.sh down                    removes the nodes and kills what runs in them
#
# Host names and namespaces begin with $TWO_NODES_PREFIX (default squad).
set -euo pipefail

network=10.77.0
prefix=${TWO_NODES_PREFIX:-squad}
nodes=("$prefix-node1" "$prefix-node2")
switch=$prefix-switch

on() { # ADDRESS COMMAND...
    local node=$prefix-node${1##*.}
    shift
    exec ip netns exec "$node" unshare --uts sh -c "hostname $node; exec \"\$@\"" sh "$@"
}

up() {
    ip netns add "$switch"
    # Without a delay, in which a new port does not forward.
    ip -n "$switch" link add bridge type bridge forward_delay 0
    ip -n "$switch" link set bridge up
    local number node
    for number in 1 2; do
        node=${nodes[number - 1]}
        ip netns add "$node"
        ip -n "$node" link set lo up
        ip -n "$node" link add eth0 type veth peer name "port$number" netns "$switch"
        ip -n "$node" address add "$network.$number/24" dev eth0
        ip -n "$node" link set eth0 up
        ip -n "$switch" link set "port$number" master bridge up
    done
}

down() {
    local name pids
    for name in "${nodes[@]}" "$switch"; do
        ip netns list | grep -qw "$name" || continue
        pids=$(ip netns pids "$name")
        # shellcheck disable=SC2086
        [[ -z $pids ]] || kill -KILL $pids
        for _ in {1..50}; do [[ -z $(ip netns pids "$name") ]] || sleep 0.1; done
        ip netns delete "$name"
    done
}

launch() {
    local self
    self=$(realpath "$0")
    on "$network.1" mpirun --allow-run-as-root --host "$network.1:2,$network.2:2" \
        --mca plm_rsh_agent "$self on" --mca btl tcp,vader,self \
        --mca btl_tcp_if_include "$network.0/24" --mca oob_tcp_if_include "$network.0/24" "$@"
}

case ${1:-} in
    up | down) "$1" ;;
    cut) ip netns exec "$switch" bridge link set dev port2 state 0 ;;
    heal) ip netns exec "$switch" bridge link set dev port2 state 3 ;;
    on)
        address=$2
        shift 2
        # As ssh does, for mpirun takes this for its remote shell.
        on "$address" sh -c "$*"
        ;;
    mpirun)
        shift
        launch "$@"
        ;;
    *)
        sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
