#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: musl.sh <source dir> <work dir> <file>...: builds the library, which is these files, and
# everything.c with another C library, and runs everything.c. 77: musl or its specs for gcc are
# missing.
set -eu
source=$1 work=$2
shift 2
. "$(dirname "$0")/../consumers/needs.sh"
needs musl-gcc musl-tools
needs g++ g++
specs=$(find /usr/lib -name musl-gcc.specs | sed -n 1p)
[ -n "$specs" ] || skipped_because "there is no musl-gcc.specs"
version=$(g++ -dumpversion)
[ -d "/usr/include/c++/$version" ] || skipped_because "there are no headers of g++ $version"
target=$(g++ -dumpmachine | sed 's/-pc-/-/')
rm -rf "$work"
mkdir -p "$work"
. "$(dirname "$0")/headers.sh"
# with_options <command>...: runs it with the options of all compilations
with_options() {
    "$@" "-specs=$specs" -std=c++20 -nostdinc++ -isystem "/usr/include/c++/$version" \
        -isystem "/usr/include/$target/c++/$version" -U_GNU_SOURCE -D_POSIX_C_SOURCE=200809L \
        -fPIC -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden \
        -U_GLIBCXX_ASSERTIONS -D_GLIBCXX_NO_ASSERTIONS -O1 -Wall -Wextra -Werror
}
with_options headers "$work" "$source" g++
for file; do
    object=$work/$(echo "${file#"$source"/src/}" | tr / _).o
    with_options g++ -include "$work/headers.h" \
        -DKQ_VERSION_MAJOR=0 -DKQ_VERSION_MINOR=0 -DKQ_VERSION_PATCH=0 '-DKQ_BACKEND="posix"' \
        -I"$source/src/posix" -I"$source/src" -I"$source/include" -c "$file" -o "$object"
done
musl-gcc -shared -Wl,-z,defs -o "$work/libkqueue.so.0" "$work"/*.o
musl-gcc -I"$source/include" "$source/test/posix/everything.c" "$work"/*.o -static -o "$work/everything"
cd "$work" && ./everything
