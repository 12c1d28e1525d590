// SPDX-License-Identifier: BSD-2-Clause
// What only the socket diagnostics of netlink know of a socket. Each question makes and closes a
// netlink socket, which takes some 10 us. It does not touch the socket it asks about. Used by
// sockets.cc only. No state.
#ifndef KQ_LINUX_DIAGNOSTICS_H
#define KQ_LINUX_DIAGNOSTICS_H

#include <stdint.h>

namespace kq::diagnostics {

// Connections that wait at an AF_UNIX listener; -1: unknown (a sandbox).
int64_t unix_backlog(int fd);

// Bytes that wait behind the urgent mark of a TCP socket that was read up to the mark, where
// FIONREAD says 0. -1: unknown (a sandbox, a dead connection).
int64_t tcp_behind_mark(int fd);

}  // namespace kq::diagnostics

#endif
