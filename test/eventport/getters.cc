// SPDX-License-Identifier: BSD-2-Clause
// port_getn() and port_alert(): rules 4 to 9, 17.
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "knobs.h"
#include "model.h"

namespace eventport {

namespace {

// Eventfds that wake getters. There are as many as getters ever slept at once; they are kept. A
// getter that gets no eventfd looks again every millisecond.
constexpr unsigned kBells = 1024;
int bells[kBells];
unsigned bell_count;

int take_bell() {
    if (bell_count > 0) return bells[--bell_count];
    const int error = errno;
    const int fd = hide(static_cast<int>(sys(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK)));
    errno = error;
    return fd;
}

void return_bell(int fd) {
    uint64_t rung;
    if (fd < 0) return;
    (void)sys(SYS_read, fd, &rung, sizeof rung);
    if (bell_count < kBells)
        bells[bell_count++] = fd;
    else
        close_hidden(fd);
}

int64_t now_ns() {
    timespec t;
    (void)::clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

}  // namespace

// A thread that sleeps in port_getn(). In the port's list, the waiters that want the fewest events
// come first.
struct Waiter {
    Waiter(Port& p, int descriptor, unsigned wanted)
        : port(p), fd(descriptor), nget(wanted), bell(take_bell()), forks(state.forks) {
        Waiter** place = &p.waiters;
        while (*place != nullptr && (*place)->nget < nget)
            place = &(*place)->next;
        next = *place;
        *place = this;
    }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() {
        if (forks != state.forks) return;  // the list and the bell are the parent's
        for (Waiter** p = &port.waiters; *p != nullptr; p = &(*p)->next)
            if (*p == this) {
                *p = next;
                break;
            }
        return_bell(bell);
        if (port.waiters != nullptr) port.waiters->ring();  // now the first one looks at the port
    }
    bool is_first() const { return port.waiters == this; }
    void ring() const {
        const uint64_t one = 1;
        if (bell >= 0) (void)sys(SYS_write, bell, &one, sizeof one);
    }

    Port& port;
    int fd;
    unsigned nget;
    int bell;
    unsigned forks;
    pthread_t thread = ::pthread_self();
    Waiter* next;
    bool closed = false;
    bool alerted = false;
    int alert_events = 0;
    void* alert_user = nullptr;
};

namespace {

// Sleeps until the port's state may have changed, until `left` ns are over (-1: no limit), or until
// a signal was handled: EINTR.
int sleep_once(Guard& guard, const Waiter& waiter, int64_t left) {
    const Port& port = waiter.port;
    pollfd list[2] = {{waiter.bell, POLLIN, 0}, {-1, POLLIN, 0}};
    // While the queue has events, but too few, the port is readable all the time.
    const bool looks = waiter.is_first() && port.count == 0 && !port.foreign;
    if (looks) list[1].fd = waiter.fd;
    const bool blind =
        waiter.bell < 0 || port.foreign || (waiter.is_first() && !looks && !is_pumping());
    constexpr int64_t kGlance = 1'000'000;
    if (blind && (left < 0 || left > kGlance)) left = kGlance;
    timespec limit{left / 1'000'000'000, left % 1'000'000'000};
    int error = 0;
    {
        const Guard::Pause pause(guard);
        error = sleep_on(list, 2, left < 0 ? nullptr : &limit, guard.outer_mask());
    }
    uint64_t rung;
    if (waiter.forks == state.forks && list[0].revents != 0)
        (void)sys(SYS_read, waiter.bell, &rung, sizeof rung);
    return error == EINTR ? EINTR : 0;
}

void write_alert(port_event_t& event, int events, void* user) {
    event = port_event_t();
    event.portev_events = events;
    event.portev_source = PORT_SOURCE_ALERT;
    event.portev_user = user;
}

enum class Woken { enough, alert, time, error };

// Waits for `nget` events. With Woken::error, errno is set.
Woken wait_for(Guard& guard, Waiter& waiter, int64_t timeout, port_event_t& alert) {
    const auto fail = [](int error) { return errno = error, Woken::error; };
    const int64_t deadline = timeout < 0 ? -1 : now_ns() + timeout;
    for (;;) {
        if (waiter.closed) return fail(EBADF);
        if (waiter.alerted) {
            write_alert(alert, waiter.alert_events, waiter.alert_user);
            return Woken::alert;
        }
        if (waiter.is_first() && waiter.port.count >= waiter.nget) return Woken::enough;
        int64_t left = -1;
        if (deadline >= 0) {
            left = deadline - now_ns();
            if (left <= 0) return Woken::time;
        }
        const int error = sleep_once(guard, waiter, left);
        if (waiter.forks != state.forks) return fail(EINTR);  // a handler forked: this is the child
        if (waiter.closed) return fail(EBADF);
        if (error == EINTR) return fail(EINTR);  // with SA_RESTART, too (rule 8)
        if (!waiter.port.foreign) harvest(waiter.port);
    }
}

uint_t take(Port& port, port_event_t* list, uint_t max, uint_t nget) {
    if (knobs.one_at_a_time && nget <= 1) max = 1;
    uint_t n = 0;
    while (n < max && port.first != nullptr)
        deliver(port, list[n++]);
    wake_first(port);
    return n;
}

int64_t to_ns(const timespec& t) {
    if (t.tv_sec > INT64_MAX / 2'000'000'000) return INT64_MAX / 2;
    return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

}  // namespace

int get_events(Guard& guard, int fd, port_event_t* list, uint_t max, uint_t* nget,
               const timespec* timeout, bool one) {
    // The checks are in the order of the kernel's checks.
    Port* port = find_port(fd);
    if (port == nullptr) return errno;
    const uint_t wanted = *nget;
    if (max > 0 && wanted > max) return EINVAL;
    const bool waits = timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
    if (max > 0 && wanted > 0 && waits && chance(knobs.eintr)) return EINTR;
    if (!port->foreign) harvest(*port);
    if (max == 0) return *nget = port->count, 0;
    if (list == nullptr) return EFAULT;
    if (wanted == 0) return 0;
    if (port->alert_set) {
        write_alert(list[0], port->alert_events, port->alert_user);
        return *nget = 1, 0;
    }
    Woken woken = Woken::enough;
    if (port->count < wanted && waits) {
        if (timeout != nullptr &&
            (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1'000'000'000))
            return EINVAL;
        Waiter waiter(*port, fd, wanted);
        woken = wait_for(guard, waiter, timeout == nullptr ? -1 : to_ns(*timeout), list[0]);
        if (woken == Woken::error) return errno;
        if (woken == Woken::alert) return *nget = 1, 0;
        if (woken == Woken::time && one) return ETIME;
        *nget = take(*port, list, max, wanted);
    } else {
        *nget = take(*port, list, max, wanted);
    }
    if (woken == Woken::time) return ETIME;
    if (!one && timeout != nullptr && waits && *nget > 0 && chance(knobs.etime_events))
        return ETIME;
    return 0;
}

int alert(Port& port, int flags, int events, void* user) {
    if (events == 0) return port.alert_set = false, 0;
    if ((flags & PORT_ALERT_INVALID) == PORT_ALERT_INVALID) return EINVAL;
    if (flags == PORT_ALERT_UPDATE && port.alert_set) return EBUSY;
    port.alert_set = true;
    port.alert_events = events;
    port.alert_user = user;
    for (Waiter* w = port.waiters; w != nullptr; w = w->next) {
        if (w->alerted) continue;
        w->alerted = true;
        w->alert_events = events;
        w->alert_user = user;
        w->ring();
    }
    return 0;
}

void wake_first(Port& port) {
    if (port.waiters != nullptr && port.count >= port.waiters->nget) port.waiters->ring();
}

void expel_waiters(Guard& guard, Port& port, int fd) {
    // A waiter of this thread itself stands below a signal handler, and the handler has called
    // close().
    const auto others = [&] {
        unsigned n = 0;
        for (Waiter* w = port.waiters; w != nullptr; w = w->next) {
            if (w->fd != fd) continue;
            if (!w->closed) w->ring();
            w->closed = true;
            if (::pthread_equal(w->thread, ::pthread_self()) == 0) n++;
        }
        return n;
    };
    while (others() > 0) {
        int state_before;
        {
            const Guard::Pause pause(guard);
            (void)::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_before);
            const timespec moment{0, 50'000};
            (void)sys(SYS_nanosleep, &moment, nullptr);
            (void)::pthread_setcancelstate(state_before, nullptr);
        }
    }
}

void forget_waiters() {
    bell_count = 0;
}

}  // namespace eventport
