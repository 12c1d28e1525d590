#!/bin/sh
# The shared library: cc and pkg-config.
set -eux
mkdir -p "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig
export PKG_CONFIG_PATH

"$CC" "$(dirname "$0")/main.c" $(pkg-config --cflags --libs libkqueue) -o "$WORK/main"
LD_LIBRARY_PATH=$LIBDIR "$WORK/main"
