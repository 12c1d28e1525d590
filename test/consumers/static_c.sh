#!/bin/sh
# The static library, by the C driver: no libstdc++, no shared libkqueue, no clash of names.
set -eux
mkdir -p "$WORK"
PKG_CONFIG_PATH=$LIBDIR/pkgconfig
export PKG_CONFIG_PATH
cflags=$(pkg-config --cflags libkqueue)
main=$(dirname "$0")/main.c

"$CC" "$main" $cflags "$LIBDIR/libkqueue.a" -lpthread -o "$WORK/main"
"$WORK/main"
if readelf -d "$WORK/main" | grep -E 'NEEDED.*(kqueue|stdc)'; then exit 1; fi

# As a fully static program, everything from pkg-config.
"$CC" -static "$main" $(pkg-config --static --cflags --libs libkqueue) -o "$WORK/main_static"
"$WORK/main_static"
