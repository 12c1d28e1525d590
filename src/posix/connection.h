// SPDX-License-Identifier: BSD-2-Clause
// Infers how a connection died. The system keeps the answer in SO_ERROR, but gives it only once,
// and that must be to the program. Used by sockets.cc and descriptor.cc only. No state except
// FdFacts.
#ifndef KQ_POSIX_CONNECTION_H
#define KQ_POSIX_CONNECTION_H

#include "platform.h"

namespace kq::connection {

// The likeliest errno of a socket that has ended and for which poll() says POLLERR.
uint32_t cause_of_end(int fd, const FdFacts& facts);

// Whether a TCP connection is over, so that nothing can be sent any more. False, too, where the
// system does not tell.
bool is_over(int fd);

}  // namespace kq::connection

#endif
