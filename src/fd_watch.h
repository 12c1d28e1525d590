// FdWatch: everything one kqueue knows of one descriptor number.
//
// As in the BSD kernels, knotes on descriptors are found through an array
// indexed by the number. An FdWatch merges the wishes of its knotes (READ and
// WRITE, each level, edge or once) into one interest told to the backend, is as
// lazy as nobody can notice, and finds out when the number has come to name
// another open file. Used by filter_read.cc, filter_write.cc and the core.
// Lock: the kqueue's mutex, for everything here.
#ifndef KQ_FD_WATCH_H
#define KQ_FD_WATCH_H

#include "kqueue.h"

namespace kq {

// Knote::filter_bits of descriptor knotes.
enum FdBits : uint8_t {
    kDoubted = 1,     // the kernel called it ready, the filter did not: twice in a row is a habit
    kForcedEdge = 2,  // level for the user, edge in the kernel: ready there is not true here
    kUnpollable = 4,  // the kernel queue cannot watch it: sampled by the core
    kWatched = 8,     // unpollable, and the backend tells of changes of the file
};

struct FdKnote : Knote {
    intptr_t mark = 0;      // low-water mark in bytes, with NOTE_LOWAT
    uint32_t pass = 0;      // Kqueue::pass() when `ready` was reported
    uint32_t sequence = 0;  // of a watched kqueue: its activations when last reported
};

inline Direction direction_of(const Knote& kn) {
    return kn.filter == EVFILT_READ ? Direction::read : Direction::write;
}

namespace fd_watch {

// The verbs of FilterOps that are the same for READ and WRITE (filter.h).
Result<Knote*> find(Kqueue& kq, uintptr_t ident, int16_t filter) KQ_REQUIRES(kq.mutex());
Errno absent(uintptr_t ident);
Result<Knote*> create(Kqueue& kq, const struct kevent& change) KQ_REQUIRES(kq.mutex());
Errno attach(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
Errno detach(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
Errno modify(Kqueue& kq, Knote& kn, const struct kevent& change) KQ_REQUIRES(kq.mutex());
Errno enable(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());
void disable(Kqueue& kq, Knote& kn) KQ_REQUIRES(kq.mutex());

// The kernel reported a descriptor: activates the knotes it concerns.
void on_wakeup(Kqueue& kq, const Wakeup& wakeup) KQ_REQUIRES(kq.mutex());

// The backend says that the file behind this handle changed.
void on_file_changed(Kqueue& kq, Handle handle) KQ_REQUIRES(kq.mutex());

// The kernel's Ready bits for a knote whose turn has come: those just reported,
// or, if that was in an earlier pass, what the descriptor says now.
uint16_t current_ready(Kqueue& kq, FdKnote& kn) KQ_REQUIRES(kq.mutex());

// Turns a sample into a verdict; fills the event if it is to be reported, and
// decides how the kernel shall go on if it is not.
Verdict judge(Kqueue& kq, FdKnote& kn, const Sample& sample, struct kevent& event)
    KQ_REQUIRES(kq.mutex());

// Copies a sample into the event to be reported; data saturates on ILP32.
void fill(const Sample& sample, struct kevent& event);

// The number names no file that any of its knotes was registered for: drops
// them all, silently, as closing the descriptor does on BSD.
void forget(Kqueue& kq, int fd) KQ_REQUIRES(kq.mutex());

}  // namespace fd_watch
}  // namespace kq

#endif
