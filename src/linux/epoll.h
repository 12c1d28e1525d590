// epoll in the words of platform.h: interest to events, events to wakeups.
// Used by backend.cc and renewal.cc; no state.
#ifndef KQ_LINUX_EPOLL_H
#define KQ_LINUX_EPOLL_H

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <span>

#include "platform.h"

namespace kq::epoll {

// epoll_ctl() with a handle; -1 and errno as that. A raw call: race detectors follow the wrapper's
// use of numbers, and that a kqueue may be closed meanwhile is no mistake of ours.
inline int control(int epoll, int operation, int fd, uint32_t events, Handle handle) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = handle.bits();
    return static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, fd, &event));
}

inline uint32_t events_for(Direction d, Mode mode) {
    uint32_t events = d == Direction::read ? EPOLLIN | EPOLLRDHUP : EPOLLOUT;
    if (mode == Mode::edge) events |= EPOLLET;
    if (mode == Mode::once) events |= EPOLLONESHOT;
    return events;
}

// FdFacts::registered has a bit for each lane.
constexpr uint8_t lane_bit(int lane) {
    return static_cast<uint8_t>(1u << lane);
}

// What two lanes have to tell, without waiting. An error if the first is not an
// epoll set (any more).
Result<size_t> take_wakeups(const int lanes[2], std::span<Wakeup> out);

}  // namespace kq::epoll

#endif
