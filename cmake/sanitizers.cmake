# SPDX-License-Identifier: BSD-2-Clause
# Instrumented builds: the same flags on everything compiled or linked below.
if(KQUEUE_SANITIZE)
    add_compile_options(-fsanitize=${KQUEUE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${KQUEUE_SANITIZE})
endif()
if(KQUEUE_COVERAGE)
    add_compile_options(--coverage -fprofile-update=atomic)
    add_link_options(--coverage)
endif()
if(KQUEUE_BUILD_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link) # the fuzzer follows what is reached
endif()
