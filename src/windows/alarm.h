// SPDX-License-Identifier: BSD-2-Clause
// Alarm: ends a wait on time. The timeouts of waits have the grain of the system's tick (up to
// 15.6 ms), timers of high resolution have not. One for each kqueue that ever waited for so short a
// time; set by whoever is about to sleep, it wakes all who sleep.
//
// set(): any thread, under no lock of its own making; one at a time.
#ifndef KQ_WINDOWS_ALARM_H
#define KQ_WINDOWS_ALARM_H

#include "bell.h"
#include "nanos.h"

namespace kq {

class Alarm {
  public:
    // Waits that are longer need none.
    static constexpr Nanos kLongest = 32 * kMillisecond;

    Alarm() = default;
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;

    // Wakes all who sleep at this time (monotonic), if nothing earlier is set. Without a timer of
    // high resolution nothing happens, and waits end late.
    void set(Bell& bell, Nanos at, Nanos now);
    // At the end: nobody is woken any more.
    void close();

  private:
    bool prepare(Bell& bell);

    void* timer_ = nullptr;
    void* wait_ = nullptr;
    bool refused_ = false;
    Nanos at_ = 0;  // for when it is set; past: it is not
};

}  // namespace kq

#endif
