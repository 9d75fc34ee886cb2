# scripts/build.sh: builds the tree in build/. For quickstart.sh and run-tests.sh, which source it
# after they have set `top` to the top of the tree. POSIX sh.
#
# shellcheck shell=sh
# shellcheck disable=SC2154 # top

# step LABEL COMMAND...: runs it with its output in build/LABEL.log; shows the end of that on failure.
step() {
    label=$1
    shift
    start=$(date +%s)
    printf '%s ... ' "$label"
    if "$@" >"$top/build/$label.log" 2>&1; then
        echo "done ($(($(date +%s) - start)) s)"
        return 0
    fi
    echo "failed"
    tail -n 40 "$top/build/$label.log" >&2
    echo "The whole output is in build/$label.log" >&2
    return 1
}

build_autoreconf() {
    (cd "$top" && autoreconf -fi)
}

build_configure() {
    (cd "$top/build" && "$top/configure" --enable-silent-rules)
}

build_make() {
    make -C "$top/build" -j "$(nproc)" "$@"
}

# True if there is nothing to build. Asks without writing, so that a tree which another user has
# built can be used.
build_is_current() {
    [ -f "$top/build/Makefile" ] && make -C "$top/build" -q stillpointd stillctl \
        stillpoint-worker-mozjs stillpoint-worker-fake >/dev/null 2>&1
}

build_all() {
    if build_is_current; then
        echo "build/ is up to date"
        return 0
    fi
    if ! mkdir -p "$top/build" 2>/dev/null || [ ! -w "$top/build" ] || [ ! -w "$top" ]; then
        echo "cannot build: $top is not writable for $(id -un)" >&2
        return 1
    fi
    # shellcheck disable=SC3013 # dash and every other sh of Debian know -nt
    if [ ! -f "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ]; then
        step autoreconf build_autoreconf || return 1
    fi
    # make itself sees to changes of configure.ac and the Makefiles from here on.
    if [ ! -f "$top/build/Makefile" ]; then
        step configure build_configure || return 1
    fi
    step make build_make || return 1
    # Automake leaves stamp-h1 newer than config.h; then `make -q` would never be content.
    touch -r "$top/build/stamp-h1" "$top/build/config.h"
}
