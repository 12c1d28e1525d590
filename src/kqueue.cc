// SPDX-License-Identifier: BSD-2-Clause
// Kqueue: how it begins and ends, and the promise of settle(). Everything here runs under the
// kqueue's mutex unless it says otherwise.
#include "kqueue.h"

#include <limits.h>
#include <stdlib.h>

#include <utility>

#include "fd_watch.h"
#include "process_hub.h"
#include "registry.h"

namespace kq {

namespace {

// How many kqueues have each mark.
constinit std::atomic<uint32_t> marks_used[kMarks] = {};

std::atomic<uint32_t>& mark_of(uint32_t serial) {
    return marks_used[serial % kMarks];
}

}  // namespace

// All existing kqueues have different marks, as long as there are no more than kMarks of them.
// Closed kqueues count until the registry finds out that they were closed.
uint32_t Kqueue::next_serial() {
    static constinit std::atomic<uint32_t> last{0};
    for (uint32_t attempt = 0;; attempt++) {  // never 0, not even in its lower 28 bits, the tag
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

void Kqueue::keep_serial() const {
    mark_of(serial_).fetch_add(1);
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
    // No other thread has a reference any more. The lock is taken only for the annotations.
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

// Does the ring that Announcing has promised. It is done after the mutex is unlocked.
void Kqueue::ring_as_promised() {
    // If the kqueue was closed, its number may name another kqueue. Where post() does not find that
    // out, the other one is rung for nothing.
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
    if (!mutex_.try_lock()) return -1;
    (void)collect(INT_MAX, false);
    // The outer kqueue may have taken the kernel's notice, as poll() of a program does.
    if (!parked_.empty()) look_at(Parking::idle, ParkedKnotes::kSome);
    const int64_t count = active_.size();
    sequence = active_.activations();
    settle(After::counting);
    mutex_.unlock();
    return count;
}

// ---- settle ----

void Kqueue::announce(After what) {
    KQ_CHECK(active_.size() >= active_.unbacked() && active_.unbacked() >= 0);
    fd_watch::forget_opened(*this);
    // This comes before announce(). If another thread does its promised ring at this moment, either
    // we hear it here or that thread hears it.
    if (announcing_.take_vain_ring(promised_, active_)) (void)collect(1, false);
    // If the number names another kqueue now, nothing is announced: that kqueue would stay readable
    // for ever.
    if (active_.unbacked() > 0 && registry::several.load(std::memory_order_relaxed) &&
        check_exists() != Errno::ok)
        return;
    announcing_.announce(backend_, promised_, active_, what, renewal_.still_lingers(call_.tick()));
}

}  // namespace kq
