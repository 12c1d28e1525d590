// SPDX-License-Identifier: BSD-2-Clause
// Call: how far the calls of kevent() have driven a kqueue.
//
// These numbers tell what was learnt earlier from what is true now: the pass (each collection that
// begins anew has one), the tick of the last collection that found something, the count of stale
// reports. A flag says whether this call has asked if the kqueue still exists. Owned by the kqueue;
// filters read it there. Lock: the kqueue's mutex.
#ifndef KQ_CALL_H
#define KQ_CALL_H

#include <stdint.h>

#include <atomic>

namespace kq {

class Call {
  public:
    // A new call begins: nothing was asked in it yet.
    void begin() { known_to_exist_ = false; }
    [[nodiscard]] bool is_known_to_exist() const { return known_to_exist_; }
    void note_existence() { known_to_exist_ = true; }

    // The last thread that has begun a call, or has gone on with one after a sleep
    // (threading::self()). Only user() may be called without the lock. If it answers another
    // thread, the calling thread does not hold the lock inside of a call. There is one exception: a
    // signal handler that runs after the thread has locked, but before note_user(). A fork() in
    // such a handler waits longer than necessary (L-FORK-INSIDE).
    void note_user(uintptr_t thread) { user_.store(thread, std::memory_order_relaxed); }
    [[nodiscard]] uintptr_t user() const { return user_.load(std::memory_order_relaxed); }

    // The number of the collection: readiness that was reported in this pass is still true.
    [[nodiscard]] uint32_t pass() const { return pass_; }
    void next_pass() { pass_++; }

    // A number that changes some 60 times a second (coarse_tick()), as of the last collection that
    // found something. It tells how long to trust that a report is of the file that was registered.
    [[nodiscard]] uint32_t tick() const { return tick_; }
    void set_tick(uint32_t tick) { tick_ = tick; }

    // How many stale reports came, of something that is not registered. The count may wrap.
    [[nodiscard]] uint32_t stale() const { return stale_; }
    void note_stale() { stale_++; }

  private:
    uint32_t pass_ = 1;
    uint32_t tick_ = 0;
    uint32_t stale_ = 0;
    std::atomic<uintptr_t> user_{0};
    bool known_to_exist_ = false;
};

}  // namespace kq

#endif
