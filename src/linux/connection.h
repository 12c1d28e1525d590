// SPDX-License-Identifier: BSD-2-Clause
// Infers how a connection died. The kernel keeps the answer in SO_ERROR and gives it once. It is
// for the program, so this code does not ask for it. It infers the answer from state that can be
// read any number of times. Used by sockets.cc and descriptor.cc only. No state except FdFacts.
#ifndef KQ_LINUX_CONNECTION_H
#define KQ_LINUX_CONNECTION_H

#include "platform.h"

namespace kq::connection {

// The likeliest errno of a socket that has ended and for which poll() says POLLERR. 0: the
// connection has not failed (there is an error queue).
uint32_t cause_of_end(int fd, const FdFacts& facts);

// Whether a TCP connection is over, so that nothing can be sent any more.
bool is_over(int fd);

}  // namespace kq::connection

#endif
