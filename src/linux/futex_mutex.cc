// SPDX-License-Identifier: BSD-2-Clause
// FutexMutex: waiting for a mutex, waking the threads that wait, and finding out whether there is a
// race detector. See futex_mutex.h.
#include "futex_mutex.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "raw_call.h"

// This function exists if the program was built for ThreadSanitizer.
extern "C" [[gnu::weak]] void __tsan_acquire(void* address);

namespace kq {

constinit std::atomic<Detector> race_detector{Detector::unknown};

// Helgrind and DRD are recognised by the library that they load into the program. If several
// threads come here at the same time, all of them find the same answer.
bool FutexMutex::has_detector() {
    Detector found = race_detector.load(std::memory_order_relaxed);
    if (found == Detector::unknown) {
        const char* preloaded = getenv("LD_PRELOAD");
        const bool valgrind =
            preloaded != nullptr && (strstr(preloaded, "vgpreload_helgrind") != nullptr ||
                                     strstr(preloaded, "vgpreload_drd") != nullptr);
        found = valgrind || &__tsan_acquire != nullptr ? Detector::some : Detector::none;
        race_detector.store(found, std::memory_order_relaxed);
    }
    return found == Detector::some;
}

namespace {

#if defined(SYS_futex)
constexpr long kFutex = SYS_futex;
#else
constexpr long kFutex = SYS_futex_time64;
#endif

// Our mutexes are held for about as long as it takes to fall asleep. So a thread that has to wait
// first looks so many times.
constexpr int kLooks = 100;

void rest_a_little() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace

// A thread that has slept takes the mutex as kAwaited, because other threads may still be asleep.
// Therefore it wakes one of them when it unlocks. A thread that has not slept takes the mutex as
// kHeld. If other threads are asleep then, the thread that the last unlock() has woken finds the
// mutex held, and sets kAwaited again.
void FutexMutex::wait() {
    for (int look = 0; look < kLooks; look++) {
        if (word_.load(std::memory_order_relaxed) == kFree && take_free()) return;
        rest_a_little();
    }
    while (word_.exchange(kAwaited, std::memory_order_acquire) != kFree) {
        // Returns at once if the word is not kAwaited any more. A signal ends the wait, too.
        (void)sys::answer(kFutex, &word_, FUTEX_WAIT_PRIVATE, uint32_t{kAwaited}, nullptr);
    }
}

bool FutexMutex::wake(uint32_t before) {
    if (before == kAwaited) (void)sys::answer(kFutex, &word_, FUTEX_WAKE_PRIVATE, 1);
    return before == kAwaited;
}

}  // namespace kq
