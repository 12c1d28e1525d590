// What scan.cc must know of EVFILT_SIGNAL. See filter_signal.cc.
#ifndef KQ_FILTER_SIGNAL_H
#define KQ_FILTER_SIGNAL_H

#include "kqueue.h"

namespace kq {

// The kqueue was rung: activates its EVFILT_SIGNAL knotes whose signals came.
// Requires that it has a mailbox.
void look_at_signals(Kqueue& kq) KQ_REQUIRES(kq.mutex());

}  // namespace kq

#endif
