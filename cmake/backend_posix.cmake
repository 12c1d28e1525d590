# poll(), pipes and signal handlers: any POSIX system.
set(KQUEUE_BACKEND_SOURCES
    src/posix/backend.cc
    src/posix/doorbell.cc
    src/posix/poller.cc
    src/posix/poller_wait.cc
    src/posix/nest.cc
    src/posix/descriptor.cc
    src/posix/amount.cc
    src/posix/sockets.cc
    src/posix/file_watch.cc
    src/posix/children.cc
    src/posix/child_hints.cc
    src/posix/signals.cc
    src/posix/pending_signals.cc
    src/posix/dispositions.cc
    src/posix/held_signals.cc
    src/posix/system.cc)
# Nothing but POSIX: what is not declared under this is not used. As to files: see backend_linux.
set(KQUEUE_BACKEND_DEFINITIONS _POSIX_C_SOURCE=200809L _FILE_OFFSET_BITS=64)
