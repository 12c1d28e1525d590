// FdWatch: everything one kqueue knows of one descriptor number.
//
// As in the BSD kernels, knotes on descriptors are found through an array
// indexed by the number. An FdWatch merges the wishes of its knotes (READ and
// WRITE, each level, edge or once) into one interest told to the backend. Used
// by fd_filter.cc and scan.cc. Lock: the kqueue's mutex, for everything here.
//
// Lazy where nobody can tell: a disabled level knote stays armed in the kernel
// until it speaks; a spent one-shot leaves its silent registration behind, and
// the next EV_ADD re-arms that with one call. The price is that a registration
// can outlive its knotes, so each one carries a generation and each re-arming
// asks the kernel whether the number still names the same open file.
#ifndef KQ_FD_WATCH_H
#define KQ_FD_WATCH_H

#include "kqueue.h"

namespace kq {

// Knote::filter_bits of descriptor knotes.
enum FdBits : uint8_t {
    kDoubted = 1,     // the kernel called it ready, the filter did not: twice in a row is a habit
    kForcedEdge = 2,  // level for the user, edge in the kernel: ready there is not true here
    kUnpollable = 4,  // the kernel queue cannot watch it: sampled by the core
    kWatched = 8,     // unpollable, and the backend is to tell when the file is modified
};

// `data` is the low-water mark in bytes, with NOTE_LOWAT; of an unpollable one: what there
// was to be read when last looked at.
struct FdKnote : Knote {
    uint32_t pass = 0;  // Kqueue::pass() when `ready` was reported
    // Of a watched kqueue: its activations when last reported. Of others: the
    // Kqueue::tick() when the number was last known to name the file.
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
FdWatch& watch_of(Kqueue& kq, const Knote& kn) KQ_REQUIRES(kq.mutex());

// The knote of a filter, or null.
Knote* note_of(const FdWatch& watch, int16_t filter);
// The same, of EVFILT_READ or EVFILT_WRITE.
inline FdKnote* knote_for(const FdWatch& watch, int16_t filter) {
    return static_cast<FdKnote*>(note_of(watch, filter));
}

// How the kernel shall report a knote (null, disabled, unpollable: not at all).
inline Mode mode_for(const FdKnote* kn) {
    if (kn == nullptr || kn->has(kDisabled) || (kn->filter_bits & kUnpollable) != 0)
        return Mode::none;
    // Ready by the kernel's measure is not yet true by the user's: edges, and we compare.
    if ((kn->filter_bits & kForcedEdge) != 0 || (kn->saved_fflags & NOTE_LOWAT) != 0)
        return Mode::edge;
    if ((kn->flags & EV_CLEAR) != 0) return Mode::edge;
    if ((kn->flags & (EV_ONESHOT | EV_DISPATCH)) != 0) return Mode::once;
    return Mode::level;
}

// What the kernel gives back for this descriptor and this open file.
Handle handle_of(int fd, const FdWatch& watch);

// Makes sure that there is a watch for this number, which must be open.
Errno prepare(Kqueue& kq, uintptr_t ident) KQ_REQUIRES(kq.mutex());

// The list of the watch's knotes.
void link(FdWatch& watch, Knote& kn);
void unlink(FdWatch& watch, Knote& kn);

// Tells the backend what the knotes of fd want. `rearm`: directions to be told
// again even if unchanged, or to be silenced now. Other directions that nobody
// wants stay armed if that is by level: the laziness. Errors of Backend::watch.
Errno tell(Kqueue& kq, int fd, FdWatch& watch, uint8_t rearm) KQ_REQUIRES(kq.mutex());

// As tell(); if the number turns out to name another open file (no_entry) or
// none (bad_descriptor), all its knotes are dropped.
Errno tell_or_forget(Kqueue& kq, int fd, FdWatch& watch, uint8_t rearm) KQ_REQUIRES(kq.mutex());

// Whether the number still names the file that is known here, where tell()
// would not find out. Drops and answers as tell_or_forget(); other errors: cannot be told.
Errno check_same(Kqueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex());

// What EV_DELETE is answered: the knote is gone, whatever could not be told or asked for then.
inline Errno after_delete(Errno error) {
    return is_gone(error) ? error : Errno::ok;
}

// The number names no file that any of its knotes was registered for: drops
// them all, silently, as closing the descriptor does on BSD.
void forget(Kqueue& kq, int fd) KQ_REQUIRES(kq.mutex());

// After Backend::carry_over() or carry_back(). With an error its knotes are dropped.
void settle_carried(Kqueue& kq, int fd, FdWatch& watch, Errno error) KQ_REQUIRES(kq.mutex());

// A kqueue that may be watched here has moved to a new kernel queue: registers with that.
void follow_renewed(Kqueue& kq) KQ_REQUIRES(kq.mutex());

// Likewise at last, where that was refused the last time: true. The knote is one that was parked.
bool follow_parked(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());

// Forgets what is known of the open file, of which there are no knotes.
void reset(FdWatch& watch);

// Takes in what is known of the file's end, after which the number may name another file that looks
// the same; all knotes of the former are dropped then. Before knotes are made or changed.
void notice_gone(Kqueue& kq, const FdWatch& watch) KQ_REQUIRES(kq.mutex());

// Tells the backend which changes of the file its knotes want to hear of. Errors of
// Backend::watch_file.
Errno watch_file(Kqueue& kq, int fd, FdWatch& watch) KQ_REQUIRES(kq.mutex());

// The backend says that the file behind this handle changed.
void on_file_changed(Kqueue& kq, Handle handle, uint32_t changes) KQ_REQUIRES(kq.mutex());

// The kernel reported a descriptor: activates the knotes it concerns. True if it
// had reported them in this pass already: it begins to repeat itself.
bool on_wakeup(Kqueue& kq, const Wakeup& wakeup) KQ_REQUIRES(kq.mutex());

// The watch this handle was given out for, or null if that was another open file.
FdWatch* find_watch(Kqueue& kq, Handle handle) KQ_REQUIRES(kq.mutex());

}  // namespace fd_watch
}  // namespace kq

#endif
