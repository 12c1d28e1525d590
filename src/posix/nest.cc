// SPDX-License-Identifier: BSD-2-Clause
// Kqueues that watch kqueues. See nest.h.
#include "nest.h"

#include <new>

namespace kq::nest {
namespace {

constinit Mutex mutex;

Poller* poller_of(int number) KQ_NO_ANALYSIS {
    const Doorbell* bell = doorbell::find(number);
    return bell == nullptr ? nullptr : bell->poller;
}

}  // namespace

void publish(Doorbell& bell, Poller& poller) {
    const Guard guard(mutex);
    bell.poller = &poller;
}

void withdraw(Doorbell& bell) {
    const Guard guard(mutex);
    bell.poller = nullptr;
}

Errno check(const Poller& watcher, int number) {
    const Guard guard(mutex);
    return depth_below(number, watcher, kDeepest) >= kDeepest ? Errno::too_many_links : Errno::ok;
}

bool is_ready(int number) {
    const Guard guard(mutex);
    return is_ready_below(number, 0);
}

Nanos add_to(Poller::Snapshot& snapshot, int number) {
    const Guard guard(mutex);
    return add_below(snapshot, number, 0);
}

bool is_ready_below(int number, int depth) {
    Poller* poller = depth < kDeepest ? poller_of(number) : nullptr;
    return poller != nullptr && poller->is_ready(depth + 1);
}

Nanos add_below(Poller::Snapshot& snapshot, int number, int depth) {
    Poller* poller = depth < kDeepest ? poller_of(number) : nullptr;
    return poller == nullptr ? kForever : poller->add_to(snapshot, depth + 1);
}

int depth_below(int number, const Poller& self, int limit) {
    Poller* poller = poller_of(number);
    if (poller == nullptr) return 0;
    return poller == &self || limit == 0 ? limit + 1 : 1 + poller->depth(self, limit - 1);
}

void abandon_in_child() {
    ::new (&mutex) Mutex;
}

}  // namespace kq::nest
