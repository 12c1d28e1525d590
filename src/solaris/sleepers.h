// SPDX-License-Identifier: BSD-2-Clause
// The threads that sleep in one port, and until when each of them sleeps at the latest.
//
// The kernel wakes no thread for things that the library has to look at (spent edges, files,
// children). So some sleeper has to wake in time. If a call finds that no sleeper will wake in
// time, it sends a token, which wakes one.
//
// Lock: its own, under which no other lock is taken.
#ifndef KQ_SOLARIS_SLEEPERS_H
#define KQ_SOLARIS_SLEEPERS_H

#include <algorithm>

#include "mutex.h"
#include "nanos.h"

namespace kq {

// On the stack of a sleeping thread.
struct Sleeping {
    Nanos until = kForever;  // monotonic
    Sleeping* previous = nullptr;
    Sleeping* next = nullptr;
};

class Sleepers {
  public:
    void enter(Sleeping& one) KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        one.previous = nullptr;
        one.next = first_;
        if (first_ != nullptr) first_->previous = &one;
        first_ = &one;
    }

    // The thread entered before it knew this, so that no change escaped it.
    void set_until(Sleeping& one, Nanos until) KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        one.until = until;
    }

    void leave(Sleeping& one) KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        (one.previous == nullptr ? first_ : one.previous->next) = one.next;
        if (one.next != nullptr) one.next->previous = one.previous;
    }

    // Whether there are sleepers, and all of them sleep longer than until then.
    [[nodiscard]] bool oversleep(Nanos t) KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        for (const Sleeping* one = first_; one != nullptr; one = one->next)
            if (one->until <= t) return false;
        return first_ != nullptr;
    }

  private:
    Mutex mutex_;
    Sleeping* first_ KQ_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace kq

#endif
