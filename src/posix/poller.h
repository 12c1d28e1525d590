// The interest of one kqueue in descriptors, and poll() on it.
//
// poll() knows levels only. An entry stands in one of two sets: *armed*, what a sleeping
// thread waits for; and *spent*, edges that were reported and are ready still, for which
// poll() would not wait. These are looked at in each collect(), and now and then while a
// thread sleeps: no longer ready, they are armed again; ready with more to read, or with
// other POLL bits, they are news. Whether something came and went between two looks
// cannot be seen: so that no edge is ever lost, one that stays ready is reported again
// after a while, and a while later (P-EDGE in BUGS.md).
//
// Registrations are of numbers. Each is kept with what fstat() said, and what has become
// another file since is dropped without a word, as the kernels drop what is closed.
//
// Lock: the kqueue's mutex, and for what a sleeping thread reads (the armed set, the
// deadlines) a leaf of its own beside it; wait() takes only that.
#ifndef KQ_POSIX_POLLER_H
#define KQ_POSIX_POLLER_H

#include <atomic>

#include "doorbell.h"
#include "mutex.h"
#include "poll_set.h"
#include "slot_table.h"

namespace kq {

class Poller {
  public:
    Poller() = default;
    ~Poller();
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;

    // Before all else.
    Errno open(Doorbell& bell);

    // As Backend::watch(), Backend::still().
    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    Errno still(int fd, FdFacts& facts);

    // What is ready. `rung`: the bell's pipe is readable.
    Result<size_t> collect(std::span<Wakeup> out, bool& rung);

    // Waits until collect() may have something to report, or until `end` (monotonic), which is
    // `timed_out`. interrupted: a signal handler ran. Many threads at once, none with a lock.
    Errno wait(Nanos end) const;
    // Those who wait have to look again: what they wait for has changed.
    void wake_sleepers() const;
    void wake_sleepers_if_any() const {
        if (sleepers_.load() > 0) wake_sleepers();
    }

    // When a waiting thread has to go and collect() (kForever: no need). Any thread.
    void set_deadline(Clock clock, Nanos t) { deadlines_[static_cast<int>(clock)].store(t); }
    [[nodiscard]] Nanos deadline(Clock clock) const {
        return deadlines_[static_cast<int>(clock)].load();
    }
    // Likewise, for what is looked at now and then; monotonic.
    void set_look(Nanos t) { look_at_.store(t); }

    // It is to be looked for signals that no handler gets.
    void hear_signals() { hears_signals_.store(true); }
    [[nodiscard]] bool hears_signals() const { return hears_signals_.load(); }

    // ---- for nest.cc: when this kqueue is watched by another ----
    struct Snapshot;
    // Adds what is waited for here; the earliest deadline (monotonic) is answered.
    Nanos add_to(Snapshot& snapshot, int depth);
    [[nodiscard]] bool is_ready(int depth);
    // How deep kqueues are watched from here; above `limit` for a circle back to `self`.
    int depth(const Poller& self, int limit);

    void abandon_in_child();

  private:
    // Where the entries of a descriptor stand. Zero: nowhere.
    struct Place {
        uint32_t at[kDirections];  // 1 + 2 * index, + 1 if spent
        uint32_t identity;         // of the file that is registered
    };
    enum Verdict : uint8_t { stays, spend, arm, remove, gone };

    Errno set(int fd, Direction d, Mode mode, Handle handle, FdFacts& facts);
    Errno begin(int fd, FdFacts& facts, Place& place, bool& queue);
    void take_out(int fd, Direction d) KQ_REQUIRES(mutex_);
    void put_in(PollSet& set, const pollfd& fd, const PollItem& item) KQ_REQUIRES(mutex_);
    void forget(int fd) KQ_REQUIRES(mutex_);
    void sort_out(PollSet& set, size_t first) KQ_REQUIRES(mutex_);
    bool report(PollSet& set, size_t i, Nanos now, Wakeup& out) KQ_REQUIRES(mutex_);
    void look_at_queues();
    bool spent_has_news(Nanos t) KQ_REQUIRES(mutex_);
    bool next_queue(bool spent, size_t& i, int& number);
    bool is_same(int fd);
    void changed() KQ_REQUIRES(mutex_);
    Snapshot* take_snapshot() const KQ_REQUIRES(mutex_);
    static Nanos add_queues(Snapshot& snapshot);
    void give_back(Snapshot* snapshot) const;
    static void cancelled(void* arg);
    static void poll_cancellable(void* arg);
    [[nodiscard]] Nanos next_look() const;
    Snapshot* prepare(Nanos& until) const;
    Errno wait_for(Snapshot* snapshot, Nanos until) const;

    Doorbell* bell_ = nullptr;
    mutable Mutex mutex_;
    mutable PollSet armed_ KQ_GUARDED_BY(mutex_);  // [0] is the bell
    PollSet spent_ KQ_GUARDED_BY(mutex_);
    uint64_t version_ KQ_GUARDED_BY(mutex_) = 1;  // of armed_, for snapshots
    int queues_ KQ_GUARDED_BY(mutex_) = 0;        // entries that are kqueues
    mutable Snapshot* unused_ KQ_GUARDED_BY(mutex_) = nullptr;
    mutable std::atomic<int> sleepers_{0};
    // poll() has refused as many entries as there are: more than the process may have files.
    mutable std::atomic<int> refusals_{0};
    SlotTable<Place> places_;  // the kqueue's mutex
    size_t start_ = 0;         // where the next collect() begins; likewise
    Nanos look_period_ = 0;    // likewise
    std::atomic<Nanos> deadlines_[kClocks] = {kForever, kForever};
    std::atomic<bool> hears_signals_{false};
    std::atomic<Nanos> look_at_{kForever};   // set_look()
    std::atomic<Nanos> spent_at_{kForever};  // when the spent set is to be looked at
};

}  // namespace kq

#endif
