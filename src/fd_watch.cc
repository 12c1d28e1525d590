// FdWatch: one kernel interest for all knotes of a descriptor. See fd_watch.h.
// Everything here runs under the kqueue's mutex.
//
// Lazy where nobody can tell: a disabled level knote stays armed in the kernel
// until it speaks; a spent one-shot leaves its silent registration behind, and
// the next EV_ADD re-arms that with one call. The price is that a registration
// can outlive its knotes, so each one carries a generation and each re-arming
// asks the kernel whether the number still names the same open file.
#include "fd_watch.h"

#include <limits.h>

#include "registry.h"
#include "trace.h"

namespace kq::fd_watch {
namespace {

constexpr Direction kBoth[] = {Direction::read, Direction::write};

uint8_t bit(Direction d) { return static_cast<uint8_t>(1u << static_cast<unsigned>(d)); }

int fd_of(const Knote& kn) { return static_cast<int>(kn.ident); }

FdWatch& watch_of(Kqueue& kq, const Knote& kn) KQ_REQUIRES(kq.mutex()) {
    FdWatch* watch = kq.watches().find(kn.ident);
    KQ_CHECK(watch != nullptr);
    return *watch;
}

FdKnote* knote_for(const FdWatch& watch, int16_t filter) {
    for (Knote* kn = watch.notes; kn != nullptr; kn = kn->chain)
        if (kn->filter == filter) return static_cast<FdKnote*>(kn);
    return nullptr;
}

FdKnote* knote_for(const FdWatch& watch, Direction d) {
    return knote_for(watch, static_cast<int16_t>(d == Direction::read ? EVFILT_READ : EVFILT_WRITE));
}

// How the kernel shall report this knote.
Mode mode_for(const FdKnote* kn) {
    if (kn == nullptr || kn->has(kDisabled) || (kn->filter_bits & kUnpollable) != 0)
        return Mode::none;
    // Ready by the kernel's measure is not yet true by the user's: edges, and we compare.
    if ((kn->filter_bits & kForcedEdge) != 0 || (kn->saved_fflags & NOTE_LOWAT) != 0)
        return Mode::edge;
    if ((kn->flags & EV_CLEAR) != 0) return Mode::edge;
    if ((kn->flags & (EV_ONESHOT | EV_DISPATCH)) != 0) return Mode::once;
    return Mode::level;
}

Handle handle_of(int fd, const FdWatch& watch) {
    return {Handle::Kind::descriptor, static_cast<uint32_t>(fd), watch.generation};
}

// The number names another open file, or none: nothing known of it holds.
void reset(FdWatch& watch) {
    watch.facts = FdFacts{};
    watch.generation++;
}

// Tells the backend what the knotes of fd want. `rearm`: directions to be told
// again even if unchanged, or to be silenced now. Other directions that nobody
// wants stay armed if that is by level: the laziness.
Errno tell(Kqueue& kq, int fd, FdWatch& watch, uint8_t rearm) KQ_REQUIRES(kq.mutex()) {
    Interest want;
    for (const Direction d : kBoth) {
        FdKnote* kn = knote_for(watch, d);
        want[d] = mode_for(kn);
        const bool lazy = want[d] == Mode::none && (rearm & bit(d)) == 0;
        if (lazy && watch.facts.armed_for(d) == Mode::level) want[d] = Mode::level;
        // What is queued and was backed by level has to be announced from now on.
        if (kn != nullptr && want[d] != Mode::level) kq.set_backed(*kn, false);
    }
    return kq.backend().watch(fd, want, rearm, handle_of(fd, watch), watch.facts);
}

// As tell(); if the number turns out to name another open file or none, drops
// all its knotes.
Errno tell_or_forget(Kqueue& kq, int fd, FdWatch& watch, uint8_t rearm) KQ_REQUIRES(kq.mutex()) {
    const Errno error = tell(kq, fd, watch, rearm);
    if (error == Errno::no_entry || error == Errno::bad_descriptor) forget(kq, fd);
    return error;
}

void link(FdWatch& watch, Knote& kn) {
    kn.chain = watch.notes;
    watch.notes = &kn;
}

void unlink(FdWatch& watch, Knote& kn) {
    Knote** at = &watch.notes;
    while (*at != &kn) {
        KQ_CHECK(*at != nullptr);
        at = &(*at)->chain;
    }
    *at = kn.chain;
    kn.chain = nullptr;
}

// process() looks whether an unpollable knote is true, even with EV_CLEAR.
void look_again(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    kn.ready = kChanged;
    kq.activate(kn);
}

// The kernel queue refuses the descriptor: it is a file, to be sampled by the
// core, or there is nothing to wait for.
Errno attach_unpollable(Kqueue& kq, FdWatch& watch, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const Errno error = descriptor::classify(fd_of(kn), watch.facts);
    if (error != Errno::ok) return error;
    if (watch.facts.kind == FdKind::directory) return Errno::invalid;
    // Neither a file nor anything to wait for: /dev/null and its like.
    if (watch.facts.kind != FdKind::regular) watch.facts.kind = FdKind::always;
    kn.filter_bits |= kUnpollable;
    look_again(kq, kn);
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
    facts.kind = FdKind::kqueue;
    return Errno::ok;
}

// (Re)starts the source of an indexed, enabled knote.
Errno begin(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex()) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    if ((kn.filter_bits & kUnpollable) != 0) {
        const Errno error = descriptor::check_same(fd, watch.facts);
        if (error != Errno::ok)
            forget(kq, fd);
        else
            look_again(kq, kn);
        return error;
    }
    Errno error = tell_or_forget(kq, fd, watch, bit(direction_of(kn)));
    if (error == Errno::not_permitted) error = attach_unpollable(kq, watch, kn);
    return for_user(error);
}

}  // namespace

// ---- verbs ----

Result<Knote*> find(Kqueue& kq, uintptr_t ident, int16_t filter) {
    if (ident > INT_MAX) return Errno::bad_descriptor;
    const FdWatch* watch = kq.watches().find(ident);
    Knote* kn = watch == nullptr ? nullptr : knote_for(*watch, filter);
    return kn;
}

Errno absent(uintptr_t ident) {
    const Errno error = descriptor::check_open(static_cast<int>(ident));
    return error == Errno::ok ? Errno::no_entry : error;
}

Result<Knote*> create(Kqueue& kq, const struct kevent& change) {
    if (kq.watches().at(change.ident) == nullptr) return Errno::no_memory;
    Owned<FdKnote> kn = make<FdKnote>();
    if (!kn) return Errno::no_memory;
    kn->saved_fflags = change.fflags;
    kn->mark = change.data;
    return kn.release();
}

Errno attach(Kqueue& kq, Knote& kn) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    if (kn.has(kDisabled)) {  // told to the kernel when enabled
        Errno error = descriptor::check_open(fd);
        if (error == Errno::ok) error = check_kind(kq, kn, watch.facts);
        if (error == Errno::ok) link(watch, kn);
        return error;
    }
    link(watch, kn);
    Errno error = tell(kq, fd, watch, bit(direction_of(kn)));
    if (error == Errno::no_entry) {
        // The number named another open file when it was last used here.
        unlink(watch, kn);
        forget(kq, fd);
        link(watch, kn);
        error = tell(kq, fd, watch, bit(direction_of(kn)));
    }
    if (error == Errno::not_permitted) error = attach_unpollable(kq, watch, kn);
    if (error == Errno::ok) error = check_kind(kq, kn, watch.facts);
    if (error == Errno::ok) return error;
    unlink(watch, kn);
    if (error == Errno::bad_descriptor)
        forget(kq, fd);
    else
        (void)tell(kq, fd, watch, bit(direction_of(kn)));
    return for_user(error);
}

Errno detach(Kqueue& kq, Knote& kn) {
    const int fd = fd_of(kn);
    FdWatch& watch = watch_of(kq, kn);
    unlink(watch, kn);
    if ((kn.filter_bits & kWatched) != 0)
        kq.backend().unwatch_file(handle_of(fd, watch), watch.facts);
    if ((kn.filter_bits & kUnpollable) != 0) {
        const Errno error = descriptor::check_same(fd, watch.facts);
        if (watch.notes == nullptr) reset(watch);
        return error;
    }
    // A one-shot that has been reported is silent: leave it for the next EV_ADD.
    const bool spent = watch.facts.armed_for(direction_of(kn)) == Mode::none;
    if (spent && (kn.flags & EV_ONESHOT) != 0) return Errno::ok;
    const Errno error = tell_or_forget(kq, fd, watch, bit(direction_of(kn)));
    // With no registration left, nothing would tell that the number is reused.
    if (watch.notes == nullptr && watch.facts.registered == 0) reset(watch);
    return error;
}

Errno modify(Kqueue& kq, Knote& kn, const struct kevent& change) {
    auto& fd_kn = static_cast<FdKnote&>(kn);
    const uint32_t old = kn.saved_fflags;
    kn.saved_fflags = change.fflags;
    kn.filter_bits &= static_cast<uint8_t>(~(kDoubted | kForcedEdge));
    if (!kn.has(kDisabled)) {
        const Errno error = begin(kq, kn);
        if (error == Errno::no_entry || error == Errno::bad_descriptor) return error;
        if (error != Errno::ok) {
            kn.saved_fflags = old;
            return error;
        }
    }
    fd_kn.mark = change.data;
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
}

// ---- what the kernel says ----

void on_wakeup(Kqueue& kq, const Wakeup& wakeup) {
    const int fd = static_cast<int>(wakeup.handle.index());
    FdWatch* watch = kq.watches().find(wakeup.handle.index());
    if (watch == nullptr || handle_of(fd, *watch).bits() != wakeup.handle.bits()) return;  // stale
    constexpr uint16_t kEither = kHangup | kFailed;
    constexpr uint16_t kConcerns[] = {kEither | kReadable | kReadHangup, kEither | kWritable};
    uint8_t unwanted = 0;
    for (const Direction d : kBoth) {
        const auto i = static_cast<size_t>(d);
        FdFacts& facts = watch->facts;
        const Mode armed = facts.armed[i];
        if (armed == Mode::none || facts.lane[i] != wakeup.lane) continue;
        if (armed == Mode::once)
            facts.armed[i] = Mode::none;
        else if ((wakeup.ready & kConcerns[i]) == 0)
            continue;
        FdKnote* kn = knote_for(*watch, d);
        if (kn == nullptr || kn->has(kDisabled)) {
            if (armed == Mode::level) unwanted |= bit(d);
            continue;
        }
        kn->ready = wakeup.ready;
        kn->pass = kq.pass();
        kq.set_backed(*kn, armed == Mode::level);
        kq.activate(*kn);
    }
    if (unwanted != 0) (void)tell_or_forget(kq, fd, *watch, unwanted);
}

void on_file_changed(Kqueue& kq, Handle handle) {
    const int fd = static_cast<int>(handle.index());
    FdWatch* watch = kq.watches().find(handle.index());
    if (watch == nullptr || handle_of(fd, *watch).bits() != handle.bits()) return;
    FdKnote* kn = knote_for(*watch, Direction::read);
    if (kn != nullptr) look_again(kq, *kn);
}

uint16_t current_ready(Kqueue& kq, FdKnote& kn) {
    if ((kn.filter_bits & kUnpollable) != 0) return 0;
    if (kn.pass == kq.pass()) return kn.ready;
    return descriptor::poll(fd_of(kn), direction_of(kn));
}

// Not true. Decides how the kernel shall go on: a level report comes again by
// itself; twice in a row means that the kernel's "ready" is not ours here (an
// unconnected socket, the wrong end of a pipe), and then only edges tell more
// than a busy loop would.
static Verdict rest(Kqueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex()) {
    FdWatch& watch = watch_of(kq, kn);
    const Direction d = direction_of(kn);
    const Mode armed = watch.facts.armed_for(d);
    if (armed == Mode::edge) {
        // Free space grows without an edge as long as the kernel calls it writable.
        if (d == Direction::read || (kn.saved_fflags & NOTE_LOWAT) == 0)
            return Verdict::no_longer_true;
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
    const bool gone = error == Errno::no_entry || error == Errno::bad_descriptor;
    return gone ? Verdict::gone : Verdict::no_longer_true;
}

// True where the kernel's readiness was in doubt: it can be trusted again.
static Errno trust_again(Kqueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex()) {
    const bool forced = (kn.filter_bits & kForcedEdge) != 0;
    kn.filter_bits &= static_cast<uint8_t>(~(kDoubted | kForcedEdge));
    if (!forced || mode_for(&kn) != Mode::level) return Errno::ok;
    const Errno error = tell_or_forget(kq, fd_of(kn), watch_of(kq, kn), bit(direction_of(kn)));
    if (error == Errno::ok) kq.set_backed(kn, true);
    return error;
}

Verdict judge(Kqueue& kq, FdKnote& kn, const Sample& sample, struct kevent& event) {
    if (sample.closed) {
        forget(kq, fd_of(kn));
        return Verdict::gone;
    }
    const bool marked = (kn.saved_fflags & NOTE_LOWAT) != 0 && kn.mark > 0;
    const bool reached = marked ? sample.data >= kn.mark : sample.active;
    if (!reached && !sample.eof && !sample.failed) return rest(kq, kn);
    const Errno error = trust_again(kq, kn);
    if (error == Errno::no_entry || error == Errno::bad_descriptor) return Verdict::gone;
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

void forget(Kqueue& kq, int fd) {
    FdWatch* watch = kq.watches().find(static_cast<size_t>(fd));
    if (watch == nullptr) return;
    trace_forget(kq.descriptor(), fd);
    while (Knote* kn = watch->notes) {
        if ((kn->filter_bits & kWatched) != 0)
            kq.backend().unwatch_file(handle_of(fd, *watch), watch->facts);
        unlink(*watch, *kn);
        kq.deactivate(*kn);
        find_filter(kn->filter)->destroy(kn);
    }
    reset(*watch);
}

}  // namespace kq::fd_watch
