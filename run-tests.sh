#!/bin/sh
# run-tests.sh: gets packages, builds, and runs every test there is.
#
#     ./run-tests.sh [--require-live] [--quick]
#     ./run-tests.sh --build    get packages and build, no more
#
# --require-live   a skipped test is a failure
# --quick          unit and component tests, source checks, the quickstart and the system tests; not the conformance
#                  corpus, the model, the Debian packages, the booted systemd, and the second run as another user
#
# Ends with the skipped tests by reason, and `N passed, N failed, N skipped`; exits with 1 if a test
# failed, or was skipped although it could have run here. Details are in build/*.log.
set -eu

top=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/packages.sh
. "$top/scripts/packages.sh"
# shellcheck source=scripts/build.sh
. "$top/scripts/build.sh"

require_live=no
quick=no
build_only=no
for option; do
    case $option in
    --require-live) require_live=yes ;;
    --quick) quick=yes ;;
    --build) build_only=yes ;;
    -h | --help)
        sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
        exit 0 ;;
    *)
        echo "usage: run-tests.sh [--require-live] [--quick], or run-tests.sh --build" >&2
        exit 2 ;;
    esac
done

# shellcheck disable=SC2086 # lists
packages_install $packages_build $packages_test $packages_deb
# shellcheck disable=SC2086 # a list
packages_install_optional $packages_test_optional
# shellcheck disable=SC2086 # a list
build_all $packages_test
[ $build_only = no ] || exit 0

scratch=$(mktemp -d "${TMPDIR:-/tmp}/stillpoint-tests.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# One line for each test of all parts: `pass NAME`, `fail NAME`, `skip NAME # REASON`.
results=$scratch/results
: >"$results"

# The distribution's own python3, which sees the modules of its packages, before any other.
python3=$(PATH="/usr/bin:$PATH" command -v python3)

live=no
unshare -Urpmn true 2>/dev/null && live=yes

# part LABEL FUNCTION: runs it, shows what it prints, and takes its lines from $part. A part that
# failed without naming a failed test, or that named no test at all, is itself a failed test.
part() {
    label=$1
    part=$scratch/part
    : >"$part"
    start=$(date +%s)
    echo
    echo "== $label"
    code=0
    "$2" || code=$?
    if [ "$code" -ne 0 ] && ! grep -q '^fail ' "$part"; then
        echo "fail $label ended with status $code" >>"$part"
    elif [ ! -s "$part" ]; then
        echo "fail $label ran no test" >>"$part"
    fi
    cat "$part" >>"$results"
    echo "-- $label: $(grep -c '^pass ' "$part") passed, $(grep -c '^fail ' "$part") failed," \
        "$(grep -c '^skip ' "$part") skipped in $(($(date +%s) - start)) s"
}

# make's harness leaves for each test program what it printed (.log) and a verdict (.trs).
make_check() {
    find "$top/build/tests" -name '*.trs' -exec rm -f {} +
    code=0
    make -C "$top/build" -k -j "$(nproc)" check >"$top/build/check.log" 2>&1 || code=$?
    grep -E '^(FAIL|ERROR|XPASS):|\*\*\*.*Error' "$top/build/check.log" || true
    find "$top/build/tests" -name '*.trs' | sort | while read -r trs; do
        program=${trs#"$top/build/tests/"}
        program=${program%.trs}
        awk -v program="$program" '
            /^ok .*# SKIP/ { print "skip " program ": " $0; next }
            /^ok / { print "pass " program ": " $0; n++ }
            /^not ok / { print "fail " program ": " $0; failed++ }
            /^:global-test-result: (FAIL|ERROR)/ && !failed { print "fail " program }
        ' "${trs%.trs}.log" "$trs" | sed 's/: \(not \)\{0,1\}ok [0-9]* *-* */: /'
    done >>"$part"
    return "$code"
}

# What the README shows first. It fails by itself where something ran in a stopped world.
quickstart() {
    log=$top/build/quickstart.log
    if "$top/quickstart.sh" >"$log" 2>&1 && grep -q '^default: stopped, .* 4 of 4 in ' "$log" &&
        grep -q '^stillpointd ended with status 0' "$log"; then
        echo "pass quickstart" >>"$part"
    else
        tail -n 40 "$log"
        echo "fail quickstart" >>"$part"
    fi
}

# With a worker that each daemon keeps ready for the next VM, as a service's does; without one as nobody.
system() {
    STILLPOINT_SPARE=yes "$python3" -B "$top/tests/system/run.py" --build "$top/build" --results "$part"
}

packages() {
    "$python3" -B "$top/tests/packages/run.py" --build "$top/build" --results "$part"
}

# The distribution's tree, which is read from its packages. What is wrong with it the tests themselves say.
booted_tree() {
    "$python3" -B "$top/tests/booted/run.py" --build "$top/build" --tree >"$top/build/booted-tree.log" 2>&1 || true
}

booted() {
    "$python3" -B "$top/tests/booted/run.py" --build "$top/build" --results "$part"
}

conformance() {
    code=0
    "$top/tests/conformance/run" -j "$(nproc)" "$top/build/stillctl" --private run \
        >"$top/build/conformance.log" 2>&1 || code=$?
    grep -v '^ok ' "$top/build/conformance.log" || true
    sed -n -e 's/^ok /pass conformance\//p' -e 's/^not ok /fail conformance\//p' \
        "$top/build/conformance.log" >>"$part"
    return "$code"
}

# Its table: name | what | expected | result | …
model() {
    code=0
    "$top/shared-mem/model/run" --quick >"$top/build/model.log" 2>&1 || code=$?
    awk -F ' *[|] *' '
        /^SKIP: / { sub(/^SKIP: /, ""); print "skip model # " $0 }
        NF != 7 || $1 == "name" { next }
        { split($3, expected, " "); print ($4 == expected[1] ? "pass" : "fail") " model/" $1 }
    ' "$top/build/model.log" >>"$part"
    [ "$code" -ne 77 ] || return 0
    [ "$code" -eq 0 ] || tail -n 20 "$top/build/model.log"
    return "$code"
}

# The system tests again without any privilege, from a copy that this user can read.
as_nobody() {
    copy=$scratch/copy
    mkdir -p "$copy/build" "$copy/tests" "$copy/docs" "$copy/proto" "$scratch/tmp"
    for program in stillpointd stillctl stillpoint-gdbserver; do
        cp "$top/build/$program" "$copy/build/"
    done
    cp "$top"/build/stillpoint-worker-* "$copy/build/"
    mkdir -p "$copy/build/tests/support" "$copy/build/docs/examples"
    cp "$top/build/docs/examples/audit" "$copy/build/docs/examples/"
    cp "$top/build/tests/support/inject" "$top"/build/tests/support/*.so "$copy/build/tests/support/"
    cp -r "$top/tests/system" "$top/tests/support" "$top/tests/protocol" "$copy/tests/"
    mkdir "$copy/tests/hostile"
    cp "$top/tests/hostile/syscalls.golden" "$copy/tests/hostile/"
    cp "$top"/proto/*.proto "$copy/proto/"
    [ ! -d "$top/docs/schemas" ] || cp -r "$top/docs/schemas" "$copy/docs/"
    [ ! -d "$top/examples" ] || cp -r "$top/examples" "$copy/"
    mkdir "$copy/packaging"
    cp -r "$top/packaging/completions" "$copy/packaging/"
    chmod -R a+rX "$copy"
    chmod 755 "$scratch"
    chmod 1777 "$scratch/tmp"
    : >"$scratch/tmp/results"
    chmod 666 "$scratch/tmp/results"
    code=0
    setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --inh-caps=-all \
        env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME=/nonexistent TMPDIR="$scratch/tmp" \
        "$python3" -B "$copy/tests/system/run.py" --build "$copy/build" \
        --results "$scratch/tmp/results" || code=$?
    sed 's/^\([a-z]*\) /\1 nobody:/' "$scratch/tmp/results" >>"$part"
    return "$code"
}

part "unit and component tests, source checks" make_check
part "quickstart" quickstart
part "system tests as $(id -un)" system
if [ $quick = no ]; then
    if [ "$(id -u)" -eq 0 ]; then
        part "system tests as nobody" as_nobody
    fi
    booted_tree & # much of lintian has one thread
    tree=$!
    part "Debian packages" packages
    wait "$tree"
    part "tests in a booted systemd" booted
    part "conformance to node 20" conformance
    part "model" model
fi

# ---- the result

passed=$(grep -c '^pass ' "$results" || true)
failed=$(grep -c '^fail ' "$results" || true)
skipped=$(grep -c '^skip ' "$results" || true)

echo
if [ "$skipped" -gt 0 ]; then
    echo "Skipped, by reason:"
    sed -n 's/^skip .*# *\(SKIP *\)\{0,1\}//p' "$results" | sort | uniq -c | sort -rn
    if [ $require_live = yes ]; then
        echo "--require-live: each of them counts as failed"
        failed=$((failed + skipped))
    elif [ $live = yes ] && grep -q '^skip .*# .*live:' "$results"; then
        echo "A live test was skipped although user namespaces work here (unshare -Urpmn true): failed"
        failed=$((failed + $(grep -c '^skip .*# .*live:' "$results")))
    fi
    echo
fi
if [ "$failed" -gt 0 ]; then
    echo "Failed:"
    sed -n 's/^fail /    /p' "$results"
    echo
fi
if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
