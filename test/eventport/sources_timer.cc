// SPDX-License-Identifier: BSD-2-Clause
// PORT_SOURCE_TIMER: rules 18, 19. Each timer has a timerfd.
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>

#include "knobs.h"
#include "model.h"

namespace eventport {

namespace {

// No timer_t of the C library looks like this.
constexpr uintptr_t kFirstId = 0x5E700000;
// On illumos, an unprivileged program cannot have a shorter interval.
constexpr long kShortestInterval = 200'000;

unsigned timers_in_use;

bool is_valid(const timespec& t) {
    return t.tv_sec >= 0 && t.tv_nsec >= 0 && t.tv_nsec < 1'000'000'000;
}

void leave_port(Timer& timer) {
    Port& port = *timer.port;
    unqueue(timer);
    for (Timer** p = &port.timers; *p != nullptr; p = &(*p)->next_of_port)
        if (*p == &timer) {
            *p = timer.next_of_port;
            break;
        }
    (void)epoll_change(port.fd, EPOLL_CTL_DEL, timer.fd, 0, 0);
    release_slot(port);
    timer.heard = false;
}

}  // namespace

Timer* find_timer(timer_t id) {
    const uintptr_t number = reinterpret_cast<uintptr_t>(id);
    if (number < kFirstId || number >= kFirstId + state.timers.used()) return nullptr;
    Timer* timer = state.timers.at(static_cast<uint32_t>(number - kFirstId));
    return timer->used ? timer : nullptr;
}

int create_timer(clockid_t clock, const port_notify_t& notify, timer_t* id) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC) return EINVAL;
    if (clock == CLOCK_MONOTONIC && knobs.highres_denied) return EPERM;
    if (timers_in_use >= knobs.timers) return EAGAIN;
    Port* port = find_port(notify.portnfy_port);
    if (port == nullptr) return errno;
    if (port->foreign) return unimplemented("a timer on a port of the parent"), ENOTSUP;
    if (!take_slot(*port)) return EAGAIN;
    const int fd =
        hide(static_cast<int>(sys(SYS_timerfd_create, clock, TFD_CLOEXEC | TFD_NONBLOCK)));
    Timer* timer = fd >= 0 ? state.timers.take() : nullptr;
    if (timer == nullptr) {
        close_hidden(fd);
        release_slot(*port);
        return EAGAIN;
    }
    timers_in_use++;
    const uint32_t index = state.timers.index(timer);
    timer->used = timer->heard = true;
    timer->fd = fd;
    timer->port = port;
    timer->kind = Kind::timer;
    timer->source = PORT_SOURCE_TIMER;
    timer->object = kFirstId + index;
    timer->user = notify.portnfy_user;
    timer->next_of_port = port->timers;
    port->timers = timer;
    const uint64_t data = make_data(Tag::timer, index, timer->generation);
    if (epoll_change(port->fd, EPOLL_CTL_ADD, fd, EPOLLIN, data) != 0)
        die("a timer cannot be watched");
    pump_watch(fd, Tag::timer, index);
    *id = reinterpret_cast<timer_t>(kFirstId + index);
    return 0;
}

int set_timer(Timer& timer, int flags, const itimerspec* value, itimerspec* old) {
    if (value == nullptr) return EFAULT;
    itimerspec wanted = *value;
    const bool starts = wanted.it_value.tv_sec != 0 || wanted.it_value.tv_nsec != 0;
    if (!is_valid(wanted.it_value) || (starts && !is_valid(wanted.it_interval))) return EINVAL;
    timespec& interval = wanted.it_interval;
    if (!starts) interval = timespec();
    if (interval.tv_sec == 0 && interval.tv_nsec > 0 && interval.tv_nsec < kShortestInterval)
        interval.tv_nsec = kShortestInterval;
    // timerfd_settime() forgets past expirations. The real timer has queued its event by then (rule
    // 19).
    if (timer.heard) harvest(*timer.port);
    const int how = (flags & TIMER_ABSTIME) != 0 ? TFD_TIMER_ABSTIME : 0;
    return sys(SYS_timerfd_settime, timer.fd, how, &wanted, old) == 0 ? 0 : errno;
}

int get_timer(Timer& timer, itimerspec* value) {
    return sys(SYS_timerfd_gettime, timer.fd, value) == 0 ? 0 : errno;
}

void timer_has_expired(Timer& timer) {
    uint64_t times = 0;
    if (sys(SYS_read, timer.fd, &times, sizeof times) != sizeof times || times == 0) return;
    const uint64_t sum = static_cast<uint64_t>(timer.pending) + times;
    timer.pending = sum > INT_MAX ? INT_MAX : static_cast<int>(sum);
    post(timer);
}

void delete_timer(Timer& timer) {
    if (timer.heard) leave_port(timer);
    pump_unwatch(timer.fd);
    close_hidden(timer.fd);
    timer.used = false;
    timers_in_use--;
    state.timers.give_back(&timer);
}

void detach_timers(Port& port) {
    if (port.foreign) return;
    while (port.timers != nullptr)
        leave_port(*port.timers);
}

void forget_timers() {
    for (uint32_t i = 0; i < state.timers.used(); i++) {
        Timer* timer = state.timers.at(i);
        if (!timer->used) continue;
        timer->used = false;
        timer->queued = false;
        state.timers.give_back(timer);
    }
    timers_in_use = 0;
}

}  // namespace eventport
