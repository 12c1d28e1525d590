// SPDX-License-Identifier: BSD-2-Clause
// Connections of TCP on this machine, for real.cc. await_bytes() and await_end() wait until what
// was sent has arrived, because in the model everything arrives at once.
#ifndef KQMODEL_TCP_H
#define KQMODEL_TCP_H

#include <cstdint>

namespace kqmodel::tcp {

// Has a port of its own, which is opened when it is needed. It is used again and again, because the
// numbers of ports must last for many programs.
class Listener {
  public:
    Listener() = default;
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // Both ends are non-blocking and closed on exec, and send at once. False: the system refused.
    bool connect(int ends[2]);

  private:
    bool open();

    int fd_ = -1;
};

// How many bytes have arrived, including urgent ones. 0: the system does not tell.
uint64_t received(int fd);
// Wait until so many bytes have arrived, and until the peer has closed or reset the connection.
// After 2 seconds the test fails.
void await_bytes(int fd, uint64_t count);
void await_end(int fd);

}  // namespace kqmodel::tcp

#endif
