#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The static library, linked by the C compiler: no libstdc++, no shared libkqueue, no clash of
# names.
set -eux
mkdir -p "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig
export PKG_CONFIG_PATH
main=$(dirname "$0")/main.c

eval "set -- $(pkg-config --cflags libkqueue)"
"$CC" "$main" "$@" "$LIBDIR/libkqueue.a" -lpthread -o "$WORK/main"
"$WORK/main"
if readelf -d "$WORK/main" | grep -E 'NEEDED.*(kqueue|stdc)'; then exit 1; fi

# A fully static program, with all options from pkg-config.
eval "set -- $(pkg-config --static --cflags --libs libkqueue)"
"$CC" -static "$main" "$@" -o "$WORK/main_static"
"$WORK/main_static"
