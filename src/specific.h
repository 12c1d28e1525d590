// SPDX-License-Identifier: BSD-2-Clause
// EV_UDATA_SPECIFIC, EV_DISPATCH2, EV_VANISHED (macOS): knotes that are identified by their udata,
// too. Their changes are applied in specific.cc, so that they cost other changes nothing. Lock: the
// kqueue's mutex.
#ifndef KQ_SPECIFIC_H
#define KQ_SPECIFIC_H

#include "knote_queue.h"

namespace kq {

// The knote of a change or of an event, or null. With EV_UDATA_SPECIFIC it may be a farewell.
Knote* find_knote(KnoteQueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex());

}  // namespace kq

#endif
