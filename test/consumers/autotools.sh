#!/bin/sh
# An autotools project: autoreconf, configure, make check. 77: they are not here.
set -eux
for tool in autoreconf automake make; do command -v $tool || exit 77; done
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
