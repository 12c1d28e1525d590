// SPDX-License-Identifier: BSD-2-Clause
// See associations.h.
#include "associations.h"

#include <poll.h>
#include <stdlib.h>

#include <algorithm>
#include <utility>

#include "../posix/amount.h"
#include "../posix/fd_identity.h"
#include "../posix/poll_bits.h"
#include "port_bell.h"

namespace kq {
namespace {

constexpr Direction kBoth[] = {Direction::read, Direction::write};
constexpr uint16_t kEither = kHangup | kFailed;

Direction other(Direction d) {
    return d == Direction::read ? Direction::write : Direction::read;
}

// Which of the Ready bits concern a direction.
uint16_t concerning(uint16_t ready, Direction d) {
    return ready & (kEither | kClosed | (d == Direction::read ? kReadable : kWritable));
}

// An amount of which more is news: the bytes to be read; for a kqueue, how many events its port
// ever had, and its rings.
int64_t amount_of(int fd, Direction d) {
    if (d == Direction::write) return 0;
    const int64_t bytes = amount::readable(fd);
    const PortBell* bell = bytes >= 0 ? nullptr : port_bell::find(fd);
    struct stat st {};
    if (bell == nullptr || sys::stat_number(fd, &st) != 0) return bytes;
    return int64_t{st.st_size} + bell->taken.load() + bell->rings.load();
}

SpentEdges::Look look_at(int fd, Direction d) {
    const uint16_t ready = concerning(to_ready(sys::poll_now(fd, events_for(d))), d);
    if (ready == 0 || (ready & kClosed) != 0) return {ready, 0};
    return {ready, amount_of(fd, d)};
}

}  // namespace

bool Associations::is_same_file(int fd, const Place& place) {
    uint32_t identity = 0;
    return identify(fd, identity) && identity == place.identity;
}

Associations::~Associations() {
    free(to_arm_);
    free(queues_);
}

// ---- registering ----

void Associations::leave(Place& place) {
    if (place.registered) registered_--;
    place.registered = place.live = place.queue = false;
}

void Associations::forget(int fd, Place& place) {
    for (const Direction d : kBoth)
        (void)edges_.remove(fd, d);
    leave(place);
    const bool listed = place.listed;
    place = Place{};
    place.listed = listed;
}

// The first association of a number.
Errno Associations::begin(int fd, FdFacts& facts, Place& place) {
    forget(fd, place);  // the facts are those of an earlier file
    struct stat st {};
    if (sys::stat_number(fd, &st) != 0) return last_errno();
    if (facts.kind == FdKind::unknown) {
        const Errno error = descriptor::classify(fd, facts);
        if (error != Errno::ok) return error;
    }
    // A port calls these ready at all times.
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) return Errno::not_permitted;
    const Errno error = edges_.prepare(fd);
    if (error != Errno::ok) return error;
    if (!grow_array(to_arm_, to_arm_capacity_, registered_ + to_arm_count_ + 1))
        return Errno::no_memory;
    if (bells::find(fd) != nullptr) {
        if (!grow_array(queues_, queue_capacity_, queue_count_ + 1)) return Errno::no_memory;
        int* const end = queues_ + queue_count_;
        if (std::find(queues_, end, fd) == end) queues_[queue_count_++] = fd;
        place.queue = true;
    }
    place.identity = identity_of_end(fd, st);
    place.registered = true;
    registered_++;
    return Errno::ok;
}

// Notes that settle() is to associate it.
bool Associations::list(int fd, Place& place) {
    if (place.listed) return true;
    if (!grow_array(to_arm_, to_arm_capacity_, to_arm_count_ + 1)) return false;
    to_arm_[to_arm_count_++] = fd;
    place.listed = true;
    return true;
}

// Tells the kernel what is wanted of a registered number.
Errno Associations::arm(int port, int fd, Place& place) {
    int events = 0;
    for (const Direction d : kBoth)
        if (place.mode[static_cast<size_t>(d)] != Mode::none && (place.spent & bit(d)) == 0)
            events |= events_for(d);
    // A guard serves edges. It would report at once a hangup that was reported before.
    if (events == 0 && (place.spent == 0 || sys::poll_now(fd, 0) != 0)) {
        if (place.live) (void)ports::dissociate(port, fd);
        place.live = false;
        return Errno::ok;
    }
    const Errno error = ports::associate(port, fd, events);
    place.live = error == Errno::ok;
    if (place.live) last_armed_ = fd;
    return error;
}

// Associates it now, or in settle() if there is no memory to note it. The answer is always ok.
Errno Associations::arm_soon(int port, int fd, Place& place) {
    if (arm(port, fd, place) == Errno::no_memory) (void)list(fd, place);
    return Errno::ok;
}

// Whether the number still is the file that is registered. If it is, it has to be armed again: the
// question takes a queued event out of the kernel.
Errno Associations::check(int port, int fd, Place& place, bool in_transit) {
    Errno error = Errno::ok;
    if (!place.registered)  // an earlier call found that it is not
        return descriptor::check_open(fd) == Errno::ok ? Errno::no_entry : Errno::bad_descriptor;
    const bool was_live = place.live;
    if (was_live) {
        error = ports::dissociate(port, fd);
        place.live = false;
        if (error == Errno::ok) return error;
    }
    uint32_t identity = 0;
    if (!identify(fd, identity)) return Errno::bad_descriptor;
    if (identity != place.identity) return Errno::no_entry;
    // A sleeping thread has taken its event. Or the program has closed a duplicate of the port, and
    // the kernel has dropped all associations.
    if (error == Errno::no_entry && was_live && !in_transit) missing_ = true;
    return Errno::ok;
}

bool Associations::probe(int port, bool in_transit) {
    Place* place = last_armed_ < 0 ? nullptr : places_.find(static_cast<size_t>(last_armed_));
    if (place != nullptr && place->live) {
        if (check(port, last_armed_, *place, in_transit) == Errno::ok)
            (void)arm_soon(port, last_armed_, *place);
        else
            leave(*place);
    }
    return std::exchange(missing_, false);
}

Errno Associations::still(int port, int fd, FdFacts& facts, bool in_transit) {
    Place& place = *places_.find(static_cast<size_t>(fd));  // it exists: the number is registered
    const bool was_live = place.live;
    const Errno error = check(port, fd, place, in_transit);
    if (error == Errno::ok) return was_live ? arm_soon(port, fd, place) : error;
    forget(fd, place);
    facts.registered = 0;
    return error;
}

// The answer to the core if the port does not take such a descriptor.
Errno Associations::refusal(int fd, Errno error) const {
    if (error != Errno::bad_descriptor && error != Errno::invalid) return error;
    if (descriptor::check_open(fd) != Errno::ok) return Errno::bad_descriptor;
    return bells::find(fd) != nullptr ? Errno::too_many_links : Errno::not_permitted;
}

void Associations::set_modes(int fd, Place& place, Interest want, uint8_t rearm,
                             const FdFacts& facts) {
    for (const Direction d : kBoth) {
        if (facts.registered != 0 && want[d] == facts.armed_for(d) && (rearm & bit(d)) == 0)
            continue;
        (void)edges_.remove(fd, d);
        place.spent &= static_cast<uint8_t>(~bit(d));
        place.mode[static_cast<size_t>(d)] = want[d];
    }
}

Errno Associations::watch(int port, int fd, Interest want, uint8_t rearm, Handle handle,
                          FdFacts& facts, bool in_transit) {
    Place* place = places_.at(static_cast<size_t>(fd));
    if (place == nullptr) return Errno::no_memory;
    if (facts.registered != 0) {
        const Errno error = check(port, fd, *place, in_transit);
        if (error != Errno::ok) {
            forget(fd, *place);
            facts.registered = 0;
            return error;
        }
    } else {
        if (want[Direction::read] == Mode::none && want[Direction::write] == Mode::none)
            return Errno::ok;
        const Errno error = begin(fd, facts, *place);
        if (error != Errno::ok) return error;
    }
    const bool none = want[Direction::read] == Mode::none && want[Direction::write] == Mode::none;
    if (none) {
        (void)ports::dissociate(port, fd);  // reported once: stays in the kernel, silent
        forget(fd, *place);
    } else {
        set_modes(fd, *place, want, rearm, facts);
        place->handle = handle;
        const Errno error = arm(port, fd, *place);
        if (error != Errno::ok) {
            forget(fd, *place);
            const bool was_registered = facts.registered != 0;
            facts.registered = 0;
            return was_registered && error == Errno::bad_descriptor ? error : refusal(fd, error);
        }
    }
    facts.registered = none ? 0 : 1;
    for (size_t d = 0; d < kDirections; d++) {
        facts.armed[d] = want.mode[d];
        facts.lane[d] = static_cast<uint8_t>(d);
    }
    return Errno::ok;
}

// ---- reporting ----

// Whether Ready bits of a number are to be reported for a direction.
bool Associations::concerns(const Place& place, Direction d, uint16_t ready) {
    const auto i = static_cast<size_t>(d);
    ready = concerning(ready, d);
    if (place.mode[i] == Mode::none || ready == 0) return false;
    // The guard reports nothing except a hangup since.
    return (place.spent & bit(d)) == 0 || (ready & kEither & ~place.hangup[i]) != 0;
}

// Reports one direction, if the event concerns it. `seen`: what poll() says.
void Associations::tell(int fd, Place& place, Direction d, uint16_t ready, uint16_t seen,
                        Wakeup& out) {
    const auto i = static_cast<size_t>(d);
    ready = concerning(ready, d);
    if (place.mode[i] == Mode::edge) {
        place.hangup[i] = static_cast<uint8_t>(seen & kEither);
        (void)edges_.remove(fd, d);
        const SpentEdges::Look look{concerning(seen, d), amount_of(fd, d)};
        edges_.add(fd, d, place.handle, look, now(Clock::monotonic));
        place.spent |= bit(d);
    }
    if (place.mode[i] == Mode::once) place.mode[i] = Mode::none;
    out = {place.handle, ready, static_cast<uint8_t>(d)};
}

// An event says what was true when it was queued, and only for the directions that became ready
// first. So poll() is asked for the present state. A direction that is not ready stays associated.
size_t Associations::report(int port, const port_event_t& event, std::span<Wakeup> out) {
    const int fd = static_cast<int>(event.portev_object);
    Place* place = places_.find(static_cast<size_t>(fd));
    if (place == nullptr || !place->registered) {
        (void)ports::dissociate(port, fd);  // it is of a queue that had the number before
        return 0;
    }
    place->live = false;
    short events = 0;
    for (const Direction d : kBoth)
        if (place->mode[static_cast<size_t>(d)] != Mode::none)
            events = static_cast<short>(events | events_for(d));
    const uint16_t ready = to_ready(sys::poll_now(fd, events));
    // The number was closed since, or is another file: still() will say so. This is asked last, so
    // that the answer of poll() was about this file.
    if ((ready & kClosed) != 0 || !is_same_file(fd, *place)) {
        leave(*place);
        if (!out.empty()) out[0] = {place->handle, kClosed, 0};
        return out.empty() ? 0 : 1;
    }
    size_t count = 0;
    bool all = true;
    const Direction first = place->first;
    for (const Direction d : {first, other(first)}) {
        if (!concerns(*place, d, ready)) continue;
        all = count < out.size();
        if (all)
            tell(fd, *place, d, ready, ready, out[count++]);
        else
            place->first = d;
    }
    // If the other direction found no room, it is armed now: this call needs it if what was
    // reported turns out not to be true.
    if (all)
        (void)list(fd, *place);
    else
        (void)arm_soon(port, fd, *place);
    return count;
}

// ---- kqueues that are watched ----

// Their ports do not report what they find by looking. Counting their events finds it.
void Associations::look_at_queues(std::span<Wakeup> out, size_t& count) {
    size_t kept = 0;
    for (size_t i = 0; i < queue_count_; i++) {
        const int fd = queues_[i];
        Place& place = *places_.find(static_cast<size_t>(fd));
        if (!place.registered || !place.queue) continue;
        queues_[kept++] = fd;
        const PortBell* bell = port_bell::find(fd);
        if (bell == nullptr || bell->look_at.load() == kForever || count == out.size()) continue;
        if (!concerns(place, Direction::read, kReadable)) continue;
        const uint16_t seen = to_ready(sys::poll_now(fd, POLLIN));
        tell(fd, place, Direction::read, kReadable, seen, out[count++]);
    }
    queue_count_ = kept;
}

void Associations::plan() {
    Nanos earliest = kForever;
    for (size_t i = 0; i < queue_count_; i++)
        if (const PortBell* bell = port_bell::find(queues_[i]))
            earliest = std::min(earliest, bell->look_at.load());
    queues_look_at_.store(earliest, std::memory_order_relaxed);
}

// ---- looking ----

size_t Associations::look(int port, Nanos t, std::span<Wakeup> out, bool in_transit) {
    size_t count = 0;
    if (queue_count_ > 0) look_at_queues(out, count);
    if (edges_.empty()) return count;
    const auto sample = [this](int fd, Direction d) -> SpentEdges::Look {
        if (!places_.find(static_cast<size_t>(fd))->registered) return {kClosed, 0};
        return look_at(fd, d);
    };
    // The look must not report another file. still() will say what has become of the number.
    const auto unspend = [this, port, in_transit](int fd, Direction d) {
        Place& place = *places_.find(static_cast<size_t>(fd));
        place.spent &= static_cast<uint8_t>(~bit(d));
        if (!place.registered) return;
        if (check(port, fd, place, in_transit) == Errno::ok)
            (void)arm_soon(port, fd, place);
        else
            leave(place);
    };
    const std::span<Wakeup> room = out.subspan(count);
    const size_t found = edges_.look(t, room, sample, unspend, unspend);
    return count + drop_others(port, room.first(found), in_transit);
}

// Of the wakeups that were found by looking, keeps those of files that are still the registered
// ones. Returns how many.
size_t Associations::drop_others(int port, std::span<Wakeup> found, bool in_transit) {
    size_t kept = 0;
    for (const Wakeup& wakeup : found) {
        const int fd = static_cast<int>(wakeup.handle.index());
        Place& place = *places_.find(static_cast<size_t>(fd));
        if (!place.registered || check(port, fd, place, in_transit) != Errno::ok) {
            leave(place);
            continue;
        }
        place.hangup[wakeup.lane] = static_cast<uint8_t>(wakeup.ready & kEither);
        (void)arm_soon(port, fd, place);
        found[kept++] = wakeup;
    }
    return kept;
}

// ---- settling ----

bool Associations::settle(int port) {
    size_t kept = 0;
    for (size_t i = 0; i < to_arm_count_; i++) {
        const int fd = to_arm_[i];
        Place& place = *places_.find(static_cast<size_t>(fd));
        place.listed = false;
        if (!place.registered) continue;
        const Errno error = arm(port, fd, place);
        // The number may have been given to another file since the report. From here on the kernel
        // ends the association when the number is closed.
        if (error == Errno::ok && !is_same_file(fd, place)) {
            if (place.live) (void)ports::dissociate(port, fd);
            leave(place);
        }
        if (error != Errno::no_memory) continue;
        place.listed = true;
        to_arm_[kept++] = fd;
    }
    to_arm_count_ = kept;
    return kept == 0;
}

void Associations::list_all() {
    places_.for_each([this](size_t fd, Place& place) {
        if (place.registered && place.live) (void)list(static_cast<int>(fd), place);
    });
}

}  // namespace kq
