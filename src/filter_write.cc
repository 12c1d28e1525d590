// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_WRITE: room to write on a descriptor (semantics 5.2).
// The verbs shared with EVFILT_READ are in fd_filter.cc; here is when it is
// true. Under the kqueue's mutex.
#include "fd_filter.h"

namespace kq {
namespace {

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return fd_filter::find(kq, ident, EVFILT_WRITE);
}

Verdict process(KnoteQueue& kq, Knote& base, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<FdKnote&>(base);
    FdFacts& facts = fd_watch::watch_of(kq, kn).facts;
    const uint16_t ready = fd_filter::current_ready(kq, kn);
    if (fd_filter::is_uncounted<Direction::write>(kq, kn, facts, ready)) {
        event.data = 1;
        return Verdict::report;
    }
    return fd_filter::judge(kq, kn, descriptor::writable(static_cast<int>(kn.ident), facts, ready),
                            event);
}

}  // namespace

constinit const FilterOps kWriteFilter = {
    "EVFILT_WRITE",
    find,
    fd_filter::absent,
    fd_filter::create,
    fd_filter::attach,
    fd_filter::detach,
    fd_filter::destroy,
    fd_filter::modify,
    fd_filter::enable,
    fd_filter::disable,
    process,
    fd_filter::look_parked,
    fd_filter::asks_queue,
};

}  // namespace kq
