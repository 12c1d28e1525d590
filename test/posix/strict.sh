#!/bin/sh
# usage: strict.sh <C++ compiler> <source dir>: the library compiles where the headers declare
# POSIX and nothing else.
set -eu
compiler=$1 source=$2
for file in "$source"/src/*.cc "$source"/src/posix/*.cc; do
    "$compiler" -std=c++20 -U_GNU_SOURCE -D_POSIX_C_SOURCE=200809L -include "$source/test/posix/strict.h" \
        -DKQ_VERSION_MAJOR=0 -DKQ_VERSION_MINOR=0 -DKQ_VERSION_PATCH=0 \
        -I"$source/src/posix" -I"$source/src" -I"$source/include" \
        -fno-exceptions -fno-rtti -Wall -Wextra -Werror -fsyntax-only "$file"
done
