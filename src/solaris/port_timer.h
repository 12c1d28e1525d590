// SPDX-License-Identifier: BSD-2-Clause
// The deadline of one clock as a timer of the port (timer_create(3C), SIGEV_PORT), which makes the
// port readable for poll() and wakes sleeping threads.
//
// A process may have 32 such timers on illumos, so a kqueue may get none. Then a sleeping thread
// waits for the deadline itself, and poll() does not find out. Lock: the kqueue's mutex.
#ifndef KQ_SOLARIS_PORT_TIMER_H
#define KQ_SOLARIS_PORT_TIMER_H

#include <time.h>

#include "nanos.h"

namespace kq {

class PortTimer {
  public:
    explicit PortTimer(Clock clock) : clock_(clock) {}
    PortTimer(const PortTimer&) = delete;
    PortTimer& operator=(const PortTimer&) = delete;
    ~PortTimer() { remove(); }

    // Has it report to this port at this time, or earlier. A deadline that moves away leaves the
    // timer as it is: it comes early, and is set anew then. False: there is no timer.
    bool set(int port, Nanos t);
    // It has reported.
    void heard() { set_ = kForever; }
    // Its port is gone, or reports nothing any more.
    void remove();
    // In a forked child, which inherits none.
    void abandon_in_child() { exists_ = false; }

    // What comes back in portev_user.
    [[nodiscard]] void* user() { return this; }

  private:
    bool create(int port);

    Clock clock_;
    bool exists_ = false;
    bool relative_ = false;  // the clock of the deadline is not allowed
    timer_t id_{};
    Nanos set_ = kForever;
};

}  // namespace kq

#endif
