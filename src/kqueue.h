// SPDX-License-Identifier: BSD-2-Clause
// Kqueue: one event queue, from changelist to eventlist.
//
// A KnoteQueue (knote_queue.h), which owns the mutex, the backend, the knotes and the types that
// say where they wait, and here the calls that drive it. run() is a kevent() call; the registry
// makes, finds and destroys Kqueues. The code is in eight files: kqueue.cc (life, announcing),
// change.cc (one changelist entry), scan.h (a call, and its first look), scan.cc and collect.cc
// (collect, deliver, sleep), explain.cc (why nothing comes), renew.cc (a new kernel queue), wide.cc
// (kevent64).
//
// The promise behind poll() on a kqueue and behind sleeping threads: whenever
// the mutex is free, either nothing is queued that the kernel does not know of,
// or it has been announced to the backend. settle() keeps it; whoever unlocks
// after a change calls it.
#ifndef KQ_KQUEUE_H
#define KQ_KQUEUE_H

#include <sys/event.h>

#include <span>

#include "filter.h"
#include "knote_queue.h"
#include "platform.h"

namespace kq {

static_assert(QueueContract<Backend>);

class Kqueue : public KnoteQueue {
  public:
    Kqueue() : KnoteQueue(next_serial()) {}
    // All knotes are detached and freed; the public descriptor is not closed:
    // the user did that, and the number may be somebody else's by now.
    ~Kqueue();
    Kqueue(const Kqueue&) = delete;
    Kqueue& operator=(const Kqueue&) = delete;

    // Opens the backend. Before any other use.
    Errno open() KQ_EXCLUDES(mutex_);
    // As open(), for a kernel queue that is open already: the one that `fd` names, a
    // duplicate made by the user, and whose Kqueue, without knotes, was destroyed.
    Errno adopt(int fd) KQ_EXCLUDES(mutex_);
    // The descriptor was closed, but there is a duplicate, which is ours from now on; or there may
    // be one, nobody knows which (-1): until then exists() is false, and nobody can ring us.
    void move_to(int fd) KQ_EXCLUDES(mutex_);
    // Whether it holds descriptors beside the public one.
    bool holds_descriptors() KQ_EXCLUDES(mutex_);
    // Whether there is anything to lose. Any thread; may be overtaken.
    [[nodiscard]] bool has_knotes() const { return knotes_.load() > 0; }

    // One kevent() call, arguments checked for sign but the timeout not.
    // `cancelled` is called with `this` if the thread is cancelled while asleep.
    Result<int> run(const struct kevent* changes, int nchanges, struct kevent* events, int nevents,
                    const timespec* timeout, void (*cancelled)(void*)) KQ_EXCLUDES(mutex_);

    // ---- a call that begins with a look, in place: scan.h ----
    static constexpr int kBatch = 64;  // wakeups taken from the kernel by way of the stack
    // What one look at the kernel has found, on the caller's stack.
    struct Look {
        Wakeup wakeups[kBatch];
        size_t room;     // how many were asked for
        long got;        // how many came, or why not: look() in optional_members.h
        uint32_t stale;  // Call::stale() before that
    };
    // Whether nothing waits here and nothing is to be seen to: what the kernel says is all there is
    // to say. In a process with one thread.
    [[nodiscard]] bool is_at_rest() const;
    // A call without changes where that is not so.
    Result<int> take(struct kevent* events, int nevents, const timespec* timeout,
                     void (*cancelled)(void*)) KQ_EXCLUDES(mutex_);
    // A call without changes, where is_at_rest(): looks. True: there is nothing, and that is the
    // answer. Else finish() is to be called; the mutex is held meanwhile.
    bool finds_nothing(Look& look, int nevents, const timespec* timeout);
    Result<int> finish(Look& look, struct kevent* events, int nevents, const timespec* timeout,
                       void (*cancelled)(void*));

    // The changes of a call that has no room for answers: as run(). And where there is one thread.
    Result<int> change(const struct kevent* changes, int nchanges) KQ_EXCLUDES(mutex_);
    Result<int> change_alone(const struct kevent* changes, int nchanges) KQ_EXCLUDES(mutex_);

    // Likewise one kevent64() call; the flags are known ones.
    Result<int> run_wide(const struct kevent64_s* changes, int nchanges, struct kevent64_s* events,
                         int nevents, unsigned flags, const timespec* timeout,
                         void (*cancelled)(void*)) KQ_EXCLUDES(mutex_);

    // For a kqueue that watches this one: how many events are queued here, and
    // a number that changes with every activation. -1 if the mutex is taken: the
    // holder is inside kevent(), and waiting here while holding another
    // kqueue's mutex could deadlock.
    int64_t count_pending(uint32_t& sequence) KQ_EXCLUDES(mutex_);

    // Tracing: says once of each knote that stays silent why it does, if that can be seen.
    void explain() KQ_EXCLUDES(mutex_);

    // What was collected by another kqueue, whose number has come to be that of this one.
    void take_over(Wakeup* wakeups, size_t count) KQ_EXCLUDES(mutex_);

    // The number of the descriptor is no longer ours: calls in progress end
    // with bad_descriptor.
    void mark_dead() { dead_.store(true); }
    // After a failed open(), or if the user will never see the descriptor.
    void close_unpublished() KQ_EXCLUDES(mutex_);
    // In a forked child: see Backend::abandon_in_child(). And that there is no kqueue any more.
    void abandon_in_child();
    static void forget_serials();

  private:
    // ---- change.cc ----
    Result<int> apply_changes(const struct kevent* changes, int nchanges, struct kevent* events,
                              int nevents, bool& stopped) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] int answer_change(const struct kevent& change, Errno error,
                                        struct kevent* events, int nevents, int written,
                                        Result<int>& end) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<int> apply_list(const struct kevent* changes, int nchanges,
                                             struct kevent* events, int nevents, bool& stopped)
        KQ_REQUIRES(mutex_);
    Errno register_change(const struct kevent& change) KQ_REQUIRES(mutex_);
    template <class Verbs>
    [[gnu::noinline]] Errno create_knote(Verbs verbs, const struct kevent& change)
        KQ_REQUIRES(mutex_);
    template <class Verbs>
    Errno register_by(const struct kevent& change) KQ_REQUIRES(mutex_);
    template <class Verbs>
    Errno modify_knote(Verbs verbs, Knote& kn, const struct kevent& change) KQ_REQUIRES(mutex_);
    [[gnu::cold, gnu::noinline]] void force(Knote& kn) KQ_REQUIRES(mutex_);

    // ---- scan.cc, collect.cc ----
    static constexpr int kMaxBatches = 16;  // of such a size, see take_in() and go_on()
    // Where wakeups come from: a function that fills `out`, as Backend::collect().
    using Report = Result<size_t> (Backend::*)(std::span<Wakeup> out);
    Result<int> scan(struct kevent* events, int nevents, const timespec* timeout,
                     void (*cancelled)(void*)) KQ_REQUIRES(mutex_);
    Result<int> scan_looked(Look& look, struct kevent* events, int nevents, const timespec* timeout,
                            void (*cancelled)(void*)) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<int> scan_on(Look& look, struct kevent* events, int nevents,
                                          const timespec* timeout, void (*cancelled)(void*))
        KQ_REQUIRES(mutex_);
    bool mend() KQ_REQUIRES(mutex_);
    Result<int> after_interruption(Look& look, struct kevent* events, int nevents)
        KQ_REQUIRES(mutex_);
    Result<bool> collect(int wanted, bool again) KQ_REQUIRES(mutex_);
    // What was known before a batch of reports was taken, and what was in it: descriptors that it
    // had told of in this pass already, signals.
    struct Batch {
        uint32_t stale_before;
        int active_before;
        bool repeats;
        bool signals;
    };
    Batch take_batch(std::span<const Wakeup> wakeups) KQ_REQUIRES(mutex_);
    Result<bool> take_in(std::span<Wakeup> room, Result<size_t> got, int wanted, Report report)
        KQ_REQUIRES(mutex_);
    Result<bool> take_in_inline(std::span<Wakeup> room, Result<size_t> got, int wanted,
                                Report report) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<bool> take_more(std::span<Wakeup> room, Result<size_t> got,
                                             Batch batch, int wanted, Report report)
        KQ_REQUIRES(mutex_);
    void dispatch(const Wakeup& wakeup) KQ_REQUIRES(mutex_);
    void keep_for_others(std::span<const Wakeup> wakeups) KQ_REQUIRES(mutex_);
    void hand_over() KQ_EXCLUDES(mutex_);
    [[nodiscard]] size_t room_for(int wanted, bool again) const KQ_REQUIRES(mutex_);
    void look_now(Look& look, int nevents) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<int> pass_once(Look& look, struct kevent* events, int nevents)
        KQ_REQUIRES(mutex_);
    Result<int> hand_out(Look& look, struct kevent* events, int nevents) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<int> hand_out_rest(Look& look, size_t used, struct kevent* events,
                                                int nevents, int count) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<int> hand_out_news(Look& look, const Wakeup& news,
                                                struct kevent* events, int nevents)
        KQ_REQUIRES(mutex_);
    Result<bool> take_in_rest(Look& look, size_t used, int nevents, int count) KQ_REQUIRES(mutex_);
    Result<int> go_on(bool more, struct kevent* events, int nevents, int count) KQ_REQUIRES(mutex_);
    size_t deliver_straight(Look& look, struct kevent* events, int& count) KQ_REQUIRES(mutex_);
    int deliver(struct kevent* events, int nevents, int count) KQ_REQUIRES(mutex_);
    int deliver_more(struct kevent* events, int nevents, int count) KQ_REQUIRES(mutex_);
    void note_served(const struct kevent* events, int count, bool served) KQ_REQUIRES(mutex_);
    bool deliver_one(Knote& kn, struct kevent& event) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] bool deliver_judged(Knote& kn, struct kevent& event) KQ_REQUIRES(mutex_);
    template <class Verbs>
    void note_reported(Verbs verbs, Knote& kn, unsigned flags) KQ_REQUIRES(mutex_);
    void look_at(Parking where, int most) KQ_REQUIRES(mutex_);
    Errno sleep(Nanos deadline, bool first, int fruitless, void (*cancelled)(void*))
        KQ_REQUIRES(mutex_);
    void expire_timers(Clock clock) KQ_REQUIRES(mutex_);
    void read_mailbox() KQ_REQUIRES(mutex_);

    // ---- explain.cc, if calls are traced ----
    void explain_knotes() KQ_REQUIRES(mutex_);
    // The thread goes to sleep for at most `wait`: how long it is to sleep, so that it says in the
    // middle of a long sleep, too, what it has to say.
    Nanos begin_traced_sleep(Nanos wait) KQ_REQUIRES(mutex_);

    // ---- renew.cc, where there is the capability ----
    // Replaces the kernel queue if it is haunted. True if it was.
    bool renew_if_haunted() KQ_REQUIRES(mutex_) {
        if constexpr (Backend::kHas.renewal) {
            if (!renewal_.is_due(call_.stale())) return false;
            renew();
            return true;
        }
        return false;
    }
    void renew() KQ_REQUIRES(mutex_);
    void dispatch_all(Report report) KQ_REQUIRES(mutex_);

    // ---- wide.cc ----
    Result<int> apply_wide(const struct kevent64_s* changes, int nchanges,
                           struct kevent64_s* events, int nevents, bool& stopped)
        KQ_REQUIRES(mutex_);
    Result<int> apply_one_wide(const struct kevent64_s& change, struct kevent64_s* answer,
                               bool& stopped) KQ_REQUIRES(mutex_);

    // ---- kqueue.cc ----
    KQ_INLINE void settle(After what) KQ_REQUIRES(mutex_) {
        if (active_.unbacked() != 0 || !announcing_.is_quiet()) announce(what);
        // After that: it may collect, and so hear of a deadline that then has to be set anew. That
        // of the third clock, which few timers have, is told when it changes: settle_continuous().
        if (!settles_times<Backend>() || timers_.moved()) settle_times();
    }
    KQ_INLINE void settle_times() KQ_REQUIRES(mutex_) {
        timers_.note_told();
        Nanos monotonic = timers_.earliest(Clock::monotonic);
        if (parked_.deadline() < monotonic) monotonic = parked_.deadline();
        backend_.settle(monotonic, timers_.earliest(Clock::realtime));
    }
    // Whether settle() has nothing to do, and end_call() neither.
    [[nodiscard]] KQ_INLINE bool is_settled() const KQ_REQUIRES(mutex_) {
        return settles_times<Backend>() && active_.unbacked() == 0 && announcing_.is_silent() &&
               !timers_.moved() && astray_count_ == 0;
    }
    // The end of a call that needs no more than that.
    KQ_INLINE void settle_and_end(After what) KQ_RELEASE(mutex_) {
        if (__builtin_expect(is_settled(), 1)) {
            mutex_.unlock();
            return;
        }
        settle(what);
        end_call();
    }
    [[gnu::noinline]] void settle_and_end_changes() KQ_RELEASE(mutex_) {
        settle(After::changes);
        end_call();
    }
    // Out of line: in most calls there is nothing to announce.
    [[gnu::noinline]] void announce(After what) KQ_REQUIRES(mutex_);
    void ring_as_promised() KQ_EXCLUDES(mutex_);
    void pay(uint8_t owed) KQ_EXCLUDES(mutex_);
    // What is around every kevent() call: `body` runs under the mutex, and says after what it is to
    // be settled.
    template <class Body>
    KQ_INLINE Result<int> in_one_call(Body body) KQ_EXCLUDES(mutex_) {
        mutex_.lock();
        (void)renew_if_haunted();
        call_.begin();
        After what = After::changes;
        const Result<int> result = body(what);
        settle_and_end(what);
        return result;
    }
    KQ_INLINE void end_call() KQ_RELEASE(mutex_) {
        uint8_t owed = announcing_.take_promise() ? kOwesRing : 0;
        if (astray_count_ > 0) owed |= kOwesWakeups;
        mutex_.unlock();
        if (owed != 0) pay(owed);
    }

    static uint32_t next_serial();

    // What the call that is just ending still has to do, without the mutex.
    static constexpr uint8_t kOwesRing = 1;     // see Announcing
    static constexpr uint8_t kOwesWakeups = 2;  // those of astray_

    PromisedRings promised_;
    Wakeup* astray_ KQ_GUARDED_BY(mutex_) = nullptr;  // of keep_for_others()
    size_t astray_count_ KQ_GUARDED_BY(mutex_) = 0;
    size_t astray_capacity_ KQ_GUARDED_BY(mutex_) = 0;
};

}  // namespace kq

#endif
