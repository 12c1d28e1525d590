// SPDX-License-Identifier: BSD-2-Clause
// What poll() is asked for a direction, and what it answers, as Ready bits.
#ifndef KQ_POSIX_POLL_BITS_H
#define KQ_POSIX_POLL_BITS_H

#include <poll.h>
#include <stdint.h>

#include "platform_types.h"

namespace kq {

// The bit by which poll() tells that the peer will send no more; 0 if the system has none. Then
// poll() says that the socket is readable, and FIONREAD says that there are no bytes.
#ifdef POLLRDHUP
inline constexpr short kPeerEnded = POLLRDHUP;
#else
inline constexpr short kPeerEnded = 0;
#endif

inline uint8_t bit(Direction d) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(d));
}

inline short events_for(Direction d) {
    return d == Direction::read ? POLLIN : POLLOUT;
}

inline uint16_t to_ready(int events) {
    unsigned ready = 0;
    if ((events & POLLIN) != 0) ready |= kReadable;
    if ((events & POLLOUT) != 0) ready |= kWritable;
    if ((events & POLLHUP) != 0) ready |= kHangup;
    if ((events & POLLERR) != 0) ready |= kFailed;
    if ((events & POLLNVAL) != 0) ready |= kClosed;
    return static_cast<uint16_t>(ready);
}

}  // namespace kq

#endif
