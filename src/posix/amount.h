// How much is to be read, and how much was not sent yet. POSIX has no call for either;
// FIONREAD and TIOCOUTQ are what all systems have that it describes. Where a system
// lacks them the answers are "unknown", and the library says 1 for what is ready.
// Used by descriptor.cc, sockets.cc and poller.cc; no state.
#ifndef KQ_POSIX_AMOUNT_H
#define KQ_POSIX_AMOUNT_H

#include <stdint.h>

namespace kq::amount {

// Bytes to be read; -1: it cannot be told (errno EBADF: not open).
int64_t readable(int fd);
// Bytes in a socket's send buffer; -1: likewise.
int64_t unsent(int fd);

}  // namespace kq::amount

#endif
