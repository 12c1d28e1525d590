// SPDX-License-Identifier: BSD-2-Clause
// The mutex of Linux: one word, and a system call only if a thread has to wait.
//
// The mutex of the C library costs three times as many instructions, because it has several kinds,
// and notes which thread holds it. Here locking is one atomic operation, inlined, and unlocking is
// another one.
//
// Race detectors (ThreadSanitizer, Helgrind, DRD) know only the mutexes of the C library. With
// others they would report a race if one thread writes data before NOTE_TRIGGER and another thread
// reads the data after the event. So in a process with a race detector each of our mutexes is one
// of the C library.
#ifndef KQ_LINUX_FUTEX_MUTEX_H
#define KQ_LINUX_FUTEX_MUTEX_H

#include <stdint.h>

#include <atomic>

#include "../posix/pthreads.h"

namespace kq {

// Whether this process has a race detector. This is found out when the first of our mutexes is
// locked. Then the value stays the same, because a mutex must be unlocked as it was locked.
enum class Detector : uint8_t { unknown, none, some };
extern std::atomic<Detector> race_detector;

// Contract: platform.h, "threads". lock() never fails. A forked child may unlock a mutex that the
// forking thread has locked.
class FutexMutex {
  public:
    constexpr FutexMutex() = default;

    bool lock() {
        if (__builtin_expect(!is_ours(), 0) && has_detector()) return observed_.lock();
        if (__builtin_expect(!take_free(), 0)) wait();
        return true;
    }
    // False: the mutex was not locked.
    bool unlock() {
        if (__builtin_expect(!is_ours(), 0) && has_detector()) return observed_.unlock();
        const uint32_t before = word_.exchange(kFree, std::memory_order_release);
        return __builtin_expect(before == kHeld, 1) || wake(before);
    }
    bool try_lock() {
        if (__builtin_expect(!is_ours(), 0) && has_detector()) return observed_.try_lock();
        return take_free();
    }

  private:
    // kAwaited: held, and threads may be asleep until it is free.
    enum Word : uint32_t { kFree, kHeld, kAwaited };

    static bool is_ours() {
        return race_detector.load(std::memory_order_relaxed) == Detector::none;
    }
    [[gnu::cold, gnu::noinline]] static bool has_detector();
    bool take_free() {
        uint32_t expected = kFree;
        return word_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,
                                             std::memory_order_relaxed);
    }
    [[gnu::cold, gnu::noinline]] void wait();
    [[gnu::cold, gnu::noinline]] bool wake(uint32_t before);

    std::atomic<uint32_t> word_{kFree};
    PthreadMutex observed_;  // used instead of word_ if there is a race detector
};

}  // namespace kq

#endif
