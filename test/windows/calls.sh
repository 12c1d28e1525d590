#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# calls.sh <calls.exe> <wine prefix>: counts in a trace of Wine how often each operation enters the
# kernel (src/README.md, "What it costs"). Fails if a number is larger than in the table below.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT
status=0
WINEDEBUG=+relay sh "$here/wine.sh" "$2" "$1" >"$trace" 2>&1 || status=$?
[ $status = 0 ] || { tail -n 3 "$trace"; exit $status; }
awk '
    BEGIN {
        split("kqueue 8 close 1 nothing 2 user_add 0 user_trigger 0 user_event 2 socket_add 6 " \
              "socket_event 12 socket_delete 4 timer_add 1 timer_delete 0 timer_event 12", words, " ")
        for (i = 1; i in words; i += 2) most[words[i]] = words[i + 1]
    }
    /Call .*SetEnvironmentVariableA.*"kqmark-/ {
        match($0, /kqmark-[a-z_]*/)
        name = substr($0, RSTART + 7, RLENGTH - 7)
        rounds[name]++
        next
    }
    /Call ntdll\.Nt/ && rounds[name] == 2 { calls[name]++ }
    END {
        for (name in most) {
            printf "%s: %d\n", name, calls[name]
            if (rounds[name] != 2) { print "calls.sh: " name " was not found"; failed = 1 }
            if (calls[name] > most[name]) { print "calls.sh: " name " has more than " most[name]; failed = 1 }
        }
        exit failed
    }' "$trace"
