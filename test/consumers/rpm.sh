#!/bin/bash
# The RPM packages: what they need and give, that they install in an empty root with a database of
# its own, that a program is built against what is there, and that they go without a trace.
# 77: the tools are not here.
set -euxo pipefail
for tool in rpm rpmbuild cpack; do command -v $tool || exit 77; done
# Root is needed to install.
test "$(id -u)" = 0 || exit 77
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$WORK"
mkdir -p "$WORK/root"
root=$WORK/root

cd "$SOURCE"
CXX=$CXX CC=$CC "$CMAKE" --preset package-rpm -B "$WORK/build"
"$CMAKE" --build "$WORK/build"
(cd "$WORK/build" && cpack -G RPM)
arch=$(rpm --eval '%{_target_cpu}')
runtime=$(echo "$WORK"/build/libkqueue-[0-9]*."$arch".rpm)
development=$(echo "$WORK"/build/libkqueue-devel-[0-9]*."$arch".rpm)

# ---- what the packages say: libc and nothing else is needed ----
version=$(rpm -qp --qf '%{VERSION}' "$runtime")
rpm -qp --requires "$runtime" | grep -vE '^rpmlib\(|^/sbin/ldconfig$' > "$WORK/requires"
grep -qE '^libc\.so\.6\(GLIBC_2' "$WORK/requires"
if grep -vE '^(libc\.so\.6|ld-linux[^(]*|rtld)\(' "$WORK/requires"; then exit 1; fi
rpm -qp --provides "$runtime" > "$WORK/provides" # files: grep -q would end a pipe too early
grep -qE '^libkqueue\.so\.0\(' "$WORK/provides"
rpm -qp --requires "$development" > "$WORK/requires.devel"
grep -qxF "libkqueue = $version" "$WORK/requires.devel"
rpm -qpl "$development" > "$WORK/content"
grep -qE '/sys/event\.h$' "$WORK/content"
grep -qE '/kqueue\.2' "$WORK/content"

# ---- an empty root ----
rpm=(rpm --root "$root" --nodeps --noscripts)
"${rpm[@]}" -i "$runtime" "$development"
test "$(rpm --root "$root" -qa | sort | sed 's/-[0-9].*//' | tr '\n' ' ')" = "libkqueue libkqueue-devel "
rpm --root "$root" -V --nodeps libkqueue libkqueue-devel
libdir=$(dirname "$(find "$root" -name libkqueue.a)")

# ---- a program that is built against it, shared and static ----
PKG_CONFIG_LIBDIR=$libdir/pkgconfig
export PKG_CONFIG_LIBDIR
"$CC" "$here/main.c" $(pkg-config --cflags --libs libkqueue) -o "$WORK/main"
LD_LIBRARY_PATH=$libdir "$WORK/main"
"$CC" -static "$here/main.c" $(pkg-config --static --cflags --libs libkqueue) -o "$WORK/main_static"
"$WORK/main_static"

# ---- and it goes without a trace ----
"${rpm[@]}" -e libkqueue-devel libkqueue
test -z "$(find "$root/usr" -name '*kqueue*' 2> /dev/null)"
