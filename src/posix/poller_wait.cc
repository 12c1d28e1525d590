// SPDX-License-Identifier: BSD-2-Clause
// Sleeping on the interest in descriptors. See poller.h.
//
// A sleeping thread holds no lock and polls a copy of the armed set. The copy is kept, and is made
// anew only if the set has changed since.
#include <limits.h>
#include <pthread.h>

#include <algorithm>
#include <new>

#include "clocks.h"
#include "nest.h"
#include "pending_signals.h"
#include "poller_snapshot.h"
#include "sys.h"

namespace kq {
namespace {

// How long a thread sleeps if it could not copy all that it waits for.
constexpr Nanos kShortOfMemory = 20 * kMillisecond;

// Whole milliseconds, rounded up: poll() knows no others.
int to_timeout(Nanos left) {
    if (left <= 0) return 0;
    const Nanos ms = (left + kMillisecond - 1) / kMillisecond;
    return ms > INT_MAX ? INT_MAX : static_cast<int>(ms);
}

}  // namespace

Poller::~Poller() {
    for (Snapshot* snapshot = unused_; snapshot != nullptr;) {
        const Owned<Snapshot> dead(snapshot);
        snapshot = snapshot->next;
    }
}

void Poller::wake_sleepers() const {
    doorbell::ring_owned(*bell_);
}

Nanos Poller::next_look() const {
    return std::min(look_at_.load(), spent_at_.load());
}

Poller::Snapshot* Poller::take_snapshot() const {
    Snapshot* snapshot = unused_;
    if (snapshot != nullptr)
        unused_ = snapshot->next;
    else
        snapshot = make<Snapshot>().release();
    return snapshot;
}

void Poller::give_back(Snapshot* snapshot) const {
    const Guard guard(mutex_);
    sleepers_.fetch_sub(1);
    if (snapshot == nullptr) return;
    snapshot->next = unused_;
    unused_ = snapshot;
}

namespace {

struct Sleep {
    const Poller* poller;
    Poller::Snapshot* snapshot;
    pollfd* fds;
    nfds_t count;
    int timeout;
    int result;
};

}  // namespace

// A cancelled thread takes its snapshot with it: that needs no lock.
void Poller::cancelled(void* arg) {
    const auto* sleep = static_cast<Sleep*>(arg);
    sleep->poller->sleepers_.fetch_sub(1);
    Owned<Snapshot>(sleep->snapshot).reset();
}

// A thread may be cancelled in here. All state is in `arg`: locals may be lost when cancellation
// comes back here. Not instrumented: a cancelled thread leaves without cleaning up the shadow
// memory of its frame.
__attribute__((noinline, no_sanitize("address"))) void Poller::poll_cancellable(void* arg) {
    auto* sleep = static_cast<Sleep*>(arg);
    pthread_cleanup_push(&Poller::cancelled, arg);
    sleep->result = ::poll(sleep->fds, sleep->count, sleep->timeout);
    pthread_cleanup_pop(0);
}

__attribute__((no_sanitize("address"))) Errno Poller::wait_for(Snapshot* snapshot,
                                                               Nanos until) const {
    Sleep sleep{};
    pollfd bell{bell_->in.load(), POLLIN, 0};
    sleep.poller = this;
    sleep.snapshot = snapshot;
    sleep.fds = snapshot != nullptr ? snapshot->fds : &bell;
    sleep.count = static_cast<nfds_t>(snapshot != nullptr ? snapshot->count : 1);
    sleep.timeout = until == kForever ? -1 : to_timeout(until - now(Clock::monotonic));
    const uint64_t silent = pending_signals::count_silent();
    poll_cancellable(&sleep);
    const Errno error = sleep.result < 0 ? last_errno() : Errno::ok;
    give_back(snapshot);
    return error == Errno::interrupted && pending_signals::count_silent() != silent ? Errno::ok
                                                                                    : error;
}

// A snapshot of what to wait for now. It must be given back. Null: no memory, or poll() refuses the
// number of entries even with one for each descriptor. `until` is made earlier if needed.
Poller::Snapshot* Poller::prepare(Nanos& until) const {
    bool queues = false;
    Snapshot* snapshot = nullptr;
    const int refusals = refusals_.load();
    {
        const Guard guard(mutex_);
        sleepers_.fetch_add(1);  // before deadlines are read: a thread that changes one later rings
        if (refusals < 2) snapshot = take_snapshot();
        if (snapshot == nullptr) return nullptr;
        queues = queues_ > 0;
        if (!queues && snapshot->version == version_ && snapshot->refusals == refusals)
            return snapshot;
        snapshot->count = 0;
        snapshot->whole = true;
        snapshot->version = queues ? 0 : version_;
        snapshot->refusals = refusals;
        snapshot->add(armed_.fds(), armed_.count());
    }
    if (queues) until = std::min(until, add_queues(*snapshot));
    if (refusals > 0) snapshot->merge();
    if (!snapshot->whole) snapshot->version = 0;
    return snapshot;
}

Errno Poller::wait(Nanos end) const {
    const Nanos t = now(Clock::monotonic);
    Nanos until = end;
    Snapshot* snapshot = prepare(until);
    until = std::min({until, next_look(), deadline(Clock::monotonic),
                      to_monotonic(deadline(Clock::realtime), t)});
    if (snapshot == nullptr || !snapshot->whole) until = std::min(until, t + kShortOfMemory);
    const Errno error = wait_for(snapshot, until);
    if (error == Errno::invalid) {
        refusals_.fetch_add(1);
        return Errno::ok;
    }
    if (error != Errno::ok) return error;
    return end != kForever && now(Clock::monotonic) >= end ? Errno::timed_out : Errno::ok;
}

// Adds what the kqueues in the snapshot wait for. Returns their earliest deadline.
Nanos Poller::add_queues(Snapshot& snapshot) {
    Nanos earliest = kForever;
    const size_t own = snapshot.count;
    for (size_t i = 1; i < own; i++)
        earliest = std::min(earliest, nest::add_to(snapshot, snapshot.fds[i].fd));
    return earliest;
}

Nanos Poller::add_to(Snapshot& snapshot, int depth) {
    const Nanos t = now(Clock::monotonic);
    Nanos earliest = std::min(
        {next_look(), deadline(Clock::monotonic), to_monotonic(deadline(Clock::realtime), t)});
    if (hears_signals() && pending_signals::are_blocked_here())
        earliest = std::min(earliest, t + pending_signals::kLookPeriod);
    {
        const Guard guard(mutex_);
        snapshot.add(armed_.fds(), armed_.count());
    }
    int number = -1;
    for (size_t i = 0; next_queue(false, i, number); i++)
        earliest = std::min(earliest, nest::add_below(snapshot, number, depth));
    return earliest;
}

void Poller::abandon_in_child() KQ_NO_ANALYSIS {
    ::new (&mutex_) Mutex;
    sleepers_.store(0);
    unused_ = nullptr;  // some belong to threads of the parent, and are half made
}

}  // namespace kq
