# SPDX-License-Identifier: BSD-2-Clause
# The core: one list for every platform. A new filter is one line here.
set(KQUEUE_CORE_SOURCES
    src/api.cc
    src/registry.cc
    src/registry_cells.cc
    src/kqueue.cc
    src/knote_queue.cc
    src/announcing.cc
    src/change.cc
    src/specific.cc
    src/farewell.cc
    src/scan.cc
    src/collect.cc
    src/news.cc
    src/wide.cc
    src/filter_table.cc
    src/filter_read.cc
    src/filter_write.cc
    src/filter_timer.cc
    src/filter_user.cc
    src/filter_libkqueue.cc
    src/filter_missing.cc
    src/fd_watch.cc
    src/fd_filter.cc
    src/fd_look.cc
    src/fd_state.cc
    src/timer_queue.cc
    src/mailbox.cc
    src/trace.cc
    src/trace_names.cc
    src/traced_call.cc
    src/explain.cc
    src/check.cc)

# The files of each capability: src/platform.h, "capabilities". If a capability is not in
# KQUEUE_BACKEND_HAS, src/without_<capability>.cc takes the place of its files.
set(kq_capabilities renewal duplicates fork files processes signals mounts urgent unsent procdesc)
set(kq_core_renewal src/renew.cc)
set(kq_core_duplicates src/registry_duplicates.cc)
set(kq_core_fork src/registry_fork.cc src/fork_copy.cc)
set(kq_core_files src/fd_files.cc src/filter_vnode.cc src/vnode_hints.cc)
set(kq_core_processes src/filter_proc.cc src/proc_news.cc src/process_hub.cc)
set(kq_core_signals src/filter_signal.cc src/signal_hub.cc)
set(kq_core_mounts src/filter_fs.cc)
set(kq_core_urgent src/filter_except.cc)
set(kq_core_unsent src/filter_empty.cc)
set(kq_core_procdesc src/filter_procdesc.cc)

# Files that some backends share, and that need no system. A backend lists those that it uses.
set(KQUEUE_SHARED_ROOMS src/spent_edges.cc)

# kq_core_sources(<variable> <capability>...): the core for a backend that has these.
function(kq_core_sources variable)
    set(files ${KQUEUE_CORE_SOURCES})
    foreach(capability IN LISTS kq_capabilities)
        if(capability IN_LIST ARGN)
            list(APPEND files ${kq_core_${capability}})
        else()
            list(APPEND files src/without_${capability}.cc)
        endif()
    endforeach()
    list(TRANSFORM files PREPEND "${PROJECT_SOURCE_DIR}/")
    set(${variable} ${files} PARENT_SCOPE)
endfunction()

# Whether the library can have sigaction() and signal() in front of the C library's
# (src/posix/program_actions.cc): that one needs other names for them. glibc has.
function(kq_check_other_sigaction)
    include(CheckCXXSourceCompiles)
    check_cxx_source_compiles("
        #include <signal.h>
        extern \"C\" int __sigaction(int, const struct sigaction*, struct sigaction*);
        extern \"C\" void (*bsd_signal(int, void (*)(int)))(int);
        int main() { return __sigaction(0, nullptr, nullptr) + (bsd_signal(0, SIG_DFL) == SIG_ERR); }"
        KQUEUE_HAS_OTHER_SIGACTION)
endfunction()

# kq_read_backend(<name>): sets KQUEUE_BACKEND_SOURCES, KQUEUE_BACKEND_DEFINITIONS,
# KQUEUE_BACKEND_HAS, KQUEUE_BACKEND_LIBRARIES, KQUEUE_BACKEND_LINK_OPTIONS and kq_hears_sigaction;
# and kq_core, the core for it.
macro(kq_read_backend name)
    set(KQUEUE_BACKEND_LIBRARIES "")
    set(KQUEUE_BACKEND_LINK_OPTIONS "")
    include(backend_${name})
    set(kq_hears_sigaction OFF)
    if(KQUEUE_HEAR_SIGACTION AND "src/posix/program_actions.cc" IN_LIST KQUEUE_BACKEND_SOURCES)
        kq_check_other_sigaction()
        if(KQUEUE_HAS_OTHER_SIGACTION)
            set(kq_hears_sigaction ON)
            list(APPEND KQUEUE_BACKEND_DEFINITIONS KQ_HEARS_SIGACTION)
        endif()
    endif()
    list(TRANSFORM KQUEUE_BACKEND_SOURCES PREPEND "${PROJECT_SOURCE_DIR}/")
    kq_core_sources(kq_core ${KQUEUE_BACKEND_HAS})
endmacro()
kq_read_backend(${kq_backend})
