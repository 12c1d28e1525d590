// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_SIGNAL: how often a signal came to the process (semantics 5.8). Verbs of filter.h, under
// the kqueue's mutex. The signal hub counts, for the whole process. A knote is active while the
// count is not the same as at its last report. fflags and data of changes mean nothing here.
#include "filter_signal.h"

#include <bit>

#include "filter.h"
#include "signal_hub.h"

namespace kq {

static_assert(Backend::kHas.signals && SignalsContract<Backend>);

namespace {

struct SignalKnote : Knote {
    uint64_t seen = 0;  // signal_hub::total() when it last reported
};

int number_of(const Knote& kn) {
    return static_cast<int>(kn.ident);
}

bool has_news(const Knote& kn) {
    return signal_hub::total(number_of(kn)) != static_cast<const SignalKnote&>(kn).seen;
}

// Another knote of the same signal (EV_UDATA_SPECIFIC), or null. `enabled`: one that is.
Knote* other_than(KnoteQueue& kq, const Knote& one, bool enabled) KQ_REQUIRES(kq.mutex()) {
    return kq.find_indexed(EVFILT_SIGNAL, one.ident, [&one, enabled](const Knote& kn) {
        return &kn != &one && (!enabled || !kn.has(kDisabled));
    });
}

// Rings for the signal are needed as long as any knote of it is enabled. `muted`: this one needs
// none.
void mute(KnoteQueue& kq, const Knote& kn, bool muted) KQ_REQUIRES(kq.mutex()) {
    const bool all = muted && other_than(kq, kn, true) == nullptr;
    signal_hub::mute(number_of(kn), *kq.mailbox(), all);
}

// The knote is one of several: the mailbox watches the signal already. Signals that came until now
// are no news to this knote.
void join(KnoteQueue& kq, SignalKnote& kn) KQ_REQUIRES(kq.mutex()) {
    signal_hub::look_at_pending();
    kn.seen = signal_hub::total(number_of(kn));
    mute(kq, kn, kn.has(kDisabled));
}

// The mailbox does not watch the signal yet.
Errno begin(KnoteQueue& kq, SignalKnote& kn, Mailbox& mailbox) KQ_REQUIRES(kq.mutex()) {
    mute(kq, kn, kn.has(kDisabled));
    Errno error = signal_hub::watch(number_of(kn), mailbox, kn.seen);
    if (error != Errno::ok) return error;
    error = kq.backend().hear_signals();
    if (error != Errno::ok) signal_hub::unwatch(number_of(kn), mailbox);
    return error;
}

Result<Knote*> find(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    return kq.find_indexed(EVFILT_SIGNAL, ident);
}

Result<Knote*> create(KnoteQueue&, const struct kevent& change) {
    if (change.ident < 1 || change.ident > signal_hub::kLastSignal) return Errno::invalid;
    Owned<SignalKnote> kn = make<SignalKnote>();
    if (!kn) return Errno::no_memory;
    kn->flags = EV_CLEAR;
    return kn.release();
}

Errno attach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    Mailbox* mailbox = kq.mailbox();
    if (mailbox == nullptr) return Errno::no_memory;
    Errno error = kq.index(kn);
    if (error != Errno::ok) return error;
    auto& signal = static_cast<SignalKnote&>(kn);
    if (other_than(kq, kn, false) != nullptr) {
        join(kq, signal);
        return Errno::ok;
    }
    error = begin(kq, signal, *mailbox);
    if (signal_hub::are_left()) kq.note_stray();  // signals that were left pending are no news
    if (error != Errno::ok) kq.unindex(kn);
    return error;
}

Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    if (has_news(kn)) kq.note_stray();
    if (other_than(kq, kn, false) != nullptr)
        mute(kq, kn, true);
    else
        signal_hub::unwatch(number_of(kn), *kq.mailbox());
    kq.unindex(kn);
    return Errno::ok;
}

Errno modify(KnoteQueue&, Knote& kn, const struct kevent&) {
    (void)signal_hub::refresh(signal_hub::bit_of(number_of(kn)));
    return Errno::ok;
}

Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    mute(kq, kn, false);
    if (has_news(kn)) kq.activate(kn);  // signals that came while it was disabled
    return Errno::ok;
}

void disable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    mute(kq, kn, true);
    if (has_news(kn)) kq.note_stray();
}

Verdict process(KnoteQueue&, Knote& kn, struct kevent& event) {
    auto& signal = static_cast<SignalKnote&>(kn);
    const uint64_t total = signal_hub::total(number_of(kn));
    if (total == signal.seen) return Verdict::no_longer_true;
    event.data = static_cast<intptr_t>(total - signal.seen);
    signal.seen = total;
    return Verdict::report;
}

// Signals that came before the fork and were not reported yet are still reported to the child.
// Signals that are pending were the parent's. The first of several knotes begins, and the others
// join.
Errno inherit(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    auto& signal = static_cast<SignalKnote&>(kn);
    const uint64_t owed = signal_hub::total(number_of(kn)) - signal.seen;
    Mailbox* mailbox = kq.mailbox();
    if (mailbox == nullptr) return Errno::no_memory;
    if ((mailbox->signals.load() & signal_hub::bit_of(number_of(kn))) != 0) {
        join(kq, signal);
    } else {
        const Errno error = begin(kq, signal, *mailbox);
        if (error != Errno::ok) return error;
    }
    signal.seen -= owed;
    if (owed != 0) kq.activate(kn);
    return Errno::ok;
}

}  // namespace

void look_at_signals(KnoteQueue& kq) {
    for (uint64_t set = kq.mailbox()->signals.load(); set != 0; set &= set - 1) {
        const int number = std::countr_zero(set) + 1;
        // Those that are queued already need nothing.
        const auto is_to_queue = [](const Knote& kn) { return !kn.has(kActive) && has_news(kn); };
        const auto ident = static_cast<uintptr_t>(number);
        while (Knote* kn = kq.find_indexed(EVFILT_SIGNAL, ident, is_to_queue))
            kq.activate(*kn);
    }
}

bool take_only_signal(KnoteQueue& kq, struct kevent& event) {
    SignalKnote* only = nullptr;
    int count = 0;
    for (uint64_t set = kq.mailbox()->signals.load(); set != 0; set &= set - 1) {
        const auto ident = static_cast<uintptr_t>(std::countr_zero(set)) + 1;
        (void)kq.find_indexed(EVFILT_SIGNAL, ident, [&only, &count](Knote& kn) {
            if (has_news(kn)) {
                only = static_cast<SignalKnote*>(&kn);
                count++;
            }
            return false;  // EV_UDATA_SPECIFIC: there may be more
        });
    }
    // Two knotes must be queued. A disabled knote keeps its count.
    if (count != 1 || only->status != 0) return false;
    if ((only->flags & (EV_ONESHOT | EV_DISPATCH)) != 0) return false;
    const uint64_t total = signal_hub::total(number_of(*only));
    const auto data = static_cast<intptr_t>(total - only->seen);
    event = {only->ident, only->filter, only->flags, 0, data, only->udata};
    only->seen = total;
    return true;
}

constinit const FilterOps kSignalFilter = {
    "EVFILT_SIGNAL", find,   never_added, create,  attach,  detach,  destroy_as<SignalKnote>,
    modify,          enable, disable,     process, nullptr, nullptr, nullptr,
    inherit,
};

}  // namespace kq
