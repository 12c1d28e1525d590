// SPDX-License-Identifier: BSD-2-Clause
// The usual EV_ADD and EV_DELETE of EVFILT_READ and EVFILT_WRITE, each in one pass, inlined: EV_ADD
// of the first knote of a descriptor, and EV_DELETE of the only one.
//
// They have the effect of create() and attach(), or of drop(), in cases where most of that work is
// known to be unnecessary. Each function first tests all its conditions. If one of them is not met,
// the function answers `false` and has done nothing. Then the change goes on as any other. Included
// by change.h, which knows the meaning of the flags. Lock: the kqueue's mutex.
#ifndef KQ_FD_USUAL_H
#define KQ_FD_USUAL_H

#include "fd_filter.h"
#include "registry.h"
#include "registry_lookup.h"

namespace kq::fd_filter {

// The kernel has answered `error` for the new, only knote of a watch. Does the rest of attach(), or
// destroys the knote. Returns the answer of the change.
Errno end_adding(KnoteQueue& kq, FdWatch& watch, FdKnote& kn, Errno error) KQ_REQUIRES(kq.mutex());
// The last knote of a watch is off its list. The kernel has answered `error`, or a registration of
// the descriptor is left. Does the rest of detach(). Returns the answer of the change.
Errno end_dropping(KnoteQueue& kq, FdWatch& watch, const FdKnote& kn, Errno error)
    KQ_REQUIRES(kq.mutex());

// As direction_of(), for EVFILT_READ or EVFILT_WRITE.
constexpr Direction direction_for(int16_t filter) {
    static_assert(EVFILT_WRITE == EVFILT_READ - 1);
    return static_cast<Direction>(EVFILT_READ - filter);
}

// Whether the descriptor has no knotes, and either nothing is known of the open file, or only a
// silent registration is left of it, which can be armed again. False if the number may be that of a
// kqueue.
KQ_INLINE bool is_fresh(const FdWatch& watch, int fd) {
    const FdFacts& facts = watch.facts;
    if (watch.notes != nullptr || facts.file_watch != 0) return false;
    if (facts.armed[0] != Mode::none || facts.armed[1] != Mode::none) return false;
    if (facts.registered == 0 ? facts.kind != FdKind::unknown : !asks_public<Backend>(facts))
        return false;
    return !registry::may_be_live(fd);
}

// EV_ADD of an enabled knote. `flags`: the flags that the knote keeps. True: `answer` is the answer
// of the change.
KQ_INLINE bool add_usually(KnoteQueue& kq, FdWatch& watch, const struct kevent& change,
                           uint16_t flags, Errno& answer) KQ_REQUIRES(kq.mutex()) {
    if (!watches_one<Backend>()) return false;
    const int fd = static_cast<int>(change.ident);
    if (!is_fresh(watch, fd)) return false;
    if ((change.fflags & ~uint32_t{NOTE_LOWAT}) != 0) return false;
    // the kqueue must still exist. Arming a silent registration asks this, too, except if the
    // number may name another kqueue that watches the same descriptor.
    const bool asks =
        watch.facts.registered != 0 && !registry::several.load(std::memory_order_relaxed);
    if (!asks && kq.check_exists() != Errno::ok) {
        answer = Errno::bad_descriptor;
        return true;
    }
    if (watch.generation == 0) watch.generation = kq.first_generation();
    auto* kn = kq.fd_knotes().make<FdKnote>();
    answer = Errno::no_memory;
    if (kn == nullptr) return true;
    kn->ident = change.ident;
    kn->set_filter(change.filter);
    kn->flags = flags;
    kn->saved_fflags = change.fflags;
    kn->data = change.data;
    kn->udata = change.udata;
    watch.notes = kn;
    answer = watch_one(kq.backend(), fd, direction_for(change.filter),
                       fd_watch::mode_of_new(flags, change.fflags), fd_watch::handle_of(fd, watch),
                       watch.facts);
    if (__builtin_expect(answer != Errno::ok, 0)) {
        answer = end_adding(kq, watch, *kn, answer);
        return true;
    }
    kn->sequence = kq.tick();
    kq.note_made();
    return true;
}

// A knote that is enabled and has nothing to report has no status bits except these.
inline constexpr unsigned kIdle = kBacked;

// EV_DELETE of the only knote of a descriptor, if it is armed and waits nowhere. Nothing that was
// pending is taken back, so nothing has to be announced. True: `answer` is the answer of the
// change.
KQ_INLINE bool drop_usually(KnoteQueue& kq, FdWatch& watch, const struct kevent& change,
                            Errno& answer) KQ_REQUIRES(kq.mutex()) {
    if (watch.notes == nullptr) return false;
    auto& kn = static_cast<FdKnote&>(*watch.notes);
    if (kn.filter != change.filter || kn.chain != nullptr || kn.is_specific()) return false;
    if ((kn.status & ~kIdle) != 0 || (kn.filter_bits & (kUnpollable | kWatched)) != 0) return false;
    const Direction d = direction_for(change.filter);
    const auto other = static_cast<Direction>(1 - static_cast<int>(d));
    FdFacts& facts = watch.facts;
    if (facts.registered == 0 || facts.armed_for(d) == Mode::none) return false;
    if (facts.armed_for(other) != Mode::none || !watches_one<Backend>()) return false;
    // If the number may name another kqueue now, the change may be for a knote of that kqueue.
    if (registry::several.load(std::memory_order_relaxed)) return false;
    const int fd = static_cast<int>(change.ident);
    watch.notes = nullptr;
    answer = watch_one(kq.backend(), fd, d, Mode::none, fd_watch::handle_of(fd, watch), facts);
    if (__builtin_expect(answer == Errno::ok && facts.registered == 0, 1))
        fd_watch::reset(watch);  // without a registration nothing shows that the number is reused
    else
        answer = end_dropping(kq, watch, kn, answer);
    kq.note_ended();
    kq.fd_knotes().destroy(&kn);
    return true;
}

}  // namespace kq::fd_filter

#endif
