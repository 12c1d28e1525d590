#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# wine.sh <prefix directory> <program> [<argument>...]: runs a Windows program under Wine. The first
# run makes the prefix (700 MB), which says that it is Windows 10. Wine's server and services go on
# running, so that the next program starts in a twentieth of a second.
# wine.sh <prefix directory> --stop ends them.
#
# A program that takes longer than KQ_WINE_LIMIT seconds (200) has failed. Then Wine of this prefix
# is ended, too, because a server that hangs would stop all later programs. If the server has died
# (BUGS.md, W-WINE), or if Wine does not start, the program runs again, at most twice, with a
# message.
set -eu
WINEPREFIX=$(realpath -m "$1")
shift
WINEDEBUG=${WINEDEBUG:--all}
WINEDLLOVERRIDES="mscoree,mshtml=;winemenubuilder.exe=d"
export WINEPREFIX WINEDEBUG WINEDLLOVERRIDES
limit=${KQ_WINE_LIMIT:-200}

wine=
server=
for directory in /usr/lib/wine /usr/bin; do
    [ -z "$wine" ] && [ -x "$directory/wine64" ] && wine=$directory/wine64
    [ -z "$server" ] && [ -x "$directory/wineserver" ] && server=$directory/wineserver
done
if [ -z "$wine" ] || [ -z "$server" ]; then
    echo "wine.sh: Wine is not installed (Debian: apt install wine64): skipped" >&2
    exit 77
fi
say() { echo "wine.sh: $*" >&2; }

# The server runs in the foreground of a session of its own. So its process number is known.
alive() {
    pid=$(cat "$WINEPREFIX/server.pid" 2>/dev/null) || return 1
    grep -q wineserver "/proc/$pid/comm" 2>/dev/null
}
# Ends the server of this prefix, and no other. The server's programs end with it.
stop() {
    timeout 10 "$server" -k >/dev/null 2>&1 || true
    if alive; then kill -9 "$pid" 2>/dev/null || true; fi
    rm -f "$WINEPREFIX/server.pid"
}
# Only one caller makes the prefix and starts the services, however many begin at once. The services
# must not inherit our output: a program that reads the output would wait for them.
start() (
    flock 9
    if alive; then exit 0; fi
    timeout 10 "$server" -k >/dev/null 2>&1 || true # stops a server that this script did not start
    setsid sh -c 'echo $$ >"$1/server.pid"; exec "$2" -f -p' sh "$WINEPREFIX" "$server" \
        9>&- </dev/null >>"$WINEPREFIX/server.log" 2>&1 &
    # A program that starts before this server is ready would start a server of its own.
    for _ in $(seq 100); do
        if alive && [ -S "/proc/$pid/cwd/socket" ]; then break; fi
        sleep 0.05
    done
    [ -e "$WINEPREFIX/made" ] || timeout -k 5 120 "$wine" winecfg -v win10 9>&-
    timeout -k 5 60 "$wine" cmd /c exit 9>&- || exit 1
    touch "$WINEPREFIX/made"
) 9>"$WINEPREFIX/lock" </dev/null >/dev/null 2>&1

if [ "$1" = --stop ]; then
    stop
    exit 0
fi
mkdir -p "$WINEPREFIX"
for try in 1 2 3; do
    if ! start; then
        say "Wine does not start (try $try)"
        stop
        continue
    fi
    status=0
    timeout -k 10 "$limit" "$wine" "$@" || status=$?
    if ! alive; then
        say "Wine's server died (try $try): $(tail -n 1 "$WINEPREFIX/server.log")"
        continue
    fi
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then
        say "$1 took longer than $limit s: Wine is ended"
        stop
    fi
    exit "$status"
done
say "given up"
exit 1
