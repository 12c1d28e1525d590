// SPDX-License-Identifier: BSD-2-Clause
// See port_timer.h.
#include "port_timer.h"

#include <algorithm>

#include "platform.h"
#include "ports.h"

namespace kq {
namespace {

bool make(int port, clockid_t clock, void* user, timer_t& id) {
    port_notify_t notify{};
    notify.portnfy_port = port;
    notify.portnfy_user = user;
    sigevent event{};
    event.sigev_notify = SIGEV_PORT;
    event.sigev_value.sival_ptr = &notify;
    return timer_create(clock, &event, &id) == 0;
}

}  // namespace

// On old systems the clock that is never set needs a privilege. The other clock can measure as
// well.
bool PortTimer::create(int port) {
    relative_ = false;
    exists_ = make(port, clock_ == Clock::monotonic ? CLOCK_HIGHRES : CLOCK_REALTIME, user(), id_);
    if (exists_ || clock_ != Clock::monotonic || errno != EPERM) return exists_;
    relative_ = exists_ = make(port, CLOCK_REALTIME, user(), id_);
    return exists_;
}

bool PortTimer::set(int port, Nanos t) {
    if (t == kForever || (exists_ && t >= set_)) return true;
    if (!exists_ && !create(port)) return false;
    itimerspec when{};
    when.it_value = to_timespec(std::max(relative_ ? t - now(clock_) : t, Nanos{1}));
    if (timer_settime(id_, relative_ ? 0 : TIMER_ABSTIME, &when, nullptr) != 0) {
        remove();
        return false;
    }
    set_ = t;
    return true;
}

void PortTimer::remove() {
    if (exists_) (void)timer_delete(id_);
    exists_ = false;
    set_ = kForever;
}

}  // namespace kq
