#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: late.sh [<microseconds>] -- COMMAND...: runs the command with a loopback of its own, on which each
# packet comes so much later (3000). A busy machine does that, too: the kernel leaves the delivery to
# ksoftirqd, and the sender goes on before the receiver, or the ACK of the other side, is heard. A test
# that fails here takes for granted that loopback is synchronous. As root. Needs iptables and
# libnetfilter-queue-dev. For example:
#     sh test/elsewhere/late.sh -- ctest --test-dir build/dev -j4 -L conformance
set -eu
length=3000
if [ "${1:-}" != -- ]; then length=$1; shift; fi
[ "${1:-}" = -- ] || { echo "usage: late.sh [<microseconds>] -- COMMAND..." >&2; exit 2; }
shift
if [ -z "${KQ_LATE_INSIDE:-}" ]; then
    KQ_LATE_INSIDE=1 exec unshare -n sh "$0" "$length" -- "$@"
fi
unset KQ_LATE_INSIDE
work=$(mktemp -d)
late=
trap 'test -z "$late" || kill "$late" 2>/dev/null; rm -rf "$work"' EXIT
cc -O2 -D_GNU_SOURCE -o "$work/late" "$(dirname "$0")/late.c" -lnetfilter_queue
ip link set lo up
iptables -A INPUT -i lo -j NFQUEUE --queue-num 1
ip6tables -A INPUT -i lo -j NFQUEUE --queue-num 1 || echo "late.sh: IPv6 is not delayed" >&2
mkfifo "$work/ready"
"$work/late" "$length" >"$work/ready" &
late=$!
read -r answer <"$work/ready" || { echo "late.sh: no netfilter queue" >&2; exit 77; }
[ "$answer" = ready ]
status=0
"$@" || status=$?
kill -0 "$late" 2>/dev/null || { echo "late.sh: the queue ended" >&2; exit 77; }
exit $status
