// SPDX-License-Identifier: BSD-2-Clause
#include "model.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "include/eventport.h"
#include "knobs.h"

namespace eventport {

State state;

namespace {

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
// Whether this thread holds the lock.
__attribute__((tls_model("initial-exec"))) thread_local bool holds = false;

// The most ports that share one eventfd. epoll limits the number of sets that watch one descriptor:
// to 1000, and to fewer where sets are nested.
constexpr unsigned kPortsOfLight = 32;
constexpr unsigned kLights = 4096;
struct Light {
    int fd;
    unsigned ports;
};
Light lights[kLights];
unsigned light_count;

Port* free_ports;

int take_light() {  // -1 and errno
    for (unsigned i = 0; i < light_count; i++)
        if (lights[i].ports < kPortsOfLight) return lights[i].ports++, lights[i].fd;
    if (light_count == kLights) return errno = EAGAIN, -1;
    const int fd = hide(static_cast<int>(sys(SYS_eventfd2, 1, EFD_CLOEXEC)));
    if (fd >= 0) lights[light_count++] = {fd, 1};
    return fd;
}

void return_light(int fd) {
    for (unsigned i = 0; i < light_count; i++)
        if (lights[i].fd == fd) lights[i].ports--;
}

// The port is readable if and only if its queue has an event, or its sources have news.
void show(Port& port) {
    if (port.foreign) return;
    const uint32_t events = port.count > 0 ? EPOLLIN : 0u;
    if (epoll_change(port.fd, EPOLL_CTL_MOD, port.light, events, make_data(Tag::light, 0, 0)) != 0)
        die("cannot show that a port is readable");
}

void forget_sent(Port& port) {
    while (port.first != nullptr) {
        Slot& slot = *port.first;
        unqueue(slot);
        if (slot.kind == Kind::user) state.sent.give_back(&slot);
    }
}

// The last descriptor of the port in this process is being closed. Its events and associations end.
void destroy(Port& port) {
    while (port.fds != nullptr)
        forget_fd(*port.fds);
    forget_files(port);
    detach_timers(port);
    port.dead = true;
    forget_sent(port);
    if (port.light >= 0) return_light(port.light);
    for (Port** p = &state.live; *p != nullptr; p = &(*p)->next_live)
        if (*p == &port) {
            *p = port.next_live;
            break;
        }
    port.next_live = free_ports;
    free_ports = &port;
}

// Rule 27: a descriptor of the port is closed, but not the last one.
void drop_associations(Port& port) {
    while (port.fds != nullptr)
        forget_fd(*port.fds);
    forget_files(port);
    detach_timers(port);
    port.alert_set = false;
}

Port* new_port() {
    // A port that a getter has not left yet is not used again.
    for (Port** p = &free_ports; *p != nullptr; p = &(*p)->next_live) {
        Port* port = *p;
        if (port->waiters != nullptr) continue;
        *p = port->next_live;
        *port = Port();
        return port;
    }
    static Port* row;
    static unsigned used;
    constexpr unsigned kMost = 1 << 17;
    if (row == nullptr) row = static_cast<Port*>(reserve_memory(sizeof(Port) * kMost));
    return used == kMost ? nullptr : row + used++;
}

sigset_t mask_before_fork;

void before_fork() {
    sigset_t mask;
    block_signals(mask);
    (void)::pthread_mutex_lock(&lock);
    mask_before_fork = mask;
}

void after_fork() {
    const sigset_t mask = mask_before_fork;
    (void)::pthread_mutex_unlock(&lock);
    restore_signals(mask);
}

// The child may close its copies of ports, and make ports of its own. The kernel's objects behind
// the copies belong to the parent, too, so the child does not touch them.
void in_child() {
    state.owner = ::getpid();
    state.forks++;
    for (int fd = next_hidden(0); fd < kMaxFd; fd = next_hidden(fd))
        close_hidden(fd);
    forget_waiters();
    forget_pump();
    for (Port* port = state.live; port != nullptr; port = port->next_live) {
        port->foreign = true;
        port->waiters = nullptr;
        port->alert_set = false;
        port->light = -1;
        forget_sent(*port);
        forget_files(*port);
        port->timers = nullptr;
    }
    forget_timers();
    light_count = 0;
    after_fork();
}

__attribute__((constructor)) void begin() {
    (void)real();
    warn_if_behind();
    state.owner = ::getpid();
    state.port_of = static_cast<Port**>(reserve_memory(sizeof(Port*) * kMaxFd));
    state.watches_of = static_cast<FdWatch**>(reserve_memory(sizeof(FdWatch*) * kMaxFd));
    state.sent.reserve();
    state.fds.reserve();
    state.files.reserve();
    state.timers.reserve();
    set_knobs(std::getenv("KQ_PORT"));
    if (::pthread_atfork(before_fork, after_fork, in_child) != 0) die("pthread_atfork failed");
    state.ready = true;
}

}  // namespace

Guard::Guard() : errno_(errno) {
    block_signals(mask_);
    run_delayed_handlers();
    (void)::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_);
    take();
}

Guard::~Guard() {
    give_back();
    (void)::pthread_setcancelstate(cancel_state_, nullptr);
    restore_signals(mask_);
    errno = errno_;
}

void Guard::take() {
    (void)::pthread_mutex_lock(&lock);
    holds = true;
}

void Guard::give_back() {
    holds = false;
    (void)::pthread_mutex_unlock(&lock);
}

bool Guard::is_held_here() {
    return holds;
}

Guard::Pause::Pause(Guard& guard) : guard_(guard) {
    give_back();
    (void)::pthread_setcancelstate(guard_.cancel_state_, nullptr);
}

// A cancelled thread comes here with the signal mask that it had while it slept.
Guard::Pause::~Pause() {
    (void)::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
    sigset_t before;
    block_signals(before);
    run_delayed_handlers();
    take();
}

Port* find_port(int fd) {
    if (fd >= 0 && fd < kMaxFd && state.port_of[fd] != nullptr) return state.port_of[fd];
    errno = is_open(fd) && !is_hidden(fd) ? EBADFD : EBADF;
    return nullptr;
}

bool take_slot(Port& port) {
    if (port.slots >= knobs.max_events) return false;
    port.slots++;
    return true;
}

void release_slot(Port& port) {
    port.slots--;
}

void post(Slot& slot) {
    if (slot.queued) return;
    Port& port = *slot.port;
    slot.queued = true;
    slot.next = nullptr;
    slot.previous = port.last;
    (port.last != nullptr ? port.last->next : port.first) = &slot;
    port.last = &slot;
    if (port.count++ == 0) show(port);
    wake_first(port);
}

void unqueue(Slot& slot) {
    if (!slot.queued) return;
    Port& port = *slot.port;
    slot.queued = false;
    (slot.previous != nullptr ? slot.previous->next : port.first) = slot.next;
    (slot.next != nullptr ? slot.next->previous : port.last) = slot.previous;
    if (--port.count == 0 && !port.dead) show(port);
}

void deliver(Port& port, port_event_t& event) {
    Slot& slot = *port.first;
    unqueue(slot);
    event.portev_events = slot.events;
    event.portev_source = slot.source;
    event.portev_object = slot.object;
    event.portev_user = slot.user;
    switch (slot.kind) {
        case Kind::user:
            state.sent.give_back(&slot);
            release_slot(port);
            break;
        case Kind::fd:
            break;
        case Kind::file:
            slot.events = 0;
            break;
        case Kind::timer: {
            Timer& timer = static_cast<Timer&>(slot);
            event.portev_events = timer.pending;  // counted until now (rule 19)
            timer.pending = 0;
            break;
        }
    }
}

void harvest(Port& port) {
    constexpr int kBatch = 64;
    epoll_event list[kBatch];
    int n = kBatch;
    while (n == kBatch) {
        n = epoll_collect(port.fd, list, kBatch, 0);
        for (int i = 0; i < n; i++) {
            const uint64_t data = list[i].data.u64;
            switch (static_cast<Tag>(data >> 60)) {
                case Tag::light:
                    break;
                case Tag::fd:
                    if (FdWatch* watch = state.fds.find(data)) fd_is_ready(*watch, list[i].events);
                    break;
                case Tag::timer:
                    if (Timer* timer = state.timers.find(data)) timer_has_expired(*timer);
                    break;
                case Tag::notify:
                    read_notifications(port);
                    break;
            }
        }
    }
}

int create_port() {
    const int fd = static_cast<int>(sys(SYS_epoll_create1, 0));
    if (fd < 0) return -1;
    Port* port = fd < kMaxFd ? new_port() : nullptr;
    const int light = port != nullptr ? take_light() : (errno = EAGAIN, -1);
    if (light < 0) {
        const int error = errno;
        (void)sys(SYS_close, fd);
        return errno = error, -1;
    }
    port->fd = fd;
    port->count_of_fds = 1;
    port->light = light;
    port->notify = -1;
    (void)::clock_gettime(CLOCK_REALTIME, &port->created);
    if (epoll_change(fd, EPOLL_CTL_ADD, light, 0, make_data(Tag::light, 0, 0)) != 0)
        die("a port cannot be made");
    port->next_live = state.live;
    state.live = port;
    state.port_of[fd] = port;
    note_descriptor(fd);
    return fd;
}

int send(Port& port, int events, void* user) {
    if (!take_slot(port)) return EAGAIN;
    Slot* slot = state.sent.take();
    if (slot == nullptr) return release_slot(port), EAGAIN;
    slot->port = &port;
    slot->kind = Kind::user;
    slot->source = PORT_SOURCE_USER;
    slot->events = events;
    slot->user = user;
    post(*slot);
    return 0;
}

void note_descriptor(int fd) {
    if (state.end_of_fds <= fd) state.end_of_fds = fd + 1;
}

void closing(Guard& guard, int fd) {
    if (fd < 0 || fd >= kMaxFd) return;
    while (state.watches_of[fd] != nullptr)
        forget_fd(*state.watches_of[fd]);
    Port* port = state.port_of[fd];
    if (port == nullptr) return;
    state.port_of[fd] = nullptr;
    expel_waiters(guard, *port, fd);
    if (--port->count_of_fds == 0) return destroy(*port);
    if (port->fd == fd) {
        port->fd = 0;
        while (state.port_of[port->fd] != port)
            port->fd++;
    }
    if (!port->foreign) drop_associations(*port);
}

void duplicated(int fd, int copy) {
    if (fd < 0 || fd >= kMaxFd || copy < 0 || copy >= kMaxFd || fd == copy) return;
    Port* port = state.port_of[fd];
    if (port == nullptr) return;
    state.port_of[copy] = port;
    note_descriptor(copy);
    port->count_of_fds++;
}

}  // namespace eventport

extern "C" __attribute__((visibility("default"))) void eventport_knobs(const char* text) {
    const eventport::Guard guard;
    eventport::set_knobs(text);
}

extern "C" __attribute__((visibility("default"))) int eventport_hidden(int fd) {
    return eventport::is_hidden(fd) ? 1 : 0;
}
