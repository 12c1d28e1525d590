#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The shared library: cc and pkg-config.
set -eux
mkdir -p "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig
export PKG_CONFIG_PATH

# The output of pkg-config is meant for a shell: spaces of a path have backslashes.
eval "set -- $(pkg-config --cflags --libs libkqueue)"
"$CC" "$(dirname "$0")/main.c" "$@" -o "$WORK/main"
LD_LIBRARY_PATH=$LIBDIR "$WORK/main"
