// A kqueue whose kernel queue is haunted gets a new one.
//
// If the program closes a watched descriptor while its open file lives on (a
// dup, a forked child, a message in flight), the registration stays and reports
// for ever, and nobody can remove it by number. The report is recognised as
// stale and dropped, but it wakes everybody who waits. So after some of them all
// that is alive moves to a new kernel queue, and the old one is left to the
// ghosts. Called by run() and scan() under the kqueue's mutex.
#include <iterator>

#include "fd_watch.h"
#include "kqueue.h"

namespace kq {

// Costs about as much as it costs to register all watches: it is done when as
// many stale reports as a quarter of that have come, so that it costs a few system
// calls for each of them at most.
void Kqueue::renew() {
    renew_at_ = stale_ + kPatience;
    (void)collect(INT32_MAX, true);
    if (backend_.begin_renewal() != Errno::ok) {
        // Shared, short of descriptors, or closed meanwhile: stale reports are put up with
        // (kPause).
        renew_at_ = stale_ + kImpatience;
        return;
    }
    size_t carried = 0;
    if (!carry_over_watches(carried)) {
        give_up_renewal();
        return;
    }
    // An edge is told when it is registered; what it says was known to the old queue...
    edges_are_old_ = true;
    dispatch_all(&Backend::collect);
    edges_are_old_ = false;
    // ...which has told it before, or tells it now.
    dispatch_all(&Backend::collect_old);
    backend_.end_renewal();
    renew_at_ = stale_ + kPatience + static_cast<uint32_t>(carried / 4);
    // Whoever waited for the old one has to find the new one readable.
    rung_ = false;
    stray_ = stray_ || ringing_.load() > 0;
    held_ = true;
    lingers_ = !single_threaded();
    renewed_ = tick_;
    mailbox::for_each([](Mailbox& box) {
        if (!box.watches_queues.load()) return;
        box.queue_was_renewed.store(true);
        (void)Backend::post(box.descriptor.load(), box.tag.load());
    });
}

// False if it could not be done, for want of memory or descriptors. Counts them.
bool Kqueue::carry_over_watches(size_t& carried) {
    bool done = true;
    watches_.for_each([this, &carried, &done](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        if (!done || watch.facts.registered == 0) return;
        const int number = static_cast<int>(fd);
        carried++;
        const Errno error =
            backend_.carry_over(number, fd_watch::handle_of(number, watch), watch.facts);
        done = error == Errno::ok || is_gone(error);
        if (done) fd_watch::settle_carried(*this, number, watch, error);
    });
    return done;
}

// The old kernel queue has them all still.
void Kqueue::give_up_renewal() {
    backend_.cancel_renewal();
    renew_at_ = stale_ + kImpatience;
    watches_.for_each([this](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        const int number = static_cast<int>(fd);
        fd_watch::settle_carried(*this, number, watch, backend_.carry_back(number, watch.facts));
    });
}

void Kqueue::dispatch_all(Result<size_t> (Backend::*collect)(std::span<Wakeup>)) {
    Wakeup wakeups[64];
    constexpr int kMost = 1000;  // what is by level repeats itself
    bool repeated = false;
    pass_++;
    for (int i = 0; i < kMost && !repeated; i++) {
        const Result<size_t> got = (backend_.*collect)(std::span(wakeups));
        for (size_t w = 0; got.ok() && w < got.value(); w++)
            repeated = dispatch(wakeups[w]) || repeated;
        if (!got.ok() || got.value() < std::size(wakeups)) return;
    }
}

}  // namespace kq
