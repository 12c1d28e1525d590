// SPDX-License-Identifier: BSD-2-Clause
// Mounted file systems, from /proc/self/mountinfo, and how they have changed.
//
// The kernel reports a change once for each open mountinfo, to the first poll() that asks. That may
// be a poll() of the program on the kqueue. So there are two: one is in the epoll set and wakes the
// kqueue, the other is asked only here. Lock: the kqueue's mutex.
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

    // Opens both files. unsupported: there is no /proc. Other errors: memory or descriptors are
    // short. After an error nothing is open.
    Errno open();
    void close();
    // What to register with epoll, for EPOLLPRI by edge; -1 if it is not open.
    [[nodiscard]] int descriptor() const { return waking_; }

    // MountChange bits: what has changed since the last call. If the table cannot be read now, a
    // later call reports the change.
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
