// SPDX-License-Identifier: BSD-2-Clause
// SpentEdges: EV_CLEAR by looking, for kernels that report once and are then silent.
//
// Such a kernel (event ports, AFD) reports a level when it is armed. If a reported edge were armed
// again at once, it would be reported again at once, because the data is still there. So it stays
// *spent*: not armed, but looked at in each collect(), and now and then while a thread sleeps. If
// it is no longer ready, it is armed again, and the kernel reports the next edge. If there is more
// to read than before, that is news.
//
// A look does not show whether something came and went since the last look. So an edge that stays
// ready is reported again after a while, and later each time. Then no edge is lost for ever.
//
// No system calls here: the caller samples descriptors and arms them. Times are monotonic.
// Lock: the kqueue's mutex. next_look() may be read by any thread.
#ifndef KQ_SPENT_EDGES_H
#define KQ_SPENT_EDGES_H

#include <atomic>
#include <span>

#include "platform_types.h"
#include "slot_table.h"

namespace kq {

class SpentEdges {
  public:
    // An edge that stays ready is reported again after kFirstDelay, and later each time, up to
    // kLongestDelay. If there is less to read than before, something may have come and gone: then
    // the edge is reported after kSuspicion.
    static constexpr Nanos kFirstDelay = 250 * kMillisecond;
    static constexpr Nanos kLongestDelay = 2 * kSecond;
    static constexpr Nanos kSuspicion = 20 * kMillisecond;
    // How often the spent edges are looked at while a thread sleeps. The time grows while nothing
    // happens.
    static constexpr Nanos kShortestLook = 20 * kMillisecond;
    static constexpr Nanos kLongestLook = 100 * kMillisecond;

    // What a look at a descriptor found.
    struct Look {
        uint16_t ready = 0;  // Ready bits; kClosed if it is not the file any more
        int64_t amount = 0;  // bytes to read, or free space; constant if unknown
    };

    SpentEdges() = default;
    ~SpentEdges();
    SpentEdges(const SpentEdges&) = delete;
    SpentEdges& operator=(const SpentEdges&) = delete;

    // Makes room for an edge of this descriptor; after it add() cannot fail. no_memory.
    Errno prepare(int fd);

    // The edge was just reported; `look` is what was seen then. It is looked at from now on.
    void add(int fd, Direction direction, Handle handle, const Look& look, Nanos now);

    // The edge is not wanted any more, or is about to be armed afresh. False: it was not spent. The
    // functions that look() calls must not call this.
    bool remove(int fd, Direction direction);

    [[nodiscard]] bool empty() const { return count_ == 0; }

    // Looks at all spent edges, beginning where the last walk ended, until `out` is full.
    //   sample(fd, direction) -> Look
    //   arm(fd, direction): it is not ready any more, so the kernel must report it again. Called
    //     after the edge was removed.
    //   gone(fd, direction): sample() answered kClosed. Also called after the edge was removed.
    // Returns how many wakeups it wrote: edges that are news. They stay spent.
    template <class Sample, class Arm, class Gone>
    size_t look(Nanos now, std::span<Wakeup> out, Sample sample, Arm arm, Gone gone) {
        size_t written = 0;
        size_t armed = 0;
        size_t i = start_ < count_ ? start_ : 0;
        for (size_t left = count_; left > 0 && written < out.size(); left--) {
            if (i >= count_) i = 0;
            Edge& edge = edges_[i];
            const Look seen = sample(edge.fd, edge.direction);
            if (seen.ready == 0 || (seen.ready & kClosed) != 0) {
                const Edge ended = edge;
                take_out(i);  // another edge stands here now: it has its turn next, or had it
                if (seen.ready == 0)
                    arm(ended.fd, ended.direction);
                else
                    gone(ended.fd, ended.direction);
                armed++;
                continue;
            }
            if (is_news(edge, seen, now)) out[written++] = wakeup_of(edge, seen);
            i++;
        }
        start_ = i;
        plan(now, written + armed != 0);
        return written;
    }

    // When a sleeping thread must collect() because of spent edges; kForever: never.
    [[nodiscard]] Nanos next_look() const { return next_look_.load(std::memory_order_relaxed); }

  private:
    struct Edge {
        int fd;
        Direction direction;
        uint16_t bits;  // Ready bits at the last look
        Handle handle;
        int64_t amount;   // at the last look
        Nanos delay;      // until it is reported again
        Nanos report_at;  // the time of that report
    };
    // Where the edges of a descriptor are: 1 + index; 0: not spent.
    struct Place {
        uint32_t at[kDirections];
        bool prepared;
    };

    static bool is_news(Edge& edge, const Look& seen, Nanos now);
    static Wakeup wakeup_of(const Edge& edge, const Look& seen);
    void take_out(size_t index);
    void plan(Nanos now, bool something_happened);

    Edge* edges_ = nullptr;
    size_t count_ = 0;
    size_t capacity_ = 0;
    size_t prepared_ = 0;  // how many descriptors there is room for
    size_t start_ = 0;
    SlotTable<Place> places_;
    Nanos look_period_ = kShortestLook;
    std::atomic<Nanos> next_look_{kForever};
};

}  // namespace kq

#endif
