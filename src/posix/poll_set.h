// SPDX-License-Identifier: BSD-2-Clause
// PollSet: a dense array for poll(), and beside it what each entry is for. It grows and shrinks
// entry by entry, and is never built anew. Used by Poller, under its lock.
#ifndef KQ_POSIX_POLL_SET_H
#define KQ_POSIX_POLL_SET_H

#include <poll.h>
#include <stdlib.h>

#include "alloc.h"
#include "platform.h"

namespace kq {

// One direction of one descriptor. All zero is right for members that are not set.
struct PollItem {
    Handle handle;
    Mode mode;
    Direction direction;
    bool queue;       // it is a kqueue of ours
    bool has_events;  // Poller::collect(): the kqueue has something for its own collect()
    bool countless;   // the system cannot count what can be read
    uint8_t verdict;  // Poller::collect(): what becomes of the entry
    // For an edge that was reported and is still ready:
    short seen;      // the POLL bits then
    int64_t amount;  // how much could be read
    Nanos due;       // when it is reported again if nothing else happens
    Nanos delay;     // how long that was put off
};

class PollSet {
  public:
    PollSet() = default;
    PollSet(const PollSet&) = delete;
    PollSet& operator=(const PollSet&) = delete;
    ~PollSet() {
        free(fds_);
        free(items_);
    }

    [[nodiscard]] size_t count() const { return count_; }
    pollfd* fds() { return fds_; }
    PollItem& item(size_t i) { return items_[i]; }

    bool reserve(size_t wanted) {
        return grow_array(fds_, fds_capacity_, wanted) &&
               grow_array(items_, items_capacity_, wanted);
    }
    // Requires a reserve(). Returns the index, which is valid until something is removed.
    size_t add(const pollfd& fd, const PollItem& item) {
        fds_[count_] = fd;
        items_[count_] = item;
        return count_++;
    }
    // The last entry takes its place; false if `i` was the last entry.
    bool remove(size_t i) {
        count_--;
        if (i == count_) return false;
        fds_[i] = fds_[count_];
        items_[i] = items_[count_];
        return true;
    }

  private:
    pollfd* fds_ = nullptr;
    PollItem* items_ = nullptr;
    size_t count_ = 0;
    size_t fds_capacity_ = 0;
    size_t items_capacity_ = 0;
};

}  // namespace kq

#endif
