// SPDX-License-Identifier: BSD-2-Clause
// FdWatch: one kernel interest for all knotes of a descriptor. See fd_watch.h.
// Everything here runs under the kqueue's mutex.
#include "fd_watch.h"

#include "farewell.h"
#include "fd_state.h"
#include "registry.h"
#include "trace.h"

namespace kq::fd_watch {
namespace {

// Whether the number still names the watched kqueue. Then it is not registered, because the watched
// kqueue has moved to a new kernel queue (Kqueue::renew). The registry may still know a closed
// kqueue by this number, although the number may name any other file now.
bool was_renewed(int fd, const FdWatch& watch) {
    return watch.facts.kind == FdKind::kqueue && registry::serial_of(fd) == watch.facts.identity &&
           registry::is_live(fd);
}

void start_afresh(FdFacts& facts) {
    facts.registered = 0;
    for (Mode& armed : facts.armed)
        armed = Mode::none;
}

// Registers the new kernel queue of a kqueue that is watched. Its reports may have been made by the
// old one already. Counting shows whether they are news.
void follow(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    start_afresh(watch.facts);
    const Errno error = tell_or_forget(kq, fd, watch, bit(Direction::read));
    if (is_gone(error)) return;
    for (Knote* kn = note_of(watch, EVFILT_READ); kn != nullptr; kn = next_of(*kn)) {
        if (kn->has(kDisabled)) continue;
        if (error == Errno::ok)
            kq.activate(*kn);
        else if (!kn->has(kQueued) && !kn->has(kParked))
            kq.park(*kn, Parking::recheck);  // follow_parked() tries again
    }
}

}  // namespace

bool follow_parked(KnoteQueue& kq, Knote& kn) {
    FdWatch& watch = watch_of(kq, kn);
    if (watch.facts.registered != 0 || !was_renewed(fd_of(kn), watch)) return false;
    follow(kq, fd_of(kn), watch);
    return true;
}

Errno make_watch(KnoteQueue& kq, uintptr_t ident) {
    // The table grows with the largest number: so not for one that is not open.
    const Errno error = descriptor::check_open(static_cast<int>(ident));
    if (error != Errno::ok) return error;
    FdWatch* watch = kq.watches().at(ident);
    if (watch == nullptr) return Errno::no_memory;
    watch->generation = kq.first_generation();
    return Errno::ok;
}

void reset(FdWatch& watch) {
    KQ_CHECK(watch.facts.file_watch == 0 && watch.facts.parent_watch == 0);
    watch.facts = FdFacts{};
    watch.generation++;
}

// ---- the list of a watch ----

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

// ---- the kernel's interest ----

namespace {

// The same for several of them: see arm_beside(). Disabled ones count, too, and are ignored when
// there is an edge.
[[gnu::noinline]] Mode wish_of_several(KnoteQueue& kq, FdKnote& first) KQ_REQUIRES(kq.mutex()) {
    Mode want = Mode::none;
    for (Knote* kn = &first; kn != nullptr; kn = next_of(*kn)) {
        if ((kn->filter_bits & kUnpollable) == 0) want = Mode::edge;
        kq.set_backed(*kn, false);
    }
    return want;
}

// How the knote of a direction wants to be reported now: see tell().
KQ_INLINE Mode wish(KnoteQueue& kq, const FdWatch& watch, Direction d, uint8_t rearm)
    KQ_REQUIRES(kq.mutex()) {
    FdKnote* kn = knote_for(watch, filter_of(d));
    const Mode armed = watch.facts.armed_for(d);
    const bool rearms = (rearm & bit(d)) != 0;
    if (kn != nullptr && kn->chain != nullptr && next_of(*kn) != nullptr)
        return wish_of_several(kq, *kn);
    Mode want = mode_for(kn);
    if (!rearms && want == Mode::none && armed == Mode::level) want = Mode::level;  // lazy
    // It was reported and waits for its turn, which decides.
    if (!rearms && want == Mode::once && armed == Mode::none) want = Mode::none;
    // A queued knote that was backed by level has to be announced from now on.
    if (kn != nullptr && want != Mode::level) kq.set_backed(*kn, false);
    return want;
}

}  // namespace

Errno tell_all(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t rearm) {
    Interest want;
    want[Direction::read] = wish(kq, watch, Direction::read, rearm);
    want[Direction::write] = wish(kq, watch, Direction::write, rearm);
    Errno error = kq.backend().watch(fd, want, rearm, handle_of(fd, watch), watch.facts);
    if (error == Errno::no_entry && was_renewed(fd, watch)) {
        start_afresh(watch.facts);
        error = kq.backend().watch(fd, want, rearm, handle_of(fd, watch), watch.facts);
    }
    // Disabled knotes without a registration: see check_same().
    if (error == Errno::ok && watch.facts.registered == 0 && watch.notes != nullptr &&
        !is_identified(watch.facts))
        (void)descriptor::classify(fd, watch.facts);
    return error;
}

Errno tell_again(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t rearm) {
    if (!was_renewed(fd, watch)) return Errno::no_entry;
    start_afresh(watch.facts);
    return tell_all(kq, fd, watch, rearm);
}

Errno arm_beside(KnoteQueue& kq, int fd, FdWatch& watch, FdKnote& kn) {
    const Direction d = direction_of(kn);
    if (!is_shared(watch, kn)) return tell_all(kq, fd, watch, bit(d));
    Errno error = Errno::ok;
    if (watch.facts.armed_for(d) != Mode::edge) {
        error = tell_all(kq, fd, watch, bit(d));
    } else {
        error = kq.backend().still(fd, watch.facts);
        if (error == Errno::no_entry) error = tell_again(kq, fd, watch, bit(d));
    }
    if (error != Errno::ok) return error;
    kn.pass = kq.pass() - 1;  // so that the descriptor is asked
    kq.activate(kn);
    return error;
}

void note_ready_beside(KnoteQueue& kq, const FdKnote& first, const Wakeup& wakeup, Noted& noted) {
    for (Knote* base = next_of(first); base != nullptr; base = next_of(*base)) {
        auto& kn = static_cast<FdKnote&>(*base);
        if (kn.has(kDisabled)) continue;
        if (kn.has(kQueued) && kn.pass == kq.pass()) noted.repeated = true;
        kn.ready = wakeup.ready;
        kn.pass = kq.pass();
        kq.activate(kn, false);
    }
}

Errno tell_or_forget(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t rearm) {
    const Errno error = tell(kq, fd, watch, rearm);
    if (is_gone(error)) forget(kq, fd);
    return error;
}

Errno ask_same(KnoteQueue& kq, int fd, FdWatch& watch) {
    if (watch.facts.registered != 0) return kq.backend().still(fd, watch.facts);
    if (watch.facts.kind == FdKind::kqueue) return Errno::no_entry;
    if (watch.facts.kind == FdKind::unknown) return Errno::ok;
    const Errno error = descriptor::check_same(fd, watch.facts);
    return error == Errno::ok ? fd_state::ask_same(kq, fd, watch) : error;
}

Errno check_same(KnoteQueue& kq, int fd, FdWatch& watch) {
    Errno error = ask_same(kq, fd, watch);
    if (error == Errno::no_entry && was_renewed(fd, watch)) {
        start_afresh(watch.facts);
        error = tell(kq, fd, watch, 0);
    }
    if (is_gone(error)) forget(kq, fd);
    return error;
}

void settle_carried(KnoteQueue& kq, int fd, FdWatch& watch, Errno error) {
    if (error == Errno::no_entry && was_renewed(fd, watch)) {
        follow(kq, fd, watch);
    } else if (error != Errno::ok) {
        forget(kq, fd);
    } else if (watch.facts.registered == 0 && watch.facts.kind == FdKind::unknown &&
               watch.notes != nullptr) {
        // This records which file it is. Without a registration nothing else would.
        (void)descriptor::classify(fd, watch.facts);
    }
}

void follow_renewed(KnoteQueue& kq) {
    kq.watches().for_each([&kq](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        if (watch.facts.kind != FdKind::kqueue) return;
        // If it is not registered although it should be, the last attempt was refused.
        bool silent = true;
        for (Knote* kn = note_of(watch, EVFILT_READ); kn != nullptr; kn = next_of(*kn))
            silent = silent && mode_for(static_cast<FdKnote*>(kn)) == Mode::none;
        if (watch.facts.registered == 0 && silent) return;
        const int number = static_cast<int>(fd);
        if (watch.facts.registered != 0 && kq.backend().still(number, watch.facts) == Errno::ok)
            return;
        if (was_renewed(number, watch)) follow(kq, number, watch);
    });
}

// ---- what the kernel says ----

void silence(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t directions) {
    (void)tell_or_forget(kq, fd, watch, directions);
}

namespace {

// Turns the knotes that asked for EV_VANISHED into farewells, the oldest first.
void say_farewell(KnoteQueue& kq, FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    for (;;) {
        Knote* oldest = nullptr;
        for (Knote* kn = watch.notes; kn != nullptr; kn = kn->chain)
            if (farewell::is_asked_for(*kn)) oldest = kn;
        if (oldest == nullptr) return;
        unlink(watch, *oldest);
        farewell::vanish(kq, *oldest);
    }
}

}  // namespace

void forget(KnoteQueue& kq, int fd) {
    if (trace_enabled(TraceLevel::events))
        trace_note(TraceLevel::events, kq.descriptor(), "descriptor %d %s: its knotes are dropped",
                   fd,
                   descriptor::check_open(fd) == Errno::bad_descriptor ? "was closed"
                                                                       : "names another file now");
    if (FdWatch* watch = kq.watches().find(static_cast<size_t>(fd))) say_farewell(kq, *watch);
    drop_all(kq, fd);
}

void forget_taken(KnoteQueue& kq) {
    while (has_opened(kq.backend())) {
        const int fd = take_opened(kq.backend());
        FdWatch* watch = kq.watches().find(static_cast<size_t>(fd));
        if (watch == nullptr) continue;
        if (watch->notes != nullptr)
            forget(kq, fd);
        else
            reset(*watch);  // a silent registration
    }
}

void drop_all(KnoteQueue& kq, int fd) {
    FdWatch* watch = kq.watches().find(static_cast<size_t>(fd));
    if (watch == nullptr) return;
    unwatch_file(kq, fd, *watch);
    while (Knote* kn = watch->notes) {
        unlink(*watch, *kn);
        kq.free_detached(*kn);
    }
    reset(*watch);
}

}  // namespace kq::fd_watch
