#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# consumer.sh <build> <wine prefix>: uses what `cmake --install` and the ZIP of `cpack` install
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "$1")
wine="sh $here/wine.sh $2"
rm -rf "$build/consumer" "$build/zip"
cmake --install "$build" --prefix "$build/consumer" >/dev/null
cpack --config "$build/CPackConfig.cmake" -G ZIP -B "$build/zip" >/dev/null
(cd "$build/zip" && rm -rf _CPack_Packages && cmake -E tar xf libkqueue-*.zip)
zip=$(ls -d "$build"/zip/*/)
[ -s "$zip/share/doc/libkqueue/LICENSE" ] || { echo "consumer.sh: no licence in the ZIP" >&2; exit 1; }

# use PREFIX - compiles, links and runs with the DLL, with its import library, and with the static
# library
use() {
    prefix=$1
    cc="x86_64-w64-mingw32-gcc-posix -Wall -Wextra -Werror -I$prefix/include/kqueue"
    $cc "$here/consumer.c" "$prefix/lib/libkqueue.dll.a" -lws2_32 -o "$prefix/bin/dll.exe"
    $cc -DLIBKQUEUE_DLL "$here/consumer.c" "$prefix/lib/libkqueue.dll.a" -lws2_32 -o "$prefix/bin/import.exe"
    $cc "$here/consumer.c" "$prefix/lib/libkqueue.a" -lws2_32 -lntdll -o "$prefix/bin/static.exe"
    for program in dll import static; do
        [ "$($wine "$prefix/bin/$program.exe" | tr -d '\r')" = "3 10" ] ||
            { echo "consumer.sh: $prefix/bin/$program.exe failed" >&2; exit 1; }
    done
}
use "$build/consumer"
use "${zip%/}"

cxx="x86_64-w64-mingw32-g++-posix -Wall -Wextra -Werror -I$build/consumer/include/kqueue"
for order in NO_WINSOCK WINSOCK_FIRST WINSOCK_LAST; do
    $cc -std=gnu89 -D$order -fsyntax-only "$here/consumer.c"
    $cxx -std=c++98 -x c++ -D$order -fsyntax-only "$here/consumer.c"
done
