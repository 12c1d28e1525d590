// SPDX-License-Identifier: BSD-2-Clause
// Kqueues that watch kqueues.
//
// Outsiders find a kqueue readable only when its bell was rung. A watching kqueue of the same
// process hears more: it waits for everything that the watched one waits for, and so on.
//
// Lock order: 1. a kqueue's mutex (none in a thread that goes to sleep); 2. this one, of which the
// process has one; 3. those of Pollers. That of the watching Poller is not held while this one is.
#ifndef KQ_POSIX_NEST_H
#define KQ_POSIX_NEST_H

#include "poller.h"

namespace kq::nest {

constexpr int kDeepest = 5;  // the limit of epoll, too

// The kqueue of this bell can be watched from now on; it cannot be watched any more.
void publish(Doorbell& bell, Poller& poller);
void withdraw(Doorbell& bell);

// Whether `watcher` may watch the kqueue: too_many_links if not.
Errno check(const Poller& watcher, int number);
// Whether the kqueue of that number has something for its collect().
bool is_ready(int number);
// Adds the descriptors that this kqueue waits for to those of the caller. Returns its earliest
// deadline (monotonic).
Nanos add_to(Poller::Snapshot& snapshot, int number);

// These go from one kqueue to those that it watches. The caller holds the lock.
bool is_ready_below(int number, int depth);
Nanos add_below(Poller::Snapshot& snapshot, int number, int depth);
int depth_below(int number, const Poller& self, int limit);

void abandon_in_child();

}  // namespace kq::nest

#endif
