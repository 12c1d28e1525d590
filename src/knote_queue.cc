// SPDX-License-Identifier: BSD-2-Clause
// KnoteQueue: the index, where knotes wait, their end. See knote_queue.h.
// Everything here runs under the kqueue's mutex.
#include "knote_queue.h"

#include "filter.h"

namespace kq {

// ---- index ----

Errno KnoteQueue::index(Knote& kn) {
    if (!index_.reserve()) return Errno::no_memory;
    index_.insert(&kn);
    return Errno::ok;
}

void KnoteQueue::unindex(Knote& kn) {
    index_.remove(&kn);
}

Errno KnoteQueue::drop(Knote& kn) {
    const FilterOps* ops = find_filter(kn.filter);
    const Errno answer = ops->detach(*this, kn);
    free_detached(kn);
    return answer;
}

void KnoteQueue::free_detached(Knote& kn) {
    end(kn);
    find_filter(kn.filter)->destroy(*this, &kn);
}

// ---- where a knote waits ----

void KnoteQueue::park(Knote& kn, Parking where) {
    parked_.add(kn, where);
    if (where == Parking::idle || parked_.deadline() != kForever) return;
    // What cannot have a deadline (short of descriptors) is still looked at before each sleep.
    if (backend_.prepare_clock(Clock::monotonic) != Errno::ok) return;
    parked_.set_deadline(saturating_add(now(Clock::monotonic), ParkedKnotes::kPeriod));
    timers_.note_moved();
}

}  // namespace kq
