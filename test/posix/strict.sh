#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: strict.sh <C++ compiler> <source dir> <work dir> <file>...: checks that the library, which
# is these files, compiles if the headers declare only POSIX.
set -eu
compiler=$1 source=$2 work=$3
shift 3
. "$(dirname "$0")/headers.sh"
options="-std=c++20 -U_GNU_SOURCE -D_POSIX_C_SOURCE=200809L -fno-exceptions -fno-rtti -Wall -Wextra -Werror"
rm -rf "$work"
mkdir -p "$work"
# shellcheck disable=SC2086
headers "$work" "$source" "$compiler" $options
for file; do
    # shellcheck disable=SC2086
    "$compiler" $options -include "$work/headers.h" \
        -DKQ_VERSION_MAJOR=0 -DKQ_VERSION_MINOR=0 -DKQ_VERSION_PATCH=0 '-DKQ_BACKEND="posix"' \
        -I"$source/src/posix" -I"$source/src" -I"$source/include" \
        -fsyntax-only "$file"
done
