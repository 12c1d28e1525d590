// SPDX-License-Identifier: BSD-2-Clause
// PORT_SOURCE_FD: rules 11 to 15.
#include <poll.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>

#include "knobs.h"
#include "model.h"

namespace eventport {

namespace {

// A descriptor that epoll refuses is always ready for these events.
constexpr int kAlways = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

FdWatch* find(const Port& port, int fd) {
    FdWatch* watch = state.watches_of[fd];
    while (watch != nullptr && watch->port != &port)
        watch = watch->next_of_fd;
    return watch;
}

uint64_t data_of(const FdWatch& watch) {
    return make_data(Tag::fd, state.fds.index(&watch), watch.generation);
}

// Arms the epoll item. An association belongs to a descriptor and an open file (rule 11), and so
// does the item. ENOENT if the number now belongs to another file, after a close() that the model
// did not see.
int arm(FdWatch& watch, bool fresh, const struct stat& file) {
    if (watch.ever_ready)
        return watch.device == file.st_dev && watch.inode == file.st_ino ? 0 : ENOENT;
    const auto change = [&](int operation) {
        return epoll_change(watch.port->fd, operation, watch.fd,
                            static_cast<uint32_t>(watch.asked) | EPOLLONESHOT, data_of(watch));
    };
    int error = change(fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
    if (fresh && error == EEXIST) error = change(EPOLL_CTL_MOD);
    if (!fresh || error != EPERM) return error;
    watch.ever_ready = true;
    watch.device = file.st_dev;
    watch.inode = file.st_ino;
    return 0;
}

FdWatch* add(Port& port, int fd) {
    if (!take_slot(port)) return nullptr;
    FdWatch* watch = state.fds.take();
    if (watch == nullptr) return release_slot(port), nullptr;
    watch->port = &port;
    watch->kind = Kind::fd;
    watch->source = PORT_SOURCE_FD;
    watch->object = static_cast<uintptr_t>(fd);
    watch->fd = fd;
    watch->next_of_port = port.fds;
    port.fds = watch;
    pump_watch(fd, Tag::fd, static_cast<uint32_t>(fd));
    watch->next_of_fd = state.watches_of[fd];
    state.watches_of[fd] = watch;
    note_descriptor(fd);
    return watch;
}

void report(FdWatch& watch, int events, bool genuine) {
    watch.valid = false;
    watch.events = events;
    watch.genuine = genuine;
    watch.last_events = events;
    post(watch);
}

// Reports events that are no longer true. FIFOs report them after they were drained, and they are
// legal for all descriptors (rule 12). Never twice in a row: a program that looks and associates
// again must come to an end.
void report_untrue(FdWatch& watch, mode_t mode) {
    if (!watch.valid || !watch.genuine) return;
    const bool fifo = knobs.spurious_fifo && S_ISFIFO(mode) && (watch.asked & POLLIN) != 0;
    const int events = fifo ? POLLIN : watch.last_events & watch.asked;
    if (events != 0 && (fifo || chance(knobs.stale))) report(watch, events, false);
}

template <class T, class Next>
void unlink(T*& list, T* one, Next next) {
    for (T** p = &list; *p != nullptr; p = &((*p)->*next))
        if (*p == one) {
            *p = one->*next;
            return;
        }
}

}  // namespace

void forget_fd(FdWatch& watch) {
    Port& port = *watch.port;
    unqueue(watch);
    unlink(port.fds, &watch, &FdWatch::next_of_port);
    unlink(state.watches_of[watch.fd], &watch, &FdWatch::next_of_fd);
    if (!port.foreign) {  // otherwise the item is the parent's, too
        if (!watch.ever_ready) (void)epoll_change(port.fd, EPOLL_CTL_DEL, watch.fd, 0, 0);
        if (state.watches_of[watch.fd] == nullptr) pump_unwatch(watch.fd);
    }
    release_slot(port);
    state.fds.give_back(&watch);
}

void fd_is_ready(FdWatch& watch, uint32_t events) {
    if (!watch.valid) return;
    report(watch, static_cast<int>(events) & (watch.asked | POLLHUP | POLLERR), true);
}

int associate_fd(Port& port, uintptr_t object, int events, void* user) {
    if (object > INT_MAX) return EBADFD;
    const int fd = static_cast<int>(object);
    struct stat file;
    if (fd >= kMaxFd || is_hidden(fd) || real().fstat(fd, &file) != 0) return EBADFD;
    if (is_refused(file.st_mode)) return EBADFD;
    port.had_fd = true;
    harvest(port);
    FdWatch* watch = find(port, fd);
    for (int tries = 0;; tries++) {
        const bool fresh = watch == nullptr;
        if (fresh) watch = add(port, fd);
        if (watch == nullptr) return EAGAIN;
        unqueue(*watch);
        watch->user = user;
        watch->asked = events;
        const int error = arm(*watch, fresh, file);
        if (error == 0) break;
        forget_fd(*watch);
        watch = nullptr;
        if (error != ENOENT || tries > 0) return error == ENOSPC ? EAGAIN : error;
    }
    watch->valid = true;
    if (watch->ever_ready && (events & kAlways) != 0) report(*watch, events & kAlways, true);
    harvest(port);  // a ready descriptor is reported at once
    report_untrue(*watch, file.st_mode);
    return 0;
}

int dissociate_fd(Port& port, uintptr_t object) {
    if (object > INT_MAX) return EBADFD;
    if (!port.had_fd) return ENOENT;  // before the descriptor is looked at
    const int fd = static_cast<int>(object);
    struct stat file;
    if (fd >= kMaxFd || real().fstat(fd, &file) != 0) return EBADFD;
    FdWatch* watch = find(port, fd);
    if (watch == nullptr) return ENOENT;
    if (port.foreign) return EACCES;
    harvest(port);
    bool active = watch->valid || watch->queued;
    if (watch->ever_ready) {
        if (watch->device != file.st_dev || watch->inode != file.st_ino) active = false;
    } else if (epoll_change(port.fd, EPOLL_CTL_DEL, fd, 0, 0) != 0) {
        active = false;  // it is another file now
    }
    forget_fd(*watch);
    return active ? 0 : ENOENT;
}

}  // namespace eventport
