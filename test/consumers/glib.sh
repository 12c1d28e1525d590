#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A program that uses a kqueue in a GLib main loop. 77: there is no GLib here.
set -eux
. "$(dirname "$0")/needs.sh"
pkg-config --exists glib-2.0 || skipped_because "there is no GLib (Debian: apt-get install libglib2.0-dev)"
mkdir -p "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH

eval "set -- $(pkg-config --cflags --libs libkqueue glib-2.0)"
"$CC" "$(dirname "$0")/glib/main.c" "$@" -o "$WORK/main"
LD_LIBRARY_PATH=$LIBDIR "$WORK/main"
