#!/bin/sh
# quickstart.sh: from a fresh clone to a stopped world.
#
#     ./quickstart.sh            get packages, build, and show it at work
#     ./quickstart.sh --build    get packages and build, no more
#
# Needs Debian and, where packages are missing, root or sudo. Leaves build/ behind and nothing else.
set -eu

top=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/packages.sh
. "$top/scripts/packages.sh"
# shellcheck source=scripts/build.sh
. "$top/scripts/build.sh"

case $#:${1:-} in
0:) build_only=no ;;
1:--build) build_only=yes ;;
1:-h | 1:--help)
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
    exit 0 ;;
*)
    echo "usage: quickstart.sh [--build]" >&2
    exit 2 ;;
esac

# shellcheck disable=SC2086 # lists
packages_install $packages_build
# shellcheck disable=SC2119 # without them there is no build
build_all
[ $build_only = no ] || exit 0

# ---- the demonstration

dir=$(mktemp -d "${TMPDIR:-/tmp}/stillpoint.XXXXXX")
daemon=
# shellcheck disable=SC2317 # called by the trap
finish() {
    code=$?
    trap '' EXIT INT TERM
    if [ -n "$daemon" ]; then
        kill "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    if [ "$code" -ne 0 ] && [ -s "$dir/log" ]; then
        echo "The daemon said:" >&2
        tail -n 20 "$dir/log" >&2
    fi
    rm -rf "$dir"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ctl() {
    "$top/build/stillctl" -s "$dir/control.sock" "$@"
}

# Prints a command as one would type it, then runs it.
show() {
    printf '\n$ stillctl %s\n' "$*"
    ctl "$@"
}

# name, CPU time of the thread that runs the guest (ns, from the kernel), lines it has logged, how often
# that thread was put on a CPU.
activity() {
    ctl list -o json | jq -r '.[] | "\(.name) \(.pid)"' | while read -r name pid; do
        read -r cpu _ runs <"/proc/$pid/task/$pid/schedstat"
        echo "$name $cpu $(ctl logs "$name" | wc -l) $runs"
    done
}

printf '\n$ stillpointd --socket %s/control.sock &\n' "$dir"
"$top/build/stillpointd" --socket "$dir/control.sock" 2>"$dir/log" &
daemon=$!
# There is nothing to wait on before the socket is there.
tries=0
until ctl version >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ $tries -gt 200 ] || ! kill -0 "$daemon" 2>/dev/null; then
        echo "quickstart: stillpointd did not come up" >&2
        exit 1
    fi
    sleep 0.05
done

cd "$top/examples"
show run -d --name hot-js hot-loop.js
show run -d --name hot-wasm hot-loop.wasm
show run -d ticker.js
show run -d waiter.js
ctl wait hot-js --for=active --timeout=10s
ctl wait hot-wasm --for=active --timeout=10s
ctl wait ticker --for=idle --timeout=10s
sleep 0.5
show list

show world stop --deadline 2s
activity >"$dir/stopped"
show list
echo
echo "Now wait a second, and compare what the kernel and the logs say of each VM:"
sleep 1
activity >"$dir/still"
paste -d' ' "$dir/stopped" "$dir/still" | awk '
    BEGIN { printf "%-10s %15s %28s %14s\n", "VM", "times on a CPU", "CPU time in that second", "lines logged" }
    {
        printf "%-10s %15d %25d us %14d\n", $1, $8 - $4, ($6 - $2) / 1000, $7 - $3
        # One that wakes up by itself sees the closed gate and parks.
        if ($8 - $4 > 2 || $7 != $3) ran = ran " " $1
    }
    END { if (ran) { print "quickstart: ran in a stopped world:" ran > "/dev/stderr"; exit 1 } }'

show world bt
show continue ticker --only
sleep 0.5
show world stop --enforce
show list

show world resume
sleep 0.5
activity >"$dir/resumed"
echo
paste -d' ' "$dir/still" "$dir/resumed" | awk '
    BEGIN { printf "%-10s %28s %14s\n", "VM", "CPU time since the resume", "lines logged" }
    { printf "%-10s %25d us %14d\n", $1, ($6 - $2) / 1000, $7 - $3 }'
printf '\n$ stillctl logs -n 3 ticker      # its clock stood still\n'
ctl logs -n 3 ticker

show world gc

echo
echo "A breakpoint in one VM: the whole world holds still."
show break add ticker ticker.js:3:19
ctl wait ticker --for=stopped --timeout=10s
show bt ticker
show eval ticker ticks
show break rm --all
show continue ticker

echo
echo "An auditor stops nobody, and stays when this call has ended:"
show audit add ticker --on enter-frame --capture expr=ticks --keep
sleep 0.35
show audit tail
show audit list
show audit rm --all

show kill hot-js hot-wasm ticker waiter
show list
kill "$daemon"
code=0
wait "$daemon" || code=$?
daemon=
echo
echo "stillpointd ended with status $code."
exit $code
