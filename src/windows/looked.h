// SPDX-License-Identifier: BSD-2-Clause
// LookedAt: descriptors of which no packet tells: pipes, consoles, kqueues. Each collect() looks at
// all of them, and a thread that sleeps every kPeriod.
//
// Levels are reported while they are true. An edge is reported when it becomes true, or when there
// is more to read than before.
// Used by Backend only; the kqueue's mutex.
#ifndef KQ_WINDOWS_LOOKED_H
#define KQ_WINDOWS_LOOKED_H

#include <span>

#include "platform_types.h"

namespace kq {

class LookedAt {
  public:
    static constexpr Nanos kPeriod = 20 * kMillisecond;

    LookedAt() = default;
    ~LookedAt();
    LookedAt(const LookedAt&) = delete;
    LookedAt& operator=(const LookedAt&) = delete;

    // How a direction is to be looked at from now on; with `none` not at all, which never fails.
    // What is true is reported by the next look, whatever was reported before. no_memory.
    // `queue`: it is a kqueue of this process.
    Errno set(int fd, Direction direction, Mode mode, Handle handle, bool queue);
    void remove(int fd);

    size_t look(std::span<Wakeup> out, Nanos now);
    [[nodiscard]] bool empty() const { return count_ == 0; }

  private:
    struct Entry {
        int fd;
        Direction direction;
        Mode mode;
        bool queue;  // a kqueue: what it has cannot be counted from here
        Handle handle;
        uint16_t ready;   // when last looked at
        int64_t amount;   // likewise; of a kqueue its state
        Nanos looked_at;  // a kqueue: when it was last reported without being sure
    };

    static bool is_news(Entry& entry, Nanos now);
    Entry* find(int fd, Direction direction);
    void take_out(Entry& entry);

    Entry* entries_ = nullptr;
    size_t count_ = 0;
    size_t capacity_ = 0;
    size_t start_ = 0;
};

}  // namespace kq

#endif
