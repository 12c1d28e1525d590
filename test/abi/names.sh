#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: names.sh <event.h> <layout.c>: no constant of the header goes untested, and every name
# that the header of the C libkqueue has is there.
set -eu
header=$1 layout=$2

# Names that are no constants. The conformance tests check them.
apart='LIBKQUEUE_SYS_EVENT_H|LIBKQUEUE_VERSION|LIBKQUEUE_API|EV_SET|EV_SET64'
names=$(sed -n 's/^ *#define \([A-Z][A-Z0-9_]*\).*/\1/p' "$header" | grep -vxE "$apart")
bad=0
for name in $names; do
    grep -q "^VALUE($name, " "$layout" || { echo "not in layout.c: $name" >&2; bad=1; }
done

# Of every version of that header.
incumbent="LIBKQUEUE EV_SET
    EVFILT_READ EVFILT_WRITE EVFILT_AIO EVFILT_VNODE EVFILT_PROC EVFILT_SIGNAL EVFILT_TIMER
    EVFILT_NETDEV EVFILT_FS EVFILT_LIO EVFILT_USER EVFILT_LIBKQUEUE EVFILT_SYSCOUNT
    EV_ADD EV_DELETE EV_ENABLE EV_DISABLE EV_ONESHOT EV_CLEAR EV_RECEIPT EV_DISPATCH EV_SYSFLAGS
    EV_FLAG1 EV_EOF EV_ERROR
    NOTE_FFNOP NOTE_FFAND NOTE_FFOR NOTE_FFCOPY NOTE_FFCTRLMASK NOTE_FFLAGSMASK NOTE_TRIGGER
    NOTE_LOWAT NOTE_DELETE NOTE_WRITE NOTE_EXTEND NOTE_ATTRIB NOTE_LINK NOTE_RENAME NOTE_REVOKE
    NOTE_TRUNCATE NOTE_EXIT NOTE_FORK NOTE_EXEC NOTE_PCTRLMASK NOTE_PDATAMASK NOTE_TRACK
    NOTE_TRACKERR NOTE_CHILD NOTE_LINKUP NOTE_LINKDOWN NOTE_LINKINV
    VQ_NOTRESP VQ_NEEDAUTH VQ_LOWDISK VQ_MOUNT VQ_UNMOUNT VQ_DEAD VQ_ASSIST VQ_NOTRESPLOCK
    NOTE_SECONDS NOTE_USECONDS NOTE_NSECONDS NOTE_ABSOLUTE
    NOTE_VERSION NOTE_VERSION_STR NOTE_THREAD_SAFE NOTE_FORK_CLEANUP NOTE_DEBUG NOTE_DEBUG_PREFIX
    NOTE_DEBUG_FUNC NOTE_FILE_POLL_INTERVAL"
for name in $incumbent; do
    grep -qE "^#define $name[ (]" "$header" || { echo "not in event.h: $name" >&2; bad=1; }
done
echo "$(echo $names | wc -w) constants, $(echo $incumbent | wc -w) names of the C libkqueue"
exit $bad
