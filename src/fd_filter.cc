// SPDX-License-Identifier: BSD-2-Clause
// What EVFILT_READ and EVFILT_WRITE share. See fd_filter.h.
// Everything here runs under the kqueue's mutex.
#include "fd_filter.h"

#include <limits.h>

#include "registry.h"
#include "registry_lookup.h"

namespace kq::fd_filter {

using fd_watch::after_delete;
using fd_watch::arm;
using fd_watch::bit;
using fd_watch::check_same;
using fd_watch::fd_of;
using fd_watch::forget;
using fd_watch::link;
using fd_watch::mode_for;
using fd_watch::note_of;
using fd_watch::reset;
using fd_watch::tell;
using fd_watch::tell_or_forget;
using fd_watch::unlink;
using fd_watch::watch_file;
using fd_watch::watch_of;

namespace {

// The kernel queue refuses the descriptor. It is a file, which the core samples, or something that
// is always ready.
Errno attach_unpollable(KnoteQueue& kq, FdWatch& watch, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const Errno error = descriptor::classify(fd_of(kn), watch.facts);
    if (error != Errno::ok) return error;
    if (watch.facts.kind == FdKind::directory) return Errno::invalid;
    // It is no file and is always ready: /dev/null and its like.
    if (watch.facts.kind != FdKind::regular) watch.facts.kind = FdKind::always;
    kn.filter_bits |= kUnpollable;
    kn.data = 0;
    look_again(kq, static_cast<FdKnote&>(kn));
    return Errno::ok;
}

// Names an error of the backend in the terms of kevent().
Errno for_user(Errno error) {
    return error == Errno::too_many_links ? Errno::invalid : error;  // D-40
}

// A kqueue can be watched for reading by another one, and for nothing else.
[[gnu::noinline]] Errno check_queue(KnoteQueue& kq, const Knote& kn, FdFacts& facts)
    KQ_REQUIRES(kq.mutex()) {
    if (!registry::is_live(fd_of(kn))) return Errno::ok;
    FdFacts seen;  // where sockets have numbers of their own, one may have that of a kqueue
    if (descriptor::classify(fd_of(kn), seen) == Errno::ok && is_socket(seen.kind))
        return Errno::ok;
    if (kn.filter != EVFILT_READ || fd_of(kn) == kq.descriptor()) return Errno::invalid;
    const Errno error = descriptor::classify(fd_of(kn), facts);  // for its identity
    facts.kind = FdKind::kqueue;
    facts.identity = registry::serial_of(fd_of(kn));
    Mailbox* mailbox = kq.mailbox();
    if (mailbox == nullptr) return Errno::no_memory;
    mailbox->watches_queues.store(true);
    return error;
}
KQ_INLINE Errno check_kind(KnoteQueue& kq, const Knote& kn, FdFacts& facts)
    KQ_REQUIRES(kq.mutex()) {
    return registry::may_be_live(fd_of(kn)) ? check_queue(kq, kn, facts) : Errno::ok;
}

// The kernel is told when the knote is enabled. The descriptor is classified now, so that a reuse
// of the number before that is noticed.
Errno attach_disabled(KnoteQueue& kq, FdWatch& watch, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    Errno error = descriptor::check_open(fd_of(kn));
    if (error == Errno::ok && watch.facts.kind == FdKind::unknown)
        error = descriptor::classify(fd_of(kn), watch.facts);
    if (error == Errno::ok && watch.facts.kind == FdKind::directory) error = Errno::invalid;
    if (error == Errno::ok) error = check_kind(kq, kn, watch.facts);
    if (error == Errno::ok)
        link(watch, kn);
    else if (watch.notes == nullptr && watch.facts.registered == 0)
        reset(watch);
    return error;
}

// The kernel has just registered the number, so it names the file: see current_ready().
void note_identity(KnoteQueue& kq, Knote& kn, const FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    if (watch.facts.kind != FdKind::kqueue) static_cast<FdKnote&>(kn).sequence = kq.tick();
}

// Starts the source of an indexed, enabled knote, or starts it again. If the knote is true it is
// reported, even with EV_CLEAR.
Errno begin(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    if (watch.facts.kind == FdKind::kqueue) static_cast<FdKnote&>(kn).sequence--;  // it is news
    Errno error = watch.facts.registered == 0 ? check_same(kq, fd, watch) : Errno::ok;
    if (error != Errno::ok) return error;
    if ((kn.filter_bits & kUnpollable) != 0) {
        look_again(kq, static_cast<FdKnote&>(kn));
        return Errno::ok;
    }
    error = arm(kq, fd, watch, static_cast<FdKnote&>(kn));
    if (is_gone(error)) forget(kq, fd);
    if (error == Errno::not_permitted) error = attach_unpollable(kq, watch, kn);
    if (error == Errno::ok) note_identity(kq, kn, watch);
    return for_user(error);
}

// The knote is not true. Decides how the kernel shall go on. A level report comes again by itself.
// If it was wrong twice in a row, the kernel's "ready" does not mean the same as ours (an
// unconnected socket). Then the knote goes on by edges, because level reports would make a busy
// loop.
Verdict rest(KnoteQueue& kq, FdKnote& kn, const Sample& sample) KQ_REQUIRES(kq.mutex()) {
    FdWatch& watch = watch_of(kq, kn);
    const Direction d = direction_of(kn);
    const Mode armed = watch.facts.armed_for(d);
    kn.filter_bits &= static_cast<uint8_t>(~kLeftover);
    if (armed == Mode::edge) {
        if (!needs_recheck(kn, sample)) return Verdict::no_longer_true;
        kq.park(kn, Parking::recheck);
        return Verdict::parked;
    }
    if (armed == Mode::level && kn.pass != kq.pass()) return Verdict::no_longer_true;
    if ((kn.filter_bits & kDoubted) != 0) {
        kn.filter_bits |= kForcedEdge;
    } else {
        kn.filter_bits |= kDoubted;
        if (armed == Mode::level) return Verdict::no_longer_true;
    }
    const Errno error = tell_or_forget(kq, fd_of(kn), watch, bit(d));
    return is_gone(error) ? Verdict::gone : Verdict::no_longer_true;
}

// The knote is true, and the kernel's readiness was in doubt before: it can be trusted again.
Errno trust_again(KnoteQueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex()) {
    const bool forced = (kn.filter_bits & kForcedEdge) != 0;
    kn.filter_bits &= static_cast<uint8_t>(~(kDoubted | kForcedEdge | kLeftover));
    if (!forced || mode_for(&kn) != Mode::level) return Errno::ok;
    const Errno error = tell_or_forget(kq, fd_of(kn), watch_of(kq, kn), bit(direction_of(kn)));
    if (error == Errno::ok) kq.set_backed(kn, true);
    return error;
}

}  // namespace

// ---- verbs ----

namespace {

// Nearly all changes ask for NOTE_LOWAT or for nothing.
Errno check_notes(const struct kevent& change) {
    if ((change.fflags & ~uint32_t{NOTE_LOWAT}) == 0) return Errno::ok;
    return kq::check_notes(change.filter, change.fflags);
}

}  // namespace

Errno absent(uintptr_t ident) {
    const Errno error = descriptor::check_open(static_cast<int>(ident));
    return error == Errno::ok ? Errno::no_entry : error;
}

Errno attach(KnoteQueue& kq, Knote& kn) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    fd_watch::notice_gone(kq, watch);
    // What is known may concern an earlier open file of this number. If a silent registration is
    // about to be re-armed, that finds it out.
    const bool known = watch.facts.registered != 0 || watch.facts.kind != FdKind::unknown;
    if (known && (kn.has(kDisabled) || watch.facts.registered == 0)) {
        const Errno error = check_same(kq, fd, watch);
        if (error != Errno::ok && error != Errno::no_entry) return error;
    }
    if (kn.has(kDisabled)) return attach_disabled(kq, watch, kn);
    link(watch, kn);
    Errno error = arm(kq, fd, watch, static_cast<FdKnote&>(kn));
    if (error == Errno::no_entry) {  // it was: begin afresh, if the kqueue's number still is ours
        unlink(watch, kn);
        forget(kq, fd);
        error = kq.check_exists();
        if (error != Errno::ok) return error;
        link(watch, kn);
        error = tell(kq, fd, watch, bit(direction_of(kn)));
    }
    if (error == Errno::not_permitted) error = attach_unpollable(kq, watch, kn);
    if (error == Errno::ok) error = check_kind(kq, kn, watch.facts);
    if (error == Errno::ok) {
        note_identity(kq, kn, watch);
        return error;
    }
    unlink(watch, kn);
    if (error == Errno::bad_descriptor)
        forget(kq, fd);
    else
        (void)tell(kq, fd, watch, bit(direction_of(kn)));
    if (watch.notes == nullptr && watch.facts.registered == 0) reset(watch);
    return for_user(error);
}

namespace {

// Ends the watch of a file for this knote. poll() must not find the queue readable because of the
// last news.
void unwatch(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    (void)watch_file(kq, fd, watch);
    kq.note_stray();
}

}  // namespace

KQ_INLINE Errno detach_in_place(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    unlink(watch, kn);
    if ((kn.filter_bits & kWatched) != 0) unwatch(kq, fd, watch);
    if (watch.facts.registered == 0) {
        const Errno error = check_same(kq, fd, watch);
        if (watch.notes == nullptr) reset(watch);
        return after_delete(error);
    }
    // A knote that was reported once, or was disabled before it was ever armed, is silent. Its
    // registration, if there is one, is left for the next EV_ADD. A one-shot that was just
    // delivered need not be asked for its file.
    const bool silent = watch.facts.armed_for(direction_of(kn)) == Mode::none;
    const bool delivered = kn.has(kActive) && !kn.has(kQueued);
    if (silent && delivered && (kn.flags & EV_ONESHOT) != 0) return Errno::ok;
    Errno error = Errno::ok;
    if (silent) {
        error = check_same(kq, fd, watch);
    } else {
        error = tell(kq, fd, watch, bit(direction_of(kn)));
        if (is_gone(error)) forget(kq, fd);
    }
    // With no registration left, nothing would show that the number is reused.
    if (watch.notes == nullptr && watch.facts.registered == 0) reset(watch);
    return after_delete(error);
}

Errno detach(KnoteQueue& kq, Knote& kn) {
    return detach_in_place(kq, kn);
}

Errno drop(KnoteQueue& kq, Knote& kn) {
    const Errno answer = detach_in_place(kq, kn);
    kq.end(kn);
    destroy(kq, &kn);
    return answer;
}

Errno modify(KnoteQueue& kq, Knote& kn, const struct kevent& change) {
    const Errno refused = check_notes(change);
    if (refused != Errno::ok) return refused;
    const FdWatch& watch = watch_of(kq, kn);
    fd_watch::notice_gone(kq, watch);
    if (note_of(watch, change.filter) != &kn) return Errno::no_entry;
    const uint32_t old = kn.saved_fflags;
    const uint8_t old_bits = kn.filter_bits;
    kn.saved_fflags = change.fflags;
    kn.filter_bits &= static_cast<uint8_t>(~(kDoubted | kForcedEdge));
    const Errno error =
        kn.has(kDisabled) ? check_same(kq, fd_of(kn), watch_of(kq, kn)) : begin(kq, kn);
    if (is_gone(error)) return error;
    if (error != Errno::ok) {
        kn.saved_fflags = old;
        kn.filter_bits = old_bits;
        return error;
    }
    if ((kn.filter_bits & kUnpollable) == 0) kn.data = change.data;
    return Errno::ok;
}

Errno enable_now(KnoteQueue& kq, Knote& kn) {
    return begin(kq, kn);
}

void stop_watching(KnoteQueue& kq, Knote& kn) {
    kn.filter_bits &= static_cast<uint8_t>(~kWatched);
    unwatch(kq, fd_of(kn), watch_of(kq, kn));
}

// ---- delivery ----

uint16_t ask_anew(KnoteQueue& kq, FdKnote& kn) {
    if ((kn.filter_bits & kUnpollable) != 0) return 0;
    const bool fresh = kn.pass == kq.pass();
    if (!fresh || is_to_be_asked(kq, kn)) {
        FdFacts& facts = watch_of(kq, kn).facts;
        if (facts.registered != 0 && kq.backend().still(fd_of(kn), facts) != Errno::ok)
            return kClosed;
        kn.sequence = kq.tick();
    }
    if (fresh && !reports_snapshots<Backend>()) return kn.ready;
    return descriptor::poll(fd_of(kn), direction_of(kn));
}

Verdict judge_otherwise(KnoteQueue& kq, FdKnote& kn, const Sample& sample, struct kevent& event) {
    if (sample.closed) {
        forget(kq, fd_of(kn));
        return Verdict::gone;
    }
    if (!reached(kn, sample)) return rest(kq, kn, sample);
    const Errno error = trust_again(kq, kn);
    if (is_gone(error)) return Verdict::gone;
    fill(sample, event);
    if (sample.uncounted) watch_leftover(kq, kn, sample);
    return Verdict::report;
}

}  // namespace kq::fd_filter
