// Kqueues that watch kqueues.
//
// Outsiders find a kqueue readable only when its bell was rung; a kqueue of the same
// process does better: it waits for all that the other one waits for, and so on.
//
// Lock: one for the process, taken with a kqueue's mutex held or by a thread that goes to
// sleep, and before those of Pollers, of which that of the watching one is free.
#ifndef KQ_POSIX_NEST_H
#define KQ_POSIX_NEST_H

#include "poller.h"

namespace kq::nest {

constexpr int kDeepest = 5;  // as epoll has it

// The kqueue of this bell can be watched from now on; not any more.
void publish(Doorbell& bell, Poller& poller);
void withdraw(Doorbell& bell);

// Whether `watcher` may watch the kqueue: too_many_links if not.
Errno check(const Poller& watcher, int number);
// Whether the kqueue of that number has something for its collect().
bool is_ready(int number);
// Adds what it waits for to what the caller waits for.
Nanos add_to(Poller::Snapshot& snapshot, int number);

// From one kqueue to those it watches; the lock is held by whoever began.
bool is_ready_below(int number, int depth);
Nanos add_below(Poller::Snapshot& snapshot, int number, int depth);
int depth_below(int number, const Poller& self, int limit);

void abandon_in_child();

}  // namespace kq::nest

#endif
