// SPDX-License-Identifier: BSD-2-Clause
// Heaps of deadlines and the arithmetic of expiry. See timer_queue.h.
#include "timer_queue.h"

namespace kq {

Errno TimerQueue::join(Clock clock) {
    if (!heaps_[index(clock)].reserve(members_[index(clock)] + 1)) return Errno::no_memory;
    members_[index(clock)]++;
    return Errno::ok;
}

void TimerQueue::leave(Clock clock) {
    KQ_CHECK(members_[index(clock)] > 0);
    members_[index(clock)]--;
}

void TimerQueue::start(TimerKnote& timer) {
    moved_ = true;
    heaps_[index(timer.clock)].push(&timer);
}

void TimerQueue::stop(TimerKnote& timer) {
    if (timer.waiting()) heaps_[index(timer.clock)].remove(&timer);
}

TimerKnote* TimerQueue::take_due(Clock clock, Nanos t) {
    TimerKnote* top = heaps_[index(clock)].top();
    if (top == nullptr || top->due() > t) return nullptr;
    heaps_[index(clock)].remove(top);
    return top;
}

int64_t catch_up(Nanos& deadline, Nanos period, Nanos t) {
    KQ_CHECK(period > 0 && t >= deadline);
    const int64_t ticks = (t - deadline) / period + 1;
    deadline = saturating_add(deadline, saturating_mul(ticks, period));
    return ticks;
}

}  // namespace kq
