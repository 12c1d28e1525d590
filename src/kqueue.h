// Kqueue: one event queue, from changelist to eventlist.
//
// Owns its mutex, backend, knotes, timers and the active queue between kernel
// and caller. run() is a kevent() call; the registry makes, finds and destroys
// Kqueues. Its code is in five files: kqueue.cc (life, queue, shared helpers),
// change.cc (one changelist entry), scan.cc (collect, deliver, sleep), renew.cc (a
// new kernel queue), wide.cc (kevent64).
//
// The promise behind poll() on a kqueue and behind sleeping threads: whenever
// the mutex is free, either nothing is queued that the kernel does not know of,
// or it has been announced to the backend. settle() keeps it; whoever unlocks
// after a change calls it.
#ifndef KQ_KQUEUE_H
#define KQ_KQUEUE_H

#include <sys/event.h>

#include <utility>

#include <atomic>

#include "backend.h"
#include "extension.h"
#include "filter.h"
#include "hash_index.h"
#include "knote.h"
#include "list.h"
#include "mailbox.h"
#include "mutex.h"
#include "platform.h"
#include "slot_table.h"
#include "timer_queue.h"

namespace kq {

static_assert(BackendContract<Backend>);

struct FdWatch {
    Knote* notes = nullptr;   // chained by Knote::chain, at most one a filter
    uint32_t generation = 0;  // of its Handle; a new one for each open file
    FdFacts facts;
};

// Sources that must be looked at again although nothing will tell.
enum class Parking : uint8_t {
    idle,     // before every sleep: regular files, whose offset the user moves
    recheck,  // also every kRecheckPeriod: conditions no kernel reports
};

class Kqueue {
  public:
    Kqueue() = default;
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
    // The descriptor was closed, but there is a duplicate, which is ours from now on.
    void move_to(int fd) KQ_EXCLUDES(mutex_);
    // Whether there is anything to lose. Any thread; may be overtaken.
    [[nodiscard]] bool has_knotes() const { return knotes_.load() > 0; }

    // One kevent() call, arguments checked for sign but the timeout not.
    // `cancelled` is called with `this` if the thread is cancelled while asleep.
    Result<int> run(const struct kevent* changes, int nchanges, struct kevent* events, int nevents,
                    const timespec* timeout, void (*cancelled)(void*)) KQ_EXCLUDES(mutex_);

    // Likewise one kevent64() call; the flags are known ones.
    Result<int> run_wide(const struct kevent64_s* changes, int nchanges, struct kevent64_s* events,
                         int nevents, unsigned flags, const timespec* timeout,
                         void (*cancelled)(void*)) KQ_EXCLUDES(mutex_);

    // For a kqueue that watches this one: how many events are queued here, and
    // a number that changes with every activation. -1 if the mutex is taken: the
    // holder is inside kevent(), and waiting here while holding another
    // kqueue's mutex could deadlock.
    int64_t count_pending(uint32_t& sequence) KQ_EXCLUDES(mutex_);

    [[nodiscard]] int descriptor() const { return backend_.descriptor(); }
    [[nodiscard]] bool exists() const { return !dead_.load() && backend_.exists(); }
    // The number of the descriptor is no longer ours: calls in progress end
    // with bad_descriptor.
    void mark_dead() { dead_.store(true); }
    // As exists(), asked once in a call; bad_descriptor: it does not.
    Errno check_exists() KQ_REQUIRES(mutex_) {
        if (!known_to_exist_ && !exists()) return Errno::bad_descriptor;
        known_to_exist_ = true;
        return Errno::ok;
    }
    // After a failed open(), or if the user will never see the descriptor.
    void close_unpublished() KQ_EXCLUDES(mutex_);
    void abandon_in_child() { backend_.abandon_in_child(); }

    // ---- for filters and fd_watch: everything under the mutex ----

    Mutex& mutex() KQ_RETURN_CAPABILITY(mutex_) { return mutex_; }
    Backend& backend() KQ_REQUIRES(mutex_) { return backend_; }
    SlotTable<FdWatch>& watches() KQ_REQUIRES(mutex_) { return watches_; }
    TimerQueue& timers() KQ_REQUIRES(mutex_) { return timers_; }

    // Knotes whose ident is not a descriptor.
    Knote* find_indexed(int16_t filter, uintptr_t ident) KQ_REQUIRES(mutex_);
    Errno index(Knote& kn) KQ_REQUIRES(mutex_);
    void unindex(Knote& kn) KQ_REQUIRES(mutex_);
    // visit(knote) may remove and free that knote, and change no other of the index.
    template <class Visit>
    void for_each_indexed(Visit visit) KQ_REQUIRES(mutex_) {
        index_.for_each(visit);
    }

    // The source says true: active, and on the queue unless disabled.
    void activate(Knote& kn) KQ_REQUIRES(mutex_);
    // Off the queue and all lists, not active.
    void deactivate(Knote& kn) KQ_REQUIRES(mutex_);
    // Whether the kernel keeps reporting this knote by itself (kBacked).
    void set_backed(Knote& kn, bool backed) KQ_REQUIRES(mutex_);
    // The knote is not true, and only looking at it will tell when it is.
    void park(Knote& kn, Parking where) KQ_REQUIRES(mutex_);

    // A knote was made by its filter, not by an EV_ADD.
    void note_made() KQ_REQUIRES(mutex_) { knotes_.fetch_add(1); }
    // Detaches and frees; the answer is detach()'s.
    Errno drop(Knote& kn) KQ_REQUIRES(mutex_);
    // Frees a knote that is in no index and has no source any more.
    void free_detached(Knote& kn) KQ_REQUIRES(mutex_);

    // This queue's mailbox, made when it is first asked for; null: no memory.
    Mailbox* mailbox() KQ_REQUIRES(mutex_);

    // The kernel may show as ready what is not pending any more: a look will tell it.
    void note_stray() KQ_REQUIRES(mutex_) { stray_ = true; }

    // The kernel reported what is not registered: a descriptor that is not the file it was any
    // more; or the number of the kqueue is not ours any more.
    void note_stale() KQ_REQUIRES(mutex_) { stale_++; }

    // What is told by edge in this collection was told before.
    [[nodiscard]] bool edges_are_old() const KQ_REQUIRES(mutex_) { return edges_are_old_; }

    // Not 0, and not that of any other kqueue of this process, closed ones included.
    [[nodiscard]] uint32_t serial() const { return serial_; }

    // A number that changes some 60 times a second, as of the last collection that found something:
    // how long a report may be trusted to be of the file that was registered.
    [[nodiscard]] uint32_t tick() const KQ_REQUIRES(mutex_) { return tick_; }

    // Takes what the backend has to tell of files, without waiting for its wakeup.
    // May drop knotes.
    void take_files() KQ_REQUIRES(mutex_);

    // Numbers the collections: readiness reported in this one is still true.
    [[nodiscard]] uint32_t pass() const KQ_REQUIRES(mutex_) { return pass_; }

  private:
    // ---- change.cc ----
    Result<int> apply_changes(const struct kevent* changes, int nchanges, struct kevent* events,
                              int nevents, bool& stopped) KQ_REQUIRES(mutex_);
    Errno register_change(const struct kevent& change) KQ_REQUIRES(mutex_);
    Errno create_knote(const FilterOps& ops, const struct kevent& change) KQ_REQUIRES(mutex_);
    Errno modify_knote(const FilterOps& ops, Knote& kn, const struct kevent& change)
        KQ_REQUIRES(mutex_);
    void force(Knote& kn) KQ_REQUIRES(mutex_);

    // ---- scan.cc ----
    Result<int> scan(struct kevent* events, int nevents, const timespec* timeout,
                     void (*cancelled)(void*)) KQ_REQUIRES(mutex_);
    bool mend() KQ_REQUIRES(mutex_);
    Result<int> after_interruption(struct kevent* events, int nevents) KQ_REQUIRES(mutex_);
    Result<bool> collect(int wanted, bool again) KQ_REQUIRES(mutex_);
    Result<bool> collect_inline(int wanted, bool again) KQ_REQUIRES(mutex_);
    Result<bool> take_in(Wakeup* wakeups, int room, Result<size_t> got, int wanted, bool again)
        KQ_REQUIRES(mutex_);
    bool dispatch(const Wakeup& wakeup) KQ_REQUIRES(mutex_);
    Result<int> pass_once(struct kevent* events, int nevents) KQ_REQUIRES(mutex_);
    Result<int> hand_out(Result<bool> more, struct kevent* events, int nevents) KQ_REQUIRES(mutex_);
    int deliver(struct kevent* events, int nevents) KQ_REQUIRES(mutex_);
    bool deliver_one(Knote& kn, struct kevent& event) KQ_REQUIRES(mutex_);
    void look_at(List<Knote>& parked, int most) KQ_REQUIRES(mutex_);
    Errno sleep(Nanos deadline, bool first, int fruitless, void (*cancelled)(void*))
        KQ_REQUIRES(mutex_);
    void expire_timers(Clock clock) KQ_REQUIRES(mutex_);
    void read_mailbox() KQ_REQUIRES(mutex_);

    // ---- renew.cc ----
    [[nodiscard]] bool is_haunted() const KQ_REQUIRES(mutex_) {
        return stale_ - renew_at_ < UINT32_MAX / 2;  // it has reached it; both may wrap
    }
    void renew() KQ_REQUIRES(mutex_);
    bool carry_over_watches(size_t& carried) KQ_REQUIRES(mutex_);
    void give_up_renewal() KQ_REQUIRES(mutex_);
    void dispatch_all(Result<size_t> (Backend::*collect)(std::span<Wakeup>)) KQ_REQUIRES(mutex_);

    // ---- wide.cc ----
    Result<int> apply_wide(const struct kevent64_s* changes, int nchanges,
                           struct kevent64_s* events, int nevents, bool& stopped)
        KQ_REQUIRES(mutex_);
    Result<int> apply_one_wide(const struct kevent64_s& change, struct kevent64_s* answer,
                               bool& stopped) KQ_REQUIRES(mutex_);
    Extension* find_extension(const Knote& kn) const KQ_REQUIRES(mutex_);
    Errno prepare_extension(const struct kevent64_s& change, Owned<Extension>& fresh)
        KQ_REQUIRES(mutex_);
    void extend(const struct kevent64_s& change, Owned<Extension> fresh) KQ_REQUIRES(mutex_);
    void forget_extension(Knote& kn) KQ_REQUIRES(mutex_);
    void note_extension(const Knote& kn, const struct kevent& event) KQ_REQUIRES(mutex_);

    // ---- kqueue.cc ----
    // What settle() is called after.
    enum class After : uint8_t { changes, delivery, sleep, counting };
    void settle(After what) KQ_REQUIRES(mutex_);
    void announce(After what) KQ_REQUIRES(mutex_);
    void ring_as_promised() KQ_EXCLUDES(mutex_);
    // What is around every kevent() call: `body` runs under the mutex and ends with settle().
    template <class Body>
    Result<int> in_one_call(Body body) KQ_EXCLUDES(mutex_) {
        Result<int> result = 0;
        bool promised = false;
        {
            const Guard guard(mutex_);
            if (is_haunted()) renew();
            known_to_exist_ = false;
            result = body();
            promised = std::exchange(promised_, false);
        }
        if (promised) ring_as_promised();
        return result;
    }
    void enqueue(Knote& kn) KQ_REQUIRES(mutex_);
    void dequeue(Knote& kn) KQ_REQUIRES(mutex_);

    // How often conditions that no kernel reports are looked at (Parking::recheck).
    static constexpr Nanos kRecheckPeriod = 20 * kMillisecond;

    // Stale reports that are put up with before the kernel queue is renewed.
    static constexpr uint32_t kPatience = 8;
    // And before it is tried again, if it could not be.
    static constexpr uint32_t kImpatience = 1000;

    // Ticks for which others are given time to notice a renewal.
    static constexpr uint32_t kLinger = 2;

    static uint32_t next_serial();

    Mutex mutex_;
    std::atomic<bool> dead_{false};
    const uint32_t serial_ = next_serial();
    std::atomic<int> knotes_{0};
    Backend backend_;  // by rule: under mutex_, but for what platform.h exempts

    HashIndex<Knote> index_ KQ_GUARDED_BY(mutex_);
    HashIndex<Extension> extensions_ KQ_GUARDED_BY(mutex_);  // of kExtended knotes
    WideList* wide_ KQ_GUARDED_BY(mutex_) = nullptr;         // of the call that holds the mutex
    SlotTable<FdWatch> watches_ KQ_GUARDED_BY(mutex_);
    TimerQueue timers_ KQ_GUARDED_BY(mutex_);

    List<Knote> active_ KQ_GUARDED_BY(mutex_);   // FIFO of kQueued knotes
    int queued_ KQ_GUARDED_BY(mutex_) = 0;       // how many
    int unbacked_ KQ_GUARDED_BY(mutex_) = 0;     // of these, not kBacked: need announcing
    List<Knote> idle_ KQ_GUARDED_BY(mutex_);     // Parking::idle
    List<Knote> recheck_ KQ_GUARDED_BY(mutex_);  // Parking::recheck
    Nanos recheck_at_ KQ_GUARDED_BY(mutex_) = kForever;
    Mailbox* mailbox_ KQ_GUARDED_BY(mutex_) = nullptr;
    bool rung_ KQ_GUARDED_BY(mutex_) = false;      // Announce::ring, not collected yet
    bool held_ KQ_GUARDED_BY(mutex_) = false;      // Announce::hold
    bool promised_ KQ_GUARDED_BY(mutex_) = false;  // a ring by the call that is just ending
    std::atomic<int> ringing_{0};                  // rings promised and not done yet
    std::atomic<bool> needless_{false};            // such a one was not needed any more
    bool stray_ KQ_GUARDED_BY(mutex_) = false;     // of note_stray(), not collected yet
    uint32_t pass_ KQ_GUARDED_BY(mutex_) = 1;
    uint32_t tick_ KQ_GUARDED_BY(mutex_) = 0;
    uint32_t stale_ KQ_GUARDED_BY(mutex_) = 0;             // counts note_stale()
    uint32_t renew_at_ KQ_GUARDED_BY(mutex_) = kPatience;  // value of stale_, see renew()
    bool lingers_ KQ_GUARDED_BY(mutex_) = false;           // held for those who waited, see renew()
    uint32_t renewed_ KQ_GUARDED_BY(mutex_) = 0;           // tick_ at that time
    bool edges_are_old_ KQ_GUARDED_BY(mutex_) = false;
    bool known_to_exist_ KQ_GUARDED_BY(mutex_) = false;  // was asked in this call
    uint32_t activations_ KQ_GUARDED_BY(mutex_) = 0;     // knotes that came onto the queue
    uint32_t announced_ KQ_GUARDED_BY(mutex_) = 0;       // activations_ when last announced
};

}  // namespace kq

#endif
