#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A CMake project that has the library as a subdirectory. Only what the project asks for is built.
# Its BUILD_TESTING does not matter: nothing of the library is tested or installed unless the
# project asks for that.
set -eux
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$WORK"
mkdir -p "$WORK"
build=$WORK/build

# kinds <option>...: builds everything, and prints which libraries there are then, without versions
kinds() {
    rm -rf "$WORK/prefix" "$build"/libkqueue/libkqueue.so* "$build"/libkqueue/libkqueue.a
    "$CMAKE" -S "$here/add_subdirectory" -B "$build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_INSTALL_PREFIX="$WORK/prefix" \
        -DLIBKQUEUE_SOURCE="$SOURCE" -DBUILD_TESTING=ON "$@" >&2
    "$CMAKE" --build "$build" >&2
    "$CMAKE" --install "$build" >&2
    "$build/with_kqueue" >&2
    (cd "$build/libkqueue" && ls libkqueue.so libkqueue.a 2>/dev/null) | tr '\n' ' '
}
installed() { (cd "$WORK/prefix" && find . -type f -o -type l | sort | tr '\n' ' '); }
nothing_of_ours() {
    test "$(installed)" = "./bin/with_kqueue "
    "$(dirname "$CMAKE")/ctest" --test-dir "$build" -N | grep 'Total Tests: 0'
}

# Nothing is asked for: one library is built, and nothing is installed.
test "$(kinds)" = "libkqueue.so "
nothing_of_ours
test "$(kinds -DBUILD_SHARED_LIBS=OFF)" = "libkqueue.a "
nothing_of_ours
test "$(kinds -DBUILD_SHARED_LIBS=ON)" = "libkqueue.so "
nothing_of_ours
# Both libraries can still be built by name.
for kind in kqueue kqueue_static; do
    "$CMAKE" --build "$build" --target "with_${kind}_itself"
    "$build/with_${kind}_itself"
done
# If installing is asked for, the kind that is built is installed.
test "$(kinds -DBUILD_SHARED_LIBS=OFF -DKQUEUE_INSTALL=ON)" = "libkqueue.a "
installed | grep 'libkqueue[.]a'
installed | grep 'libkqueue-config[.]cmake'
if installed | grep 'libkqueue[.]so'; then exit 1; fi
