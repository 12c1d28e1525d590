#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The manual is installed under all its names. It has every constant of the header and every errno.
# mandoc has no complaint about it. 77: there is no mandoc (everything else was checked).
set -euo pipefail
man=$PREFIX/share/man/man2
for name in kevent kevent64 kqueue1 kqueuex; do
    test "$(cat "$man/$name.2")" = ".so man2/kqueue.2"
done

# Masks, and names that no filter serves. The manual does not have them.
apart='EVFILT_SYSCOUNT|EV_SYSFLAGS|EV_FLAG1|EV_SET64|NOTE_\w*MASK|NOTE_LINK(UP|DOWN|INV)|KEVENT_FLAG_NONE'
names=$(grep -oE '^ *#define (EVFILT|EV|NOTE|KEVENT|KQUEUE)_\w+' "$PREFIX/include/kqueue/sys/event.h" |
    awk '{ print $2 }' | sort -u | grep -vxE "$apart")
functions=$(sed -n 's/^    \(k[a-z0-9]*\);$/\1/p' "$SOURCE/src/libkqueue.map")
errors="EBADF EFAULT EINTR EINVAL EMFILE ENFILE ENOENT ENOMEM ENOSYS ENOTSUP EPERM ESRCH"
missing=0
for name in $names $functions $errors; do
    grep -qw -- "$name" "$man/kqueue.2" || { echo "not in kqueue.2: $name" >&2; missing=1; }
done
test "$missing" = 0
echo "$(echo $names $functions $errors | wc -w) names are in kqueue.2"

. "$(dirname "$0")/needs.sh"
needs mandoc mandoc
# It does not matter whether other manuals are installed.
said=$(mandoc -Tlint -Wstyle "$man/kqueue.2" 2>&1 | grep -vE 'mandoc\.db|referenced manual not found' || true)
test -z "$said" || { echo "$said" >&2; exit 1; }
# Each name must show the manual.
for name in kqueue kevent kevent64 kqueue1 kqueuex; do
    html=$(cd "$PREFIX/share/man" && mandoc -Thtml "man2/$name.2" 2> /dev/null)
    grep -q eventlist <<< "$html"
done
