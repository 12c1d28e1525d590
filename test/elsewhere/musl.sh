#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# usage: musl.sh [<build directory>]
# The library on musl instead of glibc. g++ builds it with musl's headers. Of libstdc++ only the
# headers are used: Debian has no libstdc++ for musl, and none is needed. musl-gcc links the library
# into programs in C: shared, static, and fully static.
#
# Debian 12: apt-get install --no-install-recommends cmake ninja-build g++ musl-tools linux-libc-dev
# Takes about a quarter of a minute.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
build=${1:-$source/build/elsewhere/musl}
rm -rf "$build"
mkdir -p "$build/include"
multiarch=$(g++ -print-multiarch)
version=$(g++ -dumpversion)

# musl does not come with the headers of the kernel.
for dir in linux asm-generic; do ln -s "/usr/include/$dir" "$build/include/$dir"; done
ln -s "/usr/include/$multiarch/asm" "$build/include/asm"
# libstdc++ was configured for glibc, and expects this of <features.h> and <ctype.h>.
cat > "$build/first.h" <<'END'
#pragma once
#include <features.h>
#define __GLIBC_PREREQ(major, minor) 0
#include <bits/c++config.h>
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK
#include <locale.h>
typedef locale_t __locale_t;
END
specs=$(find /usr/lib/*-linux-musl* -name musl-gcc.specs | sed -n 1p)
cat > "$build/c++" <<END
#!/bin/sh
exec g++ -specs=$specs -nostdinc++ -isystem /usr/include/c++/$version \
    -isystem /usr/include/$multiarch/c++/$version -idirafter $build/include -include $build/first.h "\$@"
END
chmod +x "$build/c++"
CXX="$build/c++" CC=musl-gcc cmake -G Ninja -S "$source" -B "$build/libkqueue" -DKQUEUE_BUILD_TESTS=OFF \
    -DCMAKE_INSTALL_PREFIX="$build/prefix" -DCMAKE_INSTALL_LIBDIR=lib > "$build/configure" ||
    { cat "$build/configure"; exit 1; }
cmake --build "$build/libkqueue"
cmake --install "$build/libkqueue" > /dev/null

needed=$(readelf -d "$build/prefix/lib/libkqueue.so.0" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
echo "needs: $needed"
test "$needed" = libc.so
if nm -D "$build/prefix/lib/libkqueue.so.0" | grep -E '@(GLIBC|GLIBCXX)'; then exit 1; fi
flags="-I$build/prefix/include/kqueue"
for program in "$source/test/consumers/main.c" "$source/test/consumers/incumbent/main.c" "$here/smoke.c"; do
    # shellcheck disable=SC2086
    {
        musl-gcc $flags -D_GNU_SOURCE "$program" -L"$build/prefix/lib" -lkqueue -o "$build/shared"
        musl-gcc $flags -D_GNU_SOURCE "$program" "$build/prefix/lib/libkqueue.a" -o "$build/archive"
        musl-gcc -static $flags -D_GNU_SOURCE "$program" "$build/prefix/lib/libkqueue.a" -o "$build/static"
    }
    LD_LIBRARY_PATH=$build/prefix/lib "$build/shared"
    "$build/archive"
    "$build/static"
done
