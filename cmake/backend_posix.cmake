# SPDX-License-Identifier: BSD-2-Clause
# poll(), pipes and looking: any POSIX system; and what all Unix systems share.
include(unix_common)
set(KQUEUE_BACKEND_SOURCES
    ${KQUEUE_UNIX_SOURCES}
    ${KQUEUE_UNIX_LOOKING_SOURCES}
    src/posix/backend.cc
    src/posix/doorbell.cc
    src/posix/poller.cc
    src/posix/poller_wait.cc
    src/posix/nest.cc)
# Only POSIX: names that are not declared with this macro are not used.
set(KQUEUE_BACKEND_DEFINITIONS ${KQUEUE_UNIX_DEFINITIONS} _POSIX_C_SOURCE=200809L)
set(KQUEUE_BACKEND_HAS duplicates fork files processes signals urgent unsent)
