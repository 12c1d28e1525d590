// SPDX-License-Identifier: BSD-2-Clause
// Waiting on a completion port. See port.h.
#include "port.h"

#include <algorithm>

#include "nt.h"
#include "platform.h"

namespace kq {
namespace {

// The wall clock may be set while a thread sleeps.
constexpr Nanos kLongestByWall = kSecond;

constexpr Nanos kUnit = 100;  // of the kernel's times, in ns

// Less than kForever, and long enough.
constexpr Nanos kLongest = 1000 * 3600 * kSecond;

size_t remove(Bell& bell, nt::Completion* out, uint32_t most, Nanos t) {
    uint32_t count = 0;
    const Nanos whole = std::min(t, kLongest);
    const int64_t units = -((whole + kUnit - 1) / kUnit);  // negative: from now on
    if (NtRemoveIoCompletionEx(bell.port.load(), out, most, &count, &units, 0) != 0) return 0;
    bell.taken.fetch_add(count);
    return count;
}

Packet packet_of(const nt::Completion& done) {
    return {reinterpret_cast<uintptr_t>(done.key), done.context, done.status.information,
            done.status.status};
}

}  // namespace

// ---- sleeping ----

Nanos Port::adopt(Sleeper& me, Nanos end) {
    const Guard guard(mutex_);
    me.until = std::min(end, monotonic_);
    if (realtime_ != kForever) {
        const Nanos left = realtime_ - now(Clock::realtime);
        const Nanos t = std::clamp(left, Nanos{0}, kLongestByWall);
        me.until = std::min(me.until, saturating_add(now(Clock::monotonic), t));
    }
    me.next = sleepers_;
    sleepers_ = &me;
    if (me.until != kForever) {
        const Nanos t = now(Clock::monotonic);
        if (me.until > t && me.until - t <= Alarm::kLongest) alarm_.set(*bell_, me.until, t);
    }
    return me.until;
}

void Port::leave(const Sleeper& me) {
    const Guard guard(mutex_);
    Sleeper** at = &sleepers_;
    while (*at != &me)
        at = &(*at)->next;
    *at = me.next;
}

bool Port::wait(Nanos until, Packet& packet) const {
    const Nanos t = until == kForever ? kForever : until - now(Clock::monotonic);
    nt::Completion done;
    if (remove(*bell_, &done, 1, std::max(t, Nanos{0})) == 0) return false;
    packet = packet_of(done);
    return true;
}

Errno Port::sleep(Nanos t) {
    const Errno error = inbox_.enter();
    if (error != Errno::ok) return error;
    const Nanos end = t == kForever ? kForever : saturating_add(now(Clock::monotonic), t);
    // A thread that sets a reason, or an earlier deadline, after this sees that this thread sleeps.
    bell_->sleepers.fetch_add(1);
    Sleeper me{};
    const Nanos until = adopt(me, end);
    Packet packet{};
    bool got = false;
    if (bell_->reasons.load() == 0) got = wait(until, packet);
    const bool woken = got && packet.key == Bell::kWakeKey;
    if (woken) bell_->woken.store(false);
    if (got && !woken) {
        kept_.fetch_add(1);
        inbox_.leave(packet);
    } else {
        inbox_.leave();
    }
    leave(me);
    bell_->sleepers.fetch_sub(1);
    // The call that ends in this way wakes the next thread: wake_if_needed().
    if (bell_->has(Bell::kClosed)) return Errno::bad_descriptor;
    // The alarm rings the bell, too, and that may be the end of the time and nothing else.
    if ((got && !woken) || bell_->reasons.load() != 0) return Errno::ok;
    return now(Clock::monotonic) >= end ? Errno::timed_out : Errno::ok;
}

// ---- collecting ----

size_t Port::take(std::span<Packet> out, Nanos t) {
    size_t count = inbox_.take(out);
    if (count != 0) kept_.fetch_sub(count);
    constexpr size_t kMost = 32;
    while (count < out.size()) {
        nt::Completion done[kMost];
        const auto most = static_cast<uint32_t>(std::min(kMost, out.size() - count));
        const size_t taken = remove(*bell_, done, most, count == 0 ? t : 0);
        for (size_t i = 0; i < taken; i++) {
            if (reinterpret_cast<uintptr_t>(done[i].key) == Bell::kWakeKey)
                bell_->woken.store(false);
            else
                out[count++] = packet_of(done[i]);
        }
        if (taken < most) break;
    }
    return count;
}

void Port::set_deadlines(Nanos monotonic, Nanos realtime) {
    bool adopted = true;
    {
        const Guard guard(mutex_);
        const bool earlier = monotonic < monotonic_ || realtime < realtime_;
        monotonic_ = monotonic;
        realtime_ = realtime;
        if (!earlier && sleepers_ == nullptr) return;
        Nanos t = monotonic;
        if (realtime != kForever)
            t = std::min(t, saturating_add(now(Clock::monotonic),
                                           std::max(realtime - now(Clock::realtime), Nanos{0})));
        adopted = sleepers_ == nullptr || t == kForever;
        for (const Sleeper* s = sleepers_; s != nullptr && !adopted; s = s->next)
            adopted = s->until <= t;
    }
    if (!adopted) bell_->wake();
}

void Port::wake_if_needed() {
    if (kept_.load() != 0)
        bell_->set(Bell::kKept);
    else
        bell_->clear(Bell::kKept);
    if (bell_->reasons.load() != 0) bell_->wake();
}

}  // namespace kq
