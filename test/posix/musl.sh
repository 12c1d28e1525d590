#!/bin/sh
# usage: musl.sh <source dir> <work dir>: the library and everything.c with another C library.
# 77: musl or its specs for gcc are not here.
set -eu
source=$1 work=$2
command -v musl-gcc g++ >/dev/null || exit 77
specs=$(find /usr/lib -name musl-gcc.specs | head -n 1)
[ -n "$specs" ] || exit 77
version=$(g++ -dumpversion)
[ -d "/usr/include/c++/$version" ] || exit 77
target=$(g++ -dumpmachine | sed 's/-pc-/-/')
mkdir -p "$work"
for file in "$source"/src/*.cc "$source"/src/posix/*.cc; do
    object=$work/$(echo "${file#"$source"/src/}" | tr / _).o
    [ "$object" -nt "$file" ] && continue
    g++ "-specs=$specs" -std=c++20 -nostdinc++ -isystem "/usr/include/c++/$version" \
        -isystem "/usr/include/$target/c++/$version" -include "$source/test/posix/strict.h" \
        -U_GNU_SOURCE -D_POSIX_C_SOURCE=200809L \
        -DKQ_VERSION_MAJOR=0 -DKQ_VERSION_MINOR=0 -DKQ_VERSION_PATCH=0 \
        -I"$source/src/posix" -I"$source/src" -I"$source/include" \
        -fPIC -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden \
        -U_GLIBCXX_ASSERTIONS -D_GLIBCXX_NO_ASSERTIONS -O1 -Wall -Wextra -Werror -c "$file" -o "$object"
done
musl-gcc -shared -Wl,-z,defs -o "$work/libkqueue.so.0" "$work"/*.o
musl-gcc -I"$source/include" "$source/test/posix/everything.c" "$work"/*.o -static -o "$work/everything"
cd "$work" && ./everything
