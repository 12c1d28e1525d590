// SPDX-License-Identifier: BSD-2-Clause
// LookedAt: descriptors that no packet reports: pipes, consoles, kqueues. Each collect() looks at
// all of them, and a sleeping thread does every kPeriod.
//
// Levels are reported while they are true. An edge is reported when it becomes true, or when there
// is more to read than before. A look does not show whether something came and went since the last
// one. So an edge that stays true is reported again after a while, as spent_edges.h does.
// Used by Backend only; the kqueue's mutex.
#ifndef KQ_WINDOWS_LOOKED_H
#define KQ_WINDOWS_LOOKED_H

#include <span>

#include "platform_types.h"

namespace kq {

class LookedAt {
  public:
    static constexpr Nanos kPeriod = 20 * kMillisecond;
    static constexpr Nanos kDoubt = 250 * kMillisecond;

    LookedAt() = default;
    ~LookedAt();
    LookedAt(const LookedAt&) = delete;
    LookedAt& operator=(const LookedAt&) = delete;

    // Sets how a direction is looked at from now on. With `none` it is not looked at, and the call
    // never fails. The next look reports what is true, even if it was reported before. Error:
    // no_memory. `queue`: it is a kqueue of this process.
    Errno set(int fd, Direction direction, Mode mode, Handle handle, bool queue);
    void remove(int fd);

    size_t look(std::span<Wakeup> out, Nanos now);
    [[nodiscard]] bool empty() const { return count_ == 0; }

  private:
    struct Entry {
        int fd;
        Direction direction;
        Mode mode;
        bool queue;  // it is a kqueue, whose events cannot be counted from here
        Handle handle;
        uint16_t ready;  // at the last look
        int64_t amount;  // at the last look; of a kqueue its state
        // When it was last reported although it was not certain, or, for writing, was certain.
        Nanos looked_at;
        Nanos delay;      // of an edge: until it is reported again
        Nanos report_at;  // the time of that report
    };

    static bool is_news(Entry& entry, Nanos now);
    static bool is_doubtful(Entry& entry, Nanos now);
    static bool is_due_again(Entry& entry, bool is_less, Nanos now);
    Entry* find(int fd, Direction direction);
    void take_out(Entry& entry);

    Entry* entries_ = nullptr;
    size_t count_ = 0;
    size_t capacity_ = 0;
    size_t start_ = 0;
};

}  // namespace kq

#endif
