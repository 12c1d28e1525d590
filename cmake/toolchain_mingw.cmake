# SPDX-License-Identifier: BSD-2-Clause
# Cross-building for Windows with mingw-w64. Debian: apt install g++-mingw-w64-x86-64-posix
set(CMAKE_SYSTEM_NAME Windows)
set(KQUEUE_MINGW x86_64-w64-mingw32 CACHE STRING "The prefix of the compilers: x86_64-w64-mingw32 or i686-w64-mingw32")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES KQUEUE_MINGW)
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${KQUEUE_MINGW}")

# The tests use threads of C++, which Debian's other variant does not have. The library works with both.
find_program(KQUEUE_MINGW_GCC NAMES ${KQUEUE_MINGW}-gcc-posix ${KQUEUE_MINGW}-gcc REQUIRED)
find_program(KQUEUE_MINGW_GXX NAMES ${KQUEUE_MINGW}-g++-posix ${KQUEUE_MINGW}-g++ REQUIRED)
set(CMAKE_C_COMPILER "${KQUEUE_MINGW_GCC}")
set(CMAKE_CXX_COMPILER "${KQUEUE_MINGW_GXX}")
set(CMAKE_RC_COMPILER ${KQUEUE_MINGW}-windres)

set(CMAKE_FIND_ROOT_PATH /usr/${KQUEUE_MINGW})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
