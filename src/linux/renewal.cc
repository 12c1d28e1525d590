// SPDX-License-Identifier: BSD-2-Clause
// A new epoll set behind the same number. See begin_renewal() in capabilities.h.
//
// A registration belongs to a pair of an open file and a number, and ends with the file. If the
// number is closed while the file is still open elsewhere, no call can name the registration any
// more, and it goes on reporting. Only a new set is free of it. Lock: the kqueue's mutex.
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include <utility>

#include "anchors.h"
#include "backend.h"
#include "epoll.h"
#include "own_file.h"
#include "proc_connector.h"
#include "signals.h"
#include "sys.h"

namespace kq {

using epoll::control;
using epoll::lane_bit;

namespace {

// Whether `set` has `what`, as far as the kernel tells. A raw call, as in anchors.cc.
bool has(int set, int what) {
    epoll_event nothing{};
    if (syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, what, &nothing) != 0) return errno == EEXIST;
    (void)syscall(SYS_epoll_ctl, set, EPOLL_CTL_DEL, what, &nothing);
    return false;
}

// exists: the set is known not only by its number (there is a duplicate, or an epoll set of the
// program contains it), which would keep the old set. Looks at the low numbers only, because dup()
// gives these first. Kqueues that watch this one do not count: they are told. `mark` is a
// descriptor that is in this set only: a number whose set has the mark is a duplicate.
Errno check_unshared(int set, int mark) {
    constexpr int kSearched = 1024;
    if (control(set, EPOLL_CTL_ADD, mark, 0, Handle{}) != 0) return sys::refusal();
    bool shared = false;
    for (int fd = 0; fd < kSearched && !shared; fd++) {
        if (fd == set || fd == mark) continue;
        errno = 0;
        const bool ours = anchors::has_joined(fd);
        if (!ours && errno != 0) continue;  // no epoll
        shared = has(fd, ours ? mark : set);
    }
    (void)control(set, EPOLL_CTL_DEL, mark, 0, Handle{});
    return shared ? Errno::exists : Errno::ok;
}

// A descriptor of the library's own goes to the fresh set if the old one has it.
Errno carry_own(int old, int fresh, int own, uint32_t events, Handle handle) {
    if (own < 0 || !has(old, own)) return Errno::ok;
    return control(fresh, EPOLL_CTL_ADD, own, events, handle) == 0 ? Errno::ok : sys::refusal();
}

}  // namespace

// Registers everything that is in the set beside the user's descriptors. It is no harm if an edge
// of these is reported again.
Errno Backend::carry_own_sources(int old, int fresh) const {
    using Kind = Handle::Kind;
    Errno error = Errno::ok;
    const auto carry = [&error, old, fresh](int own, uint32_t events, Handle handle) {
        if (error == Errno::ok) error = carry_own(old, fresh, own, events, handle);
    };
    for (uint32_t clock = 0; clock < kClocks; clock++)
        carry(timers_[clock], EPOLLIN | EPOLLET, {Kind::timers, clock, tag_});
    carry(vnodes_.descriptor(), EPOLLIN, {Kind::files, 0, tag_});
    carry(signal_listener(), EPOLLIN | EPOLLET, {Kind::signals, 0, tag_});
    carry(connector::descriptor(), EPOLLIN, {Kind::processes, 0, tag_});
    carry(states_.descriptor(), EPOLLIN, {Kind::states, 0, tag_});
    carry(mounts_.descriptor(), EPOLLPRI | EPOLLET, {Kind::mounts, 0, tag_});
    pidfds_.for_each(
        [&carry](int fd, Handle handle) { carry(fd, EPOLLIN | EPOLLONESHOT, handle); });
    return error;
}

Errno Backend::begin_renewal() {
    const int number = lanes_[0];
    const int fresh = sys::above_stdio(epoll_create1(EPOLL_CLOEXEC));
    if (fresh < 0) return last_errno();
    Errno error = check_unshared(number, fresh);
    if (error == Errno::ok) error = anchors::join(fresh, tag_);
    // The new set is readable until the core ends that. When the old set wakes a poll(), it looks
    // at the new set. If it found nothing there it would go on waiting on the old set for ever.
    if (error == Errno::ok) error = anchors::hold(fresh, tag_, true);
    const int old = error == Errno::ok ? sys::duplicate(number) : -1;
    if (error == Errno::ok && old < 0) error = last_errno();
    if (error == Errno::ok) error = carry_own_sources(old, fresh);
    // Another thread may close the number at any moment, and it must not be taken from the file
    // that gets it. A race remains only between this check and the next call.
    if (error == Errno::ok && !exists()) error = Errno::bad_descriptor;
    if (error == Errno::ok && dup3(fresh, number, O_CLOEXEC) < 0) error = last_errno();
    sys::close(fresh);
    if (error != Errno::ok) {
        if (old >= 0) sys::close(old);
        return error;
    }
    old_[0] = old;
    old_[1] = lanes_[1];
    lanes_[1] = -1;
    // Wakes threads that sleep on the old set. This ring is never collected.
    (void)anchors::ring(old, tag_);
    return Errno::ok;
}

Errno Backend::carry_over(int fd, Handle handle, FdFacts& facts) {
    const int known = (facts.registered & lane_bit(0)) != 0 ? 0 : 1;
    facts.registered = 0;
    if (control(old_[known], EPOLL_CTL_ADD, fd, 0, Handle{}) == 0) {
        (void)control(old_[known], EPOLL_CTL_DEL, fd, 0, Handle{});
        return Errno::no_entry;
    }
    if (errno != EEXIST) return errno == EBADF ? Errno::bad_descriptor : Errno::no_entry;
    uint32_t events[kLanes] = {0, 0};
    for (size_t d = 0; d < kDirections; d++)
        if (facts.armed[d] != Mode::none)
            events[facts.lane[d]] |= epoll::events_for(static_cast<Direction>(d), facts.armed[d]);
    for (int lane = 0; lane < kLanes; lane++) {
        if (events[lane] == 0) continue;  // silent: added when it is armed again
        const Errno error = open_lane(lane);
        if (error != Errno::ok) return error;
        if (control(lanes_[lane], EPOLL_CTL_ADD, fd, events[lane], handle) != 0)
            return sys::refusal();
        facts.registered |= lane_bit(lane);
    }
    return Errno::ok;
}

Result<size_t> Backend::collect_old(std::span<Wakeup> out) {
    const long count = epoll::take_events(old_[0], epoll::place_for_events(out), out.size());
    if (count < 0) return static_cast<Errno>(-count);
    bool plain = true;
    return epoll::translate(0, static_cast<size_t>(count), old_[1], tag_, out, plain);
}

void Backend::end_renewal() {
    if (old_[0] >= 0 && anchors::is_set_of(old_[0], tag_)) sys::close(old_[0]);
    old_[0] = -1;
    own_file::close(old_[1], this);
}

void Backend::cancel_renewal() {
    if (exists()) (void)dup3(old_[0], lanes_[0], O_CLOEXEC);
    own_file::close(lanes_[1], this);
    lanes_[1] = std::exchange(old_[1], -1);
    end_renewal();
}

Errno Backend::carry_back(int fd, FdFacts& facts) {
    facts.registered = 0;
    for (int lane = 0; lane < kLanes; lane++) {
        if (lanes_[lane] < 0) continue;
        if (control(lanes_[lane], EPOLL_CTL_ADD, fd, 0, Handle{}) == 0)
            (void)control(lanes_[lane], EPOLL_CTL_DEL, fd, 0, Handle{});
        else if (errno == EEXIST)
            facts.registered |= lane_bit(lane);
    }
    const bool armed = facts.armed[0] != Mode::none || facts.armed[1] != Mode::none;
    return armed && facts.registered == 0 ? Errno::no_entry : Errno::ok;
}

}  // namespace kq
