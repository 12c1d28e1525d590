#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: strict.sh <C++ compiler> <source dir> <file>...: the library, which is these files, compiles
# where the headers declare POSIX and nothing else.
set -eu
compiler=$1 source=$2
shift 2
for file; do
    "$compiler" -std=c++20 -U_GNU_SOURCE -D_POSIX_C_SOURCE=200809L -include "$source/test/posix/strict.h" \
        -DKQ_VERSION_MAJOR=0 -DKQ_VERSION_MINOR=0 -DKQ_VERSION_PATCH=0 '-DKQ_BACKEND="posix"' \
        -I"$source/src/posix" -I"$source/src" -I"$source/include" \
        -fno-exceptions -fno-rtti -Wall -Wextra -Werror -fsyntax-only "$file"
done
