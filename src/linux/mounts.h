// SPDX-License-Identifier: BSD-2-Clause
// What is mounted where, as /proc/self/mountinfo says, and what has changed.
//
// The kernel tells each open mountinfo once of a change, to whoever asks first, and also to a
// poll() of the program that comes by way of the kqueue. So there are two: one wakes the kqueue,
// the other is asked here and by nobody else.
// Lock: the kqueue's mutex.
#ifndef KQ_LINUX_MOUNTS_H
#define KQ_LINUX_MOUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "result.h"

namespace kq {

class MountWatch {
  public:
    MountWatch() = default;
    ~MountWatch() { close(); }
    MountWatch(const MountWatch&) = delete;
    MountWatch& operator=(const MountWatch&) = delete;

    // Begins. unsupported: there is no /proc; else memory or descriptors are short, and nothing
    // is open.
    Errno open();
    void close();
    // What to register with epoll, for EPOLLPRI by edge; -1 if it is not open.
    [[nodiscard]] int descriptor() const { return waking_; }

    // MountChange bits: what has changed since the last time. What cannot be read now is told
    // by a later call.
    uint32_t take();

  private:
    // A set of mounts, each as a hash of its place and its file system, sorted.
    struct Table {
        uint64_t* mounts = nullptr;
        size_t count = 0;
        size_t capacity = 0;
    };
    Errno read(Table& table) const;
    static bool has_more(const Table& table, const Table& other);

    int waking_ = -1;
    int asked_ = -1;
    bool unread_ = false;  // it has changed, and could not be read
    Table known_;
};

}  // namespace kq

#endif
