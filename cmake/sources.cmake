# The core: one list for every platform. A new filter is one line here.
set(KQUEUE_CORE_SOURCES
    src/api.cc
    src/registry.cc
    src/registry_cells.cc
    src/registry_duplicates.cc
    src/registry_fork.cc
    src/kqueue.cc
    src/change.cc
    src/scan.cc
    src/renew.cc
    src/wide.cc
    src/filter_table.cc
    src/filter_read.cc
    src/filter_write.cc
    src/filter_vnode.cc
    src/vnode_hints.cc
    src/filter_timer.cc
    src/filter_user.cc
    src/filter_signal.cc
    src/filter_proc.cc
    src/proc_news.cc
    src/process_hub.cc
    src/filter_libkqueue.cc
    src/filter_missing.cc
    src/fd_watch.cc
    src/fd_filter.cc
    src/timer_queue.cc
    src/mailbox.cc
    src/signal_hub.cc
    src/trace.cc
    src/trace_names.cc
    src/check.cc)
list(TRANSFORM KQUEUE_CORE_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/")

# Sets KQUEUE_BACKEND_SOURCES and KQUEUE_BACKEND_DEFINITIONS.
include(backend_${kq_backend})
list(TRANSFORM KQUEUE_BACKEND_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/")
