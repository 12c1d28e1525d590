// SPDX-License-Identifier: BSD-2-Clause
// Farewells: knotes of EV_DISPATCH2 whose source has gone, and that are kept because the program
// has yet to be told.
//
// Such a knote owes one of two events. EV_VANISHED: its descriptor was closed. EV_DELETE: it was
// deleted while it was disabled, so perhaps while a thread of the program was serving its event; or
// it was one-shot and was reported. That event comes when the program enables the knote, and is its
// last; after EV_VANISHED, EV_DELETE is still owed. The knote becomes one of an internal
// filter, kFilter, whose verbs do all this. It stands in the index of the kqueue, keeps its ident
// and udata, and needs no memory that it did not have. Lock: the kqueue's mutex.
#ifndef KQ_FAREWELL_H
#define KQ_FAREWELL_H

#include "knote_queue.h"

namespace kq::farewell {

inline constexpr int16_t kFilter = -EVFILT_SYSCOUNT - 1;

// Knote::filter_bits of knotes of descriptors: the EV_ADD had EV_VANISHED. No filter of descriptors
// uses this bit.
inline constexpr uint8_t kAskedFor = 128;

inline bool is_one(const Knote& kn) {
    return kn.filter == kFilter;
}
inline bool is_asked_for(const Knote& kn) {
    return !is_one(kn) && (kn.filter_bits & kAskedFor) != 0;
}
// The filter that the knote had.
inline int16_t filter_before(const Knote& kn) {
    return static_cast<int16_t>(static_cast<int32_t>(kn.saved_fflags));
}
// Whether it owes EV_DELETE; if not, EV_VANISHED.
bool is_deleted(const Knote& kn);

// The farewell that was a knote of this filter, ident and udata, or null.
Knote* find(KnoteQueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex());

// The descriptor of this knote was closed: it owes EV_VANISHED, at once if it is enabled. The knote
// must have no source and be in no index. KnoteQueue::prepare_index() was called when it was made.
void vanish(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());

// The knote owes EV_DELETE, and is disabled. It is a farewell already, or as for vanish().
void defer(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());

}  // namespace kq::farewell

#endif
