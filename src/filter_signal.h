// SPDX-License-Identifier: BSD-2-Clause
// What scan.cc needs of EVFILT_SIGNAL. See filter_signal.cc.
#ifndef KQ_FILTER_SIGNAL_H
#define KQ_FILTER_SIGNAL_H

#include "knote_queue.h"

namespace kq {

// The kqueue was rung: activates its EVFILT_SIGNAL knotes whose signals came. The kqueue must have
// a mailbox.
void look_at_signals(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());

// Has the effect of look_at_signals() and process(), in one pass, in the usual case: exactly one
// knote has something to report, and it waits nowhere. True: `event` was filled. False: nothing was
// done.
bool take_only_signal(KnoteQueue& kq, struct kevent& event) KQ_REQUIRES(kq.mutex());

}  // namespace kq

#endif
