#!/bin/sh
# A program that drives a kqueue in a GLib main loop. 77: there is no GLib here.
set -eux
pkg-config --exists glib-2.0 || exit 77
mkdir -p "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH

"$CC" "$(dirname "$0")/glib/main.c" $(pkg-config --cflags --libs libkqueue glib-2.0) -o "$WORK/main"
LD_LIBRARY_PATH=$LIBDIR "$WORK/main"
