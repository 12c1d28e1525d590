// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ: something to read on a descriptor (semantics 5.1).
// The verbs shared with EVFILT_WRITE are in fd_filter.cc; here is when it is
// true. Under the kqueue's mutex.
#include "fd_filter.h"
#include "kqueue.h"
#include "registry.h"

namespace kq {
namespace {

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return fd_filter::find(kq, ident, EVFILT_READ);
}

void count_queue(Kqueue& inner, FdKnote& kn, Sample& sample) {
    uint32_t sequence = kn.sequence;
    sample.data = inner.count_pending(sequence);
    // Counting may itself have made the inner descriptor ready again. So with EV_CLEAR there is a
    // new event only if a knote was activated in the inner kqueue.
    sample.active = sample.data > 0 && ((kn.flags & EV_CLEAR) == 0 || sequence != kn.sequence);
    kn.sequence = sequence;
    if (sample.data >= 0) return;
    sample.data = 1;  // another thread uses it: assume one event
    sample.active = true;
}

// A kqueue: active while events are queued there, which is what data counts.
Verdict process_queue(KnoteQueue& kq, FdKnote& kn, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    Sample sample;
    Kqueue* inner = registry::find_watched(static_cast<int>(kn.ident));
    // While this knote was queued, the inner kqueue may have been closed, and its number may name
    // another kqueue now.
    const uint32_t watched = fd_watch::watch_of(kq, kn).facts.identity;
    sample.closed = inner == nullptr || inner->serial() != watched || !inner->exists();
    if (!sample.closed) count_queue(*inner, kn, sample);
    if (inner != nullptr) registry::release_later(inner);
    return fd_filter::judge(kq, kn, sample, event);
}

// A regular file: active while the offset is not at the end, on either side.
Verdict process_file(KnoteQueue& kq, FdKnote& kn, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    Sample sample;
    const Verdict verdict = fd_filter::look_at_file(kq, kn, sample);
    if (verdict == Verdict::report) fd_filter::fill(sample, event);
    if (verdict == Verdict::gone) fd_watch::forget(kq, fd_watch::fd_of(kn));
    return verdict;
}

Verdict process(KnoteQueue& kq, Knote& base, struct kevent& event) KQ_REQUIRES(kq.mutex()) {
    auto& kn = static_cast<FdKnote&>(base);
    FdFacts& facts = fd_watch::watch_of(kq, kn).facts;
    if (facts.kind == FdKind::kqueue) return process_queue(kq, kn, event);
    if ((kn.filter_bits & kUnpollable) != 0) return process_file(kq, kn, event);
    const uint16_t ready = fd_filter::current_ready(kq, kn);
    if (fd_filter::is_uncounted<Direction::read>(kq, kn, facts, ready)) {
        event.data = 1;
        return Verdict::report;
    }
    return fd_filter::judge(kq, kn, descriptor::readable(static_cast<int>(kn.ident), facts, ready),
                            event);
}

}  // namespace

constinit const FilterOps kReadFilter = {
    "EVFILT_READ",
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
