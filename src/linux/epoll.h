// SPDX-License-Identifier: BSD-2-Clause
// epoll in the words of platform.h: interest to events, events to wakeups.
// Used by backend.cc and renewal.cc; no state.
#ifndef KQ_LINUX_EPOLL_H
#define KQ_LINUX_EPOLL_H

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

#include <span>

#include "check.h"
#include "platform.h"
#include "sys.h"

namespace kq::epoll {

// epoll_ctl() with a handle; -1 and errno as that. A raw call, because race detectors follow
// descriptors through the wrapper. They would report that another thread closes the kqueue at the
// same time, which is allowed.
KQ_INLINE int control(int epoll, int operation, int fd, uint32_t events, Handle handle) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = handle.bits();
    return static_cast<int>(sys::call(SYS_epoll_ctl, epoll, operation, fd, &event));
}

// By direction and mode; Mode::none has none.
constexpr uint32_t kEventsFor[kDirections][4] = {
    {0, EPOLLIN | EPOLLRDHUP, EPOLLIN | EPOLLRDHUP | EPOLLET, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT},
    {0, EPOLLOUT, EPOLLOUT | EPOLLET, EPOLLOUT | EPOLLONESHOT},
};
inline uint32_t events_for(Direction d, Mode mode) {
    static_assert(static_cast<int>(Mode::level) == 1 && static_cast<int>(Mode::edge) == 2 &&
                  static_cast<int>(Mode::once) == 3);
    return kEventsFor[static_cast<int>(d)][static_cast<int>(mode)];
}

// FdFacts::registered has a bit for each lane.
constexpr uint8_t lane_bit(int lane) {
    return static_cast<uint8_t>(1u << lane);
}

// epoll_wait() that does not wait, for `room` events. Returns how many came, or a negative errno.
// It is never interrupted.
inline long take_events(int epoll, char* events, size_t room) {
#if defined(SYS_epoll_wait)  // not on newer architectures; cheaper by a tenth where it is
    return sys::answer(SYS_epoll_wait, epoll, events, static_cast<long>(room), 0);
#else
    return sys::answer(SYS_epoll_pwait, epoll, events, static_cast<long>(room), 0, 0, size_t{8});
#endif
}

// Where the kernel writes its events: into the end of the room for the wakeups. An event is not
// larger than a wakeup. So wakeups that are written one by one from the beginning never reach an
// event that was not read yet. A separate buffer would take half as much stack again in each call.
inline char* place_for_events(std::span<Wakeup> out) {
    static_assert(sizeof(epoll_event) <= sizeof(Wakeup));
    constexpr size_t kSpare = sizeof(Wakeup) - sizeof(epoll_event);
    static_assert(kSpare % alignof(epoll_event) == 0);
    return reinterpret_cast<char*>(out.data()) + out.size() * kSpare;
}

inline uint16_t ready_from(uint32_t events) {
    constexpr uint32_t kAll = kReadable | kWritable | kHangup | kReadHangup | kFailed;
    static_assert(uint32_t{EPOLLIN} == kReadable && uint32_t{EPOLLOUT} == kWritable &&
                  uint32_t{EPOLLHUP} == kHangup && uint32_t{EPOLLRDHUP} == kReadHangup &&
                  uint32_t{EPOLLERR} == kFailed);
    return static_cast<uint16_t>(events & kAll);
}

template <class T>
inline T load(const char* place) {
    T value;
    memcpy(&value, place, sizeof value);
    return value;
}

// An event that the kernel has put into its place.
inline epoll_event event_at(const char* events, size_t i) {
    // Field by field, so that each is loaded where it is needed.
    const char* place = events + i * sizeof(epoll_event);
    epoll_event event;
    event.events = load<uint32_t>(place + offsetof(epoll_event, events));
    event.data.u64 = load<uint64_t>(place + offsetof(epoll_event, data));
    return event;
}

// Translates `count` events of lane 0, which are in their place, from `done` on. If lane 1 has
// something, that follows. The handle of lane 1 has the tag; a handle with another queue's tag is
// reported as it is.
Result<size_t> translate_lanes(size_t done, size_t count, int lane1, uint32_t tag,
                               std::span<Wakeup> out);

// One of them, of lane 0.
KQ_INLINE Wakeup wakeup_at(const char* events, size_t i) {
    const epoll_event event = event_at(events, i);
    return {Handle(event.data.u64), ready_from(event.events), 0};
}

// The same, of all of them. `plain`: they are of descriptors, and nothing else.
KQ_INLINE Result<size_t> translate(size_t done, size_t count, int lane1, uint32_t tag,
                                   std::span<Wakeup> out, bool& plain) {
    const char* events = place_for_events(out);
    plain = true;
    for (size_t i = done; i < count; i++) {
        const Wakeup wakeup = wakeup_at(events, i);
        const Handle handle = wakeup.handle;
        if (handle.kind() != Handle::Kind::descriptor) {
            plain = false;
            if (handle.kind() == Handle::Kind::lane)
                return translate_lanes(i, count, lane1, tag, out);
        }
        out[i] = wakeup;
    }
    return count;
}

}  // namespace kq::epoll

#endif
