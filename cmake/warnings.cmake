# SPDX-License-Identifier: BSD-2-Clause
# The project's warnings: for its own targets only, and only if asked for
# (KQUEUE_WARNINGS, KQUEUE_WERROR), so that a newer compiler breaks no user's build.

set(kq_warnings_common
    -Wall -Wextra -Wpedantic -Wcast-qual -Wcast-align -Wundef -Wvla -Wformat=2
    -Wimplicit-fallthrough -Wwrite-strings -Wunused -Wdouble-promotion)
set(kq_warnings_cxx -Wold-style-cast -Wsuggest-override -Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi)
# Programs that use kevent() have to mix int and uintptr_t everywhere, because of
# the API. So the tests are compiled without these.
set(kq_warnings_conversion -Wconversion -Wsign-conversion)
# Plain -Wshadow objects to a struct and a function of the name kevent.
set(kq_warnings_gcc -Wshadow=local -Wlogical-op -Wduplicated-cond -Wduplicated-branches)
set(kq_warnings_clang
    -Wthread-safety -Wimplicit-int-conversion -Wshorten-64-to-32 -Wunreachable-code
    -Wcomma -Wshadow-all -Wconditional-uninitialized)

# kq_warnings(<target> [CALLER]): CALLER marks code that uses the library as a program does.
function(kq_warnings target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "CALLER" "" "")
    if(KQUEUE_WARNINGS)
        target_compile_options(${target} PRIVATE
            ${kq_warnings_common}
            "$<$<COMPILE_LANGUAGE:CXX>:${kq_warnings_cxx}>"
            "$<$<CXX_COMPILER_ID:GNU>:${kq_warnings_gcc}>")
        if(NOT arg_CALLER)
            target_compile_options(${target} PRIVATE
                ${kq_warnings_conversion} "$<$<CXX_COMPILER_ID:Clang>:${kq_warnings_clang}>")
        endif()
    endif()
    if(KQUEUE_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
endfunction()
