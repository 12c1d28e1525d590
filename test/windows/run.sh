#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# test/windows/run.sh: builds libkqueue for Windows with mingw-w64, and runs its tests under Wine.
# It needs, on Debian: apt install g++-mingw-w64-x86-64-posix wine64 libgtest-dev cmake ninja-build
# If one of them is missing, the script says so and skips (77). On Windows itself, build with CMake
# and run ctest.
set -eu
cd "$(dirname "$0")/../.."

missing=
for program in x86_64-w64-mingw32-g++-posix cmake ninja; do
    command -v "$program" >/dev/null || missing="$missing $program"
done
[ -x /usr/lib/wine/wine64 ] || [ -x /usr/bin/wine64 ] || missing="$missing wine64"
[ -e /usr/src/googletest/CMakeLists.txt ] || missing="$missing /usr/src/googletest"
if [ -n "$missing" ]; then
    echo "test/windows/run.sh: SKIPPED, not installed:$missing" >&2
    exit 77
fi

cmake --preset windows
cmake --build --preset windows
status=0
# A program that fails is run again, at most twice. Wine is sometimes late, and a few of some 3,000
# tests notice that. A test that fails three times in a row has found a fault. ctest says what was
# repeated.
ctest --preset windows --repeat until-pass:3 "$@" || status=$?
[ $status != 0 ] || cpack --preset windows || status=$?
test/windows/wine.sh build/windows/wine --stop || true
exit $status
