// SPDX-License-Identifier: BSD-2-Clause
// Knotes without a source that owe the program an event. See farewell.h. Under the kqueue's mutex.
#include "farewell.h"

#include "filter.h"

namespace kq {
namespace farewell {
namespace {

// Knote::filter_bits
constexpr uint8_t kDeleted = 1;  // owes EV_DELETE

void become(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    kq.deactivate(kn);
    kq.set_backed(kn, false);
    kn.saved_fflags = static_cast<uint32_t>(kn.filter);  // see filter_before()
    kn.filter = kFilter;
    kn.filter_bits = 0;
    KQ_CHECK(kq.index(kn) == Errno::ok);
}

// ---- verbs ----

Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    kq.unindex(kn);
    return Errno::ok;
}

void destroy(KnoteQueue& kq, Knote* kn) KQ_REQUIRES(kq.mutex()) {
    kn->set_filter(filter_before(*kn));
    ops_of(*kn)->destroy(kq, kn);
}

Errno modify(KnoteQueue&, Knote&, const struct kevent&) {
    return Errno::ok;  // it has no source that could be told
}

Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    kq.activate(kn);
    return Errno::ok;
}

void disable(KnoteQueue&, Knote&) {}

Verdict process(KnoteQueue&, Knote& kn, struct kevent& event) {
    event.filter = filter_before(kn);
    const unsigned what = is_deleted(kn) ? EV_DELETE : EV_VANISHED;
    event.flags = static_cast<uint16_t>(EV_DISPATCH2 | EV_ONESHOT | what);
    return Verdict::report;
}

}  // namespace

bool is_deleted(const Knote& kn) {
    return (kn.filter_bits & kDeleted) != 0;
}

Knote* find(KnoteQueue& kq, const struct kevent& change) {
    void* const udata = change.udata;
    const int16_t filter = change.filter;
    return kq.find_indexed(kFilter, change.ident, [udata, filter](const Knote& kn) {
        return kn.udata == udata && filter_before(kn) == filter;
    });
}

void vanish(KnoteQueue& kq, Knote& kn) {
    become(kq, kn);
    kq.activate(kn);
}

void defer(KnoteQueue& kq, Knote& kn) {
    if (!is_one(kn)) become(kq, kn);
    kq.deactivate(kn);
    kn.filter_bits = kDeleted;
    kn.set(kDisabled);
}

}  // namespace farewell

constinit const FilterOps kFarewell = {
    "",
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    farewell::detach,
    farewell::destroy,
    farewell::modify,
    farewell::enable,
    farewell::disable,
    farewell::process,
    nullptr,
};

}  // namespace kq
