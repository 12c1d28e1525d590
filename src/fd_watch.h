// SPDX-License-Identifier: BSD-2-Clause
// FdWatch: everything one kqueue knows of one descriptor number.
//
// As in the BSD kernels, knotes on descriptors are found through an array
// indexed by the number. An FdWatch merges the wishes of its knotes (READ and
// WRITE, each level, edge or once) into one interest told to the backend. Used
// by fd_filter.cc and scan.cc. Lock: the kqueue's mutex, for everything here.
//
// Work is put off where no program can see a difference. A disabled level knote stays armed in the
// kernel until that reports it. A spent one-shot leaves its silent registration behind, and the
// next EV_ADD re-arms that with one call. The price is that a registration can outlive its knotes,
// so each one carries a generation and each re-arming asks the kernel whether the number still
// names the same open file.
#ifndef KQ_FD_WATCH_H
#define KQ_FD_WATCH_H

#include "knote_queue.h"
#include "watches.h"

namespace kq {

// Knote::filter_bits of descriptor knotes.
enum FdBits : uint8_t {
    kDoubted = 1,     // the kernel called it ready, the filter did not: twice in a row is a habit
    kForcedEdge = 2,  // level for the user, edge in the kernel: ready there is not true here
    kUnpollable = 4,  // the kernel queue cannot watch it: sampled by the core
    kWatched = 8,     // unpollable, and the backend is to tell when the file is modified
    kLeftover = 16,   // reported with EV_CLEAR, and parked because of what may be left
};

// `data` is the low-water mark in bytes, with NOTE_LOWAT; of an unpollable one: what there
// was to be read when last looked at. `fflags`, with kLeftover: what was reported, and when.
struct FdKnote : Knote {
    uint32_t pass = 0;  // KnoteQueue::pass() when `ready` was reported
    // Of a watched kqueue: its activations when last reported. Of others: the
    // KnoteQueue::tick() when the number was last known to name the file.
    uint32_t sequence = 0;
};

inline Direction direction_of(const Knote& kn) {
    return kn.filter == EVFILT_READ ? Direction::read : Direction::write;
}

inline int16_t filter_of(Direction d) {
    return static_cast<int16_t>(d == Direction::read ? EVFILT_READ : EVFILT_WRITE);
}

namespace fd_watch {

inline int fd_of(const Knote& kn) {
    return static_cast<int>(kn.ident);
}
inline uint8_t bit(Direction d) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(d));
}

// The watch of a knote's descriptor; there is one since create().
inline FdWatch& watch_of(KnoteQueue& kq, const Knote& kn) KQ_REQUIRES(kq.mutex()) {
    return kq.watches().known(kn.ident);
}

// The knote of a filter, or null.
inline Knote* note_of(const FdWatch& watch, int16_t filter) {
    for (Knote* kn = watch.notes; kn != nullptr; kn = kn->chain)
        if (kn->filter == filter) return kn;
    return nullptr;
}
// The same, of EVFILT_READ or EVFILT_WRITE.
inline FdKnote* knote_for(const FdWatch& watch, int16_t filter) {
    return static_cast<FdKnote*>(note_of(watch, filter));
}

// How the kernel shall report a knote that is enabled and pollable.
KQ_INLINE Mode mode_when_enabled(const FdKnote& kn) {
    // Ready by the kernel's measure is not yet true by the user's: edges, and we compare.
    if ((kn.filter_bits & kForcedEdge) != 0 || (kn.saved_fflags & NOTE_LOWAT) != 0)
        return Mode::edge;
    if ((kn.flags & EV_CLEAR) != 0) return Mode::edge;
    if ((kn.flags & (EV_ONESHOT | EV_DISPATCH)) != 0) return Mode::once;
    return Mode::level;
}

// How the kernel shall report a knote (null, disabled, unpollable: not at all).
KQ_INLINE Mode mode_for(const FdKnote* kn) {
    if (kn == nullptr || kn->has(kDisabled) || (kn->filter_bits & kUnpollable) != 0)
        return Mode::none;
    return mode_when_enabled(*kn);
}

// What the kernel gives back for this descriptor and this open file.
inline Handle handle_of(int fd, const FdWatch& watch) {
    return {Handle::Kind::descriptor, static_cast<uint32_t>(fd), watch.generation};
}

// Makes sure that there is a watch for this number, which must be open.
Errno prepare_first(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex());
KQ_INLINE Errno prepare(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    const FdWatch* watch = kq.watches().find(ident);
    return watch != nullptr && watch->generation != 0 ? Errno::ok : prepare_first(kq, ident);
}

// Puts a knote on the list of the watch, and takes it off.
void link(FdWatch& watch, Knote& kn);
void unlink(FdWatch& watch, Knote& kn);

// Tells the backend what the knotes of fd want. `rearm`: directions to be told again even if
// unchanged, or to be silenced now. Other directions that no knote wants stay armed if they are
// armed by level, which saves a system call. Errors of Backend::watch.
Errno tell_all(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t rearm) KQ_REQUIRES(kq.mutex());
// After Backend::watch() has answered no_entry: what tell() answers.
Errno tell_again(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t rearm) KQ_REQUIRES(kq.mutex());

// In place where there is one knote, or none, and nothing is armed but in its direction, which is
// to be told again: then there is nothing to be weighed.
KQ_INLINE Errno tell(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t rearm)
    KQ_REQUIRES(kq.mutex()) {
    const Direction d = rearm == bit(Direction::read) ? Direction::read : Direction::write;
    const auto other = static_cast<Direction>(1 - static_cast<int>(d));
    auto* kn = static_cast<FdKnote*>(watch.notes);
    const bool fits = rearm == bit(d) && watch.facts.armed_for(other) == Mode::none;
    const bool alone = kn == nullptr || (kn->chain == nullptr && kn->filter == filter_of(d));
    const Mode mode = fits && alone ? mode_for(kn) : Mode::none;
    if (!fits || !alone || !watches_one<Backend>() || (mode == Mode::none && kn != nullptr))
        return tell_all(kq, fd, watch, rearm);
    if (mode != Mode::level && kn != nullptr) kq.set_backed(*kn, false);
    const Errno error = watch_one(kq.backend(), fd, d, mode, handle_of(fd, watch), watch.facts);
    return error == Errno::no_entry ? tell_again(kq, fd, watch, rearm) : error;
}

// As tell() of a knote that is on the list, enabled and pollable, to be told again.
KQ_INLINE Errno arm(KnoteQueue& kq, int fd, FdWatch& watch, FdKnote& kn) KQ_REQUIRES(kq.mutex()) {
    const Direction d = direction_of(kn);
    const auto other = static_cast<Direction>(1 - static_cast<int>(d));
    const bool alone = watch.notes == &kn && kn.chain == nullptr;
    if (!alone || watch.facts.armed_for(other) != Mode::none || !watches_one<Backend>())
        return tell_all(kq, fd, watch, bit(d));
    const Mode mode = mode_when_enabled(kn);
    if (mode != Mode::level) kq.set_backed(kn, false);
    const Errno error = watch_one(kq.backend(), fd, d, mode, handle_of(fd, watch), watch.facts);
    return error == Errno::no_entry ? tell_again(kq, fd, watch, bit(d)) : error;
}

// As tell(); if the number turns out to name another open file (no_entry) or
// none (bad_descriptor), all its knotes are dropped.
Errno tell_or_forget(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t rearm) KQ_REQUIRES(kq.mutex());

// Whether the number still names the file that is known here, where tell()
// would not find out. Drops and answers as tell_or_forget(); other errors: cannot be told.
Errno check_same(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex());

// What EV_DELETE is answered: the knote is gone, whatever could not be told or asked for then.
inline Errno after_delete(Errno error) {
    return is_gone(error) ? error : Errno::ok;
}

// The number names no file that any of its knotes was registered for: drops
// them all, silently, as closing the descriptor does on BSD.
void forget(KnoteQueue& kq, int fd) KQ_REQUIRES(kq.mutex());

// The same where it is the kqueue that ends: that is nothing to trace.
void drop_all(KnoteQueue& kq, int fd) KQ_REQUIRES(kq.mutex());

// After Backend::carry_over() or carry_back(). With an error its knotes are dropped.
void settle_carried(KnoteQueue& kq, int fd, FdWatch& watch, Errno error) KQ_REQUIRES(kq.mutex());

// A kqueue that may be watched here has moved to a new kernel queue: registers with that.
void follow_renewed(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());

// Likewise at last, where that was refused the last time: true. The knote is one that was parked.
bool follow_parked(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());

// Forgets what is known of the open file, of which there are no knotes.
void reset(FdWatch& watch);

// Takes in what is known of the file's end, after which the number may name another file that looks
// the same; all knotes of the former are dropped then. Before knotes are made or changed.
inline void notice_gone(KnoteQueue& kq, const FdWatch& watch) KQ_REQUIRES(kq.mutex()) {
    if constexpr (Backend::kHas.files)
        if (watch.facts.file_watch != 0) kq.take_files();
}

// Tells the backend which changes of the file its knotes want to hear of. Errors of
// Backend::watch_file.
Errno watch_file(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex());

// No changes of the file are wanted any more.
void unwatch_file(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex());

// The backend says that the file behind this handle changed.
void on_file_changed(KnoteQueue& kq, Handle handle, uint32_t changes) KQ_REQUIRES(kq.mutex());

// The watch this handle was given out for, or null if that was another open file.
inline FdWatch* find_watch(KnoteQueue& kq, Handle handle) KQ_REQUIRES(kq.mutex()) {
    FdWatch* watch = kq.watches().find(handle.index());
    const bool same = watch != nullptr &&
                      handle_of(static_cast<int>(handle.index()), *watch).bits() == handle.bits();
    return same ? watch : nullptr;
}

// Stops the kernel's reports by level of these directions, which no knote wants any more.
void silence(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t directions) KQ_REQUIRES(kq.mutex());

// What a report of the kernel did.
struct Noted {
    uint8_t unwanted = 0;   // directions, see silence()
    bool repeated = false;  // a knote had been reported in this pass already
};

// The Ready bits that concern a direction.
constexpr unsigned concerns(Direction d) {
    constexpr unsigned kEither = kHangup | kFailed;
    return d == Direction::read ? kEither | kReadable | kReadHangup : kEither | kWritable;
}

// The kernel reported a descriptor, perhaps in this direction: activates the knote it concerns.
KQ_INLINE void note_ready(KnoteQueue& kq, FdWatch& watch, Direction d, const Wakeup& wakeup,
                          Noted& noted) KQ_REQUIRES(kq.mutex()) {
    FdFacts& facts = watch.facts;
    const auto i = static_cast<size_t>(d);
    const Mode armed = facts.armed[i];
    if (armed == Mode::none || facts.lane[i] != wakeup.lane) return;
    if (armed == Mode::once)
        facts.armed[i] = Mode::none;
    else if ((wakeup.ready & concerns(d)) == 0)
        return;
    if (armed == Mode::edge && kq.edges_are_old()) return;
    FdKnote* kn = knote_for(watch, filter_of(d));
    if (kn == nullptr || kn->has(kDisabled)) {
        if (armed == Mode::level) noted.unwanted |= bit(d);
        return;
    }
    if (kn->has(kQueued) && kn->pass == kq.pass()) noted.repeated = true;
    kn->ready = wakeup.ready;
    kn->pass = kq.pass();
    kq.activate(*kn, armed == Mode::level);
}

// The kernel reported a descriptor: activates the knotes it concerns. True if it
// had reported them in this pass already: it begins to repeat itself.
KQ_INLINE bool on_wakeup(KnoteQueue& kq, const Wakeup& wakeup) KQ_REQUIRES(kq.mutex()) {
    FdWatch* watch = kq.watches().find(wakeup.handle.index());
    // As find_watch(); the kind is known.
    if (watch == nullptr || !wakeup.handle.is_of(watch->generation)) {
        kq.note_stale();
        return false;
    }
    Noted noted;
    note_ready(kq, *watch, Direction::read, wakeup, noted);
    note_ready(kq, *watch, Direction::write, wakeup, noted);
    if (noted.unwanted != 0)
        silence(kq, static_cast<int>(wakeup.handle.index()), *watch, noted.unwanted);
    return noted.repeated;
}

// The knote, the only one of its descriptor, takes a wakeup in, if that is one of direction d and
// of nothing else. A knote of EVFILT_VNODE is none of EVFILT_WRITE: nothing is armed for it.
template <Direction d>
KQ_INLINE bool take_as(KnoteQueue& kq, FdWatch& watch, FdKnote& kn, const Wakeup& wakeup)
    KQ_REQUIRES(kq.mutex()) {
    constexpr auto i = static_cast<size_t>(d);
    FdFacts& facts = watch.facts;
    const Mode armed = facts.armed[i];
    if (facts.armed[1 - i] != Mode::none || facts.lane[i] != wakeup.lane) return false;
    if (armed == Mode::level) {
        if ((wakeup.ready & concerns(d)) == 0) return false;
        kn.status = kActive | kBacked;
    } else if (armed == Mode::none) {
        return false;
    } else {
        if (armed == Mode::edge && ((wakeup.ready & concerns(d)) == 0 || kq.edges_are_old()))
            return false;
        if (armed == Mode::once) facts.armed[i] = Mode::none;
        kn.status = kActive;
    }
    kn.ready = wakeup.ready;
    kn.pass = kq.pass();
    return true;
}

// The usual report: of a descriptor with one knote, which it concerns, and which waits nowhere.
// Takes it in: the knote is active, and not queued. Null: it is another one, and nothing was done.
KQ_INLINE FdKnote* take_alone(KnoteQueue& kq, const Wakeup& wakeup, FdWatch*& watch)
    KQ_REQUIRES(kq.mutex()) {
    if (wakeup.handle.kind() != Handle::Kind::descriptor) return nullptr;
    watch = kq.watches().find(wakeup.handle.index());
    if (watch == nullptr || !wakeup.handle.is_of(watch->generation)) return nullptr;
    auto* kn = static_cast<FdKnote*>(watch->notes);
    if (kn == nullptr || kn->chain != nullptr || (kn->status & ~unsigned{kBacked}) != 0)
        return nullptr;
    const bool taken = kn->filter == EVFILT_READ
                           ? take_as<Direction::read>(kq, *watch, *kn, wakeup)
                           : take_as<Direction::write>(kq, *watch, *kn, wakeup);
    return taken ? kn : nullptr;
}

}  // namespace fd_watch
}  // namespace kq

#endif
