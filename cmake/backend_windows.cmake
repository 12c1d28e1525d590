# SPDX-License-Identifier: BSD-2-Clause
# Completion ports and AFD: Windows 10 and later.
set(KQUEUE_BACKEND_SOURCES
    ${KQUEUE_SHARED_ROOMS}
    src/windows/system.cc
    src/windows/errors.cc
    src/windows/numbers.cc
    src/windows/bell.cc
    src/windows/alarm.cc
    src/windows/port.cc
    src/windows/afd.cc
    src/windows/closes.cc
    src/windows/sockets.cc
    src/windows/socket_set.cc
    src/windows/files.cc
    src/windows/looked.cc
    src/windows/directory.cc
    src/windows/file_set.cc
    src/windows/descriptor.cc
    src/windows/vnodes.cc
    src/windows/children.cc
    src/windows/signals.cc
    src/windows/backend.cc)
set(KQUEUE_BACKEND_DEFINITIONS
    _WIN32_WINNT=0x0A00 WIN32_LEAN_AND_MEAN NOMINMAX
    __USE_MINGW_ANSI_STDIO=1) # MinGW: "%zu" in the C library of old
set(KQUEUE_BACKEND_HAS files processes signals)
