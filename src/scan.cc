// From the kernel to the caller: collect readiness, deliver from the active
// queue, sleep (semantics 2.3, 2.5, 2.6). The EV_ rules of delivery stand here
// and nowhere else. Called by Kqueue::run under the kqueue's mutex, which is
// free only while the thread sleeps.
//
// collect() never waits and sleep() consumes nothing, so every change of state
// happens under the mutex: no thread ever holds reports that another must
// know of, and a thread may be cancelled while asleep without losing any.
#include <pthread.h>

#include "fd_filter.h"
#include "kqueue.h"
#include "trace.h"

namespace kq {
namespace {

// How long a thread sleeps at most where another could close the kqueue: the
// kernel does not wake those who wait on a closed queue. Each slice ends with
// a look whether it is still there.
constexpr Nanos kCloseCheckPeriod = 100 * kMillisecond;

constexpr int kBatch = 64;       // wakeups taken from the kernel at a time
constexpr int kMaxBatches = 16;  // in one collection, see collect()

}  // namespace

Result<int> Kqueue::scan(struct kevent* events, int nevents, const timespec* timeout,
                         void (*cancelled)(void*)) {
    // Only now, after the changes were applied.
    if (timeout != nullptr && !is_valid(*timeout)) return Errno::invalid;
    const Nanos wait = timeout == nullptr ? kForever : to_nanos(*timeout);
    Nanos deadline = kForever;
    bool slept = false;
    for (;;) {
        Errno error = collect(nevents);
        if (error != Errno::ok) return error;
        int count = deliver(events, nevents);
        if (count == 0) count = look_at_parked(events, nevents);
        if (count != 0 || wait == 0) return count;
        if (!slept && wait != kForever)
            deadline = saturating_add(now(Clock::monotonic), wait);
        else if (slept && deadline != kForever && now(Clock::monotonic) >= deadline)
            return 0;
        slept = true;
        error = sleep(deadline, cancelled);
        if (error != Errno::ok) return error;
    }
}

// Moves what the kernel has to tell to the active queue, about as much as the
// caller has room for: what is taken too early has to be kept and announced.
// Where that has happened already all is taken, so that what stays queued and
// what the kernel reports anew each time get the same share.
Errno Kqueue::collect(int wanted) {
    Wakeup wakeups[kBatch];
    pass_++;
    // Reports may activate nothing (stale ones, disabled knotes): go on until the
    // kernel has no more or there is enough, but not for ever.
    for (int i = 0; i < kMaxBatches; i++) {
        const int missing = wanted - queued_;
        const int room = missing < 1 || missing > kBatch || unbacked_ > 0 ? kBatch : missing;
        const Result<size_t> got = backend_.collect({wakeups, static_cast<size_t>(room)});
        if (!got.ok()) return got.error();
        for (size_t w = 0; w < got.value(); w++)
            dispatch(wakeups[w]);
        if (got.value() < static_cast<size_t>(room) || queued_ >= wanted) break;
    }
    return Errno::ok;
}

void Kqueue::dispatch(const Wakeup& wakeup) {
    switch (wakeup.handle.kind()) {
        case Handle::Kind::descriptor:
            fd_watch::on_wakeup(*this, wakeup);
            break;
        case Handle::Kind::announcement:
            if (wakeup.handle.index() == 0) rung_ = false;
            break;
        case Handle::Kind::timers:
            expire_timers(static_cast<Clock>(wakeup.handle.index()));
            break;
        case Handle::Kind::files:
            backend_.take_files(
                [](void* self, Handle handle) KQ_NO_ANALYSIS {
                    fd_filter::on_file_changed(*static_cast<Kqueue*>(self), handle);
                },
                this);
            break;
        default:  // not of our giving: the number names a foreign queue (see Backend::exists)
            break;
    }
}

void Kqueue::expire_timers(Clock clock) {
    const Nanos t = now(clock);
    while (TimerKnote* timer = timers_.take_due(clock, t))
        activate(*timer);
    if (clock == Clock::monotonic && recheck_at_ <= t) {
        recheck_at_ = kForever;
        unpark(recheck_);
    }
}

// Regular files move under us when the user seeks, and nobody tells: they are
// looked at before each sleep, as are conditions that no kernel reports.
int Kqueue::look_at_parked(struct kevent* events, int nevents) {
    if (idle_.empty() && recheck_.empty()) return 0;
    unpark(idle_);
    unpark(recheck_);
    recheck_at_ = kForever;
    return deliver(events, nevents);
}

// Takes what is queued now, each knote at most once: what is queued meanwhile
// stands behind the marker and waits its turn, so all get theirs.
int Kqueue::deliver(struct kevent* events, int nevents) {
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

// One knote, off the queue, at its turn. True if `event` was filled.
bool Kqueue::deliver_one(Knote& kn, struct kevent& event) {
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
            kn.clear(kActive);
            return false;
        case Verdict::report:
            break;
    }
    event = report;
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

// ---- sleeping ----

namespace {

struct Sleeper {
    Kqueue* queue;
    void (*cancelled)(void*);
};

extern "C" void kq_sleeper_cancelled(void* arg) {
    const auto* sleeper = static_cast<Sleeper*>(arg);
    sleeper->cancelled(sleeper->queue);
}

}  // namespace

// Sleeps until the kernel has something, until `deadline`, or for a while; the
// mutex is free meanwhile. The only place where a thread can be cancelled.
Errno Kqueue::sleep(Nanos deadline, void (*cancelled)(void*)) {
    Nanos wait = kForever;
    if (deadline != kForever) {
        wait = deadline - now(Clock::monotonic);
        if (wait < 0) wait = 0;
    }
    if (wait > kCloseCheckPeriod && !single_threaded()) wait = kCloseCheckPeriod;
    settle(After::delivery);
    trace_sleep(descriptor(), wait);
    mutex_.unlock();
    Errno error = Errno::ok;
    Sleeper sleeper{this, cancelled};
    pthread_cleanup_push(kq_sleeper_cancelled, &sleeper);
    error = backend_.sleep(wait);
    pthread_cleanup_pop(0);
    mutex_.lock();
    if (dead_.load()) return Errno::bad_descriptor;
    if (error != Errno::timed_out) return error;
    return backend_.exists() ? Errno::ok : Errno::bad_descriptor;
}

}  // namespace kq
