// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_SIGNAL: how often a signal came to the process (semantics 5.8). Verbs of filter.h, under
// the kqueue's mutex. The signal hub counts, for the whole process. A knote is active while the
// count is not what it was at its last report. fflags and data of changes mean nothing here.
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
    signal_hub::mute(number_of(kn), *mailbox, kn.has(kDisabled));
    error = signal_hub::watch(number_of(kn), *mailbox, static_cast<SignalKnote&>(kn).seen);
    if (error == Errno::ok) {
        error = kq.backend().hear_signals();
        if (signal_hub::are_left()) kq.note_stray();  // signals that were left pending are no news
        if (error == Errno::ok) return error;
        signal_hub::unwatch(number_of(kn), *mailbox);
    }
    kq.unindex(kn);
    return error;
}

Errno detach(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    if (has_news(kn)) kq.note_stray();
    signal_hub::unwatch(number_of(kn), *kq.mailbox());
    kq.unindex(kn);
    return Errno::ok;
}

Errno modify(KnoteQueue&, Knote& kn, const struct kevent&) {
    (void)signal_hub::refresh(signal_hub::bit_of(number_of(kn)));
    return Errno::ok;
}

Errno enable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    signal_hub::mute(number_of(kn), *kq.mailbox(), false);
    if (has_news(kn)) kq.activate(kn);  // signals that came while it was disabled
    return Errno::ok;
}

void disable(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    signal_hub::mute(number_of(kn), *kq.mailbox(), true);
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

}  // namespace

void look_at_signals(KnoteQueue& kq) {
    for (uint64_t set = kq.mailbox()->signals.load(); set != 0; set &= set - 1) {
        const int number = std::countr_zero(set) + 1;
        Knote* kn = kq.find_indexed(EVFILT_SIGNAL, static_cast<uintptr_t>(number));
        if (kn != nullptr && has_news(*kn)) kq.activate(*kn);
    }
}

constinit const FilterOps kSignalFilter = {
    "EVFILT_SIGNAL",         find,   never_added, create,  attach,  detach,
    destroy_as<SignalKnote>, modify, enable,      disable, process, nullptr,
};

}  // namespace kq
