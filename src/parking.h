// SPDX-License-Identifier: BSD-2-Clause
// ParkedKnotes: knotes that are not true, and whose sources do not tell when they become true.
//
// They are off the active queue and marked kParked, on one of two lists: one is looked at before
// each sleep, the other also every kPeriod. For the second list there is a deadline. It is kForever
// if that list is empty, or if no deadline could be set. Owned by the kqueue; filters reach it
// through the kqueue. Lock: the kqueue's mutex.
#ifndef KQ_PARKING_H
#define KQ_PARKING_H

#include <limits.h>
#include <stddef.h>

#include "check.h"
#include "knote.h"
#include "list.h"
#include "nanos.h"

namespace kq {

// Sources that must be looked at again, because they do not tell.
enum class Parking : uint8_t {
    idle,     // before every sleep: regular files, whose offset the user moves
    recheck,  // also every ParkedKnotes::kPeriod: conditions no kernel reports
};

class ParkedKnotes {
  public:
    static constexpr Nanos kPeriod = 20 * kMillisecond;
    static constexpr int kAll = INT_MAX;
    static constexpr int kSome = 16;  // where there are other events, or no thread that waits

    [[nodiscard]] bool empty() const { return count_ == 0; }

    // The knote must be neither queued nor parked.
    void add(Knote& kn, Parking where) {
        KQ_CHECK(!kn.has(kQueued) && !kn.has(kParked));
        kn.set(kParked);
        count_++;
        list(where).push_back(&kn);
    }
    // Takes the knote off its list, if it is on one.
    void remove(Knote& kn) {
        if (!kn.has(kParked)) return;
        count_--;
        kn.unlink();
        kn.clear(kParked);
    }

    // When to look at Parking::recheck even if no thread is about to sleep. kForever: the list is
    // empty, or no deadline could be set.
    [[nodiscard]] Nanos deadline() const { return deadline_; }
    void set_deadline(Nanos t) { deadline_ = t; }

    // Takes each knote off a list and calls look(knote). look() may park the knote again; it
    // returns whether anything came onto the active queue. Each knote is looked at once, or until
    // `most` in a row were not true.
    template <class Look>
    void look_at(Parking where, int most, Look look) {
        List<Knote>& parked = list(where);
        if (parked.empty()) return;
        Link marker;
        parked.mark(marker);
        for (int left = most; left > 0; left--) {
            Knote* kn = parked.first_before(marker);
            if (kn == nullptr) break;
            remove(*kn);
            if (look(*kn)) left = most;
        }
        marker.unlink();
    }

  private:
    List<Knote>& list(Parking where) { return where == Parking::idle ? idle_ : recheck_; }

    List<Knote> idle_;
    List<Knote> recheck_;
    size_t count_ = 0;  // on both lists
    Nanos deadline_ = kForever;
};

}  // namespace kq

#endif
