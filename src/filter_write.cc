// EVFILT_WRITE: room to write on a descriptor (semantics 5.2).
// The verbs shared with EVFILT_READ are in fd_watch.cc; here is when it is
// true. Under the kqueue's mutex.
#include "fd_watch.h"

namespace kq {
namespace {

Result<Knote*> find(Kqueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return fd_watch::find(kq, ident, EVFILT_WRITE);
}

Verdict process(Kqueue& kq, Knote& base, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<FdKnote&>(base);
    FdFacts& facts = kq.watches().find(kn.ident)->facts;
    const uint16_t ready = fd_watch::current_ready(kq, kn);
    return fd_watch::judge(kq, kn, descriptor::writable(static_cast<int>(kn.ident), facts, ready),
                           event);
}

}  // namespace

constinit const FilterOps kWriteFilter = {
    "EVFILT_WRITE",
    find,
    fd_watch::absent,
    fd_watch::create,
    fd_watch::attach,
    fd_watch::detach,
    destroy_as<FdKnote>,
    fd_watch::modify,
    fd_watch::enable,
    fd_watch::disable,
    process,
};

}  // namespace kq
