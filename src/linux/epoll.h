// epoll in the words of platform.h: interest to events, events to wakeups.
// Used by backend.cc and renewal.cc; no state.
#ifndef KQ_LINUX_EPOLL_H
#define KQ_LINUX_EPOLL_H

#include <errno.h>
#include <sys/epoll.h>

#include <span>

#include "platform.h"
#include "sys.h"

namespace kq::epoll {

// epoll_ctl() with a handle; -1 and errno as that. A raw call: race detectors follow the wrapper's
// use of numbers, and that a kqueue may be closed meanwhile is no mistake of ours.
inline int control(int epoll, int operation, int fd, uint32_t events, Handle handle) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = handle.bits();
    return static_cast<int>(sys::call(SYS_epoll_ctl, epoll, operation, fd, &event));
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

// The most that is taken from a set at a time.
constexpr int kBatch = 64;

// epoll_wait() that does not wait: the number of events, or -1 and errno. Never interrupted.
inline long take_events(int epoll, epoll_event (&events)[kBatch], size_t most) {
    const size_t room = most < kBatch ? most : kBatch;
#if defined(SYS_epoll_wait)  // not on newer architectures; cheaper by a tenth where it is
    return sys::call(SYS_epoll_wait, epoll, events, static_cast<long>(room), 0);
#else
    return sys::call(SYS_epoll_pwait, epoll, events, static_cast<long>(room), 0, 0, size_t{8});
#endif
}

// What `count` events of lane 0 say; where lane 1 has something, that follows.
Result<size_t> translate(const epoll_event* events, size_t count, int lane1, std::span<Wakeup> out);

// What two lanes have to tell, without waiting. An error if the first is not an
// epoll set (any more). Inlined: most calls come back with nothing or little, see raw_call.h.
[[gnu::always_inline]] inline Result<size_t> take_wakeups(const int lanes[2],
                                                          std::span<Wakeup> out) {
    epoll_event events[kBatch];
    const long count = take_events(lanes[0], events, out.size());
    if (count == 0) return size_t{0};
    if (count < 0) return errno == EINVAL ? Errno::bad_descriptor : last_errno();
    return translate(events, static_cast<size_t>(count), lanes[1], out);
}

}  // namespace kq::epoll

#endif
