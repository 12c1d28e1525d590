// What EVFILT_READ and EVFILT_WRITE share. See fd_filter.h.
// Everything here runs under the kqueue's mutex.
#include "fd_filter.h"

#include <limits.h>

#include "registry.h"

namespace kq::fd_filter {

using fd_watch::after_delete;
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

// The kernel queue refuses the descriptor: it is a file, to be sampled by the
// core, or there is nothing to wait for.
Errno attach_unpollable(Kqueue& kq, FdWatch& watch, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const Errno error = descriptor::classify(fd_of(kn), watch.facts);
    if (error != Errno::ok) return error;
    if (watch.facts.kind == FdKind::directory) return Errno::invalid;
    // Neither a file nor anything to wait for: /dev/null and its like.
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
Errno check_kind(Kqueue& kq, const Knote& kn, FdFacts& facts) KQ_REQUIRES(kq.mutex()) {
    if (!registry::is_live(fd_of(kn))) return Errno::ok;
    if (kn.filter != EVFILT_READ || fd_of(kn) == kq.descriptor()) return Errno::invalid;
    const Errno error = descriptor::classify(fd_of(kn), facts);  // for its identity
    facts.kind = FdKind::kqueue;
    facts.identity = registry::serial_of(fd_of(kn));
    Mailbox* mailbox = kq.mailbox();
    if (mailbox == nullptr) return Errno::no_memory;
    mailbox->watches_queues.store(true);
    return error;
}

// The kernel is told when it is enabled. Classified now, so as to notice when
// the number is reused before that.
Errno attach_disabled(Kqueue& kq, FdWatch& watch, Knote& kn) KQ_REQUIRES(kq.mutex()) {
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
void note_identity(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    if (watch_of(kq, kn).facts.kind != FdKind::kqueue)
        static_cast<FdKnote&>(kn).sequence = kq.tick();
}

// (Re)starts the source of an indexed, enabled knote: if it is true it is
// reported, even with EV_CLEAR.
Errno begin(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    if (watch.facts.kind == FdKind::kqueue) static_cast<FdKnote&>(kn).sequence--;  // it is news
    Errno error = watch.facts.registered == 0 ? check_same(kq, fd, watch) : Errno::ok;
    if (error != Errno::ok) return error;
    if ((kn.filter_bits & kUnpollable) != 0) {
        look_again(kq, static_cast<FdKnote&>(kn));
        return Errno::ok;
    }
    error = tell_or_forget(kq, fd, watch, bit(direction_of(kn)));
    if (error == Errno::not_permitted) error = attach_unpollable(kq, watch, kn);
    if (error == Errno::ok) note_identity(kq, kn);
    return for_user(error);
}

// Whether the knote is true, with its low-water mark if it has one.
bool reached(const FdKnote& kn, const Sample& sample) {
    const bool marked = (kn.saved_fflags & NOTE_LOWAT) != 0 && kn.data > 0;
    return sample.eof || (marked && !sample.unmarked ? sample.data >= kn.data : sample.active);
}

// Whether a knote that is not true can become so without an edge. Free space,
// for one, grows silently as long as the kernel calls the socket writable.
bool needs_recheck(const FdKnote& kn, const Sample& sample) {
    const bool grows = kn.filter == EVFILT_WRITE && (kn.saved_fflags & NOTE_LOWAT) != 0;
    return grows || sample.untold;
}

// Not true. Decides how the kernel shall go on: a level report comes again by
// itself; twice in a row means that the kernel's "ready" is not ours here (an
// unconnected socket, the wrong end of a pipe), and then only edges tell more
// than a busy loop would.
Verdict rest(Kqueue& kq, FdKnote& kn, const Sample& sample) KQ_REQUIRES(kq.mutex()) {
    FdWatch& watch = watch_of(kq, kn);
    const Direction d = direction_of(kn);
    const Mode armed = watch.facts.armed_for(d);
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

// True where the kernel's readiness was in doubt: it can be trusted again.
Errno trust_again(Kqueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex()) {
    const bool forced = (kn.filter_bits & kForcedEdge) != 0;
    kn.filter_bits &= static_cast<uint8_t>(~(kDoubted | kForcedEdge));
    if (!forced || mode_for(&kn) != Mode::level) return Errno::ok;
    const Errno error = tell_or_forget(kq, fd_of(kn), watch_of(kq, kn), bit(direction_of(kn)));
    if (error == Errno::ok) kq.set_backed(kn, true);
    return error;
}

}  // namespace

// ---- verbs ----

Result<Knote*> find(Kqueue& kq, uintptr_t ident, int16_t filter) {
    if (ident > INT_MAX) return Errno::bad_descriptor;
    const FdWatch* watch = kq.watches().find(ident);
    Knote* kn = watch == nullptr ? nullptr : note_of(*watch, filter);
    return kn;
}

Errno absent(uintptr_t ident) {
    const Errno error = descriptor::check_open(static_cast<int>(ident));
    return error == Errno::ok ? Errno::no_entry : error;
}

Result<Knote*> create(Kqueue& kq, const struct kevent& change) {
    const Errno error = fd_watch::prepare(kq, change.ident);
    if (error != Errno::ok) return error;
    Owned<FdKnote> kn = make<FdKnote>();
    if (!kn) return Errno::no_memory;
    kn->saved_fflags = change.fflags;
    kn->data = change.data;
    return kn.release();
}

// Where a silent registration is re-armed: see Backend::asks_public.
bool asks_queue(Kqueue& kq, uintptr_t ident) {
    const FdWatch* watch = kq.watches().find(ident);
    return watch != nullptr && Backend::asks_public(watch->facts);
}

Errno attach(Kqueue& kq, Knote& kn) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    fd_watch::notice_gone(kq, watch);
    // What is known may be of an earlier open file of this number. A silent
    // registration that is about to be re-armed will tell by itself.
    if (kn.has(kDisabled) || watch.facts.registered == 0) {
        const Errno error = check_same(kq, fd, watch);
        if (error != Errno::ok && error != Errno::no_entry) return error;
    }
    if (kn.has(kDisabled)) return attach_disabled(kq, watch, kn);
    link(watch, kn);
    Errno error = tell(kq, fd, watch, bit(direction_of(kn)));
    if (error == Errno::no_entry) {  // it was: begin afresh, but not in somebody else's queue
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
        note_identity(kq, kn);
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

// No more news of a file, and the last of it is not for poll() to see.
void unwatch(Kqueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    (void)watch_file(kq, fd, watch);
    kq.note_stray();
}

}  // namespace

Errno detach(Kqueue& kq, Knote& kn) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    unlink(watch, kn);
    if ((kn.filter_bits & kWatched) != 0) unwatch(kq, fd, watch);
    if (watch.facts.registered == 0) {
        const Errno error = check_same(kq, fd, watch);
        if (watch.notes == nullptr) reset(watch);
        return after_delete(error);
    }
    // Reported once, or disabled before it ever was armed: it is silent, and what
    // may be registered of it is left for the next EV_ADD. Nor need a one-shot that
    // was just delivered be asked for its file.
    const bool silent = watch.facts.armed_for(direction_of(kn)) == Mode::none;
    const bool delivered = kn.has(kActive) && !kn.has(kQueued);
    if (silent && delivered && (kn.flags & EV_ONESHOT) != 0) return Errno::ok;
    const Errno error =
        silent ? check_same(kq, fd, watch) : tell_or_forget(kq, fd, watch, bit(direction_of(kn)));
    // With no registration left, nothing would tell that the number is reused.
    if (watch.notes == nullptr && watch.facts.registered == 0) reset(watch);
    return after_delete(error);
}

Errno modify(Kqueue& kq, Knote& kn, const struct kevent& change) {
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

Errno enable(Kqueue& kq, Knote& kn) {
    const Mode armed = watch_of(kq, kn).facts.armed_for(direction_of(kn));
    const Mode wanted = mode_for(static_cast<FdKnote*>(&kn));
    // Still armed, and what it had to say was not heard yet: it will be.
    if (armed == wanted && (armed == Mode::level || armed == Mode::once)) return Errno::ok;
    return begin(kq, kn);
}

void disable(Kqueue& kq, Knote& kn) {
    kq.set_backed(kn, false);
    kn.clear(kActive);  // enable() arms it afresh, and it will be reported if still true
    if ((kn.filter_bits & kWatched) == 0) return;
    kn.filter_bits &= static_cast<uint8_t>(~kWatched);
    unwatch(kq, fd_of(kn), watch_of(kq, kn));
}

// ---- files ----

Verdict look_at_file(Kqueue& kq, FdKnote& kn, Sample& sample) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    const bool clear = (kn.flags & EV_CLEAR) != 0;
    Parking parking = Parking::idle;
    sample = descriptor::readable(fd, watch.facts, 0);
    if (!sample.closed && (kn.filter_bits & kWatched) == 0 && watch.facts.kind == FdKind::regular &&
        (!sample.active || clear)) {
        kn.filter_bits |= kWatched;
        if (watch_file(kq, fd, watch) != Errno::ok) {
            kn.filter_bits &= static_cast<uint8_t>(~kWatched);
            parking = Parking::recheck;
        }
        sample = descriptor::readable(fd, watch.facts, 0);  // it may have grown meanwhile
    }
    if (sample.closed) return Verdict::gone;
    if (sample.untold) {
        kq.park(kn, Parking::recheck);
        return Verdict::parked;
    }
    if (watch.facts.file_untold) parking = Parking::recheck;
    // With EV_CLEAR a change is news, and so is more to read than before: the
    // user went back. Less to read is just his reading.
    const bool news = kn.ready == kChanged || sample.data > kn.data;
    kn.ready = 0;
    kn.data = static_cast<intptr_t>(sample.data);
    const bool report = sample.active && (news || !clear);
    if (!report || clear) kq.park(kn, parking);
    return report ? Verdict::report : Verdict::parked;
}

void look_again(Kqueue& kq, FdKnote& kn) {
    kn.ready = kChanged;
    if (kn.has(kQueued)) return;  // will be looked at when its turn comes
    kq.deactivate(kn);            // off the parking list
    Sample sample;
    const bool parked = kn.filter == EVFILT_READ && look_at_file(kq, kn, sample) == Verdict::parked;
    if (parked) return;
    kn.ready = kChanged;
    kq.activate(kn);  // or is gone: process() drops it
}

void look_parked(Kqueue& kq, Knote& base) {
    auto& kn = static_cast<FdKnote&>(base);
    Sample sample;
    if ((kn.filter_bits & kUnpollable) != 0) {
        if (look_at_file(kq, kn, sample) == Verdict::parked) return;
        kn.ready = kChanged;
        kq.activate(kn);
        return;
    }
    if (fd_watch::follow_parked(kq, kn)) return;
    const Direction d = direction_of(kn);
    FdFacts& facts = watch_of(kq, kn).facts;
    kn.ready = descriptor::poll(fd_of(kn), d);
    kn.pass = kq.pass();
    sample = d == Direction::read ? descriptor::readable(fd_of(kn), facts, kn.ready)
                                  : descriptor::writable(fd_of(kn), facts, kn.ready);
    if (sample.closed || reached(kn, sample))
        kq.activate(kn);
    else if (needs_recheck(kn, sample))
        kq.park(kn, Parking::recheck);
}

// ---- delivery ----

// How long the answer to "is it still the file?" is good for any report, in ticks; and
// which part of the reports is asked for once it is older than one tick.
constexpr uint32_t kOld = 8;
constexpr uint32_t kAskedAmong = 8;

uint16_t current_ready(Kqueue& kq, FdKnote& kn) {
    if ((kn.filter_bits & kUnpollable) != 0) return 0;
    const bool fresh = kn.pass == kq.pass();
    // Is it still the file that was registered? The kernel reports that one, whatever
    // the number names by now. Asking each time would cost too much; but it is asked for
    // what waited on the queue, for a descriptor that is not busy, and otherwise now and then.
    const uint32_t age = kq.tick() - kn.sequence;
    if (!fresh || age >= kOld || (age != 0 && kq.pass() % kAskedAmong == 0)) {
        FdFacts& facts = watch_of(kq, kn).facts;
        if (facts.registered != 0 && kq.backend().still(fd_of(kn), facts) != Errno::ok)
            return kClosed;
        kn.sequence = kq.tick();
    }
    if (fresh) return kn.ready;
    return descriptor::poll(fd_of(kn), direction_of(kn));
}

Verdict judge(Kqueue& kq, FdKnote& kn, const Sample& sample, struct kevent& event) {
    if (sample.closed) {
        forget(kq, fd_of(kn));
        return Verdict::gone;
    }
    if (!reached(kn, sample)) return rest(kq, kn, sample);
    const Errno error = trust_again(kq, kn);
    if (is_gone(error)) return Verdict::gone;
    fill(sample, event);
    return Verdict::report;
}

void fill(const Sample& sample, struct kevent& event) {
    event.fflags = sample.error;
    event.data = sample.data > INTPTR_MAX   ? INTPTR_MAX
                 : sample.data < INTPTR_MIN ? INTPTR_MIN
                                            : static_cast<intptr_t>(sample.data);
    if (sample.eof) event.flags |= EV_EOF;
}

}  // namespace kq::fd_filter
