// SPDX-License-Identifier: BSD-2-Clause
// Renewal: when a kqueue gets a new kernel queue, and for how long the new one is held after that.
//
// A kernel queue is haunted when it keeps reporting files that are not registered (renew.cc). Such
// stale reports are counted, and never subtracted (Call::stale()). The count at which a renewal is
// worth its cost moves on with each attempt. A platform without the capability has an empty type
// that says no. Owned by the kqueue. Lock: the kqueue's mutex.
#ifndef KQ_RENEWAL_H
#define KQ_RENEWAL_H

#include <stddef.h>
#include <stdint.h>

#include <type_traits>

#include "backend.h"

namespace kq {

class Renewal {
  public:
    // Whether there are enough stale reports: the count has reached due_at_. Both may wrap.
    [[nodiscard]] bool is_due(uint32_t stale) const { return stale - due_at_ < UINT32_MAX / 2; }

    // A renewal begins: the next one has to wait for some more stale reports.
    void begin(uint32_t stale) { due_at_ = stale + kPatience; }
    // The renewal could not be done. It is tried again much later.
    void refuse(uint32_t stale) { due_at_ = stale + kImpatience; }
    // The renewal was done with so many descriptors (`carried`), and cost about as much as
    // registering them. The next one is due after a quarter as many stale reports. So it costs at
    // most a few system calls for each of these.
    void finish(uint32_t stale, size_t carried, uint32_t tick, bool lingers) {
        due_at_ = stale + kPatience + static_cast<uint32_t>(carried / 4);
        done_at_ = tick;
        lingers_ = lingers;
    }

    // Whether the new kernel queue is still held. Threads and programs that waited for the old one
    // need time to notice the new one.
    [[nodiscard]] bool lingers() const { return lingers_; }
    // The same, at this tick.
    [[nodiscard]] bool still_lingers(uint32_t tick) {
        if (tick - done_at_ >= kLinger) lingers_ = false;
        return lingers_;
    }

    // The edges that this collection reports were reported before.
    [[nodiscard]] bool edges_are_old() const { return edges_are_old_; }
    void set_edges_are_old(bool old) { edges_are_old_ = old; }

  private:
    // Stale reports that are tolerated before the kernel queue is renewed.
    static constexpr uint32_t kPatience = 8;
    // Stale reports before the next attempt, if a renewal failed.
    static constexpr uint32_t kImpatience = 1000;
    // Ticks that sleepers and outsiders have to notice.
    static constexpr uint32_t kLinger = 2;

    uint32_t due_at_ = kPatience;
    uint32_t done_at_ = 0;  // a tick
    bool lingers_ = false;
    bool edges_are_old_ = false;
};

class NoRenewal {
  public:
    [[nodiscard]] static bool is_due(uint32_t /*stale*/) { return false; }
    [[nodiscard]] static bool lingers() { return false; }
    [[nodiscard]] static bool still_lingers(uint32_t /*tick*/) { return false; }
    [[nodiscard]] static bool edges_are_old() { return false; }
};

using RenewalIfAny = std::conditional_t<Backend::kHas.renewal, Renewal, NoRenewal>;

}  // namespace kq

#endif
