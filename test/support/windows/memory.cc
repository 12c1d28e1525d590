// SPDX-License-Identifier: BSD-2-Clause
// posix.h, memory; and what there is not.
#include <windows.h>

#include <errno.h>
#include <gtest/gtest.h>

#include "support/windows/posix.h"

namespace kqposix {
namespace {

DWORD rights(int protection) {
    return protection == PROT_NONE ? PAGE_NOACCESS : PAGE_READWRITE;
}

}  // namespace

void* mmap(void* /*address*/, size_t size, int protection, int /*flags*/, int /*fd*/,
           int64_t /*offset*/) {
    void* map = VirtualAlloc(nullptr, size, MEM_RESERVE | MEM_COMMIT, rights(protection));
    return map == nullptr ? MAP_FAILED : map;
}

int mprotect(void* address, size_t size, int protection) {
    DWORD before = 0;
    return VirtualProtect(address, size, rights(protection), &before) ? 0 : -1;
}

int munmap(void* address, size_t /*size*/) {
    return VirtualFree(address, 0, MEM_RELEASE) ? 0 : -1;
}

long sysconf(int /*what*/) {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return static_cast<long>(info.dwPageSize);
}

pid_t fork() {
    ADD_FAILURE() << "there is no fork() on Windows";
    return errno = ENOSYS, -1;
}

int mkfifo(const char* /*path*/, int /*mode*/) {
    ADD_FAILURE() << "there are no FIFOs on Windows";
    return errno = ENOSYS, -1;
}

}  // namespace kqposix
