// SPDX-License-Identifier: BSD-2-Clause
// SleepHabit: whether a call that may wait sleeps first, or looks at the kernel first.
//
// A call that looks first and then sleeps asks the kernel three times: look, sleep, look. If the
// last calls all slept, this call will most probably sleep, too. Then it sleeps at once. That is
// allowed only with a backend whose sleep ends immediately if there is an event, and whose looks
// change nothing (Backend::kMaySleepFirst). A call that sleeps first although there are events asks
// one time too many. Therefore a look comes first in every fourth call. If such a look finds
// something, the next calls look first. Lock: the kqueue's mutex.
#ifndef KQ_SLEEP_HABIT_H
#define KQ_SLEEP_HABIT_H

#include <stdint.h>

namespace kq {

class SleepHabit {
  public:
    // Whether the last calls slept.
    [[nodiscard]] bool is_usual() const { return in_a_row_ == kSure; }
    // Whether this call, which may wait, should sleep first, if is_usual(). Counts the call.
    [[nodiscard]] bool comes_first() { return ++calls_ % kLookEvery != 0; }
    // The first look of a call has found events.
    void note_found() { in_a_row_ = 0; }
    // A call sleeps: it has looked, and there was nothing, or its sleep comes first.
    void note_sleep() {
        if (in_a_row_ < kSure) in_a_row_++;
    }

  private:
    static constexpr uint8_t kSure = 4;       // calls that slept, one after the other
    static constexpr uint8_t kLookEvery = 4;  // calls

    uint8_t in_a_row_ = 0;
    uint8_t calls_ = 0;
};

}  // namespace kq

#endif
