// SPDX-License-Identifier: BSD-2-Clause
// The part of posix.h about memory, and about what things cost.
#include <windows.h>

#include <malloc.h>

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

mallinfo2_result mallinfo2() {
    const auto heap = reinterpret_cast<HANDLE>(_get_heap_handle());
    mallinfo2_result result{};
    PROCESS_HEAP_ENTRY entry{};
    HeapLock(heap);
    while (HeapWalk(heap, &entry))
        if ((entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) != 0) result.uordblks += entry.cbData;
    HeapUnlock(heap);
    return result;
}

int getrusage(int who, rusage* usage) {
    FILETIME ignored;
    FILETIME kernel{};
    FILETIME user{};
    const bool done =
        who == RUSAGE_THREAD
            ? GetThreadTimes(GetCurrentThread(), &ignored, &ignored, &kernel, &user)
            : GetProcessTimes(GetCurrentProcess(), &ignored, &ignored, &kernel, &user);
    const auto time_of = [](const FILETIME& time) {  // of 100 ns
        const int64_t all = int64_t{time.dwHighDateTime} << 32 | int64_t{time.dwLowDateTime};
        return timeval{static_cast<long>(all / 10'000'000),
                       static_cast<long>(all / 10 % 1'000'000)};
    };
    *usage = {time_of(user), time_of(kernel), 0};
    return done ? 0 : -1;
}

}  // namespace kqposix
