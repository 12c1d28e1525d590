// SPDX-License-Identifier: BSD-2-Clause
// From the kernel to the caller: collect readiness (the rest of that is in collect.cc),
// deliver from the active queue, sleep (semantics 2.3, 2.5, 2.6). The EV_ rules of
// delivery are here and in scan.h. Called by Kqueue::run under the kqueue's mutex,
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
#include "specific.h"
#include "trace.h"

namespace kq {
namespace {

// The longest single sleep where another thread could close the kqueue and the kernel does not wake
// the threads that wait on a closed queue. After each such sleep the thread checks whether the
// kqueue still exists.
constexpr Nanos kCloseCheckPeriod = 100 * kMillisecond;

// A closed descriptor whose file is still open elsewhere keeps waking us for nothing, if renew()
// could not help. That must not keep the processor busy: after so many such wakeups in a row in one
// call, each further sleep begins with a pause.
constexpr int kUnhurried = 16;
constexpr Nanos kPause = 1 * kMillisecond;

// While the queue is held after a renewal, it would wake us at once.
constexpr Nanos kLingerPause = 5 * kMillisecond;

// The timeout of a call. It begins with the first sleep.
class TimeLeft {
  public:
    explicit TimeLeft(const timespec* timeout)
        : wait_(timeout == nullptr ? kForever : to_nanos(*timeout)) {}

    // Whether the call may sleep, or sleep again.
    bool any(bool slept) {
        if (wait_ == 0 || wait_ == kForever) return wait_ != 0;
        const Nanos t = now(Clock::monotonic);
        if (!slept) deadline_ = saturating_add(t, wait_);
        return t < deadline_;
    }
    [[nodiscard]] Nanos deadline() const { return deadline_; }  // after any()

  private:
    const Nanos wait_;
    Nanos deadline_ = kForever;
};

}  // namespace

// Moves the reports of the kernel to the active queue. `wanted`: how many events the caller still
// has room for. `again`: no new pass begins, and a whole batch is taken. True if the kernel may
// have more reports.
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
    // The timeout is checked only now, after the changes were applied.
    if (timeout != nullptr && !is_valid(*timeout)) return Errno::invalid;
    Look look;
    look.stale = call_.stale();
    look_first(look, nevents, timeout);
    return scan_looked(look, events, nevents, timeout, cancelled);
}

// One pass without waiting: collects and delivers. Before it answers 0 it looks at everything that
// is parked.
Result<int> Kqueue::pass_once(Look& look, struct kevent* events, int nevents) {
    look_now(look, nevents);
    return hand_out(look, events, nevents);
}

// The rest of a scan whose first pass found nothing: passes and sleeps in turn until there is an
// event or the time is over. 0: the time is over.
Result<int> Kqueue::scan_on(Look& look, struct kevent* events, int nevents, const timespec* timeout,
                            void (*cancelled)(void*)) {
    TimeLeft time(timeout);
    bool slept = false;
    int fruitless = 0;
    for (;;) {
        if (!mend()) {
            if (!time.any(slept)) return 0;
            fruitless = call_.stale() != look.stale ? fruitless + 1 : 0;
            if (!slept) sleep_habit_.note_sleep();
            const Errno error = sleep(time.deadline(), !slept, fruitless, cancelled);
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

// Repairs what keeps events from coming: signal handlers of ours that the program has replaced, and
// a kernel queue that reports closed descriptors (renew.cc). True if something was repaired.
bool Kqueue::mend() {
    if (mailbox_ != nullptr && signal_hub::mend(mailbox_->signals.load())) return true;
    return renew_if_haunted();
}

// A signal handler ended the sleep. If the handler, or the signal itself, caused an event, the call
// reports that event instead of EINTR.
Result<int> Kqueue::after_interruption(Look& look, struct kevent* events, int nevents) {
    const Result<int> count = pass_once(look, events, nevents);
    if (!count.ok()) return closed_if_not_ours(count);  // the handler may have closed the kqueue
    if (count.value() == 0) return Errno::interrupted;
    return count;
}

// ---- delivering ----

// Asks one knote, which was taken off the queue, for its event. True if `event` was filled.
KQ_INLINE bool Kqueue::deliver_one(Knote& kn, struct kevent& event) {
    const ByTable verbs(kn);
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

// Delivers the knotes that are queued now, each at most once. `count` events are in the list
// already. Returns how many there are then.
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

// As deliver(), but also fills the list of kevent64() (`events` is null then), and leaves knotes
// that this call has reported already (kServed) queued for the next call.
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

// Sets or clears kServed on the knotes of the first `count` events of this call, except those that
// were dropped.
void Kqueue::note_served(const struct kevent* events, int count, bool served) {
    for (int i = 0; i < count; i++) {
        const struct kevent event = events != nullptr ? events[i] : wide_.event_at(i);
        Knote* kn = find_knote(*this, event);
        if (kn == nullptr) continue;
        if (served)
            kn->set(kServed);
        else
            kn->clear(kServed);
    }
}

size_t Kqueue::deliver_far(Look& look, struct kevent* events, int& count) {
    return deliver_straight<true>(look, events, count);
}

// The rest of hand_out(): knotes are queued or parked, or the kernel may have more. The first
// `used` wakeups have become `count` events already. A call that returns an error delivers no
// events, because the caller could not see them. A call that has events returns no error.
Result<int> Kqueue::hand_out_rest(Look& look, size_t used, struct kevent* events, int nevents,
                                  int count) {
    Result<bool> more = used == look.room;
    // A knote that was queued again after its event (a knote with a low-water mark, for example) is
    // not reported twice in this call.
    const int served = active_.empty() ? 0 : count;
    if (served != 0) note_served(events, served, true);
    if (look.got != static_cast<long>(used)) {
        more = take_in_rest(look, used, nevents, count);
    } else if (used == 0 && registry::several.load(std::memory_order_relaxed) &&
               check_exists() != Errno::ok) {
        // The kernel reported nothing, so nothing shows that the number still is ours.
        return Errno::not_ours;
    }
    // Parked knotes are looked at, too, because no kernel reports them.
    if (used == 0 && !parked_.empty()) look_at(Parking::idle, ParkedKnotes::kSome);
    if (!more.ok()) return more.error();
    count = served != 0 ? deliver_more(events, nevents, count) : deliver(events, nevents, count);
    if (served != 0) note_served(events, served, false);
    if (count == nevents || (count != 0 && !more.value())) return count;
    return go_on(more.value(), events, nevents, count);
}

// The rest of hand_out_news(). Knotes that the report activates are queued behind those that are
// queued already. `how`: the answer of take_news(). If it is not `untaken`, no knote was
// queued before.
Result<int> Kqueue::hand_out_queued(Look& look, const Wakeup& news, News how, struct kevent* events,
                                    int nevents) {
    const Batch batch{call_.stale(), how == News::untaken ? active_.size() : 0, false, false};
    if (how == News::untaken) dispatch(news);
    Result<bool> more = look.room == 1;
    if (call_.stale() != batch.stale_before || (look.room == 1 && active_.size() < nevents)) {
        look.wakeups[0] = news;
        more = take_more({look.wakeups, look.room}, size_t{1}, batch, nevents, &Backend::collect);
    }
    if (!parked_.empty()) look_at(Parking::idle, ParkedKnotes::kSome);
    if (!more.ok()) return more.error();
    const int count = deliver(events, nevents, 0);
    if (count == nevents || (count != 0 && !more.value())) return count;
    return go_on(more.value(), events, nevents, count);
}

// Takes in the wakeups of a look, except the first `used`. If there are events already, the kernel
// is not asked for more: it would report the same descriptors again, which only go_on() handles
// . If the number is not ours any more, the next call finds that out. True if there may be
// more.
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

// Called if the eventlist has room left and the kernel may have more reports: enough was collected
// first, but some of those knotes are not true any more. It collects all reports of the kernel, so
// that no pending event is left out (2.3). If there still is no event, it looks at all parked
// knotes before it answers 0.
Result<int> Kqueue::go_on(bool more, struct kevent* events, int nevents, int count) {
    bool looked_at_all = false;
    bool farewells = false;
    int served = 0;  // how many of the events were noted by note_served()
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
        } else if (count == 0 && !farewells && !active_.empty()) {
            farewells = true;  // descriptors were found closed: EV_VANISHED was queued behind them
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
    Nanos pause;  // how long the thread sleeps first, even if there is a report
    Nanos wait;
    void (*cancelled)(void*);
    bool withdrew;  // signals were withdrawn: they must be put back
    Errno result;
};

extern "C" void kq_sleeper_cancelled(void* arg) {
    const auto* sleeper = static_cast<Sleeper*>(arg);
    if (sleeper->withdrew) signal_hub::put_back();
    sleeper->cancelled(sleeper->queue);
}

// The only place where a thread can be cancelled. No mutex is held here.
void sleep_cancellable(Sleeper& sleeper) {
    const auto sleep_now = [&sleeper] {
        if (sleeper.pause > 0) sleeper.result = Backend::pause(sleeper.pause);
        if (sleeper.result == Errno::ok) sleeper.result = sleeper.backend.sleep(sleeper.wait);
    };
    threading::cancellable(sleep_now, kq_sleeper_cancelled, &sleeper);
}

}  // namespace

// Sleeps until the kernel has a report, until `deadline` (monotonic), or for a limited time. The
// mutex is free while the thread sleeps. `first`: this is the first sleep of the call. `fruitless`:
// how many sleeps before this one, in a row, were ended by stale reports without an event.
// interrupted: a signal handler ran. bad_descriptor, not_ours: the kqueue was closed.
Errno Kqueue::sleep(Nanos deadline, bool first, int fruitless, void (*cancelled)(void*)) {
    // If the number does not name this queue any more, the sleep would never end. With several
    // threads this is checked after the sleep. There is one exception: the number may name another
    // kqueue of ours. That kqueue must be served instead, so the check must come before the sleep.
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
    WideList* const wide = wide_.set_list(nullptr);  // other threads may deliver during the sleep
    mutex_.unlock();
    sleep_cancellable(sleeper);
    mutex_.lock();
    call_.note_user(threading::self());
    if (withdrew) signal_hub::put_back();
    (void)wide_.set_list(wide);
    trace_wake(descriptor(), sleeper.result);
    if (sleeper.result != Errno::ok && sleeper.result != Errno::timed_out) return sleeper.result;
    // Another thread may have closed the kqueue: then the number may name another file or queue
    // now.
    if (dead_.load() || (!single_threaded() && !backend_.exists())) return Errno::bad_descriptor;
    return Errno::ok;
}

}  // namespace kq
