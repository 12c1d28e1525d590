// SPDX-License-Identifier: BSD-2-Clause
// Finds out which sockets were closed. The value of a SOCKET is given out again at once, and a poll
// that was answered leaves nothing in the kernel that would notice.
//
// There is one for the process. Each watched socket has a poll of its own, only for kLocalClose, on
// a port on which no thread waits. closesocket() puts the packet there before it returns. Code that
// relies on a socket takes these packets first. A Watch is shared by all kqueues that watch the
// socket. A socket that has only disabled knotes has a lasting one, until the socket is closed.
//
// Lock: its own, taken inside a kqueue's mutex; no other lock is taken under it.
#ifndef KQ_WINDOWS_CLOSES_H
#define KQ_WINDOWS_CLOSES_H

#include <atomic>

#include "afd.h"

namespace kq::closes {

struct Watch {
    afd::Poll poll;  // first: what packets name
    int socket = -1;
    int users = 0;
    uint32_t serial = 0;  // if it is lasting
    Watch* next = nullptr;
    std::atomic<bool> closed{false};
};

// Begins to watch the open socket of this number. no_memory, too_many_open, bad_descriptor.
Result<Watch*> acquire(int socket);
void release(Watch& watch);

// A number for the open socket, which no other socket has. 0: there is none, because the socket
// cannot be watched.
uint32_t serial_of(int socket);
// Whether this number names the socket that had this serial.
bool has_serial(int socket, uint32_t serial);

// Takes the packets: Watch::closed is true for all sockets closed until now.
void notice();
// The same; and whether this socket is still the one that was watched.
inline bool is_same(const Watch& watch) {
    notice();
    return !watch.closed.load(std::memory_order_acquire);
}

}  // namespace kq::closes

#endif
