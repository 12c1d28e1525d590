// The registry: which descriptor is which Kqueue, in the whole process.
//
// find() takes no lock and costs two atomic operations with its release(), so
// that threads with kqueues of their own do not meet. See registry.cc for how
// a Kqueue is kept alive while others look it up.
//
// The user closes a kqueue with close(), and nobody tells us: a closed one is
// found out when its number comes back from the kernel, when a call on it
// fails, and by a look at one of them in each create().
#ifndef KQ_REGISTRY_H
#define KQ_REGISTRY_H

#include <stdint.h>

#include "result.h"

namespace kq {

class Kqueue;

namespace registry {

// Makes a kqueue and returns its descriptor: too many descriptors, no_memory.
Result<int> create();

// The kqueue of this number with a reference to be given to release(). bad_descriptor: there is
// none. Other errors: it may be a duplicate, but that cannot be told, for want of memory or
// descriptors.
Result<Kqueue*> find(int fd);
// As find(), but under the mutex of another kqueue: a number that was not used yet,
// a duplicate, is not recognised. Null: there is none.
Kqueue* find_watched(int fd);
void release(Kqueue* kqueue);

// As release(), for callers that hold the mutex of another kqueue: if it was the
// last reference, reap() destroys the Kqueue.
void release_later(Kqueue* kqueue);
// Destroys what release_later() left; holding nothing. Cheap if there is nothing.
void reap();

// Whether the number names a kqueue that still exists. Costs a system call if
// the number ever was one. May be called under a kqueue's mutex.
bool is_live(int fd);
// Kqueue::serial() of the kqueue that the number names; 0: none. No system call.
uint32_t serial_of(int fd);

// The number no longer names this kqueue, to which the caller has a reference:
// no find() returns it again, and calls in progress end.
void retire(Kqueue* kqueue);

// Frees what all closed kqueues hold.
void sweep();

// Whether a forked child closes its copies of our descriptors; true at first.
// Returns the old value.
bool set_fork_cleanup(bool wanted);

}  // namespace registry
}  // namespace kq

#endif
