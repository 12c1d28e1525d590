// SPDX-License-Identifier: BSD-2-Clause
// What a socket says, in the terms of BSD. Used by descriptor.cc only.
#ifndef KQ_POSIX_SOCKETS_H
#define KQ_POSIX_SOCKETS_H

#include "platform.h"

namespace kq::sockets {

// The kind of the socket fd.
FdKind classify(int fd);

// As descriptor::readable() and writable(), for the kinds of classify().
Sample readable(int fd, FdFacts& facts, uint16_t ready);
Sample writable(int fd, FdFacts& facts, uint16_t ready);

}  // namespace kq::sockets

#endif
