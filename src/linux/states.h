// SPDX-License-Identifier: BSD-2-Clause
// States of descriptors (StateChange). They have an epoll set of their own, because an item of an
// epoll set has one mode, and READ and WRITE choose it. The public set watches this one. Lock: the
// kqueue's mutex.
#ifndef KQ_LINUX_STATES_H
#define KQ_LINUX_STATES_H

#include <span>

#include "handle.h"
#include "result.h"

namespace kq {

class StateWatch {
  public:
    StateWatch() = default;
    ~StateWatch() { close(); }
    StateWatch(const StateWatch&) = delete;
    StateWatch& operator=(const StateWatch&) = delete;

    // Makes the set. too_many_open, no_memory.
    Errno open();
    void close();
    [[nodiscard]] int descriptor() const { return set_; }

    // As Backend::watch_state(), still_state() and take_states().
    Errno set(int fd, uint8_t what, Handle handle) const;
    Errno still(int fd) const;
    size_t take(std::span<Handle> out) const;

  private:
    int set_ = -1;
};

}  // namespace kq

#endif
