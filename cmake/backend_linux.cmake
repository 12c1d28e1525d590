# epoll, eventfd, timerfd.
set(KQUEUE_BACKEND_SOURCES
    src/linux/backend.cc
    src/linux/anchors.cc
    src/linux/epoll.cc
    src/linux/renewal.cc
    src/linux/select.cc
    src/linux/duplicates.cc
    src/linux/descriptor.cc
    src/linux/sockets.cc
    src/linux/vnodes.cc
    src/linux/signals.cc
    src/posix/signals.cc
    src/linux/process_mark.cc
    src/linux/children.cc
    src/linux/proc_connector.cc
    src/posix/dispositions.cc
    src/posix/held_signals.cc)
# Sizes, offsets and inode numbers of files have 64 bits everywhere. Seconds keep the width that
# the builder's flags give them: kevent() takes a struct timespec, and must take the callers'.
set(KQUEUE_BACKEND_DEFINITIONS _GNU_SOURCE _FILE_OFFSET_BITS=64)
