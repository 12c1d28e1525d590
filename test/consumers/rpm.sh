#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The RPM packages. Checked is what they need and provide. They install in an empty root with a
# database of its own. A program is built with what is installed there. Removing them leaves nothing
# behind. 77: the tools are missing.
set -euxo pipefail
. "$(dirname "$0")/needs.sh"
needs rpmbuild rpm
needs cpack cmake
# Installing needs root.
test "$(id -u)" = 0 || skipped_because "only root installs packages"
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$WORK"
mkdir -p "$WORK"

# ---- a path with a space is refused before anything is built ----
cd "$SOURCE"
spaced="$WORK/a space"
if "$CMAKE" --preset package-rpm -B "$spaced" 2> "$WORK/told"; then exit 1; fi
grep -q CPACK_PACKAGE_DIRECTORY "$WORK/told"
work_without_space
mkdir "$WORK/root"
root=$WORK/root

CXX=$CXX CC=$CC DEBFULLNAME="Some Maintainer" DEBEMAIL=some@example.org "$CMAKE" --preset package-rpm -B "$WORK/build"
"$CMAKE" --build "$WORK/build"
(cd "$WORK/build" && cpack -G RPM)
arch=$(rpm --eval '%{_target_cpu}')
runtime=$(echo "$WORK"/build/libkqueue-[0-9]*."$arch".rpm)
development=$(echo "$WORK"/build/libkqueue-devel-[0-9]*."$arch".rpm)

# ---- what the packages say: they need libc and nothing else ----
version=$(rpm -qp --qf '%{VERSION}' "$runtime")
for package in "$runtime" "$development"; do
    test "$(rpm -qp --qf '%{PACKAGER} %{URL}' "$package")" = "Some Maintainer <some@example.org> (none)"
done
if command -v rpmlint; then rpmlint -c "$here/rpmlint.toml" "$runtime" "$development"; fi
rpm -qp --requires "$runtime" | grep -vE '^rpmlib\(|^/sbin/ldconfig$' > "$WORK/requires"
grep -qE '^libc\.so\.6\(GLIBC_2' "$WORK/requires"
if grep -vE '^(libc\.so\.6|ld-linux[^(]*|rtld)\(' "$WORK/requires"; then exit 1; fi
rpm -qp --provides "$runtime" > "$WORK/provides" # into files: grep -q would end a pipe too early
grep -qE '^libkqueue\.so\.0\(' "$WORK/provides"
rpm -qp --requires "$development" > "$WORK/requires.devel"
grep -qxF "libkqueue = $version" "$WORK/requires.devel"
rpm -qpl "$development" > "$WORK/content"
grep -qE '/sys/event\.h$' "$WORK/content"
for name in /kqueue.2.gz /kevent.2.gz /BUGS.md /NEWS.md /examples/kqtail.c; do grep -qF $name "$WORK/content"; done

# ---- an empty root ----
rpm=(rpm --root "$root" --nodeps --noscripts)
"${rpm[@]}" -i "$runtime" "$development"
test "$(rpm --root "$root" -qa | sort | sed 's/-[0-9].*//' | tr '\n' ' ')" = "libkqueue libkqueue-devel "
rpm --root "$root" -V --nodeps libkqueue libkqueue-devel
libdir=$(dirname "$(find "$root" -name libkqueue.a)")

# ---- a program that is built with it, shared and static ----
PKG_CONFIG_LIBDIR=$libdir/pkgconfig
export PKG_CONFIG_LIBDIR
# There must be no -L for a directory that is searched anyway. lib64 is one on some systems.
test "$(PKG_CONFIG_SYSTEM_LIBRARY_PATH=/usr/lib64 pkg-config --libs libkqueue | tr -d ' ')" = -lkqueue
# The packages' /usr is the one in this root.
PKG_CONFIG_SYSROOT_DIR=$root
export PKG_CONFIG_SYSROOT_DIR
eval "set -- $(pkg-config --cflags --libs libkqueue)"
"$CC" "$here/main.c" "$@" -L"$libdir" -o "$WORK/main"
LD_LIBRARY_PATH=$libdir "$WORK/main"
eval "set -- $(pkg-config --static --cflags --libs libkqueue)"
"$CC" -static "$here/main.c" "$@" -L"$libdir" -o "$WORK/main_static"
"$WORK/main_static"

# ---- removing the packages leaves nothing behind ----
"${rpm[@]}" -e libkqueue-devel libkqueue
test -z "$(find "$root" ! -type d ! -path '*/var/lib/*' ! -path '*/.rpmdb/*')"
