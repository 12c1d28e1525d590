#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A program in C++ with exceptions, and the C program compiled as C++. Shared and static.
set -eux
mkdir -p "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig LD_LIBRARY_PATH=$LIBDIR
export PKG_CONFIG_PATH LD_LIBRARY_PATH
here=$(dirname "$0")

eval "set -- $(pkg-config --cflags --libs libkqueue)"
"$CXX" -std=c++17 "$here/cxx/main.cc" "$@" -o "$WORK/shared"
"$WORK/shared"
"$CXX" -std=c++98 -x c++ "$here/main.c" -x none "$@" -o "$WORK/c98"
"$WORK/c98"
eval "set -- $(pkg-config --cflags libkqueue)"
"$CXX" -std=c++17 "$here/cxx/main.cc" "$@" "$LIBDIR/libkqueue.a" -lpthread -o "$WORK/static"
"$WORK/static"
