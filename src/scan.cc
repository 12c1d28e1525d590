// SPDX-License-Identifier: BSD-2-Clause
// From the kernel to the caller: collect readiness (the rest of that is in collect.cc),
// deliver from the active queue, sleep (semantics 2.3, 2.5, 2.6). The EV_ rules of
// delivery stand here and nowhere else. Called by Kqueue::run under the kqueue's mutex,
// which is free only while the thread sleeps.
//
// collect() never waits and sleep() consumes nothing, so every change of state
// happens under the mutex: no thread ever holds reports that another must
// know of, and a thread may be cancelled while asleep without losing any.
#include <limits.h>

#include <algorithm>

#include "fd_filter.h"
#include "kqueue.h"
#include "registry.h"
#include "scan.h"
#include "signal_hub.h"
#include "trace.h"

namespace kq {
namespace {

// How long a thread sleeps at most where another could close the kqueue, and the kernel
// does not wake those who wait on a closed queue. Each slice ends with a look whether it
// is still there.
constexpr Nanos kCloseCheckPeriod = 100 * kMillisecond;

constexpr int kIdleLooks = 16;  // parked files looked at in a call that has other events

// A closed descriptor whose file lives on elsewhere keeps waking us for nothing,
// if renew() could not help. That must not take the processor: after so many
// times in a row in one call there is a pause each time.
constexpr int kUnhurried = 16;
constexpr Nanos kPause = 1 * kMillisecond;

// While the queue is held after a renewal, it would wake us at once.
constexpr Nanos kLingerPause = 5 * kMillisecond;

}  // namespace

// Moves what the kernel has to tell to the active queue. True if there may be more.
Result<bool> Kqueue::collect(int wanted, bool again) {
    Wakeup wakeups[kBatch];
    if (!again) call_.next_pass();
    const std::span<Wakeup> room(wakeups, room_for(wanted, again));
    const Result<size_t> got = backend_.collect(room);
    if (got.ok() && got.value() == 0) return false;
    return take_in(room, got, wanted, &Backend::collect);
}

Result<int> Kqueue::scan(struct kevent* events, int nevents, const timespec* timeout,
                         void (*cancelled)(void*)) {
    // Only now, after the changes were applied.
    if (timeout != nullptr && !is_valid(*timeout)) return Errno::invalid;
    Look look;
    look.stale = call_.stale();
    look_now(look, nevents);
    return scan_looked(look, events, nevents, timeout, cancelled);
}

// One pass without waiting: collect, deliver, and if that is nothing, look everywhere before saying
// so.
Result<int> Kqueue::pass_once(Look& look, struct kevent* events, int nevents) {
    look_now(look, nevents);
    return hand_out(look, events, nevents);
}

// The first pass found nothing.
Result<int> Kqueue::scan_on(Look& look, struct kevent* events, int nevents, const timespec* timeout,
                            void (*cancelled)(void*)) {
    const Nanos wait = timeout == nullptr ? kForever : to_nanos(*timeout);
    Nanos deadline = kForever;
    bool slept = false;
    int fruitless = 0;
    for (;;) {
        if (!mend()) {
            if (wait == 0) return 0;
            if (!slept && wait != kForever)
                deadline = saturating_add(now(Clock::monotonic), wait);
            else if (deadline != kForever && now(Clock::monotonic) >= deadline)
                return 0;
            fruitless = call_.stale() != look.stale ? fruitless + 1 : 0;
            const Errno error = sleep(deadline, !slept, fruitless, cancelled);
            slept = true;
            if (error == Errno::interrupted) return after_interruption(look, events, nevents);
            if (error != Errno::ok) return error;
        }
        look.stale = call_.stale();
        const Result<int> count = pass_once(look, events, nevents);
        if (!count.ok()) return slept ? closed_if_not_ours(count) : count;
        if (count.value() != 0) return count;
    }
}

// Puts in order what keeps events from coming: handlers of ours that the program has
// replaced, a kernel queue that reports what is gone. True if there was something.
bool Kqueue::mend() {
    if (mailbox_ != nullptr && signal_hub::mend(mailbox_->signals.load())) return true;
    return renew_if_haunted();
}

// A signal handler ended the sleep. What it (or a signal that is watched) made
// happen is reported rather than EINTR: it is an answer, too, and nearer.
Result<int> Kqueue::after_interruption(Look& look, struct kevent* events, int nevents) {
    const Result<int> count = pass_once(look, events, nevents);
    if (count.ok() && count.value() == 0) return Errno::interrupted;
    return count;
}

// ---- delivering ----

// One knote, off the queue, at its turn. True if `event` was filled.
KQ_INLINE bool Kqueue::deliver_one(Knote& kn, struct kevent& event) {
    const ByTable verbs(kn.filter);
    struct kevent report {};
    report.ident = kn.ident;
    report.filter = kn.filter;
    report.flags = kn.flags;
    report.udata = kn.udata;
    switch (verbs.process(*this, kn, report)) {
        case Verdict::gone:
            return false;
        case Verdict::no_longer_true:
        case Verdict::parked:
            if (kn.has(kForced)) break;
            kn.clear(kActive);
            return false;
        case Verdict::aside:
            event = report;
            if (kn.has(kExtended)) wide_.note(kn);
            active_.put_back(kn);
            return true;
        case Verdict::report:
            break;
    }
    event = report;
    if (kn.has(kExtended)) wide_.note(kn);
    note_reported(verbs, kn, report.flags);
    return true;
}

bool Kqueue::deliver_judged(Knote& kn, struct kevent& event) {
    return deliver_one(kn, event);
}

// What is queued now, each knote at most once; `count` events are there.
KQ_INLINE int Kqueue::deliver(struct kevent* events, int nevents, int count) {
    if (active_.empty()) return count;
    if (events == nullptr) return deliver_more(events, nevents, count);
    if (active_.size() == 1 && count < nevents) {  // no marker is needed to tell where to end
        if (!deliver_one(active_.take_only(), events[count])) return count;
        trace_event(descriptor(), events[count]);
        return count + 1;
    }
    const ActiveQueue::Marker end(active_);
    while (count < nevents) {
        Knote* kn = active_.take(end);
        if (kn == nullptr) break;
        if (!deliver_one(*kn, events[count])) continue;
        trace_event(descriptor(), events[count]);
        count++;
    }
    return count;
}

// As deliver(), into the list of kevent64(), too; `count` events are there. What was reported in
// this call already stays queued for the next one.
int Kqueue::deliver_more(struct kevent* events, int nevents, int count) {
    const ActiveQueue::Marker end(active_);
    while (count < nevents) {
        Knote* kn = active_.take(end);
        if (kn == nullptr) break;
        if (kn->has(kServed)) {
            active_.put_back(*kn);
            continue;
        }
        struct kevent event;
        if (!deliver_one(*kn, event)) continue;
        trace_event(descriptor(), event);
        if (events != nullptr)
            events[count++] = event;
        else
            wide_.put(event, count++);
    }
    return count;
}

// Marks the knotes of the events of this call, as far as they are still there.
void Kqueue::note_served(const struct kevent* events, int count, bool served) {
    for (int i = 0; i < count; i++) {
        const struct kevent event = events != nullptr ? events[i] : wide_.event_at(i);
        const Result<Knote*> found = find_filter(event.filter)->find(*this, event.ident);
        if (!found.ok() || found.value() == nullptr) continue;
        if (served)
            found.value()->set(kServed);
        else
            found.value()->clear(kServed);
    }
}

// Where there is a queue: `used` wakeups have become `count` events. A call that fails delivers
// nothing: it would be lost; and one that has events does not fail.
Result<int> Kqueue::hand_out_rest(Look& look, size_t used, struct kevent* events, int nevents,
                                  int count) {
    Result<bool> more = used == look.room;
    // What was put back after its event (a knote with a mark, for one) has had its turn.
    const int served = active_.empty() ? 0 : count;
    if (served != 0) note_served(events, served, true);
    if (look.got != static_cast<long>(used)) {
        more = take_in_rest(look, used, nevents, count);
    } else if (used == 0 && registry::several.load(std::memory_order_relaxed) &&
               check_exists() != Errno::ok) {
        // That the number still is ours is shown by what the kernel reports, and by nothing else.
        return Errno::not_ours;
    }
    // Likewise what was parked.
    if (used == 0 && !parked_.empty()) look_at(Parking::idle, kIdleLooks);
    if (!more.ok()) return more.error();
    count = served != 0 ? deliver_more(events, nevents, count) : deliver(events, nevents, count);
    if (served != 0) note_served(events, served, false);
    if (count == nevents || (count != 0 && !more.value())) return count;
    return go_on(more.value(), events, nevents, count);
}

// As hand_out_rest(), where the kernel told of one thing, and that is the queue's own: is_news().
// What it tells queues, behind what was there before.
Result<int> Kqueue::hand_out_news(Look& look, const Wakeup& news, struct kevent* events,
                                  int nevents) {
    const Batch batch{call_.stale(), active_.size(), false, false};
    dispatch(news);
    Result<bool> more = look.room == 1;
    if (call_.stale() != batch.stale_before || (look.room == 1 && active_.size() < nevents)) {
        look.wakeups[0] = news;
        more = take_more({look.wakeups, look.room}, size_t{1}, batch, nevents, &Backend::collect);
    }
    if (!parked_.empty()) look_at(Parking::idle, kIdleLooks);
    if (!more.ok()) return more.error();
    const int count = deliver(events, nevents, 0);
    if (count == nevents || (count != 0 && !more.value())) return count;
    return go_on(more.value(), events, nevents, count);
}

// What was looked at, less the first wakeups. Where there are events the kernel is not asked for
// more: it would tell of the same descriptors again, which go_on() knows how to prevent. And
// of a number that is not ours any more the next call hears.
Result<bool> Kqueue::take_in_rest(Look& look, size_t used, int nevents, int count) {
    const std::span<Wakeup> room(look.wakeups, look.room);
    const Result<size_t> got = take_rest(backend_, room, look.got, used);
    if (count == 0)
        return take_in_inline(room.subspan(used), got.ok() ? got.value() - used : got, nevents,
                              &Backend::collect);
    if (!got.ok()) return false;
    const Batch batch = take_batch(room.subspan(used, got.value() - used));
    return got.value() == look.room || batch.signals;
}

// There is room for more, and there may be more: what was collected first was enough, but is not
// true any more. Now all is collected, so that nothing that is pending is left (2.3); and if that
// is nothing, it is looked everywhere before saying so.
Result<int> Kqueue::go_on(bool more, struct kevent* events, int nevents, int count) {
    bool looked_at_all = false;
    int served = 0;  // of the events, how many have been noted
    Errno error = Errno::ok;
    for (int i = 0; count < nevents; i++) {
        if (more && i < kMaxBatches) {
            note_served(events, count, true);
            served = count;
            const Result<bool> collected = collect(INT_MAX, true);
            error = collected.ok() ? Errno::ok : collected.error();
            if (error != Errno::ok) break;
            more = collected.value();
        } else if (count == 0 && !looked_at_all && !parked_.empty()) {
            looked_at_all = true;
            more = false;
            look_at(Parking::idle, ParkedKnotes::kAll);
            look_at(Parking::recheck, ParkedKnotes::kAll);
        } else {
            break;
        }
        count = deliver_more(events, nevents, count);
    }
    note_served(events, served, false);
    if (error != Errno::ok && count == 0) return error;
    return count;
}

// ---- sleeping ----

namespace {

// A thread that sleeps, and how to give back what it holds if it is cancelled.
struct Sleeper {
    Kqueue* queue;
    const Backend& backend;
    Nanos pause;  // before anything may wake it
    Nanos wait;
    void (*cancelled)(void*);
    bool withdrew;  // signals: they are to be put back
    Errno result;
};

extern "C" void kq_sleeper_cancelled(void* arg) {
    const auto* sleeper = static_cast<Sleeper*>(arg);
    if (sleeper->withdrew) signal_hub::put_back();
    sleeper->cancelled(sleeper->queue);
}

// The only place where a thread can be cancelled; no mutex is held.
void sleep_cancellable(Sleeper& sleeper) {
    const auto sleep_now = [&sleeper] {
        if (sleeper.pause > 0) sleeper.result = Backend::pause(sleeper.pause);
        if (sleeper.result == Errno::ok) sleeper.result = sleeper.backend.sleep(sleeper.wait);
    };
    threading::cancellable(sleep_now, kq_sleeper_cancelled, &sleeper);
}

}  // namespace

// Sleeps until the kernel has something, until `deadline`, or for a while; the
// mutex is free meanwhile. `first`: in this call. `fruitless`: how often in a row
// stale reports ended that with nothing to deliver.
Errno Kqueue::sleep(Nanos deadline, bool first, int fruitless, void (*cancelled)(void*)) {
    // Somebody else's queue by now would never tell us. With several threads it is asked
    // afterwards, but for another of ours: that is served, and afterwards would be too late.
    const bool asks = single_threaded() || registry::several.load(std::memory_order_relaxed);
    if (first && asks && check_exists() != Errno::ok) return Errno::not_ours;
    Nanos wait = kForever;
    if (deadline != kForever) wait = std::max(deadline - now(Clock::monotonic), Nanos{0});
    if (!Backend::kHearsClose && !single_threaded()) wait = std::min(wait, kCloseCheckPeriod);
    if (trace_enabled(TraceLevel::events)) wait = begin_traced_sleep(wait);
    settle(After::sleep);
    Nanos pause = fruitless >= kUnhurried ? kPause : 0;
    if (renewal_.lingers()) pause = kLingerPause;
    const bool withdrew = mailbox_ != nullptr && signal_hub::withdraw(wait);
    Sleeper sleeper{this, backend_, std::min(wait, pause), wait, cancelled, withdrew, Errno::ok};
    WideList* const wide = wide_.set_list(nullptr);  // others may deliver meanwhile
    mutex_.unlock();
    sleep_cancellable(sleeper);
    mutex_.lock();
    if (withdrew) signal_hub::put_back();
    (void)wide_.set_list(wide);
    trace_wake(descriptor(), sleeper.result);
    if (sleeper.result != Errno::ok && sleeper.result != Errno::timed_out) return sleeper.result;
    // With other threads about, the number may be another file, or another queue, by now.
    if (dead_.load() || (!single_threaded() && !backend_.exists())) return Errno::bad_descriptor;
    return Errno::ok;
}

}  // namespace kq
