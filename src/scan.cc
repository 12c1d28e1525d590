// From the kernel to the caller: collect readiness, deliver from the active
// queue, sleep (semantics 2.3, 2.5, 2.6). The EV_ rules of delivery stand here
// and nowhere else. Called by Kqueue::run under the kqueue's mutex, which is
// free only while the thread sleeps.
//
// collect() never waits and sleep() consumes nothing, so every change of state
// happens under the mutex: no thread ever holds reports that another must
// know of, and a thread may be cancelled while asleep without losing any.
#include <limits.h>
#include <pthread.h>

#include <algorithm>
#include <utility>

#include "fd_watch.h"
#include "filter_proc.h"
#include "filter_signal.h"
#include "signal_hub.h"
#include "trace.h"

namespace kq {
namespace {

// How long a thread sleeps at most where another could close the kqueue: the
// kernel does not wake those who wait on a closed queue. Each slice ends with
// a look whether it is still there.
constexpr Nanos kCloseCheckPeriod = 100 * kMillisecond;

constexpr int kBatch = 64;       // wakeups taken from the kernel at a time
constexpr int kMaxBatches = 16;  // in one collection, see collect()
constexpr int kIdleLooks = 16;   // parked files looked at in a call that has other events

// A closed descriptor whose file lives on elsewhere keeps waking us for nothing,
// if renew() could not help. That must not take the processor: after so many
// times in a row in one call there is a pause each time.
constexpr int kUnhurried = 16;
constexpr Nanos kPause = 1 * kMillisecond;

// While the queue is held after a renewal, it would wake us at once.
constexpr Nanos kLingerPause = 5 * kMillisecond;

}  // namespace

// Moves what the kernel has to tell to the active queue, about as much as the
// caller has room for: what is taken too early has to be kept and announced.
// Where that has happened already all is taken, so that what stays queued and
// what the kernel reports anew each time get the same share; so, too,
// if the first reports came to nothing: `again`. True if there may be more.
KQ_INLINE Result<bool> Kqueue::collect_inline(int wanted, bool again) {
    Wakeup wakeups[kBatch];
    if (!again) pass_++;
    const int missing = wanted - queued_;
    const bool all = again || missing < 1 || missing > kBatch || unbacked_ > 0;
    const int room = all ? kBatch : missing;
    const Result<size_t> got = backend_.collect({wakeups, static_cast<size_t>(room)});
    if (got.ok() && got.value() == 0) return false;
    return take_in(wakeups, room, got, wanted, again);
}

// One pass without waiting: collect, deliver, and if that is nothing, look
// everywhere before saying so.
KQ_INLINE Result<int> Kqueue::pass_once(struct kevent* events, int nevents) {
    const Result<bool> more = collect_inline(nevents, false);
    if (more.ok() && !more.value() && active_.empty() && idle_.empty() && recheck_.empty())
        return 0;
    return hand_out(more, events, nevents);
}

Result<int> Kqueue::scan(struct kevent* events, int nevents, const timespec* timeout,
                         void (*cancelled)(void*)) {
    // Only now, after the changes were applied.
    if (timeout != nullptr && !is_valid(*timeout)) return Errno::invalid;
    const Nanos wait = timeout == nullptr ? kForever : to_nanos(*timeout);
    if (signal_hub::holding()) signal_hub::let_go();
    Nanos deadline = kForever;
    bool slept = false;
    int fruitless = 0;
    for (;;) {
        const uint32_t stale = stale_;
        const Result<int> count = pass_once(events, nevents);
        if (!count.ok() || count.value() != 0) return count;
        if (mend()) continue;
        if (wait == 0) return count;
        if (!slept && wait != kForever)
            deadline = saturating_add(now(Clock::monotonic), wait);
        else if (deadline != kForever && now(Clock::monotonic) >= deadline)
            return 0;
        fruitless = stale_ != stale ? fruitless + 1 : 0;
        const Errno error = sleep(deadline, !slept, fruitless, cancelled);
        slept = true;
        if (error == Errno::interrupted) return after_interruption(events, nevents);
        if (error != Errno::ok) return error;
    }
}

// Puts in order what keeps events from coming: handlers of ours that the program has
// replaced, a kernel queue that reports what is gone. True if there was something.
bool Kqueue::mend() {
    if (mailbox_ != nullptr && signal_hub::refresh(mailbox_->signals.load())) return true;
    if (!is_haunted()) return false;
    renew();
    return true;
}

// A signal handler ended the sleep. What it (or a signal that is watched) made
// happen is reported rather than EINTR: it is an answer, too, and nearer.
Result<int> Kqueue::after_interruption(struct kevent* events, int nevents) {
    const Result<int> count = pass_once(events, nevents);
    if (count.ok() && count.value() == 0) return Errno::interrupted;
    return count;
}

Result<bool> Kqueue::collect(int wanted, bool again) {
    return collect_inline(wanted, again);
}

// Takes in the first batch, which had `room`. It may activate nothing (stale reports,
// disabled knotes): goes on until the kernel has no more, repeats itself, or there
// is enough; but not for ever.
Result<bool> Kqueue::take_in(Wakeup* wakeups, int room, Result<size_t> got, int wanted,
                             bool again) {
    if (!again) tick_ = coarse_tick();
    const uint32_t stale = stale_;
    for (int i = 1;; i++) {
        if (!got.ok()) return got.error();
        bool repeated = false;
        bool rung = false;  // by ourselves: that is to be heard, too
        trace_wakeups(descriptor(), {wakeups, got.value()});
        for (size_t w = 0; w < got.value(); w++) {
            repeated = dispatch(wakeups[w]) || repeated;
            rung = rung || wakeups[w].handle.kind() == Handle::Kind::signals;
        }
        // Not of our giving, or from before: is the number still ours?
        if (stale_ != stale && !exists()) return Errno::bad_descriptor;
        if (got.value() < static_cast<size_t>(room) && !rung) return false;
        if (repeated || queued_ >= wanted || i == kMaxBatches) return true;
        room = kBatch;
        got = backend_.collect({wakeups, static_cast<size_t>(room)});
    }
}

// True if the kernel reported what it had reported in this pass already.
bool Kqueue::dispatch(const Wakeup& wakeup) {
    switch (wakeup.handle.kind()) {
        case Handle::Kind::descriptor:
            return fd_watch::on_wakeup(*this, wakeup);
        case Handle::Kind::announcement:
            if (wakeup.handle.index() > 1) note_stale();
            if (wakeup.handle.index() != 0) break;
            rung_ = false;
            stray_ = ringing_.load() > 0;  // one more will come, and there may be nothing by then
            if (mailbox_ != nullptr) read_mailbox();
            break;
        case Handle::Kind::timers:
            if (wakeup.handle.index() < kClocks)
                expire_timers(static_cast<Clock>(wakeup.handle.index()));
            else
                note_stale();
            break;
        case Handle::Kind::signals:
            signal_hub::take_pending();
            break;
        case Handle::Kind::files:
            take_files();
            break;
        case Handle::Kind::process:
            proc::on_wakeup(*this, wakeup.handle);
            break;
        case Handle::Kind::processes:
            proc::hear(*this);
            break;
        default:  // not of our giving: see collect()
            note_stale();
            break;
    }
    return false;
}

void Kqueue::take_files() {
    backend_.take_files(
        [](void* self, Handle handle, uint32_t changes) KQ_NO_ANALYSIS {
            fd_watch::on_file_changed(*static_cast<Kqueue*>(self), handle, changes);
        },
        this);
}

// Somebody outside this queue had news for it: see mailbox.h.
void Kqueue::read_mailbox() {
    look_at_signals(*this);
    if (mailbox_->queue_was_renewed.exchange(false)) fd_watch::follow_renewed(*this);
    proc::read_letters(*this);
}

void Kqueue::expire_timers(Clock clock) {
    const Nanos t = now(clock);
    while (TimerKnote* timer = timers_.take_due(clock, t))
        activate(*timer);
    if (clock == Clock::monotonic && recheck_at_ <= t) {
        recheck_at_ = kForever;
        look_at(recheck_, INT_MAX);
    }
}

// Looks at up to `most` of the sources that nobody tells of: regular files move
// under us when the user seeks, and some conditions no kernel reports.
void Kqueue::look_at(List<Knote>& parked, int most) {
    if (parked.empty()) return;
    Knote marker;
    parked.push_back(&marker);
    for (; most > 0 && parked.front() != &marker; most--) {
        Knote& kn = *parked.front();
        kn.unlink();
        kn.clear(kParked);
        find_filter(kn.filter)->look(*this, kn);
    }
    marker.unlink();
}

// ---- delivering ----

// One knote, off the queue, at its turn. True if `event` was filled.
KQ_INLINE bool Kqueue::deliver_one(Knote& kn, struct kevent& event) {
    const FilterOps* ops = find_filter(kn.filter);
    struct kevent report {};
    report.ident = kn.ident;
    report.filter = kn.filter;
    report.flags = kn.flags;
    report.udata = kn.udata;
    switch (ops->process(*this, kn, report)) {
        case Verdict::gone:
            return false;
        case Verdict::no_longer_true:
        case Verdict::parked:
            if (kn.has(kForced)) break;
            kn.clear(kActive);
            return false;
        case Verdict::aside:
            event = report;
            if (kn.has(kExtended)) note_extension(kn, event);
            enqueue(kn);
            return true;
        case Verdict::report:
            break;
    }
    event = report;
    if (kn.has(kExtended)) note_extension(kn, event);
    if ((report.flags & EV_ONESHOT) != 0) {  // wins over DISPATCH and CLEAR
        (void)drop(kn);
        return true;
    }
    if ((kn.flags & EV_DISPATCH) != 0) {
        kn.clear(kActive);
        kn.set(kDisabled);
        ops->disable(*this, kn);
    } else if ((kn.flags & EV_CLEAR) != 0 || kn.has(kBacked)) {
        kn.clear(kActive);
    } else {
        enqueue(kn);  // still true as far as anybody knows: to the tail
    }
    return true;
}

// Takes what is queued now, each knote at most once: what is queued meanwhile
// stands behind the marker and waits its turn, so all get theirs.
KQ_INLINE int Kqueue::deliver(struct kevent* events, int nevents) {
    if (active_.empty()) return 0;
    int count = 0;
    Knote marker;
    active_.push_back(&marker);
    while (count < nevents && active_.front() != &marker) {
        Knote& kn = *active_.front();
        dequeue(kn);
        if (!deliver_one(kn, events[count])) continue;
        trace_event(descriptor(), events[count]);
        count++;
    }
    marker.unlink();
    return count;
}

// The rest of a pass, after its first collection. A call that fails delivers nothing: it would
// be lost.
Result<int> Kqueue::hand_out(Result<bool> more, struct kevent* events, int nevents) {
    look_at(idle_, kIdleLooks);
    bool looked_at_all = false;
    for (int i = 0;; i++) {
        if (!more.ok()) return more.error();
        const int count = deliver(events, nevents);
        if (count != 0) return count;
        if (more.value() && i < kMaxBatches) {
            more = collect(nevents, true);
            continue;
        }
        if (looked_at_all || (idle_.empty() && recheck_.empty())) return 0;
        looked_at_all = true;
        more = false;
        look_at(idle_, INT_MAX);
        look_at(recheck_, INT_MAX);
    }
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
    Errno result;
};

extern "C" void kq_sleeper_cancelled(void* arg) {
    const auto* sleeper = static_cast<Sleeper*>(arg);
    sleeper->cancelled(sleeper->queue);
}

// The only place where a thread can be cancelled; no mutex is held. All state is
// in the Sleeper: locals may be lost by the way cancellation comes back here.
void sleep_cancellable(Sleeper& sleeper) {
    pthread_cleanup_push(kq_sleeper_cancelled, &sleeper);
    if (sleeper.pause > 0) sleeper.result = Backend::pause(sleeper.pause);
    if (sleeper.result == Errno::ok) sleeper.result = sleeper.backend.sleep(sleeper.wait);
    pthread_cleanup_pop(0);
}

}  // namespace

// Sleeps until the kernel has something, until `deadline`, or for a while; the
// mutex is free meanwhile. `first`: in this call. `fruitless`: how often in a row
// stale reports ended that with nothing to deliver.
Errno Kqueue::sleep(Nanos deadline, bool first, int fruitless, void (*cancelled)(void*)) {
    // Somebody else's queue by now would never tell us. With several threads it is asked
    // afterwards.
    if (first && single_threaded() && !exists()) return Errno::bad_descriptor;
    Nanos wait = kForever;
    if (deadline != kForever) wait = std::max(deadline - now(Clock::monotonic), Nanos{0});
    if (!single_threaded()) wait = std::min(wait, kCloseCheckPeriod);
    settle(After::sleep);
    Nanos pause = fruitless >= kUnhurried ? kPause : 0;
    if (lingers_) pause = kLingerPause;
    Sleeper sleeper{this, backend_, std::min(wait, pause), wait, cancelled, Errno::ok};
    trace_sleep(descriptor(), wait);
    WideList* const wide = std::exchange(wide_, nullptr);  // others may deliver meanwhile
    mutex_.unlock();
    sleep_cancellable(sleeper);
    mutex_.lock();
    wide_ = wide;
    trace_wake(descriptor(), sleeper.result);
    if (sleeper.result != Errno::ok && sleeper.result != Errno::timed_out) return sleeper.result;
    // With other threads about, the number may be another file, or another queue, by now.
    if (dead_.load() || (!single_threaded() && !backend_.exists())) return Errno::bad_descriptor;
    return Errno::ok;
}

}  // namespace kq
