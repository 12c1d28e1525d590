// SPDX-License-Identifier: BSD-2-Clause
// The bell (../posix/bells.h) of an event port: it is rung by sending to the port.
//
// The public descriptor is the port, and the library has no other number of it, because the kernel
// drops all associations of the process when any number of a port is closed (port_close() in the
// kernel of illumos). So a port is recognised by what fstat() says. All ports are on one device and
// have no inode number, but the time when each was made tells them apart.
#ifndef KQ_SOLARIS_PORT_BELL_H
#define KQ_SOLARIS_PORT_BELL_H

#include "../posix/bells.h"
#include "nanos.h"

namespace kq {

struct PortBell : Bell {
    std::atomic<uint64_t> file{0};    // what fstat() says of the port
    std::atomic<bool> unsent{false};  // it was rung, and the port had no room
    std::atomic<int64_t> taken{0};    // how many events were taken out of the port
    // When its kqueue has to be looked at although the port reports nothing. For kqueues that watch
    // it.
    std::atomic<Nanos> look_at{kForever};
};

namespace port_bell {

// What is sent: portev_events. portev_user is the tag of the kqueue that it is for.
enum Token : int { kRing = 1, kHold = 2, kWake = 4 };

// Makes a port. Errors: EMFILE, ENFILE, ENOMEM (also at the limit of ports). The public descriptor
// is bell.number, and is closed on exec.
Errno open(uint32_t tag, PortBell*& bell);
// Closes no descriptor. `waits`: until the threads that are ringing it have done so.
void close(PortBell& bell, bool waits);

Errno send(const PortBell& bell, Token token);
// The portev_user of a token says for which kqueue it is: another one may have had the number.
bool is_for(const PortBell& bell, const void* user);

// Tells open ports apart; 0: the number is not open, or no port.
uint64_t file_of(int number);
bool is_open(const PortBell& bell);
// The bell of a public number that still names a kqueue of this process; else null.
PortBell* find(int number);
// The tag of the kqueue that a number names; 0: it names none.
uint32_t tag_of(int number);

}  // namespace port_bell
}  // namespace kq

#endif
