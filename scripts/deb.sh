#!/bin/sh
# scripts/deb.sh: the Debian packages of a release tarball. What `make deb` calls.
#
#     scripts/deb.sh TOP TARBALL FOLDER [OPTION...]
#
# FOLDER is made anew and gets everything: the source package, the .debs, .changes and .buildinfo.
# OPTIONs go to dpkg-buildpackage. The same tree gives the same bytes, wherever and whenever it is built;
# so nothing is done where FOLDER has the packages of this very tarball and packaging already.
set -eu

if [ $# -lt 3 ]; then
    echo "usage: scripts/deb.sh TOP TARBALL FOLDER [OPTION...]" >&2
    exit 2
fi
top=$1
tarball=$2
folder=$3
shift 3

if ! command -v dpkg-buildpackage >/dev/null || ! command -v dh >/dev/null; then
    echo "deb: dpkg-buildpackage or debhelper is missing: apt-get install build-essential debhelper" >&2
    exit 1
fi
changed=$(dpkg-parsechangelog -l "$top/debian/changelog" -S Version)
version=${changed%-*}
source=$folder/stillpoint-$version
case $(basename "$tarball") in
stillpoint-"$version".tar.xz) ;;
*)
    echo "deb: debian/changelog is about $changed, and not about $(basename "$tarball")" >&2
    exit 1 ;;
esac

# What the packages are made of, and what of this system goes into them.
made_of() {
    sha256sum <"$tarball"
    (cd "$top" && find debian -type f -exec sha256sum {} + | sort)
    dpkg-query -W | sha256sum
    echo "${DEB_BUILD_OPTIONS:-}" "$@"
}
made_of=$(made_of "$@")
if [ -f "$folder/made-of" ] && [ "$(cat "$folder/made-of")" = "$made_of" ]; then
    echo "deb: $folder is up to date"
    rm -f "$tarball"
    exit 0
fi

rm -rf "$folder"
mkdir -p "$folder"
mv "$tarball" "$folder/stillpoint_$version.orig.tar.xz"
tar -C "$folder" -xf "$folder/stillpoint_$version.orig.tar.xz"
# A release has no debian/: what packages one puts its own there.
cp -R "$top/debian" "$source/debian"
find "$source/debian" -type d -exec chmod 755 {} + -o -type f -perm -u+x -exec chmod 755 {} + \
    -o -type f -exec chmod 644 {} +
# make would offer its own jobs to makes that are none of its own.
(cd "$source" && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL dpkg-buildpackage -us -uc "$@")
rm -rf "$source"
echo "$made_of" >"$folder/made-of"
