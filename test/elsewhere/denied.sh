#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# usage: denied.sh old-kernel|sandbox <kq_conformance> [<work directory>]
# Runs the conformance suite where the kernel denies some system calls. old-kernel: those of Linux
# 4.11 and later that the library and libc use. sandbox: a strict container, which has no netlink,
# no inotify and no pidfds, and does not let a process look at others. Needs a C compiler. Takes a
# minute or two, and little processor time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
place=${1:?usage: denied.sh old-kernel|sandbox <kq_conformance>} suite=$2
work=${3:-$(mktemp -d)}
case $place in
old-kernel)
    rules="pidfd_open:ENOSYS pidfd_send_signal:ENOSYS pidfd_getfd:ENOSYS clone3:ENOSYS
        close_range:ENOSYS epoll_pwait2:ENOSYS openat2:ENOSYS faccessat2:ENOSYS statx:ENOSYS
        rseq:ENOSYS io_uring_setup:ENOSYS membarrier:ENOSYS madvise/2=18:EINVAL"
    ;;
sandbox)
    rules="socket/0=16:EAFNOSUPPORT kcmp:EPERM inotify_init1:EPERM inotify_add_watch:EPERM
        pidfd_open:EPERM pidfd_send_signal:EPERM pidfd_getfd:EPERM ptrace:EPERM setns:EPERM
        process_vm_readv:EPERM process_vm_writev:EPERM name_to_handle_at:EPERM unshare:EPERM"
    ;;
*) echo "unknown place $place" >&2; exit 2 ;;
esac
mkdir -p "$work"
"${CC:-cc}" -Wall -Wextra -Werror "$here/deny.c" -o "$work/deny"
# shellcheck disable=SC2086 # a list of rules
bash "$here/run_suite.sh" "$here/gaps/$place" "$work/logs" "$work/deny" $rules -- "$suite"
