// SPDX-License-Identifier: BSD-2-Clause
// What a socket says now. For descriptor.cc and socket_set.cc. No state, no lock.
#ifndef KQ_WINDOWS_SOCKETS_H
#define KQ_WINDOWS_SOCKETS_H

#include "platform_types.h"

namespace kq::sockets {

// AFD's events of a direction, and the same as Ready bits.
uint32_t events_for(Direction direction);
uint16_t ready_for(uint32_t events);

FdKind classify(int fd);
uint16_t poll(int fd, Direction direction);
// FIONREAD; 0 if it cannot be counted.
int64_t bytes_readable(int fd);

// As in namespace descriptor.
Sample readable(int fd, const FdFacts& facts, uint16_t ready);
Sample writable(int fd, const FdFacts& facts, uint16_t ready);

}  // namespace kq::sockets

#endif
