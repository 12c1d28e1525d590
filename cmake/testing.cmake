# SPDX-License-Identifier: BSD-2-Clause
# Whether the tests are built (KQUEUE_BUILD_TESTS), and of which other backends the library is.

# ---- whether ----
# 1.12: the first that has GTEST_FLAG_SET.
set(kq_gtest_version 1.12)
set(kq_tests ${KQUEUE_BUILD_TESTS})
if(KQUEUE_BUILD_TESTS STREQUAL "AUTO")
    set(kq_tests OFF)
    if(PROJECT_IS_TOP_LEVEL AND BUILD_TESTING)
        find_package(GTest ${kq_gtest_version} QUIET)
        set(kq_tests ${GTest_FOUND})
        if(NOT GTest_FOUND)
            message(WARNING
                "GoogleTest ${kq_gtest_version} was not found: THE TESTS ARE LEFT OUT. The library is built and "
                "installed without. For the tests install GoogleTest (Debian: libgtest-dev); "
                "-DBUILD_TESTING=OFF says that none are wanted, -DKQUEUE_BUILD_TESTS=ON that they are needed.")
        endif()
    endif()
endif()
if(NOT kq_tests)
    return()
endif()
set(KQUEUE_GTEST_SOURCE "" CACHE PATH "Build GoogleTest from here, for the target system, instead of looking for it")
if(KQUEUE_GTEST_SOURCE)
    add_subdirectory("${KQUEUE_GTEST_SOURCE}" "${PROJECT_BINARY_DIR}/googletest" EXCLUDE_FROM_ALL)
    foreach(library IN ITEMS gtest gtest_main)
        if(NOT TARGET GTest::${library})
            add_library(GTest::${library} ALIAS ${library})
        endif()
    endforeach()
else()
    find_package(GTest ${kq_gtest_version} REQUIRED)
endif()
enable_testing()

# ---- the other backends: libkqueue.so.0 in a directory of its own, for the tests alone ----
# Where the tests' counts would be mixed up, or their programs are linked statically: none.
set(kq_also_backends ${KQUEUE_ALSO_BACKENDS})
if(KQUEUE_ALSO_BACKENDS STREQUAL "auto")
    set(kq_also_backends "")
    if(kq_backend STREQUAL "linux" AND NOT KQUEUE_COVERAGE)
        set(kq_also_backends posix solaris)
    endif()
endif()
# kq_also(<backend>): kq_objects_<backend>, and kqueue_<backend>, which is <build>/<backend>/libkqueue.so
function(kq_also backend)
    kq_read_backend(${backend})
    kq_compile(kq_objects_${backend} ${backend})
    kq_link_shared(kqueue_${backend} kq_objects_${backend})
    set_target_properties(kqueue_${backend} PROPERTIES
        LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/${backend}$<0:not one for each configuration>")
endfunction()
foreach(backend IN LISTS kq_also_backends)
    kq_also(${backend})
endforeach()

add_subdirectory(test)
