// SPDX-License-Identifier: BSD-2-Clause
// What one sleeping thread waits for: a copy of the armed set, because other threads may change
// that set during the sleep. Used by poller_wait.cc and nest.cc; each belongs to one thread.
#ifndef KQ_POSIX_POLLER_SNAPSHOT_H
#define KQ_POSIX_POLLER_SNAPSHOT_H

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "poller.h"

namespace kq {

struct Poller::Snapshot {
    pollfd* fds = nullptr;
    size_t count = 0;
    size_t capacity = 0;
    uint64_t version = 0;  // of the set that was copied; 0: of none
    int refusals = 0;      // Poller::refusals_ at that time
    bool whole = true;     // false: entries are missing, there was no memory
    Snapshot* next = nullptr;

    Snapshot() = default;
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;
    ~Snapshot() { free(fds); }

    void add(const pollfd* from, size_t more) {
        if (!grow_array(fds, capacity, count + more) || fds == nullptr) {
            whole = false;
            return;
        }
        memcpy(fds + count, from, more * sizeof *from);
        count += more;
    }

    // Leaves one entry for each descriptor.
    void merge() {
        if (fds == nullptr) return;
        qsort(fds, count, sizeof *fds, [](const void* a, const void* b) {
            return static_cast<const pollfd*>(a)->fd - static_cast<const pollfd*>(b)->fd;
        });
        size_t merged = 0;
        for (size_t i = 0; i < count; i++) {
            if (merged > 0 && fds[merged - 1].fd == fds[i].fd)
                fds[merged - 1].events = static_cast<short>(fds[merged - 1].events | fds[i].events);
            else
                fds[merged++] = fds[i];
        }
        count = merged;
    }
};

}  // namespace kq

#endif
