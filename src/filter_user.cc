// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_USER: events that the program itself triggers (semantics 5.10).
// Verbs of filter.h, under the kqueue's mutex; no source outside the core.
#include "filter_user.h"

#include "filter.h"
#include "knote_queue.h"

namespace kq {
namespace {

using user::kTriggered;

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return kq.find_indexed(EVFILT_USER, ident);
}

Result<Knote*> create(KnoteQueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    auto* kn = kq.user_knotes().make<Knote>();
    if (kn == nullptr) return Errno::no_memory;
    kn->fflags = change.fflags & NOTE_FFLAGSMASK;
    kn->data = change.data;
    if ((change.fflags & NOTE_TRIGGER) != 0) kn->filter_bits = kTriggered;  // D-13
    return kn;
}

void destroy(KnoteQueue& kq, Knote* kn) KQ_REQUIRES(kq.mutex()) {
    kq.user_knotes().destroy(kn);
}

Errno attach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const Errno error = kq.index(kn);
    if (error == Errno::ok && kn.filter_bits == kTriggered) kq.activate(kn);
    return error;
}

Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    kq.unindex(kn);
    return Errno::ok;
}

Errno modify(KnoteQueue& kq, Knote& kn, const struct kevent& change) KQ_REQUIRES(kq.mutex()) {
    user::take_over(kn, change);
    if ((change.fflags & NOTE_TRIGGER) != 0) {
        kq.activate(kn);
    } else if ((change.flags & EV_CLEAR) != 0) {  // D-14: takes a pending trigger back
        kn.filter_bits = 0;
        kq.deactivate(kn);
    }
    return Errno::ok;
}

Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    if (kn.filter_bits == kTriggered) kq.activate(kn);
    return Errno::ok;
}

void disable(KnoteQueue&, Knote&) {}  // triggers are remembered

Verdict process(KnoteQueue&, Knote& kn, struct kevent& event) {
    if (kn.filter_bits != kTriggered) return Verdict::no_longer_true;
    event.fflags = kn.fflags;
    event.data = kn.data;
    if ((kn.flags & EV_CLEAR) != 0) kn.filter_bits = 0;  // fflags and data survive
    return Verdict::report;
}

}  // namespace

constinit const FilterOps kUserFilter = {
    "EVFILT_USER", find,   never_added, create,  attach,  detach,
    destroy,       modify, enable,      disable, process, nullptr,
};

}  // namespace kq
