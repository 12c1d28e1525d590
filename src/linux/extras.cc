// SPDX-License-Identifier: BSD-2-Clause
// What few kqueues need: mounts, and states of descriptors. See backend.h and capabilities.h.
#include <sys/epoll.h>

#include "backend.h"
#include "epoll.h"
#include "sys.h"

namespace kq {

using epoll::control;

Errno Backend::watch_mounts() {
    if (mounts_.descriptor() >= 0) return Errno::ok;
    if (lanes_[0] < 0) return Errno::bad_descriptor;  // abandoned in a forked child
    const Errno error = mounts_.open();
    if (error != Errno::ok) return error;
    const Handle mine(Handle::Kind::mounts, 0, tag_);
    if (control(lanes_[0], EPOLL_CTL_ADD, mounts_.descriptor(), EPOLLPRI | EPOLLET, mine) == 0)
        return Errno::ok;
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
    }
    return states_.set(fd, what, handle);
}

}  // namespace kq
