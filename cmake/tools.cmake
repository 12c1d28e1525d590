# SPDX-License-Identifier: BSD-2-Clause
# Targets for people: none is part of `all`.

# ---- demo: install to a prefix, build the examples against it, run them ----
set(KQUEUE_DEMO_PREFIX "${CMAKE_BINARY_DIR}/prefix" CACHE PATH "Where the target demo installs")
if(KQUEUE_INSTALL)
    add_custom_target(demo
        COMMAND ${CMAKE_COMMAND} --install "${CMAKE_BINARY_DIR}" --config $<CONFIG> --prefix "${KQUEUE_DEMO_PREFIX}"
        COMMAND bash "${PROJECT_SOURCE_DIR}/test/examples/run_demo.sh" "${KQUEUE_DEMO_PREFIX}"
        USES_TERMINAL VERBATIM)
    add_dependencies(demo ${kq_kinds})
endif()

# ---- check: all tests, and what was skipped, with the reasons ----
# Most tests wait for something, so there are more of them at once than processors.
set(KQUEUE_PRESET "" CACHE INTERNAL "The configure preset, if it was one")
if(kq_tests)
    cmake_host_system_information(RESULT kq_processors QUERY NUMBER_OF_LOGICAL_CORES)
    math(EXPR kq_jobs "2 * ${kq_processors}")
    set(KQUEUE_TEST_JOBS ${kq_jobs} CACHE STRING "How many tests the target check runs at once")
    add_custom_target(check
        COMMAND ${CMAKE_COMMAND} "-DCTEST=${CMAKE_CTEST_COMMAND}" "-DBUILD=${CMAKE_BINARY_DIR}" "-DCONFIG=$<CONFIG>"
                "-DSOURCE=${PROJECT_SOURCE_DIR}" "-DPRESET=${KQUEUE_PRESET}" "-DJOBS=${KQUEUE_TEST_JOBS}"
                -P "${PROJECT_SOURCE_DIR}/cmake/check.cmake"
        USES_TERMINAL VERBATIM)
endif()

# ---- tidy: needs CMAKE_EXPORT_COMPILE_COMMANDS (the presets set it) ----
find_program(KQUEUE_RUN_CLANG_TIDY NAMES run-clang-tidy run-clang-tidy-14)
if(KQUEUE_RUN_CLANG_TIDY)
    add_custom_target(tidy
        COMMAND ${KQUEUE_RUN_CLANG_TIDY} -p "${CMAKE_BINARY_DIR}" -quiet
                -extra-arg=-Wno-unknown-warning-option "${PROJECT_SOURCE_DIR}/src/.*\\.cc$"
        WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
        USES_TERMINAL VERBATIM)
endif()

# ---- format, format-check ----
find_program(KQUEUE_CLANG_FORMAT NAMES clang-format-14 clang-format)
if(KQUEUE_CLANG_FORMAT)
    # kq_format_target(<name> <options of clang-format>)
    function(kq_format_target name options)
        add_custom_target(${name}
            COMMAND sh -c "find include src test -name '*.h' -o -name '*.cc' -o -name '*.c' | xargs '${KQUEUE_CLANG_FORMAT}' ${options}"
            WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
            VERBATIM)
    endfunction()
    kq_format_target(format "-i")
    kq_format_target(format-check "--dry-run -Werror")
endif()

# ---- coverage-report: per file of src/, after the tests of a KQUEUE_COVERAGE build ----
# And of the core what is not reached, which has to be explained: cmake/coverage_unreached.txt.
find_program(KQUEUE_GCOV NAMES gcov)
find_program(KQUEUE_GCOVR NAMES gcovr)
find_program(KQUEUE_PYTHON NAMES python3)
if(KQUEUE_COVERAGE AND KQUEUE_GCOV AND KQUEUE_GCOVR AND KQUEUE_PYTHON)
    add_custom_target(coverage-report
        COMMAND sh "${PROJECT_SOURCE_DIR}/cmake/coverage_report.sh" "${KQUEUE_GCOV}"
                "${PROJECT_SOURCE_DIR}" "${kq_all_objects}"
        COMMAND "${KQUEUE_PYTHON}" "${PROJECT_SOURCE_DIR}/cmake/coverage_core.py"
                "${PROJECT_SOURCE_DIR}" "${CMAKE_BINARY_DIR}"
        WORKING_DIRECTORY "${CMAKE_BINARY_DIR}"
        COMMAND_EXPAND_LISTS VERBATIM)
endif()

# ---- valgrind: the conformance suite under memcheck; not with sanitizers ----
find_program(KQUEUE_VALGRIND NAMES valgrind)
if(KQUEUE_VALGRIND AND TARGET kq_conformance AND NOT KQUEUE_INSTRUMENTED)
    add_custom_target(valgrind
        COMMAND sh "${PROJECT_SOURCE_DIR}/test/valgrind.sh" "$<TARGET_FILE:kq_conformance>"
        USES_TERMINAL VERBATIM)
    add_dependencies(valgrind kq_conformance)
endif()
