# scripts/build.sh: builds the tree in build/. For quickstart.sh and run-tests.sh, which source it
# after they have set `top` to the top of the tree, and sourced packages.sh. POSIX sh.
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

# With the options that it was run with before, if it was. Leaves in build/packages what was installed then.
build_configure() {
    (
        cd "$top/build" || exit 1
        dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null |
            sed -n 's/^installed //p' >packages.new
        if [ -f config.status ]; then
            ./config.status --recheck && ./config.status || exit 1
            # Where config.h is as it was, nothing need be compiled again.
            # shellcheck disable=SC3013 # as below
            [ config.h -ot "$top/configure" ] || touch -r config.h config.status stamp-h1 Makefile
        else
            "$top/configure" --enable-silent-rules || exit 1
        fi
        mv packages.new packages
    )
}

# build_has_seen PACKAGE...: false if one of them was installed after configure had looked for what there is.
build_has_seen() {
    for package in $(packages_installed "$@"); do
        grep -qxF "$package" "$top/build/packages" 2>/dev/null || return 1
    done
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

# build_all [PACKAGE...]: configures and makes what is not there yet; also where one of these packages has come since, of
# which configure makes something.
build_all() {
    if build_is_current && build_has_seen "$@"; then
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
    if [ ! -f "$top/build/Makefile" ] || ! build_has_seen "$@"; then
        step configure build_configure || return 1
    fi
    step make build_make || return 1
    # Automake leaves stamp-h1 newer than config.h; then `make -q` would never be content.
    touch -r "$top/build/stamp-h1" "$top/build/config.h"
}
