#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: static.sh exports|undefined|constructors <libkqueue.a>
# The archive must be good for any C program: no names in its way, no libstdc++.
set -eu
. "$(dirname "$0")/expect.sh"
lib=$2

case $1 in
exports)
    expect "global names" "$("$NM" -g --defined-only "$lib" | awk 'NF == 3 { print $3 }' | sort)" \
        "kevent kevent64 kqueue kqueue1 kqueuex libkqueue_drain_pending_close libkqueue_init$SIGACTION"
    ;;
undefined)
    # Mangled names, run-time support of C++, its personality routine, unwinder.
    expect "C++ names needed" "$("$NM" -u "$lib" | awk '{ print $NF }' | grep -E '^(_Z|__cxa|__gxx|DW.ref.__gxx|_Unwind)' | sort -u)" ""
    ;;
constructors)
    # Nothing runs before main(): all static objects are constant-initialised.
    expect "constructor sections" "$("$READELF" -SW "$lib" | grep -oE '\.(init_array|fini_array|ctors|dtors|tbss|tdata)[^ ]*' | sort -u)" ""
    ;;
*)
    fail "unknown check $1"
    ;;
esac
