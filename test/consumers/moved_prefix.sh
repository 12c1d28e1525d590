#!/bin/sh
# The installed tree keeps working when it is moved: no absolute path in it.
set -eux
rm -rf "$WORK"
mkdir -p "$WORK"
cp -a "$PREFIX" "$WORK/elsewhere"
PREFIX=$WORK/elsewhere
LIBDIR=$PREFIX/$(basename "$LIBDIR")
WORK=$WORK/build
export PREFIX LIBDIR WORK

here=$(dirname "$0")
PKG_CONFIG_PATH=$LIBDIR/pkgconfig pkg-config --cflags libkqueue | grep -F "$PREFIX"
sh "$here/plain_c.sh"
sh "$here/cmake_project.sh" "$here/find_package"
