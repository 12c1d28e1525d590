#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# An autotools project: autoreconf, configure, make check. 77: these tools are missing.
set -eux
. "$(dirname "$0")/needs.sh"
needs autoreconf autoconf
needs automake automake
needs make make
case $PREFIX$WORK in *\ *) skipped_because "Autotools do not work in a path with a space" ;; esac
here=$(dirname "$0")
rm -rf "$WORK"
mkdir -p "$WORK"
cp "$here/autotools/configure.ac" "$here/autotools/Makefile.am" "$here/main.c" "$WORK"
cd "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig LD_LIBRARY_PATH=$LIBDIR
export PKG_CONFIG_PATH LD_LIBRARY_PATH

autoreconf -i
./configure CC="$CC" || { tail -n 60 config.log; exit 1; }
make check || { cat test-suite.log; exit 1; }
