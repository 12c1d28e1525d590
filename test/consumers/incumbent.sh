#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A program that was linked with another libkqueue.so.0 runs with this one. Only LD_LIBRARY_PATH is
# changed. The other library is a stand-in with the function names of the C libkqueue.
set -eux
rm -rf "$WORK"
mkdir -p "$WORK"
cat > "$WORK/stand_in.c" <<'END'
int kqueue(void) { return -1; }
int kevent(void) { return -1; }
void libkqueue_drain_pending_close(void) {}
END
"$CC" -shared -fPIC "$WORK/stand_in.c" -Wl,-soname,libkqueue.so.0 -o "$WORK/libkqueue.so.0"
"$CC" "$(dirname "$0")/incumbent/main.c" "$WORK/libkqueue.so.0" -o "$WORK/main"
if LD_LIBRARY_PATH=$WORK "$WORK/main" 2> /dev/null; then exit 1; fi # the program was linked with the stand-in

LD_LIBRARY_PATH=$LIBDIR "$WORK/main" 2> "$WORK/said"
cat "$WORK/said"
test ! -s "$WORK/said" # the loader must not write anything, either
