# SPDX-License-Identifier: BSD-2-Clause
# Event ports: Solaris and illumos; and what all Unix systems share.
include(unix_common)
set(KQUEUE_BACKEND_SOURCES
    ${KQUEUE_UNIX_SOURCES}
    ${KQUEUE_UNIX_LOOKING_SOURCES}
    src/spent_edges.cc
    src/solaris/associations.cc
    src/solaris/backend.cc
    src/solaris/backend_wait.cc
    src/solaris/port_bell.cc
    src/solaris/port_files.cc
    src/solaris/port_timer.cc)
set(KQUEUE_BACKEND_DEFINITIONS ${KQUEUE_UNIX_DEFINITIONS})
set(KQUEUE_BACKEND_HAS duplicates fork files processes signals urgent)
if(CMAKE_SYSTEM_NAME STREQUAL "SunOS")
    list(APPEND KQUEUE_BACKEND_DEFINITIONS __EXTENSIONS__ _POSIX_PTHREAD_SEMANTICS)
    # These libraries are needed where their functions are not in the C library.
    set(KQUEUE_BACKEND_LIBRARIES socket nsl)
else()
    # Elsewhere it runs on a model of event ports, for tests.
    list(APPEND KQUEUE_BACKEND_DEFINITIONS _POSIX_C_SOURCE=200809L KQ_GETN_IS_CANCELLATION_POINT)
    if(NOT TARGET eventport)
        add_subdirectory("${PROJECT_SOURCE_DIR}/test/eventport" "${PROJECT_BINARY_DIR}/eventport")
    endif()
    set(KQUEUE_BACKEND_LIBRARIES eventport)
    # The model comes before the C library for the library, whatever the program is linked with.
    set(KQUEUE_BACKEND_LINK_OPTIONS LINKER:-f,libeventport.so)
endif()
