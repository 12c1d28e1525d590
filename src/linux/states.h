// SPDX-License-Identifier: BSD-2-Clause
// States of descriptors (StateChange): an epoll set of their own, because their items must not
// disturb the modes of those that READ and WRITE have. It is watched by the public one.
// Lock: the kqueue's mutex.
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

    // too_many_open, no_memory.
    Errno open();
    void close();
    [[nodiscard]] int descriptor() const { return set_; }

    // As Backend::watch_state() and take_states().
    Errno set(int fd, uint8_t what, Handle handle) const;
    size_t take(std::span<Handle> out) const;

  private:
    int set_ = -1;
};

}  // namespace kq

#endif
