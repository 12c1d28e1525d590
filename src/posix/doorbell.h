// SPDX-License-Identifier: BSD-2-Clause
// Doorbells: they make a kqueue's public descriptor readable.
//
// The public descriptor is the read end of a pipe. The library owns a second number of that end,
// and the write end. It never reads from the public number: the user may close it at any moment,
// and open a file that gets the number. A byte is in the pipe while the bell is rung or held.
//
// A Doorbell is a Bell (bells.h). It belongs to one Backend from open() to close().
//
// Used by Backend. open(): the registry's mutex. hear(), hold(): the kqueue's.
// find(), tag_of(): any thread, async-signal-safe.
#ifndef KQ_POSIX_DOORBELL_H
#define KQ_POSIX_DOORBELL_H

#include <stdint.h>

#include <atomic>

#include "bells.h"

namespace kq {

class Poller;

struct Doorbell : Bell {
    std::atomic<int> in{-1};  // our number of the read end
    std::atomic<int> out{-1};
    std::atomic<uint64_t> file{0};  // what fstat() says of the pipe
    std::atomic<bool> held{false};
    // The poller of its kqueue, for kqueues that watch that one. Guarded by the mutex of nest.h.
    Poller* poller = nullptr;
};

namespace doorbell {

// Makes the pipe; `tag` is not 0. The public descriptor is bell.number. EMFILE, ENFILE, ENOMEM.
Errno open(uint32_t tag, Doorbell*& bell);
// Closes our numbers, but not the public one. `waits`: waits for threads that are ringing the bell.
void close(Doorbell& bell, bool waits);
// Whether the public descriptor still names this pipe.
bool is_open(const Doorbell& bell);
// Whether any number names it: the public descriptor, a duplicate of that, or one of ours.
bool is_end_of(const Doorbell& bell, int fd);

// Makes the public descriptor readable. For the owner of the bell, and for those who know that the
// bell has an owner.
void ring_owned(Doorbell& bell);
// True if the bell was rung since the last call. After it the pipe is readable only if held.
bool hear(Doorbell& bell);
// Keeps the pipe readable, or (`on` is false) ends that.
void hold(Doorbell& bell, bool on);

// The bell of a public number that still names a kqueue of this process; else null.
Doorbell* find(int number);
// The tag of the kqueue that any number names, also a duplicate; 0: no kqueue.
uint32_t tag_of(int number);

}  // namespace doorbell
}  // namespace kq

#endif
