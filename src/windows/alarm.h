// SPDX-License-Identifier: BSD-2-Clause
// Alarm: ends a wait on time. The timeouts of waits have the grain of the system's tick (up to 15.6
// ms). Timers of high resolution do not. Each kqueue that ever waited for so short a time has one.
// A thread that is about to sleep sets it, and it wakes all sleeping threads.
//
// set(): any thread, one at a time. Takes no lock.
#ifndef KQ_WINDOWS_ALARM_H
#define KQ_WINDOWS_ALARM_H

#include "bell.h"
#include "nanos.h"

namespace kq {

class Alarm {
  public:
    // Longer waits need no alarm.
    static constexpr Nanos kLongest = 32 * kMillisecond;

    Alarm() = default;
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;

    // Wakes all sleeping threads at this time (monotonic), unless an earlier time is set. If there
    // is no timer of high resolution nothing happens, and waits end late.
    void set(Bell& bell, Nanos at, Nanos now);
    // At the end: no thread is woken any more.
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
