// SPDX-License-Identifier: BSD-2-Clause
// The interest of one kqueue in descriptors, and poll() on it.
//
// poll() knows levels only. So an entry stands in one of two sets. *armed*: a sleeping thread waits
// for it. *spent*: an edge that was reported and is still ready, so that poll() would not wait for
// it. Spent entries are looked at in each collect(), and now and then while a thread sleeps. If one
// is no longer ready, it is armed again. If there is more to read, or there are other POLL bits,
// that is news. A look does not show whether something came and went since the last look. So an
// edge that stays ready is reported again after a while, and later each time (P-EDGE in BUGS.md).
// Then no edge is lost.
//
// Registrations are of numbers. Each is kept with what fstat() said of it. If the number has become
// another file, its registration is dropped without a word, as kernels do on close().
//
// Lock: the kqueue's mutex. Beside it there is a leaf lock for what a sleeping thread reads (the
// armed set, the deadlines); wait() takes only that one.
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

    // Must be called first.
    Errno open(Doorbell& bell);

    // As Backend::watch(), Backend::still().
    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    Errno still(int fd, FdFacts& facts);

    // What is ready. `rung`: the bell's pipe is readable.
    Result<size_t> collect(std::span<Wakeup> out, bool& rung);

    // Waits until collect() may have something to report, or until `end` (monotonic): timed_out.
    // interrupted: a signal handler ran. Many threads at once, none with a lock.
    Errno wait(Nanos end) const;
    // The armed set or a deadline has changed, so sleeping threads have to look again.
    void wake_sleepers() const;
    void wake_sleepers_if_any() const {
        if (sleepers_.load() > 0) wake_sleepers();
    }

    // When a waiting thread has to go and collect() (kForever: no need). Any thread.
    void set_deadline(Clock clock, Nanos t) { deadlines_[static_cast<int>(clock)].store(t); }
    [[nodiscard]] Nanos deadline(Clock clock) const {
        return deadlines_[static_cast<int>(clock)].load();
    }
    // The same for what is looked at now and then; monotonic.
    void set_look(Nanos t) { look_at_.store(t); }

    // From now on it looks for signals that no handler gets.
    void hear_signals() { hears_signals_.store(true); }
    [[nodiscard]] bool hears_signals() const { return hears_signals_.load(); }

    // ---- for nest.cc: when this kqueue is watched by another ----
    struct Snapshot;
    // Adds what this kqueue waits for. Returns the earliest deadline (monotonic).
    Nanos add_to(Snapshot& snapshot, int depth);
    [[nodiscard]] bool is_ready(int depth);
    // How many levels of watched kqueues are below; more than `limit` if a circle leads to `self`.
    int depth(const Poller& self, int limit);

    void abandon_in_child();

  private:
    // Where the entries of a descriptor are. Zero: nowhere.
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
    // How often poll() refused the number of entries: more than the process may have files.
    mutable std::atomic<int> refusals_{0};
    SlotTable<Place> places_;  // this and the next two: the kqueue's mutex
    size_t start_ = 0;         // where the next collect() begins
    Nanos look_period_ = 0;    // of looks at the spent set
    std::atomic<Nanos> deadlines_[kCommonClocks] = {kForever, kForever};
    std::atomic<bool> hears_signals_{false};
    std::atomic<Nanos> look_at_{kForever};   // set_look()
    std::atomic<Nanos> spent_at_{kForever};  // when to look at the spent set
};

}  // namespace kq

#endif
