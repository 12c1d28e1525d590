#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A Meson project. 77: there is no Meson here.
set -eux
. "$(dirname "$0")/needs.sh"
needs meson meson
here=$(dirname "$0")
rm -rf "$WORK"
mkdir -p "$WORK"
cp "$here/meson/meson.build" "$here/main.c" "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig LD_LIBRARY_PATH=$LIBDIR
export PKG_CONFIG_PATH LD_LIBRARY_PATH CC

meson setup "$WORK/build" "$WORK"
meson test -C "$WORK/build" --print-errorlogs
if readelf -d "$WORK/build/with_static" | grep 'NEEDED.*kqueue'; then exit 1; fi
