#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: cmake_project.sh <source dir>: a CMake project that uses the library; runs what it builds.
set -eux
rm -rf "$WORK"
mkdir -p "$WORK"

"$CMAKE" -S "$1" -B "$WORK" -DCMAKE_PREFIX_PATH="$PREFIX" -DLIBKQUEUE_SOURCE="$SOURCE"
"$CMAKE" --build "$WORK"
"$WORK/with_shared"
"$WORK/with_static"
