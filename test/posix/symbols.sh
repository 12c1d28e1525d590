#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: symbols.sh <libkqueue.so>: checks that the library calls only functions of POSIX. There are
# two exceptions: ioctl() for FIONREAD and TIOCOUTQ, and bsd_signal(), which is signal() with
# another name. _FILE_OFFSET_BITS=64 turns fstat() and others into fstat64() and so on. Names that
# begin with an underscore belong to the C library and the compiler.
set -eu
posix='abort bsd_signal calloc clock_gettime close dup2 fcntl fpathconf fprintf fputs fstat free getenv getpeername
getpid getsockname getsockopt ioctl kill lseek malloc memcpy memmove memset nanosleep pipe poll
pthread_atfork pthread_self pthread_getspecific pthread_key_create pthread_mutex_lock pthread_mutex_trylock
pthread_mutex_unlock pthread_setcancelstate pthread_setcanceltype qsort pthread_setspecific pthread_sigmask raise read realloc
sched_yield sigaction sigaddset sigemptyset sigfillset sigismember sigpending sigqueue sigtimedwait snprintf
sockatmark stderr strerror sysconf vsnprintf waitid write isatty'
bad=$("${NM:-nm}" -D --undefined-only "$1" | awk '{ sub(/(64)?(@.*)?$/, "", $NF); print $NF }' | grep -v '^_' |
    grep -vxF "$(echo $posix | tr ' ' '\n')" || true)
[ -z "$bad" ] || { echo "not POSIX: $bad"; exit 1; }
