// What EVFILT_READ and EVFILT_WRITE share: the verbs of filter.h but process(),
// and the way from a sample of the descriptor to a verdict.
// Used by filter_read.cc and filter_write.cc. Lock: the kqueue's mutex.
#ifndef KQ_FD_FILTER_H
#define KQ_FD_FILTER_H

#include "fd_watch.h"

namespace kq::fd_filter {

// The verbs, see FilterOps.
Result<Knote*> find(Kqueue& kq, uintptr_t ident, int16_t filter) KQ_REQUIRES(kq.mutex());
Errno absent(uintptr_t ident);
Result<Knote*> create(Kqueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex());
Errno attach(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
Errno detach(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
Errno modify(Kqueue& kq, Knote& kn, const struct kevent& change) KQ_REQUIRES(kq.mutex());
Errno enable(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
void disable(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());

// The kernel's Ready bits for a knote whose turn has come: those just reported,
// or, if that was in an earlier pass, what the descriptor says now.
uint16_t current_ready(Kqueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex());

// Turns a sample into a verdict; fills the event if it is to be reported, and
// decides how the kernel shall go on if it is not.
Verdict judge(Kqueue& kq, FdKnote& kn, const Sample& sample, struct kevent& event)
    KQ_REQUIRES(kq.mutex());

// Copies a sample into the event to be reported; data saturates on ILP32.
void fill(const Sample& sample, struct kevent& event);

}  // namespace kq::fd_filter

#endif
