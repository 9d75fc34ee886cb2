# scripts/packages.sh: which Debian packages are needed for what, and how to get them. For
# quickstart.sh and run-tests.sh, which source it. POSIX sh.
#
# shellcheck shell=sh
# shellcheck disable=SC2034 # the lists are for those who source this

# To build and to run.
packages_build="
    autoconf automake gcc g++ make libc6-dev pkg-config
    libedit-dev libevent-dev libinih-dev libjansson-dev libmozjs-102-dev libprotobuf-c-dev libseccomp-dev
    libsmartcols-dev libsystemd-dev protobuf-c-compiler uthash-dev
    jq python3 util-linux"

# For the tests as well.
packages_test="
    cppcheck dbus libcmocka-dev mandoc mmdebstrap procps protobuf-compiler python3-jsonschema python3-protobuf
    shellcheck spin strace systemd systemd-container zsh"

# To build Debian packages, and to look at them. What they need to be built of is in packages_build.
packages_deb="apparmor debhelper dh-apparmor dpkg-dev lintian"

# To build those twice and compare (`make check-deb DEB_CHECK_FLAGS=--twice`).
packages_deb_twice="diffoscope-minimal faketime"

# To emulate a machine with a kernel of its own (`make check-booted BOOTED_TESTS=controllers`).
packages_emulated="cpio qemu-system-x86"

# For single tests, which are skipped where the distribution does not have them: C to WebAssembly, and its debugger.
packages_test_optional="clang-22 libclang-rt-22-dev-wasm32 lld-22 lldb-22 python3-lldb-22 wasi-libc"

# For `make fuzz`, and strace for new corpora (tests/fuzz/README.md).
packages_fuzz="clang-14 libclang-rt-14-dev strace"

# packages_missing PACKAGE...: those that are not installed, one a line.
packages_missing() {
    for package; do
        # The whole word: a package that dpkg has only heard of is "not-installed".
        # shellcheck disable=SC2016 # dpkg-query's own format
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            echo "$package"
    done
}

# packages_installed PACKAGE...: the others, one a line.
packages_installed() {
    missing=$(packages_missing "$@")
    for package; do
        echo "$missing" | grep -qxF "$package" || echo "$package"
    done
}

# packages_available PACKAGE...: those of them that the package lists know, one a line.
packages_available() {
    for package; do
        if apt-cache show --no-all-versions "$package" >/dev/null 2>&1; then
            echo "$package"
        fi
    done
}

# packages_root COMMAND...: runs it as root. packages_can_root says whether that can be.
packages_can_root() {
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1
}

packages_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Passes on one line for each package that was set up; when the command failed, its last lines.
# Reads apt-get's output and at last "exit N".
packages_progress() {
    awk -v total="$1" '
        /^exit [0-9]+$/ { code = $2; next }
        { last[NR % 15] = $0 }
        /^Setting up / { printf "    %d of %d or more: %s\n", ++n, total, $3; fflush() }
        END {
            if (code != 0)
                for (i = NR; i < NR + 15; i++)
                    if (last[i % 15] != "") print "    " last[i % 15] > "/dev/stderr"
            exit code
        }'
}

packages_apt_get() {
    total=$1
    shift
    {
        code=0
        packages_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y \
            -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" 2>&1 || code=$?
        echo "exit $code"
    } | packages_progress "$total"
}

# packages_install PACKAGE...: installs what is missing. Returns 1 after a message when it cannot.
packages_install() {
    if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
        echo "packages: this is no Debian system; going on with what is installed"
        return 0
    fi
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086 # a list
    set -- $missing
    if ! packages_can_root; then
        echo "packages: missing, and neither root nor sudo is there to install them; as root:" >&2
        echo "    apt-get install $*" >&2
        return 1
    fi
    echo "packages: installing $*"
    if [ "$(packages_available "$@" | wc -l)" -ne $# ]; then
        packages_apt_get 0 update || return 1
    fi
    packages_apt_get $# install --no-install-recommends "$@" && return 0
    echo "packages: once more, with fresh package lists"
    packages_apt_get 0 update && packages_apt_get $# install --no-install-recommends "$@" && return 0
    echo "packages: cannot install $*" >&2
    return 1
}

# packages_install_optional PACKAGE...: as many of them as there are; never fails.
packages_install_optional() {
    command -v apt-cache >/dev/null 2>&1 || return 0
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086 # a list
    available=$(packages_available $missing)
    [ -n "$available" ] && packages_can_root || return 0
    # shellcheck disable=SC2086 # a list
    packages_install $available || true
}
