#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# From the source tarball to a program that uses the Debian packages made of it: the tarball
# builds without git, the packages install in an empty root by dpkg, and say what they need
# and give. 77: the tools are not here.
set -euxo pipefail
. "$(dirname "$0")/needs.sh"
for tool in dpkg dpkg-deb cpack; do needs $tool "$tool, on Debian alone"; done
needs dpkg-shlibdeps dpkg-dev
# Root, or something like it, is needed to install.
test "$(id -u)" = 0 || skipped_because "only root installs packages"
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$WORK"
work_without_space # pkg-config takes no PKG_CONFIG_SYSROOT_DIR with one
mkdir -p "$WORK/root/var/lib/dpkg/"{info,updates,triggers} "$WORK/git"
root=$WORK/root

# ---- the tarball, unpacked where there is no git: neither the program nor a repository ----
(cd "$BUILD" && cpack --config CPackSourceConfig.cmake -B "$WORK/tarball")
tar -xzf "$WORK"/tarball/libkqueue-*.tar.gz -C "$WORK"
source=$(echo "$WORK"/libkqueue-*)
test ! -e "$source/.git" -a ! -e "$source/build"
printf '#!/bin/sh\necho git was called >&2; exit 1\n' > "$WORK/git/git"
chmod +x "$WORK/git/git"
cd "$source"
PATH=$WORK/git:$PATH CXX=$CXX CC=$CC DEBFULLNAME="Some Maintainer" DEBEMAIL=some@example.org \
    "$CMAKE" --workflow --preset package-deb > "$WORK/workflow" 2>&1 || { cat "$WORK/workflow"; exit 1; }
if grep -A5 'warning: ' "$WORK/workflow"; then exit 1; fi

# ---- what the packages say ----
packages=$source/build/package-deb
runtime=$(echo "$packages"/libkqueue0_*.deb)
development=$(echo "$packages"/libkqueue-dev_*.deb)
version=$(dpkg-deb -f "$runtime" Version)
for package in "$runtime" "$development"; do
    test "$(dpkg-deb -f "$package" Multi-Arch)" = same
    dpkg-deb -c "$package" > "$WORK/content" # a file: grep -q would end a pipe too early
    documents=/usr/share/doc/$(dpkg-deb -f "$package" Package)
    for name in copyright changelog.gz; do grep -q "$documents/$name" "$WORK/content"; done
done
# Whoever makes them is their maintainer. Without a home page there is no such field.
for package in "$runtime" "$development"; do
    test "$(dpkg-deb -f "$package" Maintainer)" = "Some Maintainer <some@example.org>"
    test -z "$(dpkg-deb -f "$package" Homepage)"
done
for package in "$runtime" "$development"; do dpkg-deb -f "$package" Description | head -n 1; done > "$WORK/summaries"
summary="kqueue() and kevent() of the BSDs as a library"
test "$(cat "$WORK/summaries")" = "$summary"$'\n'"$summary (development)"
for name in README.md BUGS.md NEWS.md examples/kqtail.c; do
    grep -q "/usr/share/doc/libkqueue-dev/$name" "$WORK/content"
done
if command -v lintian; then lintian --fail-on error,warning "$runtime" "$development"; fi
dpkg-deb -f "$runtime" Depends | grep -qE '^libc6 \(>= 2\.[0-9]+\)$'
test "$(dpkg-deb -I "$runtime" shlibs)" = "libkqueue 0 libkqueue0 (>= $version)"
dpkg-deb -f "$development" Depends | grep -qF "libkqueue0 (= $version)"
# The symbols file is what the library exports.
mkdir "$WORK/unpacked"
dpkg-deb -R "$runtime" "$WORK/unpacked"
lib=$(find "$WORK/unpacked/usr/lib" -type f -name 'libkqueue.so.*')
diff <(sed -n 's/^ \([a-z0-9_]*\)@Base .*/\1/p' "$WORK/unpacked/DEBIAN/symbols" | sort) \
    <(nm -D --defined-only "$lib" | awk '{ print $3 }' | sort)
if readelf -S "$lib" | grep -q debug_info; then exit 1; fi

# ---- an empty root; all that is missing in it is libc ----
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
dpkg --root="$root" --force-script-chrootless --force-depends --force-not-root --force-bad-path \
    --log="$WORK/dpkg.log" -i "$runtime" "$development"
dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Package} ${Status}\n' > "$WORK/status"
test "$(grep -c 'install ok installed' "$WORK/status")" = 2

# ---- a program that is built against it, and what a package of that program would need ----
triplet=$(basename "$(dirname "$(find "$root" -name libkqueue.a)")")
PKG_CONFIG_LIBDIR=$root/usr/lib/$triplet/pkgconfig
export PKG_CONFIG_LIBDIR
# No -L of a directory that is searched anyway.
test "$(pkg-config --libs libkqueue | tr -d ' ')" = -lkqueue
# Its /usr is the one in this root.
PKG_CONFIG_SYSROOT_DIR=$root
export PKG_CONFIG_SYSROOT_DIR
eval "set -- $(pkg-config --cflags --libs libkqueue)"
"$CC" "$here/main.c" "$@" -L"$root/usr/lib/$triplet" -o "$WORK/main"
LD_LIBRARY_PATH=$root/usr/lib/$triplet "$WORK/main"
eval "set -- $(pkg-config --static --cflags --libs libkqueue)"
"$CC" -static "$here/main.c" "$@" -L"$root/usr/lib/$triplet" -o "$WORK/main_static"
"$WORK/main_static"
mkdir -p "$WORK/needs/debian"
printf 'Source: needs\n\nPackage: needs\nArchitecture: any\n' > "$WORK/needs/debian/control"
cd "$WORK/needs"
dpkg-shlibdeps -S"$WORK/unpacked" -O "$WORK/main" > "$WORK/shlibs"
grep -qF "libkqueue0 (>= $version)" "$WORK/shlibs"

# ---- and it goes without a trace ----
dpkg --root="$root" --force-script-chrootless --force-depends --log="$WORK/dpkg.log" --purge libkqueue-dev libkqueue0
test -z "$(find "$root" ! -type d ! -path '*/var/lib/*')"

# ---- a home page and a maintainer that were given; without one the builder is told ----
cd "$packages"
"$CMAKE" . -DKQUEUE_HOMEPAGE_URL=https://example.org/kq -DCPACK_PACKAGE_CONTACT="Given <given@example.org>"
cpack -G DEB -B "$WORK/given"
for package in "$WORK"/given/libkqueue*.deb; do
    test "$(dpkg-deb -f "$package" Homepage)" = https://example.org/kq
    test "$(dpkg-deb -f "$package" Maintainer)" = "Given <given@example.org>"
done
env -u DEBFULLNAME -u DEBEMAIL "$CMAKE" . -DCPACK_PACKAGE_CONTACT= > "$WORK/told"
grep -q 'The packages name no maintainer' "$WORK/told"

# ---- a tool that is missing is named before anything is built ----
if "$CMAKE" . -DKQUEUE_PACKAGE_TOOL=OFF 2> "$WORK/told"; then exit 1; fi
grep -q dpkg-dev "$WORK/told"
