# SPDX-License-Identifier: BSD-2-Clause
# What the backends of all Unix systems share: only POSIX, and nothing about how a backend waits.
# src/posix/README.md tells which headers belong to it.

# The ground floor: each backend's list begins with this one.
set(KQUEUE_UNIX_SOURCES
    src/posix/threading.cc        # yield, fork handlers, stderr
    src/posix/signals.cc          # handlers that count
    src/posix/signal_names.cc     # for trace lines
    src/posix/dispositions.cc     # what the program had set, found again
    src/posix/left_signals.cc     # signals that were told and stay pending
    src/posix/program_actions.cc) # sigaction() and signal(), as the program calls them
# The first floor: for kernels that offer a queue, and otherwise only POSIX. The library asks for, or
# looks at, everything that these kernels do not report.
set(KQUEUE_UNIX_LOOKING_SOURCES
    src/posix/amount.cc           # how much is to be read
    src/posix/bells.cc            # kqueues by their numbers, for signal handlers
    src/posix/child_hints.cc      # what SIGCHLD says
    src/posix/children.cc         # EVFILT_PROC of children
    src/posix/connection.cc       # how a connection died
    src/posix/descriptor.cc       # what a descriptor says now
    src/posix/file_watch.cc       # files, looked at now and then
    src/posix/open_numbers.cc     # which descriptors are open
    src/posix/pending_signals.cc  # signals that are blocked
    src/posix/pipe_device.cc
    src/posix/sockets.cc
    src/posix/system.cc)          # clocks, marks of processes
# Sizes, offsets and inode numbers of files have 64 bits everywhere. Seconds keep the width that
# the builder's flags give them: kevent() takes a struct timespec, and must take the callers'.
set(KQUEUE_UNIX_DEFINITIONS _FILE_OFFSET_BITS=64)
