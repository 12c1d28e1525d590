// SPDX-License-Identifier: BSD-2-Clause
// What at_once.h needs of EVFILT_TIMER. See filter_timer.cc.
#ifndef KQ_FILTER_TIMER_H
#define KQ_FILTER_TIMER_H

#include "knote_queue.h"

namespace kq::timer {

// EV_ADD for a timer that waits, is enabled, and goes on waiting: a timeout that is pushed back
// again and again. Has the effect of stopping and starting the timer. False: nothing was
// done, because the timer or the change is of another kind (an absolute time, hints, a time that is
// over). Does not change errno.
bool push_back(KnoteQueue& kq, TimerKnote& timer, const struct kevent& change)
    KQ_REQUIRES(kq.mutex());

// EV_ADD of a timer that does not exist yet: makes it and starts it, as Kqueue::create_knote()
// does. The flags may be EV_ADD, EV_ENABLE and those that a knote keeps. False: nothing was done,
// because memory or a clock must be prepared first, the kqueue does not exist any more, or the
// change is of another kind (an absolute time, hints, a time that is over). Does not change errno
// if it answers true.
bool add_plain(KnoteQueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex());

}  // namespace kq::timer

#endif
