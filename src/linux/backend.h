// The kernel queue of Linux: epoll. Contract: platform.h.
//
// The public descriptor is the epoll descriptor itself. Beside it appear, when
// first needed: a second, inner epoll for descriptors whose READ and WRITE want
// different modes (an epoll item has only one); a timerfd for each clock; an
// inotify instance; and one pidfd for each watched process. Two eventfds serve the whole process:
// see anchors.h. Lock: the kqueue's mutex, but for what platform.h exempts.
#ifndef KQ_LINUX_BACKEND_H
#define KQ_LINUX_BACKEND_H

#include <atomic>

#include "children.h"
#include "epoll.h"
#include "platform.h"
#include "vnodes.h"

namespace kq {

class Backend {
  public:
    Backend() = default;
    ~Backend();  // closes all but the public descriptor
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    Errno open(uint32_t tag);
    Errno adopt(int descriptor, uint32_t tag);
    void move_to(int descriptor);
    void close_unpublished();
    [[nodiscard]] int descriptor() const { return public_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool exists() const;

    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    [[nodiscard]] static bool asks_public(const FdFacts& facts) {
        return facts.registered == epoll::lane_bit(0);
    }
    Errno still(int fd, FdFacts& facts);
    Errno begin_renewal();
    Errno carry_over(int fd, Handle handle, FdFacts& facts);
    Result<size_t> collect_old(std::span<Wakeup> out);
    void end_renewal();
    void cancel_renewal();
    Errno carry_back(int fd, FdFacts& facts);
    Result<size_t> collect(std::span<Wakeup> out);
    [[nodiscard]] Errno sleep(Nanos t) const;
    [[nodiscard]] static Errno pause(Nanos t);
    Errno announce(Announce how);
    static Errno post(int descriptor, uint32_t tag);
    static bool is_queue(int descriptor);
    static bool is_duplicate(int descriptor, int other);
    static Result<uint32_t> tag_of(int descriptor);
    static void follow(int duplicate, int descriptor);
    Errno hear_signals();

    Errno prepare_clock(Clock clock);
    // Lazy: a timer set too early wakes us once for nothing, which is cheaper than
    // to move it at every change of a timeout that is always pushed back.
    void set_deadline(Clock clock, Nanos t) {
        if (t < armed_[static_cast<size_t>(clock)]) arm(clock, t);
    }

    Errno watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts);
    void take_files(VnodeWatch::Tell tell, void* context) { vnodes_.take(tell, context); }

    Errno watch_process(int32_t pid, Handle handle, ProcessFacts& facts);
    void unwatch_process(ProcessFacts& facts) { pidfds_.forget(facts); }
    Errno hear_processes(bool on);

    void abandon_in_child();
    static void close_in_child(int descriptor);
    static void close_shared();

  private:
    static constexpr int kLanes = 2;

    void arm(Clock clock, Nanos t);
    Errno carry_own_sources(int old, int fresh) const;
    Errno open_lane(int lane);
    Errno set_lane(int lane, int fd, uint32_t events, Handle handle, FdFacts& facts);
    void restore_inner(int fd, Handle handle, FdFacts& facts);

    int lanes_[kLanes] = {-1, -1};  // [0] is public; [1] is watched by it
    std::atomic<int> public_{-1};   // as lanes_[0], for those who have no lock
    uint32_t tag_ = 0;
    int old_[kLanes] = {-1, -1};  // of the queue that is being replaced
    int timers_[kClocks] = {-1, -1};
    Nanos armed_[kClocks] = {kForever, kForever};  // what a timerfd is set to
    uint32_t armed_at_[kClocks] = {0, 0};          // coarse_tick() then
    uint32_t in_a_row_[kClocks] = {0, 0};          // how often in short time: see arm()
    VnodeWatch vnodes_;
    Pidfds pidfds_;
};

[[gnu::always_inline]] inline Result<size_t> Backend::collect(std::span<Wakeup> out) {
    const Result<size_t> count = epoll::take_wakeups(lanes_, out);
    for (size_t i = 0; count.ok() && i < count.value(); i++)
        if (out[i].handle.kind() == Handle::Kind::timers) {
            const uint32_t clock = out[i].handle.index();
            if (clock < kClocks) armed_[clock] = kForever;  // it has fired
        }
    return count;
}

}  // namespace kq

#endif
