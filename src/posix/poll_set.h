// PollSet: a dense array for poll(), and beside it what each entry is for.
// Grown and shrunk entry by entry, never built anew. Used by Poller, whose lock holds.
#ifndef KQ_POSIX_POLL_SET_H
#define KQ_POSIX_POLL_SET_H

#include <poll.h>
#include <stdlib.h>

#include "alloc.h"
#include "platform.h"

namespace kq {

// One direction of one descriptor. Zero is right for what is not set.
struct PollItem {
    Handle handle;
    Mode mode;
    Direction direction;
    bool queue;       // it is a kqueue of ours
    bool has_events;  // Poller::collect(): and has something for its own collect()
    bool countless;   // what is to be read cannot be counted
    uint8_t verdict;  // Poller::collect(): what becomes of it
    // Of an edge that was reported and is ready still:
    short seen;      // the POLL bits then
    int64_t amount;  // what was to be read
    Nanos due;       // when it is reported again if nothing else tells
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
    // Requires a reserve(). Its index, until something is removed.
    size_t add(const pollfd& fd, const PollItem& item) {
        fds_[count_] = fd;
        items_[count_] = item;
        return count_++;
    }
    // The last one takes its place; false if it was the last itself.
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
