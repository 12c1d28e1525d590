// SPDX-License-Identifier: BSD-2-Clause
// Sleeping in a port. See backend.h.
#include <pthread.h>
#include <time.h>

#include <algorithm>

#include "../posix/clocks.h"
#include "../posix/pending_signals.h"
#include "backend.h"
#include "ports.h"

namespace kq {
namespace {

#ifdef KQ_GETN_IS_CANCELLATION_POINT
constexpr bool kGetnIsCancellationPoint = true;
#else
constexpr bool kGetnIsCancellationPoint = false;
#endif

}  // namespace

// When a sleeping thread has to wake and collect() although no event comes. `t` is the present
// time.
Nanos Backend::next_look(Nanos t) const {
    return std::min({fds_.next_look(), look_at_.load(), deadlines_[0].load(),
                     to_monotonic(deadlines_[1].load(), t)});
}

// Kqueues that watch this one wait for that moment, too.
void Backend::publish_look(Nanos t) const {
    Nanos look = next_look(t);
    if (hears_signals_.load() && pending_signals::are_blocked_here())
        look = std::min(look, t + pending_signals::kLookPeriod);
    bell_->look_at.store(look);
}

// A thread that sleeps: all its state, on its stack. Plain local variables may be lost by the way
// in which a cancellation comes back here.
struct Backend::Wait {
    const Backend& backend;
    int port;
    timespec* timeout;
    Sleeping sleeping;
    port_event_t event;
    uint_t count;
    int result;
    int error;
};

// The cancelled thread may have taken an event out of the queue. That event is lost, and the next
// call makes everything come again.
void Backend::cancelled(void* arg) {
    auto* wait = static_cast<Wait*>(arg);
    const Backend& backend = wait->backend;
    backend.lost_.store(true);
    (void)port_bell::send(*backend.bell_, port_bell::kWake);
    backend.sleepers_.leave(wait->sleeping);
    backend.inbox_.leave();
}

// A thread may be cancelled in this function. port_getn() is no cancellation point
// (usr/src/lib/libc/port/threads/scalls.c of illumos has those), so the thread is cancelled
// asynchronously. The function is not instrumented, because a cancelled thread leaves it without
// cleaning up the sanitizer's shadow of its frame.
__attribute__((noinline, no_sanitize("address"))) void Backend::get_cancellable(Wait& wait) {
    pthread_cleanup_push(&Backend::cancelled, &wait);
    wait.count = 1;
    int type = PTHREAD_CANCEL_DEFERRED;
    if (!kGetnIsCancellationPoint) (void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    pthread_testcancel();
    wait.result = port_getn(wait.port, &wait.event, 1, &wait.count, wait.timeout);
    if (!kGetnIsCancellationPoint) (void)pthread_setcanceltype(type, &type);
    wait.error = wait.result == 0 ? 0 : errno;
    pthread_cleanup_pop(0);
}

__attribute__((no_sanitize("address"))) Errno Backend::sleep(Nanos t) const {
    if (bell_ == nullptr) return Errno::bad_descriptor;
    const Nanos start = now(Clock::monotonic);
    const Nanos end = t == kForever ? kForever : saturating_add(start, t);
    const Errno error = inbox_.enter();
    if (error != Errno::ok) return error;
    Wait wait{*this, descriptor(), nullptr, {}, {}, 0, 0, 0};
    // Entered first, as one that sleeps for ever: a thread that now changes when to look next finds
    // this one, and sends a token.
    sleepers_.enter(wait.sleeping);
    Nanos until = std::min({end, next_look(start), probe_at_.load()});
    // No handler reports signals that this thread blocks.
    const bool hears = hears_signals_.load() || children_.are_watched();
    if (hears && pending_signals::are_blocked_here())
        until = std::min(until, start + pending_signals::kLookPeriod);
    timespec timeout = to_timespec(std::max(until - start, Nanos{0}));
    if (until != kForever) wait.timeout = &timeout;
    sleepers_.set_until(wait.sleeping, until);
    const uint64_t silent = pending_signals::count_silent();
    get_cancellable(wait);
    sleepers_.leave(wait.sleeping);
    // With ETIME there may be an event; with EINTR `count` is not written.
    if ((wait.result == 0 || wait.error == ETIME) && wait.count > 0) {
        bell_->taken.fetch_add(1);
        // This token has done what it is for. It is not kept, because a kept one wakes no thread.
        if (is_wake(wait.event)) {
            wake_sent_.store(false);
            inbox_.leave();
        } else {
            inbox_.leave(wait.event);
        }
        return Errno::ok;
    }
    inbox_.leave();
    if (wait.error == EINTR)
        return pending_signals::count_silent() != silent ? Errno::ok : Errno::interrupted;
    if (wait.result != 0 && wait.error != ETIME) {
        errno = wait.error;
        return ports::answer(-1);
    }
    only_time_passed_.store(true);
    return end != kForever && now(Clock::monotonic) >= end ? Errno::timed_out : Errno::ok;
}

__attribute__((no_sanitize("address"))) Errno Backend::pause(Nanos t) {
    const timespec ts = to_timespec(t);
    return nanosleep(&ts, nullptr) == 0 ? Errno::ok : last_errno();
}

}  // namespace kq
