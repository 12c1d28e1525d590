// SPDX-License-Identifier: BSD-2-Clause
// epoll, timerfd, and one eventfd for all. See backend.h and platform.h.
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "anchors.h"
#include "check.h"
#include "epoll.h"
#include "own_file.h"
#include "select.h"
#include "signals.h"
#include "sys.h"

namespace kq {
namespace {

using epoll::control;
using epoll::events_for;
using epoll::lane_bit;

// ---- events ----

// Chooses the lane of each wanted direction. One epoll item has one mode for
// all its events: two directions share lane 0 if both are by level, else each
// gets its own. Armed directions stay where they are, because moving an edge
// would report it again.
void assign_lanes(const Interest& want, uint8_t rearm, const FdFacts& facts,
                  uint8_t lane[kDirections]) {
    bool placed[kDirections];
    for (size_t d = 0; d < kDirections; d++) {
        placed[d] = facts.armed[d] != Mode::none;
        lane[d] = placed[d] ? facts.lane[d] : 0;
    }
    const Mode read = want.mode[0];
    const Mode write = want.mode[1];
    if (read == Mode::none || write == Mode::none) return;
    if (lane[0] != lane[1] || (read == Mode::level && write == Mode::level)) return;
    // Both want the same lane, so one must move. A direction that is not armed moves first. If both
    // are armed, the one moves that is about to be reported again in any case. Otherwise the one by
    // level moves, because it may be reported again.
    bool write_moves = !placed[1];
    if (placed[0] == placed[1])
        write_moves = rearm == 1u << 1 || (rearm != 1u << 0 && write == Mode::level) || !placed[0];
    const size_t moving = write_moves ? 1 : 0;
    lane[moving] = static_cast<uint8_t>(1 - lane[moving]);
}

}  // namespace

Backend::~Backend() {
    end_renewal();
    own_file::close(lanes_[1], this);
    for (int& fd : timers_)
        own_file::close(fd, this);
}

const int Backend::kKqueue1Flags = O_CLOEXEC | O_NONBLOCK;

Errno Backend::open(uint32_t tag) {
    const bool had = anchors::made();
    tag_ = tag;
    Errno error = anchors::make();
    if (error == Errno::ok) {
        move_to(epoll_create1(EPOLL_CLOEXEC));
        error = lanes_[0] < 0 ? last_errno() : anchors::join(lanes_[0], tag);
    }
    if (error != Errno::ok && !had) close_shared();  // other kqueues may need these descriptors
    return error;
}

void Backend::close_unpublished() {
    sys::close_and_clear(lanes_[0]);
    public_.store(-1);
}

bool Backend::holds_descriptors() const {
    bool any = lanes_[1] >= 0 || vnodes_.descriptor() >= 0 || mounts_.descriptor() >= 0 ||
               states_.descriptor() >= 0;
    for (const int fd : timers_)
        any = any || fd >= 0;
    pidfds_.for_each([&any](int, Handle) { any = true; });
    return any;
}

void Backend::move_to(int descriptor) {
    lanes_[0] = descriptor;
    public_.store(descriptor);
    vnodes_.ring_again();
}

bool Backend::exists() const {
    return anchors::is_set_of(descriptor(), tag_);
}

void Backend::abandon_in_child() {
    // The user may have closed the kqueue before. Then the number may be a file of the user now.
    if (exists()) sys::close(lanes_[0]);
    abandon_all_but_number();
}

void Backend::abandon_all_but_number() {
    move_to(-1);
    own_file::close(lanes_[1], this);
    for (int& fd : timers_)
        own_file::close(fd, this);
    vnodes_.abandon_in_child();
    pidfds_.abandon_in_child();
    mounts_.close();
    states_.close();
}

Errno Backend::open_at(int number, uint32_t tag) {
    Errno error = open(tag);
    if (error == Errno::ok) {
        const int fresh = lanes_[0];
        if (dup3(fresh, number, O_CLOEXEC) < 0)  // EBADF: the limit is lower than that now
            error = errno == EBADF ? Errno::too_many_open : last_errno();
        sys::close(fresh);
        lanes_[0] = -1;
    } else {
        close_unpublished();
    }
    if (error == Errno::ok)
        move_to(number);
    else
        sys::close(number);
    return error;
}

void Backend::close_shared() {
    anchors::close();
    VnodeWatch::forget_shared();
}

// ---- descriptors ----

Errno Backend::open_lane(int lane) {
    if (lanes_[lane] >= 0) return Errno::ok;
    const int fd = own_file::keep(epoll_create1(EPOLL_CLOEXEC), this);
    if (fd < 0) return last_errno();
    const Handle handle(Handle::Kind::lane, static_cast<uint32_t>(lane), tag_);
    if (control(lanes_[0], EPOLL_CTL_ADD, fd, EPOLLIN, handle) != 0) {
        const Errno error = sys::refusal();
        sys::close(fd);
        return error;
    }
    lanes_[lane] = fd;
    note_opened(fd);
    return Errno::ok;
}

// Sets what one lane reports of fd; no events: not at all.
Errno Backend::set_lane(int lane, int fd, uint32_t events, Handle handle, FdFacts& facts) {
    const bool has = (facts.registered & lane_bit(lane)) != 0;
    if (events == 0 && !has) return Errno::ok;
    if (!has) {
        // A registration in another lane may be that of an earlier open file.
        Errno error = facts.registered == 0 ? Errno::ok : still(fd, facts);
        if (error == Errno::ok) error = open_lane(lane);
        if (error != Errno::ok) return error;
        if (control(lanes_[lane], EPOLL_CTL_ADD, fd, events, handle) != 0)
            return heal_lane(lane, fd, events, handle, facts);
        facts.registered |= lane_bit(lane);
        return Errno::ok;
    }
    const int operation = events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (control(lanes_[lane], operation, fd, events, handle) != 0)
        return heal_lane(lane, fd, events, handle, facts);
    if (events == 0) facts.registered &= static_cast<uint8_t>(~lane_bit(lane));
    return Errno::ok;
}

// The kernel has just refused, with errno, to add or change what a lane reports of fd.
Errno Backend::heal_lane(int lane, int fd, uint32_t events, Handle handle, FdFacts& facts) {
    if ((facts.registered & lane_bit(lane)) == 0) {
        // EEXIST: there is a registration that we did not know of any more.
        if (errno != EEXIST || control(lanes_[lane], EPOLL_CTL_MOD, fd, events, handle) != 0)
            return sys::refusal();
        facts.registered |= lane_bit(lane);
        return Errno::ok;
    }
    facts.registered &= static_cast<uint8_t>(~lane_bit(lane));
    // The set has (file, number) pairs, and this number is another file now: ENOENT,
    // or EPERM if it is one that cannot be watched.
    return errno == EPERM ? Errno::no_entry : last_errno();
}

// Sets have (file, number) pairs: adding the number again fails with EEXIST
// exactly if it is the same file.
Errno Backend::still(int fd, FdFacts& facts) {
    const int lane = (facts.registered & lane_bit(0)) != 0 ? 0 : 1;
    if (control(lanes_[lane], EPOLL_CTL_ADD, fd, 0, Handle{}) == 0) {
        (void)control(lanes_[lane], EPOLL_CTL_DEL, fd, 0, Handle{});
        facts.registered = 0;
        return Errno::no_entry;
    }
    if (errno == EEXIST) return Errno::ok;
    facts.registered = 0;
    return errno == EBADF ? Errno::bad_descriptor : Errno::no_entry;
}

// Puts lane 1 back as the facts say it was: watch() had changed it, and then the kernel refused
// lane 0.
void Backend::restore_inner(int fd, Handle handle, FdFacts& facts) {
    uint32_t events = 0;
    for (size_t d = 0; d < kDirections; d++)
        if (facts.armed[d] != Mode::none && facts.lane[d] == 1)
            events |= events_for(static_cast<Direction>(d), facts.armed[d]);
    (void)set_lane(1, fd, events, handle, facts);
}

Errno Backend::watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts) {
    uint8_t lane[kDirections];
    assign_lanes(want, rearm, facts, lane);
    uint32_t events[kLanes] = {0, 0};
    uint8_t touched = 0;
    for (size_t d = 0; d < kDirections; d++) {
        const Mode old = facts.armed[d];
        const bool moved = old != Mode::none && facts.lane[d] != lane[d];
        // A direction that is silent already stays in its lane: the other direction there must not
        // be reported again.
        const bool afresh = (rearm & (1u << d)) != 0 && want.mode[d] != Mode::none;
        if (want.mode[d] != old || moved || afresh) touched |= lane_bit(lane[d]);
        if (moved) touched |= lane_bit(facts.lane[d]);
        if (want.mode[d] != Mode::none)
            events[lane[d]] |= events_for(static_cast<Direction>(d), want.mode[d]);
    }
    // Lane 0 last: a direction that moves is added before it is taken away.
    for (int l = kLanes - 1; l >= 0; l--) {
        if ((touched & lane_bit(l)) == 0) continue;
        const Errno error = set_lane(l, fd, events[l], handle, facts);
        if (error == Errno::ok) continue;
        if (l == 0 && !is_gone(error) && (touched & lane_bit(1)) != 0)
            restore_inner(fd, handle, facts);
        return error;
    }
    for (size_t d = 0; d < kDirections; d++) {
        facts.armed[d] = want.mode[d];
        facts.lane[d] = lane[d];
    }
    return Errno::ok;
}

// ---- waiting ----

// ppoll() on the epoll descriptor, and not epoll_wait(): ppoll() takes no report, is not ended by
// SIGSTOP and SIGCONT, and takes nanoseconds on every kernel. A signal handler ends it even with
// SA_RESTART.
// Not instrumented: a thread that is cancelled in here leaves without cleaning
// up the shadow of its frame.
__attribute__((no_sanitize("address"))) Errno Backend::sleep(Nanos t) const {
    pollfd pfd[] = {{descriptor(), POLLIN, 0}, {-1, POLLIN, 0}};
    const timespec ts = to_timespec(t == kForever ? 0 : t);
    sigset_t mask;
    const bool masked = mask_for_sleep(mask);
    if (masked) pfd[1].fd = listener_for_sleep();
    // Among several threads the core often chooses a time in whole milliseconds. For these poll()
    // costs less than ppoll(), because ppoll() also tells how much of the time is left. Signals end
    // both calls in the same way.
    const bool whole = t > 0 && t % kMillisecond == 0 && t / kMillisecond <= INT_MAX;
    const int n = whole && !masked && !single_threaded()
                      ? ::poll(pfd, 1, static_cast<int>(t / kMillisecond))
                      : ppoll(pfd, pfd[1].fd < 0 ? 1 : 2, t == kForever ? nullptr : &ts,
                              masked ? &mask : nullptr);
    if (n < 0 && errno == EINVAL)
        return select::sleep(pfd[0].fd, pfd[1].fd, t, masked ? &mask : nullptr);
    if (n < 0) return last_errno();
    if (n == 0) return Errno::timed_out;
    return (pfd[0].revents & POLLNVAL) != 0 ? Errno::bad_descriptor : Errno::ok;
}

__attribute__((no_sanitize("address"))) Errno Backend::pause(Nanos t) {
    const timespec ts = to_timespec(t);
    sigset_t mask;
    const bool masked = mask_for_sleep(mask);
    return ppoll(nullptr, 0, &ts, masked ? &mask : nullptr) < 0 ? last_errno() : Errno::ok;
}

Errno Backend::announce(Announce how) {
    if (how == Announce::ring) return anchors::ring(lanes_[0], tag_);
    return anchors::hold(lanes_[0], tag_, how == Announce::hold);
}

Errno Backend::post(int descriptor, uint32_t tag) {
    return anchors::ring(descriptor, tag);
}

bool Backend::is_queue(int descriptor) {
    return anchors::has_joined(descriptor);
}

// A thread that rings a set leaves its tag in it, and it may have rung a number that was given to
// another set since.
bool Backend::is_queue_of(int descriptor, uint32_t tag) {
    return anchors::is_set_of(descriptor, tag);
}

uint64_t thread_number() {
    return static_cast<uint64_t>(syscall(SYS_gettid));
}

uint32_t coarse_tick() {
    timespec ts{};
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return static_cast<uint32_t>((Nanos{ts.tv_sec} * kSecond + ts.tv_nsec) >> 24);
}

// ---- time ----

namespace {
constexpr clockid_t kClockIds[kClocks] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};

clockid_t clock_id(Clock clock) {
    return kClockIds[static_cast<size_t>(clock)];
}
}  // namespace

Nanos now(Clock clock) {
    timespec ts{};
    KQ_CHECK(clock_gettime(clock_id(clock), &ts) == 0);
    return to_nanos(ts);
}

Errno Backend::make_timer(Clock clock) {
    const int fd =
        own_file::keep(timerfd_create(clock_id(clock), TFD_CLOEXEC | TFD_NONBLOCK), this);
    // Before Linux 3.15 there is no such clock.
    if (fd < 0) return errno == EINVAL ? Errno::unsupported : last_errno();
    // By edge: it is never read, setting it anew takes an expiry back.
    const Handle handle(Handle::Kind::timers, static_cast<uint32_t>(clock), tag_);
    if (control(lanes_[0], EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, handle) != 0) {
        const Errno error = sys::refusal();
        sys::close(fd);
        return error;
    }
    timers_[static_cast<size_t>(clock)] = fd;
    note_opened(fd);
    return Errno::ok;
}

constexpr uint32_t kBurst = 8;
constexpr Nanos kEarlyPart = 16;
constexpr Nanos kWorthIt = 50 * kMillisecond;

void Backend::arm(Clock clock, Nanos t) {
    const auto c = static_cast<size_t>(clock);
    // Several times in a row the new deadline was earlier than all before, so the next one probably
    // will be, too. The timerfd is set early by a part of the time, and is set again when it fires:
    // once for all of these deadlines. Deadlines after which the timerfd has fired do not count.
    const uint32_t tick = coarse_tick();
    const bool moved = armed_[c] != kForever && tick - armed_at_[c] <= 1;
    in_a_row_[c] = moved ? in_a_row_[c] + 1 : 0;
    armed_at_[c] = tick;
    const Nanos left = in_a_row_[c] > kBurst ? t - now(clock) : 0;
    if (left > kWorthIt) t -= left / kEarlyPart;
    itimerspec when{};
    when.it_value = to_timespec(t > 0 ? t : 1);  // 0 would disarm it
    if (timerfd_settime(timers_[c], TFD_TIMER_ABSTIME, &when, nullptr) != 0) {
        timers_[c] = -1;  // the program has closed it, and the number is not ours any more
        KQ_CHECK(make_timer(clock) == Errno::ok);
        KQ_CHECK(timerfd_settime(timers_[c], TFD_TIMER_ABSTIME, &when, nullptr) == 0);
    }
    armed_[c] = t;
}

// ---- files ----

Errno Backend::watch_file(int fd, uint32_t wanted, Handle handle, FdFacts& facts) {
    if (vnodes_.descriptor() < 0 && wanted != 0) {
        if (lanes_[0] < 0) return Errno::bad_descriptor;  // abandoned in a forked child
        Errno error = vnodes_.open(public_, tag_);
        if (VnodeWatch::is_refusal(error)) {
            facts.file_untold = true;
            return Errno::ok;
        }
        if (error != Errno::ok) return error;
        const Handle mine(Handle::Kind::files, 0, tag_);
        if (control(lanes_[0], EPOLL_CTL_ADD, vnodes_.descriptor(), EPOLLIN, mine) != 0) {
            error = sys::refusal();
            vnodes_.close();
            return error;
        }
        note_opened(vnodes_.descriptor());
    }
    return vnodes_.set(fd, wanted, handle, facts);
}

Errno set_file_poll_interval(int64_t /*wanted*/) {
    return Errno::unimplemented;
}

}  // namespace kq
