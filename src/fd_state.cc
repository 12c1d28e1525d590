// SPDX-License-Identifier: BSD-2-Clause
// States of descriptors that are asked for one by one. See fd_state.h.
// Everything here runs under the kqueue's mutex.
#include "fd_state.h"

#include "filter_numbers.h"
#include "optional_members.h"
#include "registry.h"
#include "registry_lookup.h"

namespace kq::fd_state {

using fd_watch::fd_of;
using fd_watch::watch_of;

namespace {

// The StateChange bits that the knotes of a descriptor want.
uint8_t wish(const FdWatch& watch) {
    uint8_t wanted = 0;
    for (const Knote* kn = watch.notes; kn != nullptr; kn = kn->chain) {
        if (kn->filter == kEvfiltExcept) wanted |= kUrgentData;
        if (kn->filter == kEvfiltProcdesc) wanted |= kProcessEnded;
    }
    return wanted;
}

// Tells the platform what the knotes of a descriptor want. Errors of watch_state(); ok where the
// platform never reports.
template <class B>
Errno tell(B& backend, int fd, const FdWatch& watch) {
    if constexpr (TellsStates<B>)
        return backend.watch_state(fd, wish(watch), fd_watch::handle_of(fd, watch));
    else
        return Errno::ok;
}

// As tell(), but only if the wish is not the same as `before`. Telling the backend the same wish
// again would report a state again that is still true, also to knotes with EV_CLEAR that have
// reported it.
template <class B>
Errno tell_change(B& backend, int fd, const FdWatch& watch, uint8_t before) {
    return wish(watch) == before ? Errno::ok : tell(backend, fd, watch);
}

template <class B>
size_t take(B& backend, std::span<Handle> out) {
    if constexpr (TellsStates<B>)
        return backend.take_states(out);
    else
        return 0;
}

template <class B>
Errno still(B& backend, int fd) {
    if constexpr (TellsStates<B>)
        return backend.still_state(fd);
    else
        return Errno::ok;
}

bool is_told([[maybe_unused]] const StateKind& kind) {
    if constexpr (TellsStates<Backend>)
        return kind.told_by != 0;
    else
        return false;
}

// The StateBits of what is true.
uint8_t bits_of(const Sample& sample) {
    return static_cast<uint8_t>((sample.active ? kActiveReported : 0) |
                                (sample.eof ? kEndReported : 0));
}

// If the platform does not report when the knote becomes true, the knote is parked for looks.
void wait_for_looks(const StateKind& kind, KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    if (!is_told(kind) && !kn.has(kQueued) && !kn.has(kParked) && !kn.has(kDisabled))
        kq.park(kn, Parking::recheck);
}

// Begins, or begins anew. If the knote is true now, it is reported, even with EV_CLEAR.
void begin(const StateKind& kind, KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    kn.filter_bits &= static_cast<uint8_t>(~kReported);
    const Sample now = kind.ask(fd_of(kn), watch_of(kq, kn).facts, kn.saved_fflags);
    if (now.active || now.eof)
        kq.activate(kn);
    else
        wait_for_looks(kind, kq, kn);
}

// bad_descriptor comes before an error for the bits (2.4).
Errno check_notes(const StateKind& kind, const struct kevent& change) {
    if ((change.fflags & ~kind.served) == 0) return Errno::ok;
    const Errno error = descriptor::check_open(static_cast<int>(change.ident));
    return error == Errno::ok ? Errno::invalid : error;
}

// The kind of a descriptor, which may not have been classified yet.
Errno check_kind(const StateKind& kind, int fd, FdWatch& watch) {
    if (registry::may_be_live(fd) && registry::is_live(fd)) return Errno::invalid;
    Errno error = descriptor::check_open(fd);
    if (error == Errno::ok && watch.facts.kind == FdKind::unknown)
        error = descriptor::classify(fd, watch.facts);
    return error == Errno::ok ? kind.suits(fd, watch.facts) : error;
}

}  // namespace

// ---- verbs ----

Result<Knote*> create(const StateKind& kind, KnoteQueue& kq, const struct kevent& change) {
    Errno error = check_notes(kind, change);
    if (error == Errno::ok) error = fd_watch::prepare(kq, change.ident);
    if (error != Errno::ok) return error;
    auto* kn = kq.fd_knotes().make<FdKnote>();
    if (kn == nullptr) return Errno::no_memory;
    kn->saved_fflags = change.fflags;
    kn->flags = kind.nature;
    return kn;
}

Errno attach(const StateKind& kind, KnoteQueue& kq, Knote& kn) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    fd_watch::notice_gone(kq, watch);
    // The facts may be those of an earlier file of this number. Then all its knotes are dropped.
    Errno error = fd_watch::check_same(kq, fd, watch);
    if (error != Errno::ok && error != Errno::no_entry) return error;
    error = check_kind(kind, fd, watch);
    // Looks need a deadline.
    if (error == Errno::ok && !is_told(kind)) error = kq.backend().prepare_clock(Clock::monotonic);
    if (error == Errno::ok) {
        const uint8_t wanted = wish(watch);
        fd_watch::link(watch, kn);
        error = tell_change(kq.backend(), fd, watch, wanted);
        if (error == Errno::ok) {
            if (!kn.has(kDisabled)) begin(kind, kq, kn);
            return Errno::ok;
        }
        fd_watch::unlink(watch, kn);
    }
    if (watch.notes == nullptr && watch.facts.registered == 0) fd_watch::reset(watch);
    const bool refused = error == Errno::not_permitted || error == Errno::too_many_links;
    return refused ? Errno::invalid : error;
}

Errno detach(KnoteQueue& kq, Knote& kn) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    const uint8_t wanted = wish(watch);
    fd_watch::unlink(watch, kn);
    const Errno error = fd_watch::check_same(kq, fd, watch);
    if (!is_gone(error)) (void)tell_change(kq.backend(), fd, watch, wanted);
    if (watch.notes == nullptr && watch.facts.registered == 0) fd_watch::reset(watch);
    return fd_watch::after_delete(error);
}

Errno modify(const StateKind& kind, KnoteQueue& kq, Knote& kn, const struct kevent& change) {
    Errno error = fd_watch::check_same(kq, fd_of(kn), watch_of(kq, kn));
    if (is_gone(error)) return error;
    error = check_notes(kind, change);
    if (error != Errno::ok) return error;
    kn.saved_fflags = change.fflags;
    kq.deactivate(kn);
    if (!kn.has(kDisabled)) begin(kind, kq, kn);
    return Errno::ok;
}

Errno enable(const StateKind& kind, KnoteQueue& kq, Knote& kn) {
    const Errno error = fd_watch::check_same(kq, fd_of(kn), watch_of(kq, kn));
    if (is_gone(error)) return error;
    begin(kind, kq, kn);
    return Errno::ok;
}

void disable(KnoteQueue& kq, Knote& kn) {
    kq.deactivate(kn);  // enable() asks
}

Verdict process(const StateKind& kind, KnoteQueue& kq, Knote& kn, struct kevent& event) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    if (is_gone(fd_watch::check_same(kq, fd, watch))) return Verdict::gone;
    const Sample sample = kind.ask(fd, watch.facts, kn.saved_fflags);
    kn.filter_bits &= static_cast<uint8_t>(bits_of(sample) | ~kReported);
    if (!sample.active && !sample.eof) {
        wait_for_looks(kind, kq, kn);
        return kn.has(kParked) ? Verdict::parked : Verdict::no_longer_true;
    }
    kind.fill(sample, event);
    if ((kn.flags & EV_CLEAR) != 0) {
        kn.filter_bits |= bits_of(sample);
        wait_for_looks(kind, kq, kn);
    }
    return Verdict::report;
}

// The platform did not report this one. With EV_CLEAR it must have been false since it was
// reported.
void look(const StateKind& kind, KnoteQueue& kq, Knote& kn) {
    const Sample now = kind.ask(fd_of(kn), watch_of(kq, kn).facts, kn.saved_fflags);
    const uint8_t bits = bits_of(now);
    const bool is_news = (bits & ~kn.filter_bits) != 0;
    kn.filter_bits &= static_cast<uint8_t>(bits | ~kReported);
    // process() finds what is closed.
    if (now.closed || is_news)
        kq.activate(kn);
    else
        wait_for_looks(kind, kq, kn);
}

namespace {

// `wanted` says which of the knotes that are reported shall be activated.
template <class Wanted>
void hear_those(KnoteQueue& kq, Wanted wanted) KQ_REQUIRES(kq.mutex()) {
    constexpr size_t kBatch = 16;
    Handle told[kBatch];
    for (size_t count = kBatch; count == kBatch;) {
        count = take(kq.backend(), told);
        for (size_t i = 0; i < count; i++) {
            FdWatch* watch = fd_watch::find_watch(kq, told[i]);
            if (watch == nullptr) continue;  // closed, or another file
            for (Knote* kn = watch->notes; kn != nullptr; kn = kn->chain)
                if ((kn->filter == kEvfiltExcept || kn->filter == kEvfiltProcdesc) && wanted(*kn))
                    kq.activate(*kn);
        }
    }
}

}  // namespace

void hear(KnoteQueue& kq) {
    hear_those(kq, [](const Knote&) { return true; });
}

Errno ask_same(KnoteQueue& kq, int fd, const FdWatch& watch) {
    return wish(watch) == 0 ? Errno::ok : still(kq.backend(), fd);
}

Errno tell_again(KnoteQueue& kq, int fd, const FdWatch& watch) {
    return wish(watch) == 0 ? Errno::ok : tell(kq.backend(), fd, watch);
}

void hear_news(KnoteQueue& kq) {
    hear_those(kq, [](const Knote& kn) { return (kn.filter_bits & kReported) == 0; });
}

}  // namespace kq::fd_state
