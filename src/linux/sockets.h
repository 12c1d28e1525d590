// SPDX-License-Identifier: BSD-2-Clause
// What a socket says, in the terms of BSD. Used by descriptor.cc and backend.h.
#ifndef KQ_LINUX_SOCKETS_H
#define KQ_LINUX_SOCKETS_H

#include "platform.h"

namespace kq::sockets {

// The kind of the socket fd. no_memory: it cannot be found out now.
Result<FdKind> classify(int fd);

// As descriptor::readable() and writable(), for the kinds of classify().
Sample readable(int fd, FdFacts& facts, uint16_t ready);
Sample writable(int fd, FdFacts& facts, uint16_t ready);

// The free space of a connection that is writable; 0: writable() has to find it out.
int64_t plain_room(int fd, FdKind kind);

}  // namespace kq::sockets

#endif
