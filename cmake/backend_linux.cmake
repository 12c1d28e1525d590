# SPDX-License-Identifier: BSD-2-Clause
# epoll, eventfd, timerfd; and what all Unix systems share.
include(unix_common)
set(KQUEUE_BACKEND_SOURCES
    ${KQUEUE_UNIX_SOURCES}
    src/linux/backend.cc
    src/linux/anchors.cc
    src/linux/epoll.cc
    src/linux/renewal.cc
    src/linux/select.cc
    src/linux/futex_mutex.cc
    src/linux/duplicates.cc
    src/linux/descriptor.cc
    src/linux/connection.cc
    src/linux/diagnostics.cc
    src/linux/sockets.cc
    src/linux/vnodes.cc
    src/linux/inotify.cc
    src/linux/extras.cc
    src/linux/mounts.cc
    src/linux/own_file.cc
    src/linux/states.cc
    src/linux/signals.cc
    src/linux/process_mark.cc
    src/linux/children.cc
    src/linux/proc_connector.cc)
set(KQUEUE_BACKEND_DEFINITIONS ${KQUEUE_UNIX_DEFINITIONS} _GNU_SOURCE)
set(KQUEUE_BACKEND_HAS renewal duplicates fork files processes signals mounts urgent unsent procdesc)
