// SPDX-License-Identifier: BSD-2-Clause
// How many bytes can be read, and how many were not sent yet. POSIX has no call for either, but all
// common systems have FIONREAD and TIOCOUTQ. On a system without them the answers are "unknown",
// and the library says 1 for a ready descriptor. Used by descriptor.cc, sockets.cc and poller.cc;
// no state.
#ifndef KQ_POSIX_AMOUNT_H
#define KQ_POSIX_AMOUNT_H

#include <stdint.h>

namespace kq::amount {

// Bytes that can be read; -1: unknown (errno EBADF: not open).
int64_t readable(int fd);
// Bytes in a socket's send buffer; -1: unknown (errno EBADF: not open).
int64_t unsent(int fd);

}  // namespace kq::amount

#endif
