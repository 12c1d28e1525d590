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
bool asks_queue(Kqueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex());
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

// Samples an unpollable descriptor for reading: `report` if it is true and, with
// EV_CLEAR, news. Else (and after a report with EV_CLEAR) the knote is parked:
// the offset of a file moves without notice, so it is looked at again before
// each sleep; that a file grew is told by the backend. `gone`: it is not open
// or another file; nothing was done.
Verdict look_at_file(Kqueue& kq, FdKnote& kn, Sample& sample) KQ_REQUIRES(kq.mutex());

// Looks at an unpollable knote and activates it if it is true, even if
// with EV_CLEAR that is no news.
void look_again(Kqueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex());

// The verb `look`; may also leave the knote to its edges.
void look_parked(Kqueue& kq, Knote& base) KQ_REQUIRES(kq.mutex());

// Copies a sample into the event to be reported; data saturates on ILP32.
void fill(const Sample& sample, struct kevent& event);

}  // namespace kq::fd_filter

#endif
