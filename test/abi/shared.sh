#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: shared.sh exports|soname|needed|hardening <libkqueue.so>
# What a program that was linked with some libkqueue.so.0 relies on.
set -eu
. "$(dirname "$0")/expect.sh"
lib=$2

case $1 in
exports)
    expect "exported names" "$("$NM" -D --defined-only "$lib" | awk '{ print $3 }' | sort)" \
        "kevent kevent64 kqueue kqueue1 kqueuex libkqueue_drain_pending_close libkqueue_init$SIGACTION"
    ;;
soname)
    expect "SONAME" "$(dynamic SONAME)" "libkqueue.so.0"
    ;;
needed)
    case $lib in
    # Beside the C library the model of event ports, which is found where it was built.
    */solaris/libkqueue* | */solaris-model/libkqueue*) expect "NEEDED" "$(dynamic NEEDED)" "libeventport.so libc.so.6" ;;
    *)
        expect "NEEDED" "$(dynamic NEEDED)" "libc.so.6"
        expect "RPATH and RUNPATH" "$(dynamic RPATH RUNPATH)" ""
        ;;
    esac
    ;;
hardening)
    # nodelete: fork handlers must survive dlclose().
    flags=$("$READELF" -dW "$lib" | grep -E 'FLAGS|BIND_NOW' || true)
    for flag in NOW NODELETE; do
        case $flags in *"$flag"*) ;; *) fail "no $flag in: $flags" ;; esac
    done
    "$READELF" -lW "$lib" | grep -q GNU_RELRO || fail "no GNU_RELRO segment"
    if "$READELF" -dW "$lib" | grep -q TEXTREL; then fail "text relocations"; fi
    if "$READELF" -sW "$lib" | grep -q UNIQUE; then fail "unique symbols"; fi
    "$READELF" -lW "$lib" | grep GNU_STACK | grep -q 'RW ' || fail "executable stack"
    ;;
*)
    fail "unknown check $1"
    ;;
esac
