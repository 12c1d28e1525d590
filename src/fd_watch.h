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
    kDoubted = 1,     // the kernel called it ready, but it was not true: see kForcedEdge
    kForcedEdge = 2,  // that happened twice in a row: level for the user, edge in the kernel
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

// Whether it is known which file the number named.
inline bool is_identified(const FdFacts& facts) {
    return facts.kind != FdKind::unknown && facts.identity != 0;
}
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

// A knote of a filter, or null. The others of this filter follow by next_of(). All of them, or all
// except one, have EV_UDATA_SPECIFIC.
inline Knote* note_of(const FdWatch& watch, int16_t filter) {
    for (Knote* kn = watch.notes; kn != nullptr; kn = kn->chain)
        if (kn->filter == filter) return kn;
    return nullptr;
}
inline Knote* next_of(const Knote& one) {
    for (Knote* kn = one.chain; kn != nullptr; kn = kn->chain)
        if (kn->filter == one.filter) return kn;
    return nullptr;
}
// The knote of a filter that is not EV_UDATA_SPECIFIC, or null.
KQ_INLINE Knote* plain_note_of(const FdWatch& watch, int16_t filter) {
    for (Knote* kn = watch.notes; kn != nullptr; kn = kn->chain)
        if (kn->filter == filter && !kn->is_specific()) return kn;
    return nullptr;
}
// Whether the knote, which may have ended, is still one of the watch.
inline bool is_linked(const FdWatch& watch, const Knote& one) {
    for (const Knote* kn = watch.notes; kn != nullptr; kn = kn->chain)
        if (kn == &one) return true;
    return false;
}
// As note_of(), of EVFILT_READ or EVFILT_WRITE.
inline FdKnote* knote_for(const FdWatch& watch, int16_t filter) {
    return static_cast<FdKnote*>(note_of(watch, filter));
}

// How the kernel shall report a new knote with these flags and fflags. mode_when_enabled(): how it
// shall report a knote that is enabled and pollable.
KQ_INLINE Mode mode_of_new(unsigned flags, uint32_t fflags) {
    // With NOTE_LOWAT "ready" for the kernel may not be true for the user. So the kernel reports
    // edges, and we compare.
    if ((fflags & NOTE_LOWAT) != 0 || (flags & EV_CLEAR) != 0) return Mode::edge;
    return (flags & (EV_ONESHOT | EV_DISPATCH)) != 0 ? Mode::once : Mode::level;
}
KQ_INLINE Mode mode_when_enabled(const FdKnote& kn) {
    if ((kn.filter_bits & kForcedEdge) != 0) return Mode::edge;
    return mode_of_new(kn.flags, kn.saved_fflags);
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

// Makes sure that there is a watch for this number, which must be open. make_watch(): there is
// none.
Errno make_watch(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex());
KQ_INLINE Errno prepare(KnoteQueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex()) {
    FdWatch* watch = kq.watches().find(ident);
    if (watch == nullptr) return make_watch(kq, ident);
    if (watch->generation == 0) watch->generation = kq.first_generation();
    return Errno::ok;
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

// As tell_all() for a knote that is to be told again, and has others beside it. Several knotes of
// one direction share the kernel's interest, which is then Mode::edge: the kernel has one for all.
// An edge is given to all of them. A new knote is queued, and is asked when its turn comes, so that
// the others need not be told again. A knote by level stays queued as long as it is true.
Errno arm_beside(KnoteQueue& kq, int fd, FdWatch& watch, FdKnote& kn) KQ_REQUIRES(kq.mutex());
// Whether there is another knote of the same direction.
inline bool is_shared(const FdWatch& watch, const Knote& kn) {
    const Knote* first = note_of(watch, kn.filter);
    return first != nullptr && (first != &kn || next_of(kn) != nullptr);
}

// Inlined for the simple case: there is one knote, or none, and only its direction is armed and is
// to be told again.
KQ_INLINE Errno tell(KnoteQueue& kq, int fd, FdWatch& watch, uint8_t rearm)
    KQ_REQUIRES(kq.mutex()) {
    if (!watches_one<Backend>()) return tell_all(kq, fd, watch, rearm);
    const Direction d = rearm == bit(Direction::read) ? Direction::read : Direction::write;
    const auto other = static_cast<Direction>(1 - static_cast<int>(d));
    auto* kn = static_cast<FdKnote*>(watch.notes);
    const bool fits = rearm == bit(d) && watch.facts.armed_for(other) == Mode::none;
    const bool alone = kn == nullptr || (kn->chain == nullptr && kn->filter == filter_of(d));
    const Mode mode = fits && alone ? mode_for(kn) : Mode::none;
    if (!fits || !alone || (mode == Mode::none && kn != nullptr))
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
        return arm_beside(kq, fd, watch, kn);
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
// The same, but drops nothing. A watched kqueue that has moved to a new kernel queue: no_entry.
Errno ask_same(KnoteQueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex());

// The answer of EV_DELETE, if `error` is what the kernel has answered: the knote is gone in any
// case.
inline Errno after_delete(Errno error) {
    return is_gone(error) ? error : Errno::ok;
}

// The number names no file that any of its knotes was registered for: drops
// them all, silently, as closing the descriptor does on BSD. Those that asked for EV_VANISHED
// become farewells: no code that has caused this uses a pointer to them any more.
void forget(KnoteQueue& kq, int fd) KQ_REQUIRES(kq.mutex());
// The same if the kqueue ends. This is not traced.
void drop_all(KnoteQueue& kq, int fd) KQ_REQUIRES(kq.mutex());
// forget(), of all numbers that descriptors of the backend have now. Called after each change that
// may open some, and at the latest when the call settles: a number that is taken back from the
// backend later must not be forgotten then.
[[gnu::noinline, gnu::cold]] void forget_taken(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());
KQ_INLINE void forget_opened(KnoteQueue& kq) KQ_REQUIRES(kq.mutex()) {
    if (__builtin_expect(has_opened(kq.backend()), 0)) forget_taken(kq);
}

// After Backend::carry_over() or carry_back(). With an error its knotes are dropped.
void settle_carried(KnoteQueue& kq, int fd, FdWatch& watch, Errno error) KQ_REQUIRES(kq.mutex());

// A kqueue that may be watched here has moved to a new kernel queue: registers the new one.
void follow_renewed(KnoteQueue& kq) KQ_REQUIRES(kq.mutex());

// Tries the same again for a parked knote, if the last attempt was refused. True: it has done this,
// and the knote may be gone.
bool follow_parked(KnoteQueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());

// Forgets the facts of the open file. There must be no knotes.
void reset(FdWatch& watch);

// Finds out whether the file has ended. After that the number may name another file that looks the
// same. Then all knotes of the ended file are dropped. Called before knotes are made or changed.
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
// The part of it that concerns EVFILT_VNODE. It may find that the number is another file, and drop
// all knotes.
void look_at_vnodes(KnoteQueue& kq, Handle handle, uint32_t changes) KQ_REQUIRES(kq.mutex());

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

// note_ready() for the knotes behind `first` that share its direction.
void note_ready_beside(KnoteQueue& kq, const FdKnote& first, const Wakeup& wakeup, Noted& noted)
    KQ_REQUIRES(kq.mutex());

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
    if (kn != nullptr && kn->chain != nullptr && armed == Mode::edge)
        note_ready_beside(kq, *kn, wakeup, noted);
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
    if constexpr (tells_closed<Backend>()) {
        if (wakeup.ready == kClosed) {
            forget(kq, static_cast<int>(wakeup.handle.index()));
            return false;
        }
    }
    Noted noted;
    note_ready(kq, *watch, Direction::read, wakeup, noted);
    note_ready(kq, *watch, Direction::write, wakeup, noted);
    if (noted.unwanted != 0)
        silence(kq, static_cast<int>(wakeup.handle.index()), *watch, noted.unwanted);
    return noted.repeated;
}

// The knote, the only one of its descriptor, takes a wakeup in, if the wakeup is only of direction
// d. A knote of EVFILT_VNODE does not count as one of EVFILT_WRITE: nothing is armed for it.
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

// The usual report: its descriptor has one knote, the report concerns this knote, and the knote
// waits nowhere. Takes the report in: the knote is active, and not queued. Null: it is another
// report, and nothing was done.
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
