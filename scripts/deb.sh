#!/bin/sh
# scripts/deb.sh: the Debian packages of a release tarball. What `make deb` calls.
#
#     scripts/deb.sh TOP TARBALL FOLDER [OPTION...]
#
# FOLDER is made anew and gets everything: the source package, the .debs, .changes and .buildinfo.
# OPTIONs go to dpkg-buildpackage. The same tree gives the same bytes, wherever and whenever it is built.
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

rm -rf "$folder"
mkdir -p "$folder"
mv "$tarball" "$folder/stillpoint_$version.orig.tar.xz"
tar -C "$folder" -xf "$folder/stillpoint_$version.orig.tar.xz"
# A release has no debian/: what packages one puts its own there.
cp -R "$top/debian" "$source/debian"
find "$source/debian" -type d -exec chmod 755 {} + -o -type f -perm -u+x -exec chmod 755 {} + \
    -o -type f -exec chmod 644 {} +
(cd "$source" && dpkg-buildpackage -us -uc "$@")
rm -rf "$source"
