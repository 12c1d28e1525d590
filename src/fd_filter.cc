// SPDX-License-Identifier: BSD-2-Clause
// What EVFILT_READ and EVFILT_WRITE share. See fd_filter.h.
// Everything here runs under the kqueue's mutex.
#include "fd_filter.h"

#include <limits.h>

#include "fd_usual.h"
#include "registry.h"
#include "registry_lookup.h"

namespace kq::fd_filter {

using fd_watch::after_delete;
using fd_watch::arm;
using fd_watch::bit;
using fd_watch::check_same;
using fd_watch::fd_of;
using fd_watch::forget;
using fd_watch::is_linked;
using fd_watch::is_shared;
using fd_watch::link;
using fd_watch::mode_for;
using fd_watch::note_of;
using fd_watch::reset;
using fd_watch::tell;
using fd_watch::tell_again;
using fd_watch::tell_all;
using fd_watch::tell_or_forget;
using fd_watch::unlink;
using fd_watch::watch_file;
using fd_watch::watch_of;

namespace {

// The kernel queue refuses the descriptor. It is a file, which the core samples, or a device that
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

// Another kqueue can watch a kqueue only for reading.
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
[[gnu::noinline]] Errno attach_disabled(KnoteQueue& kq, FdWatch& watch, Knote& kn)
    KQ_REQUIRES(kq.mutex()) {
    Errno error = descriptor::check_open(fd_of(kn));
    if (error == Errno::ok && watch.facts.kind == FdKind::unknown)
        error = descriptor::classify(fd_of(kn), watch.facts);
    if (error == Errno::ok && watch.facts.kind == FdKind::directory) error = Errno::invalid;
    if (error == Errno::ok) error = check_kind(kq, kn, watch.facts);
    if (error == Errno::ok) {
        link(watch, kn);
        // The others begin to share: see arm_beside().
        if (is_shared(watch, kn) && watch.facts.registered != 0) {
            error = tell_all(kq, fd_of(kn), watch, 0);
            if (error != Errno::ok) unlink(watch, kn);
        }
    }
    if (error != Errno::ok && watch.notes == nullptr && watch.facts.registered == 0) reset(watch);
    return error;
}

// The kernel has just registered the number, so it names the file: see current_ready().
void note_identity(KnoteQueue& kq, Knote& kn, const FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    if (watch.facts.kind != FdKind::kqueue) static_cast<FdKnote&>(kn).sequence = kq.tick();
}

// arm() has failed with `error`. Returns the answer of the change.
[[gnu::noinline]] Errno after_refusal(KnoteQueue& kq, FdWatch& watch, Knote& kn, Errno error)
    KQ_REQUIRES(kq.mutex()) {
    if (is_gone(error)) forget(kq, fd_of(kn));
    if (error == Errno::not_permitted) error = attach_unpollable(kq, watch, kn);
    return for_user(error);
}

// Starts the source of an indexed, enabled knote, or starts it again. If the knote is true it is
// reported, even with EV_CLEAR.
Errno begin(KnoteQueue& kq, FdWatch& watch, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    if (watch.facts.kind == FdKind::kqueue) static_cast<FdKnote&>(kn).sequence--;  // it is news
    Errno error = watch.facts.registered == 0 ? check_same(kq, fd, watch) : Errno::ok;
    if (error != Errno::ok) return error;
    if ((kn.filter_bits & kUnpollable) != 0) {
        look_again(kq, static_cast<FdKnote&>(kn));
        return Errno::ok;
    }
    error = arm(kq, fd, watch, static_cast<FdKnote&>(kn));
    if (__builtin_expect(error != Errno::ok, 0)) error = after_refusal(kq, watch, kn, error);
    if (error == Errno::ok) note_identity(kq, kn, watch);
    return error;
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
    if (error == Errno::ok && watch_of(kq, kn).facts.armed_for(direction_of(kn)) == Mode::level)
        kq.set_backed(kn, true);
    return error;
}

}  // namespace

// ---- verbs ----

namespace {

// The directions that tell() must tell again after this knote was unlinked. None if other knotes
// share its direction.
uint8_t rearm_without(const FdWatch& watch, const Knote& kn) {
    const bool shared = watch.notes != nullptr && note_of(watch, kn.filter) != nullptr;
    return shared ? uint8_t{0} : bit(direction_of(kn));
}

}  // namespace

// Nearly all changes ask for NOTE_LOWAT or for nothing.
Errno check_notes(const struct kevent& change) {
    if ((change.fflags & ~uint32_t{NOTE_LOWAT}) == 0) return Errno::ok;
    const Errno error = descriptor::check_open(static_cast<int>(change.ident));
    return error == Errno::ok ? kq::check_notes(change.filter, change.fflags) : error;
}

Errno absent(uintptr_t ident) {
    const Errno error = descriptor::check_open(static_cast<int>(ident));
    return error == Errno::ok ? Errno::no_entry : error;
}

namespace {

// arm() of a new knote has answered `error`. The facts may have been those of an earlier open file
// of this number. Then this begins afresh, if the kqueue's number still is ours.
[[gnu::noinline, gnu::cold]] Errno arm_otherwise(KnoteQueue& kq, FdWatch& watch, Knote& kn,
                                                 Errno error) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    if (error == Errno::no_entry) {
        unlink(watch, kn);
        forget(kq, fd);
        link(watch, kn);
        error = kq.check_exists();
        if (error == Errno::ok) error = tell(kq, fd, watch, bit(direction_of(kn)));
    }
    return error == Errno::not_permitted ? attach_unpollable(kq, watch, kn) : error;
}

// A new knote was refused: takes back what attach() has done.
[[gnu::noinline, gnu::cold]] Errno give_up(KnoteQueue& kq, FdWatch& watch, Knote& kn, Errno error)
    KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    unlink(watch, kn);
    if (error == Errno::bad_descriptor)
        forget(kq, fd);
    else
        (void)tell_or_forget(kq, fd, watch, rearm_without(watch, kn));
    if (watch.notes == nullptr && watch.facts.registered == 0) reset(watch);
    return for_user(error);
}

// The rest of attach(): arm() of a new, linked knote has answered `error`.
KQ_INLINE Errno end_attaching(KnoteQueue& kq, FdWatch& watch, Knote& kn, Errno error)
    KQ_REQUIRES(kq.mutex()) {
    if (error != Errno::ok) error = arm_otherwise(kq, watch, kn, error);
    if (error == Errno::ok) error = check_kind(kq, kn, watch.facts);
    if (error != Errno::ok) return give_up(kq, watch, kn, error);
    note_identity(kq, kn, watch);
    return error;
}

}  // namespace

Errno attach(KnoteQueue& kq, Knote& kn) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    fd_watch::notice_gone(kq, watch);
    // The facts may be those of an earlier open file of this number. If a silent registration is
    // about to be re-armed, the re-arming finds that out.
    const bool known = watch.facts.registered != 0 || watch.facts.kind != FdKind::unknown;
    if (known && (kn.has(kDisabled) || watch.facts.registered == 0)) {
        const Errno error = check_same(kq, fd, watch);
        if (error != Errno::ok && error != Errno::no_entry) return error;
    }
    if (kn.has(kDisabled)) return attach_disabled(kq, watch, kn);
    link(watch, kn);
    return end_attaching(kq, watch, kn, arm(kq, fd, watch, static_cast<FdKnote&>(kn)));
}

Errno end_adding(KnoteQueue& kq, FdWatch& watch, FdKnote& kn, Errno error) {
    if (error == Errno::no_entry) error = tell_again(kq, fd_of(kn), watch, bit(direction_of(kn)));
    error = end_attaching(kq, watch, kn, error);
    if (error == Errno::ok) {
        kq.note_made();
    } else {
        kq.deactivate(kn);
        destroy(kq, &kn);
    }
    return error;
}

namespace {

// Ends the watch of a file for this knote. poll() must not find the queue readable because of the
// last news.
void unwatch(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    (void)watch_file(kq, fd, watch);
    kq.note_stray();
}

// A knote was unlinked, and tell() has answered `error`. If the descriptor is gone, its knotes were
// dropped already. Returns the answer to the end of the knote.
KQ_INLINE Errno end_detaching(FdWatch& watch, Errno error) {
    // With no registration left, nothing would show that the number is reused.
    if (watch.notes == nullptr && watch.facts.registered == 0) reset(watch);
    return after_delete(error);
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
    const uint8_t rearm = rearm_without(watch, kn);
    if (silent || rearm == 0) error = check_same(kq, fd, watch);
    if (!silent && !is_gone(error)) {
        error = tell(kq, fd, watch, rearm);
        if (is_gone(error)) forget(kq, fd);
    }
    return end_detaching(watch, error);
}

Errno end_dropping(KnoteQueue& kq, FdWatch& watch, const FdKnote& kn, Errno error) {
    const int fd = fd_of(kn);
    if (error == Errno::no_entry) error = tell_again(kq, fd, watch, bit(direction_of(kn)));
    if (is_gone(error)) forget(kq, fd);
    return end_detaching(watch, error);
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
    FdWatch& watch = watch_of(kq, kn);
    fd_watch::notice_gone(kq, watch);
    if (!is_linked(watch, kn)) return Errno::no_entry;
    const uint32_t old = kn.saved_fflags;
    const uint8_t old_bits = kn.filter_bits;
    kn.saved_fflags = change.fflags;
    kn.filter_bits &= static_cast<uint8_t>(~(kDoubted | kForcedEdge));
    const Errno error = kn.has(kDisabled) ? check_same(kq, fd_of(kn), watch) : begin(kq, watch, kn);
    if (is_gone(error)) return error;
    if (error != Errno::ok) {
        kn.saved_fflags = old;
        kn.filter_bits = old_bits;
        return error;
    }
    if ((kn.filter_bits & kUnpollable) == 0) kn.data = change.data;
    return Errno::ok;
}

namespace {

// The backend has opened descriptors of its own to enable a knote. Perhaps the knote's descriptor
// was closed, and one of these has its number now.
[[gnu::noinline, gnu::cold]] Errno after_opening(KnoteQueue& kq, Knote& kn, Errno error)
    KQ_REQUIRES(kq.mutex()) {
    if (is_gone(error)) {  // the knote was freed already
        fd_watch::forget_taken(kq);
        return error;
    }
    const FdWatch& watch = watch_of(kq, kn);
    fd_watch::forget_taken(kq);
    return is_linked(watch, kn) ? error : Errno::bad_descriptor;
}

}  // namespace

Errno enable_now(KnoteQueue& kq, FdWatch& watch, Knote& kn) {
    const Errno error = begin(kq, watch, kn);
    return __builtin_expect(has_opened(kq.backend()), 0) ? after_opening(kq, kn, error) : error;
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
        // A knote that is reported only once and waits on the queue may have no registration left:
        // the registration ends when the knote of the other direction is deleted.
        if (is_gone(fd_watch::ask_same(kq, fd_of(kn), watch_of(kq, kn)))) return kClosed;
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
