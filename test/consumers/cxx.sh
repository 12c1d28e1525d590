#!/bin/sh
# A program in C++ with exceptions, and the C one compiled as C++: shared and static.
set -eux
mkdir -p "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig LD_LIBRARY_PATH=$LIBDIR
export PKG_CONFIG_PATH LD_LIBRARY_PATH
here=$(dirname "$0")
cflags=$(pkg-config --cflags libkqueue)

"$CXX" -std=c++17 "$here/cxx/main.cc" $cflags $(pkg-config --libs libkqueue) -o "$WORK/shared"
"$WORK/shared"
"$CXX" -std=c++17 "$here/cxx/main.cc" $cflags "$LIBDIR/libkqueue.a" -lpthread -o "$WORK/static"
"$WORK/static"
"$CXX" -std=c++98 -x c++ "$here/main.c" -x none $cflags $(pkg-config --libs libkqueue) -o "$WORK/c98"
"$WORK/c98"
