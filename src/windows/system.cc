// SPDX-License-Identifier: BSD-2-Clause
// Locks, clocks and stderr of Windows: the functions of platform.h other than the Backend.
#include <stdio.h>

#include <atomic>

#include "check.h"
#include "platform.h"
#include "sys.h"

namespace kq {

// ---- threads ----

namespace {

SRWLOCK* lock_of(void** word) {
    static_assert(sizeof(SRWLOCK) == sizeof(void*));
    return reinterpret_cast<SRWLOCK*>(word);
}

}  // namespace

bool RawMutex::lock() {
    AcquireSRWLockExclusive(lock_of(&word_));
    return true;
}
bool RawMutex::unlock() {
    ReleaseSRWLockExclusive(lock_of(&word_));
    return true;
}
bool RawMutex::try_lock() {
    return TryAcquireSRWLockExclusive(lock_of(&word_)) != 0;
}

void threading::yield() {
    (void)SwitchToThread();
}

uint64_t thread_number() {
    return GetCurrentThreadId();
}

// ---- clocks ----

namespace {

// The Unix epoch on the clock of files, which counts units of 100 ns from 1601.
constexpr int64_t kEpoch = 116444736000000000;

Nanos monotonic_now() {
    static constinit std::atomic<int64_t> known{0};
    int64_t frequency = known.load(std::memory_order_relaxed);
    LARGE_INTEGER value;
    if (frequency == 0) {
        QueryPerformanceFrequency(&value);
        frequency = value.QuadPart;
        known.store(frequency, std::memory_order_relaxed);
    }
    QueryPerformanceCounter(&value);
    const int64_t ticks = value.QuadPart;
    return ticks / frequency * kSecond + ticks % frequency * kSecond / frequency;
}

}  // namespace

Nanos now(Clock clock) {
    if (clock == Clock::monotonic) return monotonic_now();
    FILETIME time;
    GetSystemTimePreciseAsFileTime(&time);
    const uint64_t units = uint64_t{time.dwHighDateTime} << 32 | time.dwLowDateTime;
    return (static_cast<int64_t>(units) - kEpoch) * 100;
}

uint32_t coarse_tick() {
    return static_cast<uint32_t>(GetTickCount64() >> 4);
}

Errno set_file_poll_interval(int64_t /*interval*/) {
    return Errno::unimplemented;
}

// ---- stderr ----

// A program with windows has no stderr, so the debugger gets the line, too.
void say(const char* line) {
    char text[512];
    (void)snprintf(text, sizeof text, "%.*s\n", static_cast<int>(sizeof text - 2), line);
    (void)fputs(text, stderr);
    (void)fflush(stderr);
    OutputDebugStringA(text);
}

}  // namespace kq
