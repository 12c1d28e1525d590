// SPDX-License-Identifier: BSD-2-Clause
// Heaps of deadlines and the arithmetic of expiry. See timer_queue.h.
#include "timer_queue.h"

namespace kq {

void TimerQueue::leave(Clock clock) {
    KQ_CHECK(members_[index(clock)] > 0);
    members_[index(clock)]--;
}

void TimerQueue::stop(TimerKnote& timer) {
    if (!timer.waiting()) return;
    heaps_[index(timer.clock)].remove(&timer);
    forget_shared(timer);
}

TimerKnote* TimerQueue::take_due(Clock clock, Nanos t) {
    TimerKnote* top = heaps_[index(clock)].top();
    if (top == nullptr || top->due() > t) return nullptr;
    heaps_[index(clock)].remove(top);
    return top;
}

void TimerQueue::share(Clock clock) {
    const Heap<TimerKnote>& heap = heaps_[index(clock)];
    Nanos last = 0;
    if (heap.size() > 1) {
        last = heap.top()->deadline;
        const Nanos limit = saturating_add(last, kSlack);
        for (size_t i = 1; i < heap.size() && i < kSeen; i++) {
            const Nanos deadline = heap.at(i)->deadline;
            if (deadline <= limit && deadline > last) last = deadline;
        }
    }
    shared_[index(clock)] = last;
}

int64_t catch_up(Nanos& deadline, Nanos period, Nanos t) {
    KQ_CHECK(period > 0 && t >= deadline);
    const int64_t ticks = (t - deadline) / period + 1;
    deadline = saturating_add(deadline, saturating_mul(ticks, period));
    return ticks;
}

}  // namespace kq
