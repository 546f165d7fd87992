#!/usr/bin/env bash
# Several hosts on one Linux machine: each with its own network, name, home and shared memory, and one core. The rest of the disk,
# with the programs, is the same for all.
#
#     sudo env "PATH=$PATH" examples/cluster/hosts.sh 2 'limitbench run families --results /mnt --cluster $HEAD'
#
# The command runs beside the head of the cluster, on a host without cores, which alone has ./results, as /mnt. $HEAD is the cluster's
# address.
# Needs root, iproute2, and an environment with limitbench[all,ray] on the PATH. All is undone at the end.
set -euo pipefail
count=$1 command=$2 net=10.77.0 port=6400 bridge=lb$$  # names of interfaces have 15 characters at most
keep=$PWD/results
((count > 0 && count < 200)) || { echo "expected 1 to 199 hosts, found $count" >&2; exit 2; }
for needed in ray ip unshare; do
    command -v "$needed" >/dev/null || { echo "$needed is not on the PATH" >&2; exit 2; }
done
homes=/run/lb$$  # where each host has its home
mkdir -p "$keep" "$homes" /tmp/ray
export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token OMP_NUM_THREADS=1 HEAD=$net.200:$port
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN

undo() {
    for number in 200 $(seq "$count"); do
        ip netns pids "lb$$-$number" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns del "lb$$-$number" 2>/dev/null || true
    done
    ip link del $bridge 2>/dev/null || true
    for _ in 1 2 3 4 5; do rmdir "$homes" 2>/dev/null && break || sleep 0.5; done  # not before its last mount is gone
}
trap undo EXIT

# host NUMBER COMMAND: runs it on that host
host() {
    ip netns exec "lb$$-$1" unshare --mount --uts --pid --fork --mount-proc bash -euc "
        hostname lb$1; mount --make-rprivate /
        if [ $1 = 200 ]; then mount --bind '$keep' /mnt; fi
        for place in $homes /tmp/ray /dev/shm; do mount -t tmpfs tmpfs \$place; done
        export HOME=$homes TMPDIR=$homes; cd
        $2"
}

ip link add $bridge type bridge
ip link set $bridge up
for number in 200 $(seq "$count"); do
    ip netns add "lb$$-$number"
    ip link add "lb$$-$number" type veth peer name eth0 netns "lb$$-$number"
    ip link set "lb$$-$number" master $bridge up
    ip -n "lb$$-$number" addr add "$net.$number/24" dev eth0
    ip -n "lb$$-$number" link set eth0 up
    ip -n "lb$$-$number" link set lo up
done

# workers ask until the head answers; the command waits until all of them are there
for number in $(seq "$count"); do
    host "$number" "
        until ray start --address $HEAD --node-ip-address $net.$number --num-cpus 1 --block; do sleep 1; done" >/dev/null 2>&1 &
done
host 200 "
    ray start --head --node-ip-address $net.200 --port $port --num-cpus 0 --include-dashboard=false >/dev/null
    for _ in {1..30}; do
        python -c 'import ray; ray.init(\"auto\", logging_level=\"ERROR\"); exit(ray.cluster_resources().get(\"CPU\", 0) < $count)' 2>/dev/null \
            && there=1 && break
        sleep 1
    done
    [ \${there:-} ] || { echo 'the hosts did not come up' >&2; exit 1; }
    $command"
