#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: pauses.sh [<length> <gap>] -- COMMAND...: runs the command, usually ctest, on a machine that
# stops again and again for `length` ms, and runs for up to `gap` ms between (300 and 300). A test that
# fails here, and not without the pauses, is wrong about time, and fails on a busy machine one day.
# As root, or with the right to use SCHED_FIFO. For example:
#     sh test/elsewhere/pauses.sh -- ctest --test-dir build/dev -j4 -L 'conformance|posix|solaris'
set -eu
length=300 gap=300
if [ "${1:-}" != -- ]; then length=$1 gap=$2; shift 2; fi
[ "${1:-}" = -- ] || { echo "usage: pauses.sh [<length> <gap>] -- COMMAND..." >&2; exit 2; }
shift
work=$(mktemp -d)
pauses=
trap 'test -z "$pauses" || kill "$pauses" 2>/dev/null; rm -rf "$work"' EXIT
cc -O2 -o "$work/pauses" "$(dirname "$0")/pauses.c" -lpthread
"$work/pauses" "$length" "$gap" &
pauses=$!
status=0
"$@" || status=$?
kill -0 "$pauses" 2>/dev/null || { echo "pauses.sh: there were no pauses" >&2; exit 77; }
exit $status
