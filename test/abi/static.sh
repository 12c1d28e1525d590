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
    # One function runs before main(): it installs the fork handlers (registry_fork.cc). All static
    # objects are constant-initialised. One counter is thread-local (posix/pthreads.h).
    sections=$("$READELF" -SW "$lib" | grep -E ' \.(init_array|fini_array|ctors|dtors|tdata)')
    expect "thread-local objects" "$("$READELF" -sW "$lib" | awk '$4 == "TLS" { print $8 }' | sort -u)" \
        _ZN2kq9threading11shared_heldE
    expect "constructor sections" "$(echo "$sections" | grep -oE '\.[a-z_]+[^ ]*' | sort -u)" ".init_array"
    expect "constructors" "$(echo "$sections" | awk '{ sub(/.*INIT_ARRAY/, ""); print $3 }' | sed 's/^0*[48]$/one pointer/')" \
        "one pointer"
    ;;
*)
    fail "unknown check $1"
    ;;
esac
