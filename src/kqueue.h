// SPDX-License-Identifier: BSD-2-Clause
// Kqueue: one event queue, from changelist to eventlist.
//
// A KnoteQueue (knote_queue.h), which owns the mutex, the backend, the knotes and the types that
// say where they wait, and here the calls that drive it. run() is a kevent() call; the registry
// makes, finds and destroys Kqueues. The code is in these files: kqueue.cc (life, announcing),
// change.h, change.cc and specific.cc (one changelist entry), scan.h (a call, and its first look),
// scan.cc and collect.cc (collect, deliver, sleep), at_once.h (usual calls in one pass), news.cc
// (a report that becomes an event at once), explain.cc (why nothing comes), renew.cc (a new kernel
// queue), fork_copy.cc (KQUEUE_CPONFORK), wide.cc (kevent64).
//
// The promise behind poll() on a kqueue and behind sleeping threads: whenever the mutex is free,
// either nothing is queued that the kernel does not know of, or it has been announced to the
// backend. settle() keeps this promise: it must be called before the mutex is unlocked after a
// change.
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
    // Detaches and frees all knotes. Does not close the public descriptor: the user has closed it,
    // and the number may name another file now.
    ~Kqueue();
    Kqueue(const Kqueue&) = delete;
    Kqueue& operator=(const Kqueue&) = delete;

    // Opens the backend. Before any other use.
    Errno open() KQ_EXCLUDES(mutex_);
    // As open(), for a kernel queue that is open already: the one that `fd` names, a
    // duplicate made by the user, and whose Kqueue, without knotes, was destroyed.
    Errno adopt(int fd) KQ_EXCLUDES(mutex_);
    // The descriptor was closed, but the kqueue has a duplicate. `fd` is that duplicate, which is
    // the public descriptor from now on. -1: there may be a duplicate, but its number is not known.
    // Until it is known exists() is false, and the kqueue cannot be rung.
    void move_to(int fd) KQ_EXCLUDES(mutex_);
    // Whether it holds descriptors beside the public one.
    bool holds_descriptors() KQ_EXCLUDES(mutex_);
    // Whether there are any knotes. Any thread; the answer may be out of date at once.
    [[nodiscard]] bool has_knotes() const { return knotes_.load() > 0; }

    // One kevent() call. The caller has checked that no count is negative; the timeout is checked
    // here. Returns the number of entries written. not_ours: nothing was done, because the number
    // names another kqueue now. `cancelled` is called with `this` if the thread is cancelled while
    // asleep.
    Result<int> run(const struct kevent* changes, int nchanges, struct kevent* events, int nevents,
                    const timespec* timeout, void (*cancelled)(void*)) KQ_EXCLUDES(mutex_);

    // ---- a call that begins with a look, inlined: scan.h ----
    static constexpr int kBatch = 64;  // wakeups taken from the kernel by way of the stack
    // What one look at the kernel has found, on the caller's stack.
    struct Look {
        Wakeup wakeups[kBatch];
        size_t room;     // how many wakeups were asked for
        long got;        // how many came, or the error: see look() in optional_members.h
        uint32_t stale;  // Call::stale() before the look
    };
    // Whether no knote is queued or parked and the kqueue has nothing else to do, so that only the
    // kernel can have events. Takes no lock: if there are several threads, the caller must hold the
    // mutex.
    [[nodiscard]] bool is_at_rest() const;
    // A call without changes, for the case that is_at_rest() is false. As run().
    Result<int> take(struct kevent* events, int nevents, const timespec* timeout,
                     void (*cancelled)(void*)) KQ_EXCLUDES(mutex_);
    // The first half of a call without changes, for the case that is_at_rest() is true: looks at
    // the kernel. True: there is no event, the mutex is free, and the call answers 0. False: the
    // mutex is held, and the caller must call finish().
    bool finds_nothing(Look& look, int nevents, const timespec* timeout);
    // The same, after begin_among_threads(). The mutex stays locked in both cases.
    bool looks_in_vain(Look& look, int nevents, const timespec* timeout);
    Result<int> finish(Look& look, struct kevent* events, int nevents, const timespec* timeout,
                       void (*cancelled)(void*));

    // A call with changes and without an eventlist: as run().
    Result<int> change(const struct kevent* changes, int nchanges) KQ_EXCLUDES(mutex_);
    // One change, in a process with one thread, after begin_alone(); Verbs as in change.h. Not for
    // calls that are traced.
    template <class Verbs>
    Errno change_one_alone(const struct kevent& change);
    // The same for a call with one change and an eventlist. The process may have got a second
    // thread while the call slept.
    template <class Verbs>
    Result<int> run_one_begun(const struct kevent& change, struct kevent* events, int nevents,
                              const timespec* timeout, void (*cancelled)(void*));
    // As change_one_alone(), for the knote of the change. Null: there is no such knote.
    template <class Verbs>
    Errno change_found_alone(Knote* kn, const struct kevent& change);
    Errno end_change_alone(const struct kevent& change, Errno error);
    Errno after_change(const struct kevent& change, Errno error);
    // See Call.
    uintptr_t user() const KQ_NO_ANALYSIS { return call_.user(); }
    // ---- the usual calls among several threads: among_threads.h ----
    // Locks the mutex and begins a call.
    void begin_among_threads() KQ_NO_ANALYSIS {
        mutex_.lock_among_threads();
        call_.begin();
        call_.note_user(threading::self());
    }
    void unlock_among_threads() KQ_NO_ANALYSIS { mutex_.unlock_among_threads(); }
    // After begin_among_threads(): one change, as change(). take_begun(): a call without changes,
    // as take(). Both unlock the mutex.
    template <class Verbs>
    Errno change_one_among(const struct kevent& change);
    Result<int> take_begun(struct kevent* events, int nevents, const timespec* timeout,
                           void (*cancelled)(void*));
    // Settles after changes, and unlocks.
    [[gnu::noinline]] void settle_and_end_changes() KQ_NO_ANALYSIS {
        settle(After::changes);
        end_call();
    }

    // ---- the usual calls of a process with one thread, in one pass, inlined: at_once.h ----
    // Locks the mutex and begins a call.
    void begin_alone();
    // One change, after begin_alone(). False: nothing was done. True: it was applied. Then the
    // caller must call the function below it, and, if that is false, settle_and_end_changes().
    bool switch_at_once(const struct kevent& change);
    void unlock_at_once() KQ_NO_ANALYSIS { mutex_.unlock_alone(); }
    // EV_ADD, EV_DELETE of a knote of EVFILT_READ or EVFILT_WRITE. True: `answer` is the answer of
    // the change. Then the caller must call end_change_alone().
    bool add_at_once(const struct kevent& change, Errno& answer);
    bool delete_at_once(const struct kevent& change, Errno& answer);
    bool trigger_at_once(Knote* kn, const struct kevent& change);
    bool ring_at_once();
    bool add_timer_at_once(const struct kevent& change);
    bool put_off_at_once(Knote& kn, const struct kevent& change);
    bool end_at_once();
    // The same for a call without changes, if is_at_rest() is false.
    bool has_one_trigger();
    bool take_trigger(Look& look, struct kevent& event, int nevents);

    // One kevent64() call. The flags must be known ones.
    Result<int> run_wide(const struct kevent64_s* changes, int nchanges, struct kevent64_s* events,
                         int nevents, unsigned flags, const timespec* timeout,
                         void (*cancelled)(void*)) KQ_EXCLUDES(mutex_);

    // For a kqueue that watches this one: how many events are queued here, and
    // a number that changes with every activation. -1 if the mutex is taken: the
    // holder is inside kevent(), and waiting here while holding another
    // kqueue's mutex could deadlock.
    int64_t count_pending(uint32_t& sequence) KQ_EXCLUDES(mutex_);

    // Tracing: says once for each silent knote why it is silent, if the reason can be seen.
    void explain() KQ_EXCLUDES(mutex_);

    // Takes in wakeups that another kqueue collected by mistake: this kqueue has its number now.
    void take_over(Wakeup* wakeups, size_t count) KQ_EXCLUDES(mutex_);

    // The number of the descriptor is no longer ours. Calls in progress end with bad_descriptor.
    void mark_dead() { dead_.store(true); }
    // After a failed open(), or if the user will never see the descriptor.
    void close_unpublished() KQ_EXCLUDES(mutex_);
    // In a forked child: abandon_in_child() as Backend::abandon_in_child(). forget_serials(): no
    // kqueue exists any more.
    void abandon_in_child();
    static void forget_serials();

    // ---- fork_copy.cc: KQUEUE_CPONFORK, with the mutex held from the first call to the last ----

    // Before a fork: takes in what the kernel has to tell, so that a copy of the memory is the
    // whole state. False: the kqueue was closed.
    bool prepare_copy() KQ_REQUIRES(mutex_);
    // After it in the parent, for each that was prepared.
    void end_preparation() KQ_REQUIRES(mutex_);
    // After all that, in parent and child. Under the registry's mutex, or alone in a child.
    static void forget_old_edges();
    // In the child, these one after the other. The number of the descriptor stays open and names
    // the parent's kernel queue until open_at().
    void abandon_all_but_number();
    // Everything of the kernel that the memory knows of was the parent's.
    void forsake_parent() KQ_REQUIRES(mutex_);
    // A kernel queue for this process, at the same number. On failure the number is closed.
    Errno open_at(int number) KQ_REQUIRES(mutex_);
    // Opens the sources of all knotes. A knote is dropped if its source cannot be opened. An error:
    // descriptors or memory are short, and the kqueue must be destroyed.
    Errno inherit() KQ_REQUIRES(mutex_);
    // After that: closes the number.
    void close_copy() KQ_REQUIRES(mutex_) { backend_.close_unpublished(); }

  private:
    [[nodiscard]] bool may_hurry() const;  // at_once.h
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
    template <class Verbs, bool kMany = false>
    Errno register_by(const struct kevent& change) KQ_REQUIRES(mutex_);
    bool add_in_place(FdWatch& watch, const struct kevent& change, Errno& answer)
        KQ_REQUIRES(mutex_);
    [[gnu::noinline]] bool add_first(FdWatch& watch, const struct kevent& change, Errno& answer)
        KQ_REQUIRES(mutex_);
    template <class Verbs>
    Errno register_found(Verbs verbs, Knote* kn, const struct kevent& change) KQ_REQUIRES(mutex_);
    template <class Verbs>
    Errno modify_knote(Verbs verbs, Knote& kn, const struct kevent& change) KQ_REQUIRES(mutex_);
    [[gnu::cold, gnu::noinline]] Errno modify_and_enable(Knote& kn, const struct kevent& change)
        KQ_REQUIRES(mutex_);
    [[gnu::cold, gnu::noinline]] void force(Knote& kn) KQ_REQUIRES(mutex_);

    // ---- specific.cc ----
    [[gnu::cold, gnu::noinline]] Errno register_specific(const struct kevent& change)
        KQ_REQUIRES(mutex_);
    Errno create_specific(const struct kevent& change) KQ_REQUIRES(mutex_);
    Errno delete_specific(Knote& kn, const struct kevent& change) KQ_REQUIRES(mutex_);
    [[gnu::cold, gnu::noinline]] void end_dispatched(Knote& kn) KQ_REQUIRES(mutex_);

    // ---- scan.cc, collect.cc ----
    static constexpr int kMaxBatches = 16;  // batches; see take_in(), go_on()
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
    // One batch of reports: the counts before it was taken, and what was in it. `repeats`: a
    // descriptor that was reported in this pass already. `signals`: a report of signals.
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
    Errno check_reports(std::span<Wakeup> room, Result<size_t> got, uint32_t stale_before,
                        Report report) KQ_REQUIRES(mutex_);
    void dispatch(const Wakeup& wakeup) KQ_REQUIRES(mutex_);
    void keep_for_others(std::span<const Wakeup> wakeups) KQ_REQUIRES(mutex_);
    void hand_over() KQ_EXCLUDES(mutex_);
    [[nodiscard]] size_t room_for(int wanted, bool again) const KQ_REQUIRES(mutex_);
    void look_now(Look& look, int nevents) KQ_REQUIRES(mutex_);
    void look_first(Look& look, int nevents, const timespec* timeout) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<int> pass_once(Look& look, struct kevent* events, int nevents)
        KQ_REQUIRES(mutex_);
    Result<int> hand_out(Look& look, struct kevent* events, int nevents) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<int> hand_out_rest(Look& look, size_t used, struct kevent* events,
                                                int nevents, int count) KQ_REQUIRES(mutex_);
    // What take_news() has done with a report of the kernel.
    enum class News : uint8_t {
        untaken,     // nothing
        dispatched,  // the same as dispatch()
        event,       // the report has become an event, and there is nothing else
    };
    News take_news(const Wakeup& news, struct kevent& event) KQ_REQUIRES(mutex_);
    News take_write(struct kevent& event) KQ_REQUIRES(mutex_);
    bool only_signals_are_announced() const KQ_REQUIRES(mutex_);
    News take_signal(const Wakeup& ring, struct kevent& event) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<int> hand_out_news(Look& look, const Wakeup& news,
                                                struct kevent* events, int nevents)
        KQ_REQUIRES(mutex_);
    [[gnu::noinline]] Result<int> hand_out_queued(Look& look, const Wakeup& news, News how,
                                                  struct kevent* events, int nevents)
        KQ_REQUIRES(mutex_);
    Result<bool> take_in_rest(Look& look, size_t used, int nevents, int count) KQ_REQUIRES(mutex_);
    Result<int> go_on(bool more, struct kevent* events, int nevents, int count) KQ_REQUIRES(mutex_);
    // `kAhead`: the kqueue has descriptors beyond kTooManyForCaches, so that its data about them is
    // no longer in the caches. deliver_far() is deliver_straight<true>(), out of line.
    static constexpr size_t kTooManyForCaches = 4096;
    template <bool kAhead>
    size_t deliver_straight(Look& look, struct kevent* events, int& count) KQ_REQUIRES(mutex_);
    [[gnu::noinline]] size_t deliver_far(Look& look, struct kevent* events, int& count)
        KQ_REQUIRES(mutex_);
    void expect(std::span<Wakeup> room, size_t next, size_t got) KQ_REQUIRES(mutex_);
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
    // A thread is about to sleep for `wait`. Returns how long it may sleep: a long sleep is cut
    // into parts, so that explain() can write its lines in between.
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

    // ---- fork_copy.cc ----
    Errno open_clocks() KQ_REQUIRES(mutex_);
    Errno open_sources() KQ_REQUIRES(mutex_);

    // ---- wide.cc ----
    Result<int> apply_wide(const struct kevent64_s* changes, int nchanges,
                           struct kevent64_s* events, int nevents, bool& stopped)
        KQ_REQUIRES(mutex_);
    Result<int> apply_one_wide(const struct kevent64_s& change, struct kevent64_s* answer,
                               bool& stopped) KQ_REQUIRES(mutex_);

    // ---- kqueue.cc ----
    KQ_INLINE void settle(After what) KQ_REQUIRES(mutex_) {
        if (active_.unbacked() != 0 || !announcing_.is_quiet()) announce(what);
        // The times come after announce(), which may collect reports of expired timers: their
        // deadlines must then be set anew. The deadline of the third clock, which few timers use,
        // is set when it changes: settle_continuous().
        if (!settles_times<Backend>() || timers_.moved()) settle_times();
    }
    KQ_INLINE void settle_times() KQ_REQUIRES(mutex_) {
        timers_.note_told();
        Nanos monotonic = timers_.wakeup(Clock::monotonic);
        if (parked_.deadline() < monotonic) monotonic = parked_.deadline();
        backend_.settle(monotonic, timers_.wakeup(Clock::realtime));
    }
    // Whether settle() and end_call() have nothing to do.
    [[nodiscard]] KQ_INLINE bool is_settled() const KQ_REQUIRES(mutex_) {
        if (!settles_times<Backend>()) return false;
        const size_t due = static_cast<unsigned>(active_.unbacked()) | astray_count_ |
                           announcing_.state() | size_t{timers_.moved()};  // one branch for all
        return due == 0;
    }
    // Settles, ends the call and unlocks. If nothing is to be settled it only unlocks.
    KQ_INLINE void settle_and_end(After what) KQ_RELEASE(mutex_) {
        if (__builtin_expect(is_settled(), 1)) {
            mutex_.unlock();
            return;
        }
        settle(what);
        end_call();
    }
    // Out of line: in most calls there is nothing to announce.
    [[gnu::noinline]] void announce(After what) KQ_REQUIRES(mutex_);
    void ring_as_promised() KQ_EXCLUDES(mutex_);
    void pay(uint8_t owed) KQ_EXCLUDES(mutex_);
    // The frame of every kevent() call: locks, runs `body`, settles, unlocks. `body` sets its
    // argument to what it did, for settle().
    template <class Body>
    KQ_INLINE Result<int> in_one_call(Body body) KQ_EXCLUDES(mutex_) {
        mutex_.lock();
        (void)renew_if_haunted();
        call_.begin();
        call_.note_user(threading::self());
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
    // The serial is in use, after forget_serials().
    void keep_serial() const;

    // What a call still has to do at its end, after it has unlocked the mutex.
    static constexpr uint8_t kOwesRing = 1;     // see Announcing
    static constexpr uint8_t kOwesWakeups = 2;  // those of astray_

    PromisedRings promised_;
    Wakeup* astray_ KQ_GUARDED_BY(mutex_) = nullptr;  // of keep_for_others()
    size_t astray_count_ KQ_GUARDED_BY(mutex_) = 0;
    size_t astray_capacity_ KQ_GUARDED_BY(mutex_) = 0;
};

}  // namespace kq

#endif
