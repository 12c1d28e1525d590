// SPDX-License-Identifier: BSD-2-Clause
// KnoteQueue: one event queue as its filters see it: its knotes, where they wait, what wakes them.
//
// The narrow side of a Kqueue (kqueue.h), which is one of these and adds the calls. Filters,
// fd_watch and the hubs get a KnoteQueue& and may ask it for what is public here, and for nothing
// else. What it consists of are types of their own, each with its own promise:
//
//   ActiveQueue   what is true and waits for its turn           active_queue.h
//   ParkedKnotes  what has to be looked at again                parking.h
//   Announcing    what outsiders see of that                    announcing.h
//   Call          how far the calls have come                   call.h
//   SleepHabit    whether a call looks first or sleeps first  sleep_habit.h
//   Renewal       when there is to be a new kernel queue        renewal.h
//   Wide          what kevent64() adds                          wide.h
//   Watches       descriptors and their knotes                  watches.h, fd_watch.h
//   TimerQueue    deadlines                                     timer_queue.h
//
// Everything under the mutex unless it says otherwise.
#ifndef KQ_KNOTE_QUEUE_H
#define KQ_KNOTE_QUEUE_H

#include <atomic>
#include <utility>

#include "active_queue.h"
#include "announcing.h"
#include "backend.h"
#include "blocks.h"
#include "call.h"
#include "hash_index.h"
#include "knote.h"
#include "mailbox.h"
#include "mutex.h"
#include "parking.h"
#include "platform.h"
#include "renewal.h"
#include "result.h"
#include "sleep_habit.h"
#include "timer_queue.h"
#include "watches.h"
#include "wide.h"

namespace kq {

// What KQUEUE_COUNT_DATA in the environment said when this was first asked.
bool counts_data_by_default();

class KnoteQueue {
  public:
    KnoteQueue(const KnoteQueue&) = delete;
    KnoteQueue& operator=(const KnoteQueue&) = delete;

    // ---- the kqueue; any thread ----

    [[nodiscard]] int descriptor() const { return backend_.descriptor(); }
    [[nodiscard]] bool exists() const { return !dead_.load() && backend_.exists(); }
    // Not 0, and not that of any other kqueue of this process, closed ones included.
    [[nodiscard]] uint32_t serial() const { return serial_; }
    // Where the generations of an FdWatch begin: no two queues have the same handles.
    [[nodiscard]] uint32_t first_generation() const { return serial_ * 0x9e3779b1u; }

    // ---- its parts ----

    Mutex& mutex() KQ_RETURN_CAPABILITY(mutex_) { return mutex_; }
    Backend& backend() KQ_REQUIRES(mutex_) { return backend_; }
    const Wide& wide() const KQ_REQUIRES(mutex_) { return wide_; }
    Watches& watches() KQ_REQUIRES(mutex_) { return watches_; }
    TimerQueue& timers() KQ_REQUIRES(mutex_) { return timers_; }
    // Memory for the knotes of READ and WRITE, of TIMER, and of USER.
    Blocks& fd_knotes() KQ_REQUIRES(mutex_) { return fd_knotes_; }
    Blocks& timer_knotes() KQ_REQUIRES(mutex_) { return timer_knotes_; }
    Blocks& user_knotes() KQ_REQUIRES(mutex_) { return user_knotes_; }
    // This queue's mailbox, made when it is first asked for; null: no memory.
    Mailbox* mailbox() KQ_REQUIRES(mutex_) {
        if (mailbox_ == nullptr) mailbox_ = mailbox::take(descriptor(), serial_);
        return mailbox_;
    }

    // As exists(), asked once in a call; bad_descriptor: it does not.
    Errno check_exists() KQ_REQUIRES(mutex_) {
        if (!call_.is_known_to_exist() && !exists()) return Errno::bad_descriptor;
        call_.note_existence();
        return Errno::ok;
    }

    // Whether `data` of READ and WRITE events is to be counted where that costs a system call: see
    // fd_filter::is_uncounted(). set_counts_data() returns the old value.
    [[nodiscard]] bool counts_data() const KQ_REQUIRES(mutex_) { return counts_data_; }
    bool set_counts_data(bool counts) KQ_REQUIRES(mutex_) {
        return std::exchange(counts_data_, counts);
    }

    // ---- knotes whose ident is not a descriptor ----

    KQ_INLINE Knote* find_indexed(int16_t filter, uintptr_t ident) KQ_REQUIRES(mutex_) {
        return find_indexed(filter, ident, [](const Knote& kn) { return !kn.is_specific(); });
    }
    // Any knote of this filter and ident for which `matches` is true: with EV_UDATA_SPECIFIC there
    // may be several.
    template <class Match>
    KQ_INLINE Knote* find_indexed(int16_t filter, uintptr_t ident, Match matches)
        KQ_REQUIRES(mutex_) {
        return index_.find(Knote::hash_key(filter, ident), [=](Knote& kn) {
            return kn.ident == ident && kn.filter == filter && matches(kn);
        });
    }
    KQ_INLINE Errno index(Knote& kn) KQ_REQUIRES(mutex_) {
        if (!index_.reserve()) return Errno::no_memory;
        index_.insert(&kn);
        return Errno::ok;
    }
    // Whether index() needs no new memory. index_in_room() is index() for this case.
    [[nodiscard]] bool has_index_room() const KQ_REQUIRES(mutex_) { return index_.has_room(); }
    KQ_INLINE void index_in_room(Knote& kn) KQ_REQUIRES(mutex_) { index_.insert(&kn); }
    // After this call index() succeeds, even if other knotes come and go in between. no_memory.
    Errno prepare_index() KQ_REQUIRES(mutex_) {
        return index_.reserve() ? Errno::ok : Errno::no_memory;
    }
    void unindex(Knote& kn) KQ_REQUIRES(mutex_);
    // visit(knote) may remove and free that knote, and change no other of the index.
    template <class Visit>
    void for_each_indexed(Visit visit) KQ_REQUIRES(mutex_) {
        index_.for_each(visit);
    }

    // ---- where a knote waits ----

    // The source says true: active, and on the queue unless disabled.
    void activate(Knote& kn) KQ_REQUIRES(mutex_) {
        parked_.remove(kn);
        active_.activate(kn);
    }
    // The same; `backed`: as set_backed().
    KQ_INLINE void activate(Knote& kn, bool backed) KQ_REQUIRES(mutex_) {
        if ((kn.status & (kActive | kQueued | kDisabled | kParked)) == 0) {
            active_.activate_idle(kn, backed);
        } else {
            set_backed(kn, backed);
            activate(kn);
        }
    }
    // Off the queue and all lists, not active.
    void deactivate(Knote& kn) KQ_REQUIRES(mutex_) {
        active_.deactivate(kn);
        parked_.remove(kn);
    }
    // Whether the kernel keeps reporting this knote by itself (kBacked).
    void set_backed(Knote& kn, bool backed) KQ_REQUIRES(mutex_) { active_.set_backed(kn, backed); }
    // The knote is not true, and only a look can find out when it is.
    void park(Knote& kn, Parking where) KQ_REQUIRES(mutex_);

    // ---- its end, and its beginning where that is not an EV_ADD ----

    // A filter has made a knote.
    void note_made() KQ_REQUIRES(mutex_) { count_knotes(1); }
    // A knote has ended that waited nowhere and had no Extension. The caller frees it.
    void note_ended() KQ_REQUIRES(mutex_) { count_knotes(-1); }
    // Detaches and frees; the answer is detach()'s.
    Errno drop(Knote& kn) KQ_REQUIRES(mutex_);
    // Ends a knote that is in no index and has no source any more. After that it waits nowhere, and
    // does not count any more. The caller frees it.
    void end(Knote& kn) KQ_REQUIRES(mutex_) {
        deactivate(kn);
        if (kn.has(kExtended)) wide_.forget(kn);
        count_knotes(-1);
    }
    // The same, and frees it.
    void free_detached(Knote& kn) KQ_REQUIRES(mutex_);

    // ---- what the kernel says ----

    // The kernel may show the queue as ready although nothing is pending any more. settle() has to
    // collect that.
    void note_stray() KQ_REQUIRES(mutex_) { announcing_.note_stray(); }
    // The kernel has reported something that is not registered: a descriptor now names another
    // file, or the number of the kqueue is not ours any more.
    void note_stale() KQ_REQUIRES(mutex_) { call_.note_stale(); }
    // The edges of this collection were reported before.
    [[nodiscard]] bool edges_are_old() const KQ_REQUIRES(mutex_) {
        return renewal_.edges_are_old();
    }
    // See call.h.
    [[nodiscard]] uint32_t pass() const KQ_REQUIRES(mutex_) { return call_.pass(); }
    [[nodiscard]] uint32_t tick() const KQ_REQUIRES(mutex_) { return call_.tick(); }

    // Takes what the backend has to tell of files, without waiting for its wakeup.
    // May drop knotes.
    void take_files() KQ_REQUIRES(mutex_);
    // The same, after backend().take_write(), which has begun to read.
    void take_rest_of_files() KQ_REQUIRES(mutex_);
    // Called after a ring. If it was for files (Backend::files_told()), calls take_files() and
    // answers true.
    bool take_told_files() KQ_REQUIRES(mutex_) {
        if constexpr (Backend::kHas.files) {
            if (__builtin_expect(backend_.files_told(), 0)) {
                take_files();
                return true;
            }
        }
        return false;
    }

  protected:
    // Only the holder of the mutex changes the count, so no atomic addition is needed. Other
    // threads only read it.
    void count_knotes(int change) KQ_REQUIRES(mutex_) {
        constexpr auto kRelaxed = std::memory_order_relaxed;
        knotes_.store(knotes_.load(kRelaxed) + change, kRelaxed);
    }

    explicit KnoteQueue(uint32_t serial) : serial_(serial) {}
    ~KnoteQueue() = default;

    // In the order in which a call needs them: what each call reads or writes is in the first
    // lines of the processor's cache.
    Mutex mutex_;
    Call call_ KQ_GUARDED_BY(mutex_);
    SleepHabit sleep_habit_ KQ_GUARDED_BY(mutex_);
    ActiveQueue active_ KQ_GUARDED_BY(mutex_);
    Announcing announcing_ KQ_GUARDED_BY(mutex_);
    [[no_unique_address]] RenewalIfAny renewal_ KQ_GUARDED_BY(mutex_);
    std::atomic<bool> dead_{false};
    bool counts_data_ KQ_GUARDED_BY(mutex_) = counts_data_by_default();
    const uint32_t serial_;
    std::atomic<int> knotes_{0};
    ParkedKnotes parked_ KQ_GUARDED_BY(mutex_);
    Mailbox* mailbox_ KQ_GUARDED_BY(mutex_) = nullptr;
    TimerQueue timers_ KQ_GUARDED_BY(mutex_);
    Watches watches_ KQ_GUARDED_BY(mutex_);
    Blocks fd_knotes_ KQ_GUARDED_BY(mutex_);
    Blocks timer_knotes_ KQ_GUARDED_BY(mutex_);
    Blocks user_knotes_ KQ_GUARDED_BY(mutex_);
    HashIndex<Knote> index_ KQ_GUARDED_BY(mutex_);
    Backend backend_;  // by rule: under mutex_, except what platform.h exempts
    Wide wide_ KQ_GUARDED_BY(mutex_);
};

}  // namespace kq

#endif
