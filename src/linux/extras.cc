// SPDX-License-Identifier: BSD-2-Clause
// What few kqueues need: processes, mounts, and states of descriptors. See backend.h and
// capabilities.h.
#include <sys/epoll.h>

#include "backend.h"
#include "epoll.h"
#include "proc_connector.h"
#include "sys.h"

namespace kq {

using epoll::control;

Errno Backend::watch_mounts() {
    if (mounts_.descriptor() >= 0) return Errno::ok;
    if (lanes_[0] < 0) return Errno::bad_descriptor;  // abandoned in a forked child
    const Errno error = mounts_.open();
    if (error != Errno::ok) return error;
    const Handle mine(Handle::Kind::mounts, 0, tag_);
    if (control(lanes_[0], EPOLL_CTL_ADD, mounts_.descriptor(), EPOLLPRI | EPOLLET, mine) == 0) {
        note_opened(mounts_.descriptor());
        return Errno::ok;
    }
    const Errno refused = sys::refusal();
    mounts_.close();
    return refused;
}

Errno Backend::watch_state(int fd, uint8_t what, Handle handle) {
    if (states_.descriptor() < 0 && what != 0) {
        if (lanes_[0] < 0) return Errno::bad_descriptor;
        const Errno error = states_.open();
        if (error != Errno::ok) return error;
        const Handle mine(Handle::Kind::states, 0, tag_);
        if (control(lanes_[0], EPOLL_CTL_ADD, states_.descriptor(), EPOLLIN, mine) != 0) {
            const Errno refused = sys::refusal();
            states_.close();
            return refused;
        }
        note_opened(states_.descriptor());
    }
    return states_.set(fd, what, handle);
}

// Registered to report once: after the exit the pidfd stays readable, and tells nothing new.
Errno Backend::watch_process(int32_t pid, Handle handle, ProcessFacts& facts) {
    int fd = -1;
    const Errno error = pidfds_.open(pid, facts, fd);
    if (error != Errno::ok) return error;
    static_cast<Pidfds::Slot*>(facts.place)->handle = handle;
    if (control(lanes_[0], EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, handle) == 0) {
        note_opened(fd);
        return Errno::ok;
    }
    const Errno refused = sys::refusal();
    pidfds_.forget(facts);
    return refused;
}

// Registered by level: the thread that wakes first takes the news for all kqueues.
Errno Backend::hear_processes(bool on) {
    const int operation = on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;
    const Handle handle(Handle::Kind::processes, 0, tag_);
    if (control(lanes_[0], operation, connector::descriptor(), EPOLLIN, handle) != 0)
        return sys::refusal();
    if (on) note_opened(connector::descriptor());
    return Errno::ok;
}

}  // namespace kq
