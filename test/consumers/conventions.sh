#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Builds and installs as users do with any project, on a machine without GoogleTest.
set -eux
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$WORK"
mkdir -p "$WORK"
alone="-DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON"
# configure <directory> <option>...: the output of CMake is in <directory>.log
configure() {
    directory=$1
    shift
    "$CMAKE" -S "$SOURCE" -B "$WORK/$directory" -DCMAKE_BUILD_TYPE=Debug "$alone" "$@" >"$WORK/$directory.log" 2>&1
}
left_out() { grep 'THE TESTS ARE LEFT OUT' "$WORK/$1.log"; }
libraries() { (cd "$WORK/$1" && find . -name 'libkqueue.so' -o -name 'libkqueue.a' | sed 's,.*/,,' | sort | tr '\n' ' '); }
install() { # <prefix>
    "$CMAKE" --build "$WORK/build"
    "$CMAKE" --install "$WORK/build" --prefix "$WORK/$1"
}

# Everything but the tests is built, and CMake says that the tests are left out.
configure build
left_out build
install both
test "$(libraries both)" = "libkqueue.a libkqueue.so "
test "$(libraries build)" = "libkqueue.a libkqueue.so " # and no library of another backend
# One kind alone is built if it is asked for. Then libkqueue::kqueue is that kind.
configure build -DBUILD_SHARED_LIBS=OFF
install static
test "$(libraries static)" = "libkqueue.a "
PREFIX=$WORK/static WORK=$WORK/static-user sh "$here/cmake_project.sh" "$here/find_package"
configure build -DBUILD_SHARED_LIBS=ON
install shared
test "$(libraries shared)" = "libkqueue.so "

# If the user wants no tests, CMake does not mention them.
configure quiet -DBUILD_TESTING=OFF
if left_out quiet; then exit 1; fi
# If the user asks for tests, CMake fails and says what is missing. The presets ask for tests.
if configure asked -DKQUEUE_BUILD_TESTS=ON; then exit 1; fi
grep GTest "$WORK/asked.log"
grep '"KQUEUE_BUILD_TESTS": "ON"' "$SOURCE/CMakePresets.json"
# The README's preset builds without tests, and says so.
"$CMAKE" -S "$SOURCE" --preset release -B "$WORK/release" "$alone" >"$WORK/release.log" 2>&1
left_out release
