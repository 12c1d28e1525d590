// SPDX-License-Identifier: BSD-2-Clause
// The registry: which descriptor is which Kqueue, in the whole process.
//
// find() takes no lock. Together with its release() it costs two atomic operations, so threads with
// kqueues of their own do not disturb each other. registry_cells.h tells how a Kqueue is kept alive
// while others look it up.
//
// The user closes a kqueue with close(), and we are not notified. A closed kqueue is found when the
// kernel gives us its number again, when a call on it fails, and by a look at one kqueue in each
// create().
#ifndef KQ_REGISTRY_H
#define KQ_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include <atomic>

#include "result.h"

namespace kq {

class Kqueue;
struct Wakeup;

namespace registry {

// Whether there is more than one kqueue; a closed one counts until it is found. Only then the
// number of one can have become that of another.
extern constinit std::atomic<bool> several;

// Makes a kqueue and returns its descriptor. `copied`: a forked child gets a copy of it. Errors:
// too many descriptors, no_memory.
Result<int> create(bool copied);

// The kqueue of this number, with a reference that must be given to release(). bad_descriptor:
// there is none. Other errors: it may be a duplicate, but memory or descriptors are too short to
// tell. traced: there is one, and calls are traced. Then the caller must use find_traced().
Result<Kqueue*> find(int fd);
// As find(), whether calls are traced or not.
Result<Kqueue*> find_traced(int fd);
// Whether find() is to answer `traced` from now on. Any thread.
void set_traced(bool traced);
// As find(), but under the mutex of another kqueue. A duplicate that was not used before is not
// recognised. Null: there is none.
Kqueue* find_watched(int fd);
void release(Kqueue* kqueue);

// As release(), for callers that hold the mutex of another kqueue. If it was the last reference,
// reap() destroys the Kqueue.
void release_later(Kqueue* kqueue);
// Destroys what release_later() left. Called with no lock held. Cheap if there is nothing.
void reap();

// Whether the number names a kqueue that still exists. Costs a system call if the number ever was a
// kqueue's. May be called under a kqueue's mutex.
bool is_live(int fd);  // ask may_be_live() first: registry_lookup.h
// Kqueue::serial() of the kqueue that the number names; 0: none. No system call.
uint32_t serial_of(int fd);

// A kqueue that had this number collected these wakeups. They belong to the kqueue that has the
// number now, if any. Called with no lock held.
void hand_over(int fd, Wakeup* wakeups, size_t count);

// The number no longer names this kqueue. No find() returns it again, and calls in progress end.
// The caller must have a reference to it.
void retire(Kqueue* kqueue);

// Frees what all closed kqueues hold.
void sweep();

// Whether a forked child closes its copies of our descriptors; true at first.
// Returns the old value.
bool set_fork_cleanup(bool wanted);

}  // namespace registry
}  // namespace kq

#endif
