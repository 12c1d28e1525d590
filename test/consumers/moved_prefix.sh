#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The installed tree works after it was moved, because it has no absolute path.
set -eux
rm -rf "$WORK"
mkdir -p "$WORK"
cp -a "$PREFIX" "$WORK/elsewhere"
PREFIX=$WORK/elsewhere
LIBDIR=$PREFIX/$(basename "$LIBDIR")
WORK=$WORK/build
export PREFIX LIBDIR WORK

here=$(dirname "$0")
eval "set -- $(PKG_CONFIG_PATH=$LIBDIR/pkgconfig pkg-config --cflags libkqueue)"
case $1 in "-I$PREFIX/"*) ;; *) exit 1 ;; esac
sh "$here/plain_c.sh"
sh "$here/cmake_project.sh" "$here/find_package"
