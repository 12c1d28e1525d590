// SPDX-License-Identifier: BSD-2-Clause
// The deadlines of one kqueue: a heap for each clock.
//
// A timer may have a leeway: it is due at a moment, and may be told up to so much later. It stands
// in the heap at the end of that, and goes with the first wakeup that comes when it is due. So
// timers of about the same time share a wakeup.
//
// Owned by Kqueue, which tells the backend the earliest of each; used by
// filter_timer.cc. Lock: the kqueue's mutex.
#ifndef KQ_TIMER_QUEUE_H
#define KQ_TIMER_QUEUE_H

#include "heap.h"
#include "knote.h"
#include "nanos.h"
#include "result.h"

namespace kq {

struct TimerKnote : Knote {
    Nanos span = 0;      // as asked for: a delay or period, or a moment of `clock`
    Nanos deadline = 0;  // on `clock`: when it fires next at the latest, or did
    uint32_t heap_place = kNotInHeap;
    Clock clock = Clock::monotonic;

    [[nodiscard]] bool waiting() const { return heap_place != kNotInHeap; }

    // How much later than due is `deadline`. In a member of Knote that has no other use in a timer:
    // most timers have none, and their size is that of a block of memory.
    [[nodiscard]] Nanos leeway() const { return data; }
    void set_leeway(Nanos leeway) { data = static_cast<intptr_t>(leeway); }
    static constexpr Nanos kMostLeeway = INTPTR_MAX;
    [[nodiscard]] Nanos due() const { return deadline - leeway(); }
    // Due then; no less late than was asked for, except where time ends.
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
    // Makes room for one more timer on a clock, so that start() cannot fail
    // later, however often it is called; given back by leave(). no_memory.
    Errno join(Clock clock);
    void leave(Clock clock);

    // Puts a timer that has joined its clock into the heap, or takes it out.
    void start(TimerKnote& timer);
    void stop(TimerKnote& timer);
    // Another deadline for one that waits, and goes on waiting. If it is pushed back, no deadline
    // is earlier than before: the backend may wake us for nothing, once.
    void move(TimerKnote& timer, Nanos deadline) {
        if (deadline < timer.deadline) moved_ = true;
        timer.deadline = deadline;
        heaps_[index(timer.clock)].moved(&timer);
    }

    // When the earliest waiting timer is due; kForever if there is none.
    [[nodiscard]] Nanos earliest(Clock clock) const {
        const TimerKnote* top = heaps_[index(clock)].top();
        return top == nullptr ? kForever : top->deadline;
    }

    // Whether an earlier deadline was set, or the kernel has told of one, since the backend was
    // last told of the earliest: only then there may be something to tell it. Deadlines that are
    // not of timers, but are told with them, are noted here, too.
    [[nodiscard]] bool moved() const { return moved_; }
    void note_moved() { moved_ = true; }
    void note_told() { moved_ = false; }

    // Takes out of the heap and returns one timer that is due at t, or null: that whose deadline
    // is next, so one that is due may be left behind one that is not.
    TimerKnote* take_due(Clock clock, Nanos t);

  private:
    static size_t index(Clock clock) { return static_cast<size_t>(clock); }

    Heap<TimerKnote> heaps_[kClocks];
    size_t members_[kClocks] = {0, 0, 0};
    bool moved_ = false;
};

// How many periods have ended by t of a timer first due at `deadline`; t is not
// before it. At least 1. Moves `deadline` to the next one after t.
int64_t catch_up(Nanos& deadline, Nanos period, Nanos t);

}  // namespace kq

#endif
