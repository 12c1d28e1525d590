// SPDX-License-Identifier: BSD-2-Clause
// Inbox: what threads took out of the kernel while they slept, until the next collect().
//
// On some kernels waiting means dequeuing (event ports, completion ports). But the core's sleep()
// must consume nothing: the thread may be cancelled, and its report may concern another thread. So
// a thread that slept puts its report in here, and collect() begins with that.
//
// A slot is reserved before a thread sleeps, so that a report that was taken out of the kernel
// can always be kept. Reports leave in the order in which they came.
//
// Lock: a leaf of its own. enter() and the two leave() are called by threads that hold no lock,
// take() under the kqueue's mutex.
#ifndef KQ_INBOX_H
#define KQ_INBOX_H

#include <stddef.h>

#include <algorithm>
#include <span>
#include <type_traits>

#include "alloc.h"
#include "check.h"
#include "mutex.h"
#include "result.h"

namespace kq {

template <class Report>
class Inbox {
    static_assert(std::is_trivially_copyable_v<Report>);

  public:
    Inbox() = default;
    ~Inbox() { free(reports_); }
    Inbox(const Inbox&) = delete;
    Inbox& operator=(const Inbox&) = delete;

    // Called before the thread sleeps: reserves its slot. no_memory: the thread may not sleep.
    // Exactly one leave() must follow.
    Errno enter() KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        if (!grow_array(reports_, capacity_, count_ + sleepers_ + 1)) return Errno::no_memory;
        sleepers_++;
        return Errno::ok;
    }

    // The thread has slept, and brings nothing. Also called for a thread that is cancelled.
    void leave() KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        KQ_CHECK(sleepers_ > 0);
        sleepers_--;
    }

    // The thread has slept, and took this out of the kernel.
    void leave(const Report& report) KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        KQ_CHECK(sleepers_ > 0 && count_ < capacity_);
        sleepers_--;
        reports_[count_++] = report;
    }

    // Moves the oldest reports to `out`, as many as there are and as fit. Returns how many.
    size_t take(std::span<Report> out) KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        const size_t taken = std::min(count_, out.size());
        std::copy_n(reports_, taken, out.begin());
        std::copy(reports_ + taken, reports_ + count_, reports_);
        count_ -= taken;
        return taken;
    }

    // Whether a report waits for take().
    [[nodiscard]] bool has_report() KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        return count_ > 0;
    }

    // Whether a report may be out of the kernel, but not given out by take() yet.
    [[nodiscard]] bool in_transit() KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        return sleepers_ + count_ > 0;
    }

    // How many threads sleep. Some may just be about to, or have just woken.
    [[nodiscard]] size_t sleepers() KQ_EXCLUDES(mutex_) {
        const Guard guard(mutex_);
        return sleepers_;
    }

  private:
    Mutex mutex_;
    Report* reports_ KQ_GUARDED_BY(mutex_) = nullptr;
    size_t count_ KQ_GUARDED_BY(mutex_) = 0;
    size_t capacity_ KQ_GUARDED_BY(mutex_) = 0;  // at least count_ + sleepers_
    size_t sleepers_ KQ_GUARDED_BY(mutex_) = 0;
};

}  // namespace kq

#endif
