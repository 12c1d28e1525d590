// SPDX-License-Identifier: BSD-2-Clause
// Kqueue: life and death, what is around a call, the promise of settle().
// Everything here runs under the kqueue's mutex unless it says otherwise.
#include "kqueue.h"

#include <limits.h>
#include <stdlib.h>

#include <utility>

#include "fd_watch.h"
#include "process_hub.h"
#include "registry.h"

namespace kq {

namespace {

// How many kqueues there are of each mark.
constinit std::atomic<uint32_t> marks_used[kMarks] = {};

std::atomic<uint32_t>& mark_of(uint32_t serial) {
    return marks_used[serial % kMarks];
}

}  // namespace

// The marks of all kqueues that are there, closed ones that were not found yet included, differ as
// long as they can: see kMarks.
uint32_t Kqueue::next_serial() {
    static constinit std::atomic<uint32_t> last{0};
    for (uint32_t attempt = 0;; attempt++) {  // never 0, as a tag of 28 bits either
        const uint32_t serial = (last.fetch_add(1) + 1) & Handle::kGenerations;
        if (serial == 0 || (attempt < kMarks && mark_of(serial).load() > 0)) continue;
        mark_of(serial).fetch_add(1);
        return serial;
    }
}

void Kqueue::forget_serials() {
    for (std::atomic<uint32_t>& mark : marks_used)
        mark.store(0);
}

Errno Kqueue::open() {
    const Guard guard(mutex_);
    return backend_.open(serial_);
}

void Kqueue::close_unpublished() {
    const Guard guard(mutex_);
    backend_.close_unpublished();
}

Kqueue::~Kqueue() {
    // Nobody else has a reference any more; the lock is for the annotations.
    const Guard guard(mutex_);
    index_.for_each([this](Knote* kn) KQ_NO_ANALYSIS { (void)drop(*kn); });
    watches_.for_each([this](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        if (watch.notes != nullptr) fd_watch::drop_all(*this, static_cast<int>(fd));
    });
    free(astray_);
    mark_of(serial_).fetch_sub(1);
    if (mailbox_ == nullptr) return;
    process_hub::forget(*mailbox_);
    mailbox::give_back(*mailbox_);
}

// What Announcing left to be done without the mutex.
void Kqueue::ring_as_promised() {
    // Closed meanwhile, the number may be that of another kqueue.
    const bool rung = !dead_.load() && Backend::post(descriptor(), serial_) == Errno::ok;
    promised_.done();
    if (rung && !promised_.was_called_off()) return;
    const Guard guard(mutex_);
    if (!rung) announcing_.note_unrung();
    announcing_.note_stray();
    settle(After::sleep);
}

void Kqueue::pay(uint8_t owed) {
    if ((owed & kOwesRing) != 0) ring_as_promised();
    if ((owed & kOwesWakeups) != 0) hand_over();
}

int64_t Kqueue::count_pending(uint32_t& sequence) {
    if (!exists() || !mutex_.try_lock()) return -1;
    (void)collect(INT_MAX, false);
    const int64_t count = active_.size();
    sequence = active_.activations();
    settle(After::counting);
    mutex_.unlock();
    return count;
}

// ---- settle ----

void Kqueue::announce(After what) {
    KQ_CHECK(active_.size() >= active_.unbacked() && active_.unbacked() >= 0);
    // In this order: a ring that is done just now is heard here, or by him who does it.
    if (announcing_.take_vain_ring(promised_, active_)) (void)collect(1, false);
    // Not in the name of another queue, which would never be quiet again.
    if (active_.unbacked() > 0 && registry::several.load(std::memory_order_relaxed) &&
        check_exists() != Errno::ok)
        return;
    announcing_.announce(backend_, promised_, active_, what, renewal_.still_lingers(call_.tick()));
}

}  // namespace kq
