// SPDX-License-Identifier: BSD-2-Clause
// The bell (../posix/bells.h) of an event port: it is rung by sending to the port.
//
// The public descriptor is the port, and the library has no other number of it: the kernel drops
// what this process has associated when any number of a port is closed (port_close() in the kernel
// of illumos). So a port is known by what fstat() says: all are on one device and without an inode
// number, but the time when each was made tells them apart.
#ifndef KQ_SOLARIS_PORT_BELL_H
#define KQ_SOLARIS_PORT_BELL_H

#include "../posix/bells.h"
#include "nanos.h"

namespace kq {

struct PortBell : Bell {
    std::atomic<uint64_t> file{0};    // what fstat() says of the port
    std::atomic<bool> unsent{false};  // it was rung, and there was no room for that
    std::atomic<int64_t> taken{0};    // how many events were taken out of the port
    // When its kqueue is to be looked at although the port says nothing. For those who watch it.
    std::atomic<Nanos> look_at{kForever};
};

namespace port_bell {

// What is sent: portev_events. portev_user is the tag of the kqueue that it is for.
enum Token : int { kRing = 1, kHold = 2, kWake = 4 };

// Makes a port: EMFILE, ENFILE, ENOMEM (so, too, at the limit of ports). The public descriptor is
// bell.number, and is closed on exec.
Errno open(uint32_t tag, PortBell*& bell);
// Closes nothing. `waits`: for those who ring.
void close(PortBell& bell, bool waits);

Errno send(const PortBell& bell, Token token);
// The user of a token says whom it is for: another kqueue may have had the number.
bool is_for(const PortBell& bell, const void* user);

// Tells open ports apart; 0: the number is not open, or no port.
uint64_t file_of(int number);
bool is_open(const PortBell& bell);
// The bell of a public number, which is still that of a kqueue of ours; else null.
PortBell* find(int number);
// The tag of the kqueue that any number names, 0 if of none.
uint32_t tag_of(int number);

}  // namespace port_bell
}  // namespace kq

#endif
