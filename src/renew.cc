// SPDX-License-Identifier: BSD-2-Clause
// A kqueue whose kernel queue is haunted gets a new one.
//
// The program may close a watched descriptor while its open file lives on (a dup, a forked child, a
// message in flight). Then the registration stays and reports for ever, and no call can remove it
// by number. The report is recognised as stale and dropped, but it wakes every thread that waits.
// So after some stale reports all watches that still exist move to a new kernel queue. Only the
// ghosts stay in the old one. Called by run() and scan() under the kqueue's mutex.
#include <limits.h>

#include "fd_watch.h"
#include "kqueue.h"
#include "trace.h"

namespace kq {

static_assert(Backend::kHas.renewal && RenewalContract<Backend>);

namespace {

// Registers all watches in the new kernel queue, and counts them. False: memory or descriptors are
// short.
bool carry_over_watches(KnoteQueue& kq, size_t& carried) KQ_REQUIRES(kq.mutex()) {
    bool done = true;
    kq.watches().for_each([&kq, &carried, &done](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        if (!done || watch.facts.registered == 0) return;
        const int number = static_cast<int>(fd);
        carried++;
        const Errno error =
            kq.backend().carry_over(number, fd_watch::handle_of(number, watch), watch.facts);
        done = error == Errno::ok || is_gone(error);
        if (done) fd_watch::settle_carried(kq, number, watch, error);
    });
    return done;
}

// Undoes that: the old kernel queue still has all of them.
void carry_back_watches(KnoteQueue& kq) KQ_REQUIRES(kq.mutex()) {
    kq.watches().for_each([&kq](size_t fd, FdWatch& watch) KQ_NO_ANALYSIS {
        const int number = static_cast<int>(fd);
        fd_watch::settle_carried(kq, number, watch, kq.backend().carry_back(number, watch.facts));
    });
}

// Tells all kqueues that watch kqueues, because they may watch this one.
void tell_watchers() {
    mailbox::for_each([](Mailbox& box) {
        if (!box.watches_queues.load()) return;
        box.queue_was_renewed.store(true);
        (void)post_to<Backend>(box.descriptor.load(), box.tag.load());
    });
}

}  // namespace

void Kqueue::renew() {
    renewal_.begin(call_.stale());
    (void)collect(INT_MAX, true);
    if (backend_.begin_renewal() != Errno::ok) {
        // Others use the kernel queue, too, descriptors are short, or the kqueue was closed. Stale
        // reports are tolerated (kPause).
        trace_note(TraceLevel::events, descriptor(), "keeps its kernel queue, cannot have another");
        renewal_.refuse(call_.stale());
        return;
    }
    size_t carried = 0;
    if (!carry_over_watches(*this, carried)) {
        backend_.cancel_renewal();
        renewal_.refuse(call_.stale());
        carry_back_watches(*this);
        return;
    }
    // The new queue reports each edge when it is registered. The old queue knew of these...
    renewal_.set_edges_are_old(true);
    dispatch_all(&Backend::collect);
    renewal_.set_edges_are_old(false);
    // ...and has reported them before, or reports them now.
    dispatch_all(&Backend::collect_old);
    backend_.end_renewal();
    trace_note(TraceLevel::trouble, descriptor(),
               "has a new kernel queue, with %zu descriptors: the old one reported what was closed "
               "here and is open elsewhere",
               carried);
    renewal_.finish(call_.stale(), carried, call_.tick(), !single_threaded());
    // Programs that waited for the old kernel queue must find the new one readable.
    announcing_.note_renewed(promised_);
    tell_watchers();
}

void Kqueue::dispatch_all(Report report) {
    Wakeup wakeups[kBatch];
    const std::span<Wakeup> room(wakeups);
    call_.next_pass();
    (void)take_in(room, (backend_.*report)(room), INT_MAX, report);
}

}  // namespace kq
