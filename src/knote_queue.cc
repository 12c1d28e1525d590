// SPDX-License-Identifier: BSD-2-Clause
// KnoteQueue: the index, where knotes wait, their end. See knote_queue.h.
// Everything here runs under the kqueue's mutex.
#include "knote_queue.h"

#include "filter.h"

namespace kq {

// ---- index ----

void KnoteQueue::unindex(Knote& kn) {
    index_.remove(&kn);
}

Errno KnoteQueue::drop(Knote& kn) {
    const Errno answer = ops_of(kn)->detach(*this, kn);
    free_detached(kn);
    return answer;
}

void KnoteQueue::free_detached(Knote& kn) {
    end(kn);
    ops_of(kn)->destroy(*this, &kn);
}

// ---- where a knote waits ----

void KnoteQueue::park(Knote& kn, Parking where) {
    parked_.add(kn, where);
    if (where == Parking::idle || parked_.deadline() != kForever) return;
    // If there can be no deadline (descriptors are short), the knote is looked at before sleeps.
    if (backend_.prepare_clock(Clock::monotonic) != Errno::ok) return;
    parked_.set_deadline(saturating_add(now(Clock::monotonic), ParkedKnotes::kPeriod));
    timers_.note_moved();
}

}  // namespace kq
