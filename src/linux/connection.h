// SPDX-License-Identifier: BSD-2-Clause
// Infers how a connection died. The kernel keeps the answer in SO_ERROR and gives it once. It is
// for the program, so nothing here asks for it: all is inferred from what the kernel shows without
// giving it away. Used by sockets.cc only. No state except FdFacts.
#ifndef KQ_LINUX_CONNECTION_H
#define KQ_LINUX_CONNECTION_H

#include "platform.h"

namespace kq::connection {

// The likeliest errno of a socket that has ended and for which poll() says POLLERR. 0: the
// connection has not failed (there is an error queue).
uint32_t cause_of_end(int fd, const FdFacts& facts);

}  // namespace kq::connection

#endif
