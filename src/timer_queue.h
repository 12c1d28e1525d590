// SPDX-License-Identifier: BSD-2-Clause
// The deadlines of one kqueue: a heap for each clock.
//
// A timer may have a leeway: the time by which its event may be later than the moment when it is
// due. Its place in the heap is that of the latest moment. The first wakeup after it is due takes
// it. So timers that are due at about the same time share a wakeup.
//
// Dense timers share wakeups, too: see share(). The system's own slack for threads that sleep is as
// large as kSlack.
//
// Owned by the kqueue, which tells the backend the earliest deadline of each clock. Used by
// filter_timer.cc. Lock: the kqueue's mutex. All times are nanoseconds.
#ifndef KQ_TIMER_QUEUE_H
#define KQ_TIMER_QUEUE_H

#include "heap.h"
#include "knote.h"
#include "nanos.h"
#include "result.h"

namespace kq {

struct TimerKnote : Knote {
    Nanos span = 0;      // as asked for: a delay or period, or a moment of `clock`
    Nanos deadline = 0;  // on `clock`: the latest moment of the next event, or of the last one
    uint32_t heap_place = kNotInHeap;
    Clock clock = Clock::monotonic;

    [[nodiscard]] bool waiting() const { return heap_place != kNotInHeap; }

    // How much later than the due moment `deadline` is. It is stored in a member of Knote that
    // timers do not use otherwise: a member of its own would make every timer larger than its block
    // of memory.
    [[nodiscard]] Nanos leeway() const { return data; }
    void set_leeway(Nanos leeway) { data = static_cast<intptr_t>(leeway); }
    static constexpr Nanos kMostLeeway = INTPTR_MAX;
    [[nodiscard]] Nanos due() const { return deadline - leeway(); }
    // The timer is due at t; its deadline is later by the leeway, except where the largest time
    // would be exceeded.
    void set_due(Nanos t) {
        deadline = saturating_add(t, leeway());
        set_leeway(deadline - t);
    }
};

inline bool earlier(const TimerKnote& a, const TimerKnote& b) {
    return a.deadline < b.deadline;
}

class TimerQueue {
  public:
    // Makes room for one more timer on a clock. After it start() cannot fail for that timer,
    // however often it is called. leave() gives the room back. no_memory.
    KQ_INLINE Errno join(Clock clock) {
        if (!heaps_[index(clock)].reserve(members_[index(clock)] + 1)) return Errno::no_memory;
        members_[index(clock)]++;
        return Errno::ok;
    }
    // As join(), if join() needs no new memory. False: it does, and nothing was done.
    KQ_INLINE bool join_in_room(Clock clock) {
        if (!heaps_[index(clock)].has_room(members_[index(clock)] + 1)) return false;
        members_[index(clock)]++;
        return true;
    }
    void leave(Clock clock);
    [[nodiscard]] bool has_joined(Clock clock) const { return members_[index(clock)] > 0; }

    // Puts a timer that has joined its clock into the heap, or takes it out.
    void start(TimerKnote& timer) {
        heaps_[index(timer.clock)].push(&timer);
        if (timer.heap_place == 0) moved_ = true;
    }
    void stop(TimerKnote& timer);
    // Gives a waiting timer another deadline. If that is later than the old one, the backend need
    // not be told: at worst it wakes us once for nothing. The exception: other timers were
    // to wait for the old deadline. See forget_shared().
    void move(TimerKnote& timer, Nanos deadline) {
        if (deadline < timer.deadline) moved_ = true;
        forget_shared(timer);
        timer.deadline = deadline;
        heaps_[index(timer.clock)].moved(&timer);
    }

    // The earliest deadline of the waiting timers; kForever if there are none.
    [[nodiscard]] Nanos earliest(Clock clock) const {
        const TimerKnote* top = heaps_[index(clock)].top();
        return top == nullptr ? kForever : top->deadline;
    }

    // When the backend is to wake the kqueue: earliest(), or a little later if that was agreed with
    // share().
    [[nodiscard]] Nanos wakeup(Clock clock) const {
        const Nanos first = earliest(clock);
        const Nanos later = shared_[index(clock)] - first;
        if (later <= 0 || later > kSlack || exact_ != 0) return first;
        return heaps_[index(clock)].size() > 1 ? first + later : first;
    }
    // Timers of a clock have expired, so there will be another wakeup. It may be up to kSlack after
    // the earliest deadline if another deadline is in between: then both timers share it. Not all
    // timers are looked at, because a look at a few already saves a part of the wakeups.
    void share(Clock clock);
    // Adds `change` to the number of timers that must not wait for others (NOTE_CRITICAL). While
    // there is such a timer, no wakeup is shared.
    void note_exact(int change) {
        exact_ += change;
        if (change != 0) moved_ = true;  // a wakeup may be shared already
    }

    // Whether an earlier deadline was set, or the kernel reported one, since the backend was last
    // told the earliest deadline. Only then the backend must be told again. The deadline of parked
    // knotes, which the backend gets together with those of timers, is noted here, too.
    [[nodiscard]] bool moved() const { return moved_; }
    void note_moved() { moved_ = true; }
    void note_told() { moved_ = false; }

    // Takes the timer with the earliest deadline out of the heap and returns it if it is due at t;
    // else null. So a timer that is due may wait behind one with an earlier deadline that is not
    // due yet.
    TimerKnote* take_due(Clock clock, Nanos t);

  private:
    static constexpr Nanos kSlack = 50'000;
    static constexpr size_t kSeen = 21;  // three levels of a heap

    static size_t index(Clock clock) { return static_cast<size_t>(clock); }

    // The timer gives its deadline up. If earlier timers wait for this deadline, they need not wait
    // for it any more.
    void forget_shared(const TimerKnote& timer) {
        if (timer.deadline != shared_[index(timer.clock)]) return;
        shared_[index(timer.clock)] = 0;
        moved_ = true;
    }

    Heap<TimerKnote> heaps_[kClocks];
    size_t members_[kClocks] = {0, 0, 0};
    Nanos shared_[kClocks] = {0, 0, 0};  // a deadline that was not the earliest
    int exact_ = 0;
    bool moved_ = false;
};

// How many periods of a timer have ended at t; at least 1. The first one ended at `deadline`, which
// is not after t. Moves `deadline` to the end of the next period after t.
int64_t catch_up(Nanos& deadline, Nanos period, Nanos t);

}  // namespace kq

#endif
