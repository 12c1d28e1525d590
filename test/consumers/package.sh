#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Goes from the source tarball to a program that uses the Debian packages made from it. The tarball
# must build without git. dpkg installs the packages in an empty root. The test checks what the
# packages say that they need and provide. 77: the tools are missing.
set -euxo pipefail
. "$(dirname "$0")/needs.sh"
for tool in dpkg dpkg-deb cpack; do needs $tool "$tool, on Debian alone"; done
needs dpkg-shlibdeps dpkg-dev
# Installing needs root, or something like it.
test "$(id -u)" = 0 || skipped_because "only root installs packages"
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$WORK"
work_without_space # pkg-config takes no PKG_CONFIG_SYSROOT_DIR with a space
mkdir -p "$WORK/root/var/lib/dpkg/"{info,updates,triggers} "$WORK/git"
root=$WORK/root

# ---- the tarball, unpacked where there is no git: no program and no repository ----
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
    dpkg-deb -c "$package" > "$WORK/content" # into a file: grep -q would end a pipe too early
    documents=/usr/share/doc/$(dpkg-deb -f "$package" Package)
    for name in copyright changelog.gz; do grep -q "$documents/$name" "$WORK/content"; done
done
# The maintainer of the packages is the user who builds them. Without a home page there is no
# Homepage field.
for package in "$runtime" "$development"; do
    test "$(dpkg-deb -f "$package" Maintainer)" = "Some Maintainer <some@example.org>"
    test -z "$(dpkg-deb -f "$package" Homepage)"
done
for package in "$runtime" "$development"; do dpkg-deb -f "$package" Description | sed -n 1p; done > "$WORK/summaries"
summary="kqueue() and kevent() of the BSDs as a library"
test "$(cat "$WORK/summaries")" = "$summary"$'\n'"$summary (development)"
for name in README.md BUGS.md NEWS.md examples/kqtail.c; do
    grep -q "/usr/share/doc/libkqueue-dev/$name" "$WORK/content"
done
if command -v lintian; then lintian --fail-on error,warning "$runtime" "$development"; fi
grep -qE '^libc6 \(>= 2\.[0-9]+\)$' <<<"$(dpkg-deb -f "$runtime" Depends)"
test "$(dpkg-deb -I "$runtime" shlibs)" = "libkqueue 0 libkqueue0 (>= $version)"
grep -qF "libkqueue0 (= $version)" <<<"$(dpkg-deb -f "$development" Depends)"
# The symbols file must have exactly the functions that the library exports.
mkdir "$WORK/unpacked"
dpkg-deb -R "$runtime" "$WORK/unpacked"
lib=$(find "$WORK/unpacked/usr/lib" -type f -name 'libkqueue.so.*')
diff <(sed -n 's/^ \([a-z0-9_]*\)@Base .*/\1/p' "$WORK/unpacked/DEBIAN/symbols" | sort) \
    <(nm -D --defined-only "$lib" | awk '{ print $3 }' | sort)
readelf -S "$lib" > "$WORK/sections_of_lib"
if grep -q debug_info "$WORK/sections_of_lib"; then exit 1; fi

# ---- an empty root, which lacks only libc ----
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"
dpkg --root="$root" --force-script-chrootless --force-depends --force-not-root --force-bad-path \
    --log="$WORK/dpkg.log" -i "$runtime" "$development"
dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Package} ${Status}\n' > "$WORK/status"
test "$(grep -c 'install ok installed' "$WORK/status")" = 2

# ---- a program that is built with it, and what a package of that program would need ----
triplet=$(basename "$(dirname "$(find "$root" -name libkqueue.a)")")
PKG_CONFIG_LIBDIR=$root/usr/lib/$triplet/pkgconfig
export PKG_CONFIG_LIBDIR
# There must be no -L for a directory that is searched anyway.
test "$(pkg-config --libs libkqueue | tr -d ' ')" = -lkqueue
# The packages' /usr is the one in this root.
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

# ---- removing the packages leaves nothing behind ----
dpkg --root="$root" --force-script-chrootless --force-depends --log="$WORK/dpkg.log" --purge libkqueue-dev libkqueue0
test -z "$(find "$root" ! -type d ! -path '*/var/lib/*')"

# ---- a home page and a maintainer are given; without a maintainer the builder is told ----
cd "$packages"
"$CMAKE" . -DKQUEUE_HOMEPAGE_URL=https://example.org/kq -DCPACK_PACKAGE_CONTACT="Given <given@example.org>"
cpack -G DEB -B "$WORK/given"
for package in "$WORK"/given/libkqueue*.deb; do
    test "$(dpkg-deb -f "$package" Homepage)" = https://example.org/kq
    test "$(dpkg-deb -f "$package" Maintainer)" = "Given <given@example.org>"
done
env -u DEBFULLNAME -u DEBEMAIL "$CMAKE" . -DCPACK_PACKAGE_CONTACT= > "$WORK/told"
grep -q 'The packages name no maintainer' "$WORK/told"

# ---- a missing tool is named before anything is built ----
if "$CMAKE" . -DKQUEUE_PACKAGE_TOOL=OFF 2> "$WORK/told"; then exit 1; fi
grep -q dpkg-dev "$WORK/told"
