// SPDX-License-Identifier: BSD-2-Clause
// States of descriptors, by an epoll set. See states.h.
#include "states.h"

#include <sys/epoll.h>

#include "epoll.h"
#include "own_file.h"
#include "sys.h"

namespace kq {
namespace {

uint32_t events_for(uint8_t what) {
    uint32_t events = EPOLLET;
    if ((what & kUrgentData) != 0) events |= EPOLLPRI | EPOLLRDHUP;
    if ((what & kProcessEnded) != 0) events |= EPOLLIN;
    return events;
}

}  // namespace

Errno StateWatch::open() {
    set_ = own_file::keep(epoll_create1(EPOLL_CLOEXEC), this);
    return set_ < 0 ? last_errno() : Errno::ok;
}

void StateWatch::close() {
    own_file::close(set_, this);
}

Errno StateWatch::set(int fd, uint8_t what, Handle handle) const {
    if (set_ < 0) return Errno::ok;
    if (what == 0) {
        (void)epoll::control(set_, EPOLL_CTL_DEL, fd, 0, Handle{});  // it may not have it
        return Errno::ok;
    }
    const uint32_t events = events_for(what);
    if (epoll::control(set_, EPOLL_CTL_ADD, fd, events, handle) == 0) return Errno::ok;
    if (errno != EEXIST) return sys::refusal();
    return epoll::control(set_, EPOLL_CTL_MOD, fd, events, handle) == 0 ? Errno::ok
                                                                        : sys::refusal();
}

// EPOLL_CTL_MOD would report a state again that is still true.
Errno StateWatch::still(int fd) const {
    if (set_ < 0) return Errno::ok;
    if (epoll::control(set_, EPOLL_CTL_ADD, fd, 0, Handle{}) == 0) {
        (void)epoll::control(set_, EPOLL_CTL_DEL, fd, 0, Handle{});
        return Errno::no_entry;
    }
    if (errno == EBADF) return Errno::bad_descriptor;
    return errno == EPERM ? Errno::no_entry : Errno::ok;
}

size_t StateWatch::take(std::span<Handle> out) const {
    if (set_ < 0) return 0;
    constexpr size_t kMost = 16;
    epoll_event events[kMost];
    const size_t room = out.size() < kMost ? out.size() : kMost;
    const long count = epoll::take_events(set_, reinterpret_cast<char*>(events), room);
    for (long i = 0; i < count; i++)
        out[static_cast<size_t>(i)] = Handle(events[i].data.u64);
    return count < 0 ? 0 : static_cast<size_t>(count);
}

}  // namespace kq
