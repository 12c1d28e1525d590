#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# demo.sh <build> <wine prefix> [<clients>]: runs the examples as Windows programs, under Wine
#   echod and echoload: <clients> TCP connections at once (1000). Each sends a whole file, and every
#   byte that returns is compared. kqtail follows a file that grows, and its output is compared.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(realpath "$1")
prefix=$(realpath -m "$2")
clients=${3:-1000}
examples=$here/../examples
work=$build/demo
rm -rf "$work"
mkdir -p "$work"
cd "$work"
wine() { sh "$here/wine.sh" "$prefix" "$@"; }
fail() { echo "demo.sh: $*" >&2; exit 1; }

cmake --install "$build" --prefix "$work/installed" >/dev/null
for program in echod echoload kqtail; do
    x86_64-w64-mingw32-gcc-posix -O2 -Wall -Wextra -Werror -D__USE_MINGW_ANSI_STDIO=1 -I"$here/posix" \
        -Iinstalled/include/kqueue "$examples/$program.c" installed/lib/libkqueue.a -static -pthread \
        -lws2_32 -lntdll -o $program.exe
done

# ---- echo ----
head -c 65537 installed/lib/libkqueue.a >65537
head -c 1 65537 >1
: >0
mkfifo console
wine ./echod.exe -p 0 -i 0 <console >echod.out 2>&1 &
echod=$!
exec 3>console
# until_true COMMAND...: repeats the command for at most 60 s
until_true() {
    for _ in $(seq 600); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    return 1
}
until_true grep -q listening echod.out || fail "echod: $(cat echod.out)"
port=$(tr -d '\r' <echod.out | sed -n 's/^.* port \([0-9]*\)$/\1/p')
wine ./echoload.exe -p "$port" -c "$clients" -t 150 65537 0 1 "$examples"/*.c >echoload.out 2>&1 ||
    fail "echoload: $(tail -n 5 echoload.out) $(tail -n 5 echod.out)"
echo quit >&3
exec 3>&-
wait $echod || fail "echod: $(cat echod.out)"
grep -q "(at most $clients at once)" echod.out || fail "not all at once: $(cat echod.out)"
number() { tr -d '\r' <"$2" | sed -n "s/^.*[^0-9]\([0-9][0-9]*\) $1.*\$/\1/p" | tail -n 1; }
echoed=$(number 'bytes echoed' echod.out)
[ "$echoed" = "$(number 'bytes received' echoload.out)" ] || fail "the two count different bytes"
tr -d '\r' <echoload.out
tr -d '\r' <echod.out

# ---- kqtail ----
head -n 20 "$examples/echod.c" >log
tail -n 3 log >expected
wine ./kqtail.exe -n 3 log >shown 2>kqtail.err &
kqtail=$!
until_true cmp -s shown expected || fail "kqtail shows $(cat shown kqtail.err)"
split -l 40 "$examples/echoload.c" part.
for part in part.*; do
    cat "$part" >>log
    cat "$part" >>expected
    sleep 0.05
done
until_true cmp -s shown expected || fail "kqtail does not show what was added"
: >log
echo "the end" >>log
echo "the end" >>expected
until_true cmp -s shown expected || fail "kqtail does not follow a file that was cut"
wine cmd /c "taskkill /f /im kqtail.exe" >/dev/null 2>&1 || true
wait $kqtail || true
echo "demo.sh: $clients connections, $echoed bytes; kqtail showed $(wc -c <shown) bytes: all compared"
