#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: strace.sh <everything> <work dir>: checks the system calls that the library makes. 77: no
# strace.
set -eu
. "$(dirname "$0")/../consumers/needs.sh"
needs strace strace
mkdir -p "$2" && cd "$2"
strace -f -o trace true 2>/dev/null || skipped_because "strace is not allowed here"
strace -f -qq -o trace "$1"
if grep -E '(epoll|eventfd|timerfd|signalfd|inotify|pidfd|fanotify|io_uring)[_a-z0-9]*\(|socket\(AF_NETLINK|/proc' trace; then
    echo "not POSIX, see above"
    exit 1
fi
grep -q 'poll(' trace # fails if nothing was traced
