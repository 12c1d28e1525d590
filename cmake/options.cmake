# SPDX-License-Identifier: BSD-2-Clause
# What a builder may choose: cmake -D<name>=<value>.

set(KQUEUE_BACKEND auto CACHE STRING "The platform directory under src/ to build; auto goes by CMAKE_SYSTEM_NAME")
set(kq_backends linux posix solaris windows)
set_property(CACHE KQUEUE_BACKEND PROPERTY STRINGS auto ${kq_backends})

# The conventions. A project that includes this one gets only what it links with, unless it asks for more.
#   BUILD_SHARED_LIBS  ON: the shared library alone, OFF: the static one. Neither: both are built,
#                      or, in another project, those that are linked with.
#   BUILD_TESTING      OFF: no tests. In another project it does not mean our tests.
if(PROJECT_IS_TOP_LEVEL)
    option(BUILD_TESTING "Build the tests" ON)
endif()
set(KQUEUE_BUILD_TESTS AUTO CACHE STRING
    "Build the tests, which need GoogleTest: ON, OFF, or AUTO: as BUILD_TESTING says, if GoogleTest is there")
set_property(CACHE KQUEUE_BUILD_TESTS PROPERTY STRINGS AUTO ON OFF)
set(KQUEUE_ALSO_BACKENDS auto CACHE STRING
    "Other backends of which the library is built, too, for the tests; auto: all that run on this system")
option(KQUEUE_BUILD_BENCH "Build the benchmarks too (Linux; needs Google Benchmark, Python 3)" OFF)
option(KQUEUE_BUILD_FUZZ "Build the libFuzzer targets too (Linux; needs clang)" OFF)
option(KQUEUE_INSTALL "Generate the install rules" ${PROJECT_IS_TOP_LEVEL})
option(KQUEUE_STRIP "Strip the libraries of debugging information when they are installed (not in Debug builds)" ON)
set(KQUEUE_PACKAGE "" CACHE STRING "What is installed goes into a package of this kind: deb, rpm (the presets say so)")
set_property(CACHE KQUEUE_PACKAGE PROPERTY STRINGS "" deb rpm)
set(KQUEUE_HOMEPAGE_URL "" CACHE STRING "Where the project lives, for packages and pkg-config")
option(KQUEUE_WARNINGS "Compile this project with its own set of warnings" OFF)
option(KQUEUE_WERROR "Make those warnings errors" OFF)
option(KQUEUE_LTO "Optimise across the library's files (GCC; not in Debug or instrumented builds)" ON)
option(KQUEUE_HEAR_SIGACTION "Notice the program's sigaction() and signal(): the library exports both (glibc)" ON)
option(KQUEUE_COVERAGE "Instrument for gcov" OFF)
set(KQUEUE_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")
set_property(CACHE KQUEUE_SANITIZE PROPERTY STRINGS "" address,undefined thread)
set(KQUEUE_TEST_SHARDS 0 CACHE STRING "Run each test program in so many processes, not one for each test")

# An instrumented build is for finding bugs: its libraries need the instrument's
# run-time library, so nothing about the ABI can be learnt from it.
set(KQUEUE_INSTRUMENTED OFF)
if(KQUEUE_SANITIZE OR KQUEUE_COVERAGE OR KQUEUE_BUILD_FUZZ)
    set(KQUEUE_INSTRUMENTED ON)
endif()

get_property(kq_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(PROJECT_IS_TOP_LEVEL AND NOT kq_multi_config AND NOT CMAKE_BUILD_TYPE)
    set_property(CACHE CMAKE_BUILD_TYPE PROPERTY VALUE RelWithDebInfo)
endif()

# ---- the backend ----
if(KQUEUE_BACKEND STREQUAL "auto")
    if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
        set(kq_backend linux)
    elseif(CMAKE_SYSTEM_NAME STREQUAL "SunOS")
        set(kq_backend solaris)
    elseif(CMAKE_SYSTEM_NAME STREQUAL "Windows")
        set(kq_backend windows)
    else()
        set(kq_backend posix)
    endif()
else()
    set(kq_backend "${KQUEUE_BACKEND}")
endif()
if(NOT kq_backend IN_LIST kq_backends)
    list(JOIN kq_backends ", " kq_known)
    message(FATAL_ERROR "KQUEUE_BACKEND=${kq_backend}: unknown; it is one of auto, ${kq_known}")
endif()
if(NOT EXISTS "${PROJECT_SOURCE_DIR}/cmake/backend_${kq_backend}.cmake")
    message(FATAL_ERROR
        "FIXME -- UNIMPLEMENTED: the backend '${kq_backend}' (src/${kq_backend}) is not written yet; "
        "this version has: linux, posix, solaris, windows")
endif()

if(kq_backend STREQUAL "solaris" AND NOT CMAKE_SYSTEM_NAME STREQUAL "SunOS")
    message(WARNING
        "KQUEUE_BACKEND=solaris on ${CMAKE_SYSTEM_NAME}: the library runs on a MODEL OF EVENT PORTS (test/eventport), "
        "for tests. Nothing is installed.")
    set(KQUEUE_INSTALL OFF)
endif()

# ---- the kinds of library: the targets that are built and installed; the first is libkqueue::kqueue ----
if(NOT DEFINED BUILD_SHARED_LIBS)
    set(kq_kinds kqueue)
    if(PROJECT_IS_TOP_LEVEL)
        list(APPEND kq_kinds kqueue_static)
    endif()
elseif(BUILD_SHARED_LIBS)
    set(kq_kinds kqueue)
else()
    set(kq_kinds kqueue_static)
endif()
