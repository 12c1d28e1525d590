// SPDX-License-Identifier: BSD-2-Clause
// Which sockets were closed: the value of a SOCKET is given out again at once, and a poll that was
// answered leaves nothing in the kernel that would notice.
//
// One for the process: each watched socket has a poll of its own, for kLocalClose and nothing else,
// on a port that nobody waits for. closesocket() puts the packet there before it returns; whoever
// is about to believe in a socket takes the packets first. A Watch is shared by all kqueues that
// watch the socket.
//
// Lock: a leaf of its own, inside a kqueue's mutex.
#ifndef KQ_WINDOWS_CLOSES_H
#define KQ_WINDOWS_CLOSES_H

#include <atomic>

#include "afd.h"

namespace kq::closes {

struct Watch {
    afd::Poll poll;  // first: what packets name
    int socket = -1;
    int users = 0;
    Watch* next = nullptr;
    std::atomic<bool> closed{false};
};

// Begins to watch the open socket of this number. no_memory, too_many_open, bad_descriptor.
Result<Watch*> acquire(int socket);
void release(Watch& watch);

// Takes in what was closed until now: Watch::closed is true of that.
void notice();
// Likewise, and whether this is the socket it was.
inline bool is_same(const Watch& watch) {
    notice();
    return !watch.closed.load(std::memory_order_acquire);
}

}  // namespace kq::closes

#endif
