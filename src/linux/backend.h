// SPDX-License-Identifier: BSD-2-Clause
// The kernel queue of Linux: epoll. Contract: platform.h.
//
// The public descriptor is the epoll descriptor itself. Beside it appear, when first needed: a
// second, inner epoll for descriptors whose READ and WRITE want different modes (an epoll item has
// only one); a timerfd for each clock; an inotify instance; two descriptors of
// /proc/self/mountinfo; an epoll set for states of descriptors; and one pidfd for each watched
// process. Two eventfds serve the whole process: see anchors.h. Lock: the kqueue's mutex, except
// for the functions that platform.h exempts.
#ifndef KQ_LINUX_BACKEND_H
#define KQ_LINUX_BACKEND_H

#include <sys/ioctl.h>

#include <atomic>

#include "children.h"
#include "epoll.h"
#include "mounts.h"
#include "platform.h"
#include "sockets.h"
#include "states.h"
#include "vnodes.h"

namespace kq {

class Backend {
  public:
    static constexpr bool kHearsClose = false;  // epoll_wait() sleeps on when the set is closed
    static constexpr bool kMaySleepFirst = true;
    static const int kKqueue1Flags;
    static constexpr Capabilities kHas{.renewal = true,
                                       .duplicates = true,
                                       .fork = true,
                                       .files = true,
                                       .processes = true,
                                       .signals = true,
                                       .mounts = true,
                                       .urgent = true,
                                       .unsent = true,
                                       .procdesc = true};

    Backend() = default;
    ~Backend();  // closes all but the public descriptor
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;

    Errno open(uint32_t tag);
    static constexpr bool kAdopts = true;
    Errno adopt(int descriptor, uint32_t tag);
    [[nodiscard]] bool holds_descriptors() const;
    void move_to(int descriptor);
    void close_unpublished();
    [[nodiscard]] int descriptor() const { return public_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool exists() const;

    Errno watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts);
    Errno watch_one(int fd, Direction d, Mode mode, Handle handle, FdFacts& facts);
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
    long look(std::span<Wakeup> out) const;
    static Wakeup told_at(std::span<Wakeup> out, size_t i);
    Result<size_t> take_rest(std::span<Wakeup> out, size_t count, size_t done);
    Result<size_t> collect(std::span<Wakeup> out);
    [[nodiscard]] Errno sleep(Nanos t) const;
    [[nodiscard]] static Errno pause(Nanos t);
    Errno announce(Announce how);
    static Errno post(int descriptor, uint32_t tag);
    static bool is_queue(int descriptor);
    static bool is_queue_of(int descriptor, uint32_t tag);
    static bool is_duplicate(int descriptor, int other);
    static Result<uint32_t> tag_of(int descriptor);
    static Result<int> visit_open(void (*visit)(void*, int), void* context);
    void note_collected(std::span<const Wakeup> wakeups);
    [[gnu::always_inline]] static int64_t bytes_to_read(int fd) {
        int bytes = 0;
        return sys::answer(SYS_ioctl, fd, FIONREAD, &bytes) == 0 ? bytes : -1;
    }
    [[gnu::always_inline]] static int64_t room_to_write(int fd, const FdFacts& facts) {
        return is_stream(facts.kind) ? sockets::plain_room(fd, facts.kind) : -1;
    }
    static void follow(int duplicate, int descriptor);
    Errno hear_signals();
    [[nodiscard]] bool has_opened() const { return opened_count_ != 0; }
    int take_opened() { return opened_[--opened_count_]; }

    [[nodiscard]] bool has_clock(Clock clock) const {
        return timers_[static_cast<size_t>(clock)] >= 0;
    }
    Errno prepare_clock(Clock clock) { return has_clock(clock) ? Errno::ok : make_timer(clock); }
    [[nodiscard]] bool wakes_by(Clock clock, Nanos t) const {
        return armed_[static_cast<size_t>(clock)] <= t;
    }
    static constexpr bool kSettlesTimes = true;
    static constexpr bool tells_once() { return true; }  // an item is once in an answer of epoll
    // Lazy: a timer that is set too early wakes us once for nothing. This is cheaper
    // than to move it at each change of a timeout that is always pushed back.
    void settle(Nanos monotonic, Nanos realtime) {
        if (monotonic < armed_[static_cast<size_t>(Clock::monotonic)])
            arm(Clock::monotonic, monotonic);
        if (realtime < armed_[static_cast<size_t>(Clock::realtime)]) arm(Clock::realtime, realtime);
    }
    void settle_continuous(Nanos t) {
        if (t < armed_[static_cast<size_t>(Clock::continuous)]) arm(Clock::continuous, t);
    }

    Errno watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts);
    void take_files(VnodeWatch::Tell tell, void* context) { vnodes_.take(tell, context); }
    bool take_write(Handle& handle) { return vnodes_.take_write(handle); }
    void take_rest_of_files(VnodeWatch::Tell tell, void* context) {
        vnodes_.take_rest(tell, context);
    }
    bool files_told() { return vnodes_.was_rung(); }

    Errno watch_process(int32_t pid, Handle handle, ProcessFacts& facts);
    void unwatch_process(ProcessFacts& facts) { pidfds_.forget(facts); }
    Errno hear_processes(bool on);

    Errno watch_mounts();
    void unwatch_mounts() { mounts_.close(); }
    uint32_t take_mounts() { return mounts_.take(); }

    Errno watch_state(int fd, uint8_t what, Handle handle);
    Errno still_state(int fd) const { return states_.still(fd); }
    size_t take_states(std::span<Handle> out) const { return states_.take(out); }

    void abandon_in_child();
    void abandon_all_but_number();
    static void close_number(int number) { sys::close(number); }
    Errno open_at(int number, uint32_t tag);
    static bool is_out_of_reach(int32_t pid) { return Pidfds::is_out_of_reach(pid); }
    static void close_in_child(int descriptor);
    static void close_shared();
    static void lock_before_fork() { VnodeWatch::lock_before_fork(); }
    static void unlock_after_fork(bool in_child) { VnodeWatch::unlock_after_fork(in_child); }

  private:
    static constexpr int kLanes = 2;

    Errno make_timer(Clock clock);
    // A descriptor of our own is in the set now.
    void note_opened(int fd) {
        if (opened_count_ < kMostOpened) opened_[opened_count_++] = fd;
    }
    void arm(Clock clock, Nanos t);
    Errno carry_own_sources(int old, int fresh) const;
    Errno open_lane(int lane);
    Errno set_lane(int lane, int fd, uint32_t events, Handle handle, FdFacts& facts);
    Errno heal_lane(int lane, int fd, uint32_t events, Handle handle, FdFacts& facts);
    void restore_inner(int fd, Handle handle, FdFacts& facts);

    int lanes_[kLanes] = {-1, -1};  // [0] is public; [1] is watched by it
    std::atomic<int> public_{-1};   // as lanes_[0], for threads without the lock
    uint32_t tag_ = 0;
    int old_[kLanes] = {-1, -1};  // of the queue that is being replaced
    int timers_[kClocks] = {-1, -1, -1};
    Nanos armed_[kClocks] = {kForever, kForever, kForever};  // what a timerfd is set to
    uint32_t armed_at_[kClocks] = {0, 0, 0};                 // coarse_tick() then
    uint32_t in_a_row_[kClocks] = {0, 0, 0};   // how often moved in a short time: see arm()
    static constexpr uint8_t kMostOpened = 8;  // in one change, and more than that
    uint8_t opened_count_ = 0;                 // of take_opened()
    int opened_[kMostOpened] = {};
    VnodeWatch vnodes_;
    Pidfds pidfds_;
    MountWatch mounts_;
    StateWatch states_;
};

[[gnu::always_inline]] inline void Backend::note_collected(std::span<const Wakeup> wakeups) {
    for (const Wakeup& wakeup : wakeups)
        if (wakeup.handle.kind() == Handle::Kind::timers) {
            const uint32_t clock = wakeup.handle.index();
            if (clock < kClocks) armed_[clock] = kForever;  // it has fired
        }
}

// The usual case, inlined: only that one direction is registered, in lane 0.
KQ_INLINE Errno Backend::watch_one(int fd, Direction d, Mode mode, Handle handle, FdFacts& facts) {
    const bool has = facts.registered == epoll::lane_bit(0);
    if (!has && (facts.registered != 0 || mode == Mode::none)) {
        Interest want;
        want[d] = mode;
        return watch(fd, want, static_cast<uint8_t>(1u << static_cast<unsigned>(d)), handle, facts);
    }
    const int operation = mode == Mode::none ? EPOLL_CTL_DEL : has ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    const uint32_t events = epoll::events_for(d, mode);
    if (epoll::control(lanes_[0], operation, fd, events, handle) != 0) {
        const Errno error = heal_lane(0, fd, events, handle, facts);
        if (error != Errno::ok) return error;
    }
    facts.registered = mode == Mode::none ? 0 : epoll::lane_bit(0);
    facts.armed[static_cast<size_t>(d)] = mode;
    facts.lane[0] = facts.lane[1] = 0;
    return Errno::ok;
}

KQ_INLINE long Backend::look(std::span<Wakeup> out) const {
    const long count = epoll::take_events(lanes_[0], epoll::place_for_events(out), out.size());
    // EINVAL: the number is open, but it is no epoll set (any more).
    return count == -EINVAL ? -EBADF : count;
}

KQ_INLINE Wakeup Backend::told_at(std::span<Wakeup> out, size_t i) {
    return epoll::wakeup_at(epoll::place_for_events(out), i);
}

KQ_INLINE Result<size_t> Backend::take_rest(std::span<Wakeup> out, size_t count, size_t done) {
    bool plain = true;
    const Result<size_t> filled = epoll::translate(done, count, lanes_[1], tag_, out, plain);
    if (!plain && filled.ok()) note_collected(out.first(filled.value()).subspan(done));
    return filled;
}

KQ_INLINE Result<size_t> Backend::collect(std::span<Wakeup> out) {
    const long count = look(out);
    if (count <= 0) return count == 0 ? Result<size_t>(size_t{0}) : static_cast<Errno>(-count);
    return take_rest(out, static_cast<size_t>(count), 0);
}

}  // namespace kq

#endif
