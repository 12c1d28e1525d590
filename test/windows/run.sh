#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Builds libkqueue for Windows with mingw-w64, and runs its tests under Wine: test/windows/run.sh
# Needs, on Debian: apt install g++-mingw-w64-x86-64-posix wine64 libgtest-dev cmake ninja-build
# Says what is missing and skips (77) otherwise. On Windows itself: build with CMake, run ctest.
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
ctest --preset windows "$@" || status=$?
[ $status != 0 ] || cpack --preset windows || status=$?
test/windows/wine.sh build/windows/wine --stop || true
exit $status
