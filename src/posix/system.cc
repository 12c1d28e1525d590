// SPDX-License-Identifier: BSD-2-Clause
// Small questions about the system and this process: the remaining functions of platform.h.
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "check.h"
#include "clocks.h"
#include "platform.h"

namespace kq {

Nanos now(Clock clock) {
    timespec ts{};
    const clockid_t id = clock == Clock::monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    KQ_CHECK(clock_gettime(id, &ts) == 0);
    return to_nanos(ts);
}

// How often a thread that waits for a time on the wall clock looks at that clock.
constexpr Nanos kClockCheck = 1 * kSecond;

Nanos to_monotonic(Nanos realtime, Nanos t) {
    if (realtime == kForever) return kForever;
    const Nanos left = std::min(realtime - now(Clock::realtime), kClockCheck);
    return t + std::max(left, Nanos{0});
}

// pthread_t is a number on some systems and a pointer on others.
uint64_t thread_number() {
    const pthread_t self = pthread_self();
    uint64_t number = 0;
    memcpy(&number, &self, std::min(sizeof number, sizeof self));
    return number;
}

uint32_t coarse_tick() {
    return static_cast<uint32_t>(now(Clock::monotonic) >> 24);
}

namespace {

constinit std::atomic<pid_t> owner{0};

}  // namespace

// A child made by vfork() has another number, too, although it shares this memory. But it may not
// call this library.
bool mark_process() {
    owner.store(getpid());
    return true;
}
bool is_copy_of_process() {
    const pid_t marked = owner.load(std::memory_order_relaxed);
    return marked != 0 && marked != getpid();
}

namespace processes {

Errno listen(const char*& why) {
    why = "POSIX does not report what processes do";
    return Errno::unsupported;
}
void stop_listening() {}
void abandon_in_child() {}
Result<size_t> hear(std::span<ProcessNews> /*out*/) {
    return 0;
}

}  // namespace processes
}  // namespace kq
