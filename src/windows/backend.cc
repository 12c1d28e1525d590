// SPDX-License-Identifier: BSD-2-Clause
// A completion port, and what feeds it. See backend.h and platform.h.
#include "backend.h"

#include <fcntl.h>

#include <algorithm>

#include "closes.h"
#include "files.h"
#include "numbers.h"
#include "sys.h"

namespace kq {
namespace {

constexpr uintptr_t kSocketKey = 2;
constexpr uintptr_t kProcessKey = 3;
constexpr uintptr_t kFileKey = 4;

uint8_t bit(Direction d) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(d));
}

}  // namespace

const int Backend::kKqueue1Flags = _O_NOINHERIT;

// ---- life ----

Errno Backend::open(uint32_t tag) {
    const Result<Bell*> bell = bells::open(tag);
    if (!bell.ok()) return bell.error();
    bell_ = bell.value();
    waiting_.use(*bell_);
    sockets_.open(bell_->port.load(), kSocketKey);
    files_.open(bell_->port.load(), kFileKey);
    return Errno::ok;
}

Backend::~Backend() {
    if (bell_ == nullptr) return;
    sockets_.close();
    files_.close();
    take_the_last();
    waiting_.close();
    bells::close(*bell_, is_unpublished_);
}

// The system writes into outstanding requests until their packets are taken. A packet may also be
// in the inbox, because a thread took it before the kqueue was closed.
void Backend::take_the_last() {
    constexpr int kPatience = 100;
    constexpr Nanos kWait = 10 * kMillisecond;
    for (int i = 0; i < kPatience && !(sockets_.is_quiet() && files_.is_quiet()); i++) {
        Packet packets[16];
        const size_t count = waiting_.take(packets, kWait);
        for (size_t k = 0; k < count; k++) {
            Wakeup wakeups[kDirections];
            (void)on_packet(packets[k], wakeups);
        }
    }
    // What is left is leaked: it is worse if the system writes into freed memory.
}

void Backend::close_unpublished() {
    is_unpublished_ = true;
}

// ---- descriptors ----

Errno Backend::watch_by_looking(int fd, Interest want, uint8_t rearm, Handle handle,
                                FdFacts& facts) {
    if (facts.registered != 0) {
        const Errno error = still(fd, facts);
        if (error != Errno::ok) return error;
    }
    const bool queue = bells::tag_of(fd) != 0;
    if (queue)
        bells::note_watched(fd);
    else if (facts.kind == FdKind::unknown)
        (void)files::classify(fd, facts);
    for (const Direction d : {Direction::read, Direction::write}) {
        const auto i = static_cast<size_t>(d);
        if (want[d] == facts.armed[i] && (rearm & bit(d)) == 0) continue;
        const Errno error = looked_at_.set(fd, d, want[d], handle, queue);
        if (error != Errno::ok) return error;
        facts.armed[i] = want[d];
        facts.lane[i] = static_cast<uint8_t>(d);
    }
    const bool wanted = facts.armed[0] != Mode::none || facts.armed[1] != Mode::none;
    facts.registered = wanted ? kLookedAt : 0;
    return Errno::ok;
}

Errno Backend::watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts) {
    if ((facts.registered & kLookedAt) != 0)
        return watch_by_looking(fd, want, rearm, handle, facts);
    if (facts.registered != 0 || numbers::is_socket(fd))
        return sockets_.watch(fd, want, rearm, handle, facts);
    if (want[Direction::read] == Mode::none && want[Direction::write] == Mode::none)
        return Errno::ok;
    if (fd == descriptor()) return Errno::invalid;
    FdFacts seen;
    const Errno error = files::classify(fd, seen);
    if (error != Errno::ok) return error;
    if (seen.kind != FdKind::pipe && seen.kind != FdKind::other) return Errno::not_permitted;
    return watch_by_looking(fd, want, rearm, handle, facts);
}

Errno Backend::still(int fd, FdFacts& facts) {
    if ((facts.registered & kLookedAt) == 0) return sockets_.still(fd, facts);
    Errno error = Errno::no_entry;
    if (facts.kind == FdKind::kqueue) {  // its identity is set by the core: the tag
        if (bells::tag_of(fd) == facts.identity) return Errno::ok;
        error = descriptor::check_open(fd) == Errno::ok ? error : Errno::bad_descriptor;
    } else if (!numbers::is_socket(fd)) {
        error = files::check_same(fd, facts);
        if (error == Errno::ok) return error;
    }
    looked_at_.remove(fd);
    facts.registered = 0;
    return error;
}

Errno Backend::watch_process(int32_t pid, Handle handle, ProcessFacts& process) {
    return children::watch(bell_->port.load(), kProcessKey, pid, handle, process);
}

// ---- collecting ----

// What the library itself has to report, before the descriptors.
size_t Backend::collect_own(std::span<Wakeup> out, Nanos t) {
    size_t count = 0;
    const auto tell = [&out, &count](Handle handle) {
        if (count == out.size()) return false;
        out[count++] = {handle, 0, 0};
        return true;
    };
    if (!out.empty() && bell_->has(Bell::kRung)) {
        // Cleared first, so that the next call finds a ring that comes after this.
        bell_->clear(Bell::kRung);
        (void)tell(Handle(Handle::Kind::announcement, 0, 0));
    }
    for (const Clock clock : {Clock::monotonic, Clock::realtime}) {
        Nanos& due = deadline_[static_cast<size_t>(clock)];
        if (due == kForever || due > (clock == Clock::monotonic ? t : now(clock))) continue;
        if (tell(Handle(Handle::Kind::timers, static_cast<uint32_t>(clock), 0))) due = kForever;
    }
    files_.look(t);
    if (files_.has_news()) (void)tell(Handle(Handle::Kind::files, 0, 0));
    return count;
}

// Writes up to two wakeups.
size_t Backend::on_packet(const Packet& packet, std::span<Wakeup> out) {
    if (packet.key == kSocketKey) return sockets_.on_packet(packet.object, out);
    if (packet.key == kFileKey) {
        files_.on_packet(packet.object, packet.bytes, packet.status);
        out[0] = {Handle(Handle::Kind::files, 0, 0), 0, 0};
        return files_.has_news() ? 1 : 0;
    }
    if (packet.key != kProcessKey) return 0;
    out[0] = {children::handle_of(packet.bytes, packet.object), 0, 0};
    return 1;
}

// What was left comes first, and before any packet is taken: there is one place for what is left.
size_t Backend::collect_packets(std::span<Wakeup> out) {
    size_t count = 0;
    if (is_left_ && !out.empty()) {
        if (sockets_.has(left_.handle)) out[count++] = left_;
        is_left_ = false;
    }
    while (count < out.size()) {
        constexpr size_t kMost = 32;
        Packet packets[kMost];
        const size_t room = std::clamp((out.size() - count) / 2, size_t{1}, kMost);
        const size_t taken = waiting_.take({packets, room});
        if (taken != 0) closes::notice();
        for (size_t i = 0; i < taken; i++) {
            Wakeup wakeups[kDirections];
            const size_t told = on_packet(packets[i], wakeups);
            for (size_t k = 0; k < told; k++) {
                if (count < out.size()) {
                    out[count++] = wakeups[k];
                } else {
                    left_ = wakeups[k];
                    is_left_ = true;
                }
            }
        }
        if (taken < room && !sockets_.take_made_anew()) break;
    }
    return count;
}

Result<size_t> Backend::collect(std::span<Wakeup> out) {
    if (!bells::exists(*bell_)) return Errno::bad_descriptor;
    const Nanos t = now(Clock::monotonic);
    // If its own reports took all the room last time, as a timer that is always due would each
    // time, they come last now: R-47.
    const bool own_last = own_filled_;
    size_t count = own_last ? 0 : collect_own(out, t);
    own_filled_ = !own_last && count == out.size();
    count += sockets_.look_at_edges(out.subspan(count), t);
    count += sockets_.arm(out.subspan(count));
    // The two take turns. Where there is little room, each could keep the other from being
    // reported.
    looks_first_ = !looks_first_;
    if (looks_first_) count += looked_at_.look(out.subspan(count), t);
    count += collect_packets(out.subspan(count));
    if (!looks_first_) count += looked_at_.look(out.subspan(count), t);
    if (own_last) count += collect_own(out.subspan(count), t);
    return count;
}

// ---- waiting ----

Errno Backend::sleep(Nanos t) const {
    return waiting_.sleep(t);
}

Errno Backend::pause(Nanos t) {
    if (t > 0)
        Sleep(static_cast<DWORD>(std::min((t + kMillisecond - 1) / kMillisecond, Nanos{1000})));
    return Errno::timed_out;
}

Errno Backend::announce(Announce how) {
    if (bell_->has(Bell::kClosed)) return Errno::bad_descriptor;
    if (how == Announce::release) {
        bell_->clear(Bell::kHeld);
        return Errno::ok;
    }
    bell_->set(how == Announce::ring ? Bell::kRung : Bell::kHeld);
    bell_->wake();
    return Errno::ok;
}

void Backend::settle(Nanos monotonic, Nanos realtime) {
    deadline_[0] = monotonic;
    deadline_[1] = realtime;
    monotonic = std::min(monotonic, files_.next_look());
    monotonic = std::min(monotonic, sockets_.next_look());
    bell_->due.store(monotonic);
    bell_->due_by_wall.store(realtime);
    bell_->looks.store(!looked_at_.empty());
    if (!looked_at_.empty())
        monotonic = std::min(monotonic, now(Clock::monotonic) + LookedAt::kPeriod);
    waiting_.set_deadlines(monotonic, realtime);
    if (bell_->watched.load()) (void)sockets_.arm({});
    bell_->put(Bell::kUnarmed, !sockets_.is_armed() || is_left_);
    waiting_.wake_if_needed();
}

}  // namespace kq
