// SPDX-License-Identifier: BSD-2-Clause
// The simulated kernel queue. See backend.h.
#include "backend.h"

#include <climits>
#include <utility>

#include "check.h"
#include "world.h"

namespace kq {

using sim::Fault;
using sim::world;

namespace {

uint8_t bit(Direction d) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(d));
}

}  // namespace

Backend::Backend() {
    using Kind = Handle::Kind;
    items_[{0, kRing, 0}] = {{Kind::announcement, 0, 0}, Mode::edge};
    items_[{0, kHold, 0}] = {{Kind::announcement, 1, 0}, Mode::level};
    items_[{0, kMonotonic, 0}] = {{Kind::timers, 0, 0}, Mode::edge};
    items_[{0, kRealtime, 0}] = {{Kind::timers, 1, 0}, Mode::edge};
    items_[{0, kFiles, 0}] = {{Kind::files, 0, 0}, Mode::level};
    items_[{0, kProcesses, 0}] = {{Kind::processes, 0, 0}, Mode::level};
    world().queues.insert(this);
}

Backend::~Backend() {
    // The number outlives the queue in the sim only if the test never closed it.
    if (exists()) world().file(fd_).queue = nullptr;
    world().queues.erase(this);
}

Errno Backend::open(uint32_t /*tag*/) {
    const Errno error = world().use(Fault::open);
    if (error != Errno::ok) return error;
    fd_ = world().open(FdKind::other);
    world().file(fd_).queue = this;
    serial_ = world().file(fd_).serial;
    return Errno::ok;
}

void Backend::close_unpublished() {
    if (fd_ >= 0) world().close(fd_);
    fd_ = -1;
}

bool Backend::exists() const {
    const sim::OpenFile* file = world().find(fd_);
    return file != nullptr && file->serial == serial_;
}

// ---- interest ----

// Changes one direction of one number: adds, modifies or deletes it, with the answers of
// epoll_ctl().
Errno Backend::change(int fd, Direction d, Mode mode, Handle handle, FdFacts& facts) {
    const bool has = (facts.registered & bit(d)) != 0;
    if (!has && mode == Mode::none) return Errno::ok;
    world().counts.control++;
    const sim::OpenFile* file = world().find(fd);
    const auto without = static_cast<uint8_t>(facts.registered & ~bit(d));
    if (file == nullptr) {
        facts.registered = without;
        return Errno::bad_descriptor;
    }
    const Key key{file->serial, fd, static_cast<int>(d)};
    if (has) {
        Errno error = world().use(mode == Mode::none ? Fault::remove : Fault::modify);
        if (error != Errno::ok) return error;
        if (items_.count(key) == 0) {
            facts.registered = without;
            return Errno::no_entry;
        }
    } else {
        // The registered item may belong to an earlier open file.
        if (facts.registered != 0 && still(fd, facts) != Errno::ok) return Errno::no_entry;
        if (file->kind == FdKind::regular || file->kind == FdKind::directory ||
            file->kind == FdKind::always)
            return Errno::not_permitted;
        const Errno error = world().use(Fault::add);
        if (error != Errno::ok) return error;
        facts.registered |= bit(d);
    }
    if (mode == Mode::none) {
        if (world().one_shot) forget_edge(fd, key.direction);
        ready_.remove(key);
        items_.erase(key);
        facts.registered = without;
        return Errno::ok;
    }
    Item& item = items_[key];
    item.handle = handle;
    item.mode = mode;
    if (world().one_shot) return arm(key, item);
    if (ask(key, item) != 0) list(key, item);
    return Errno::ok;
}

Errno Backend::still(int fd, FdFacts& facts) {
    world().counts.still++;
    KQ_CHECK(facts.registered != 0);
    const sim::OpenFile* file = world().find(fd);
    if (file == nullptr) return Errno::bad_descriptor;
    const int direction = (facts.registered & bit(Direction::read)) != 0 ? 0 : 1;
    if (items_.count({file->serial, fd, direction}) != 0) return Errno::ok;
    facts.registered = 0;
    return Errno::no_entry;
}

Errno Backend::watch(int fd, Interest want, uint8_t rearm, Handle handle, FdFacts& facts) {
    world().counts.watch++;
    for (const Direction d : {Direction::write, Direction::read}) {
        if (want[d] == facts.armed_for(d) && (rearm & bit(d)) == 0) continue;
        const Errno error = change(fd, d, want[d], handle, facts);
        if (error != Errno::ok) return error;
        facts.armed[static_cast<size_t>(d)] = want[d];  // even if the other one fails
    }
    const bool share =
        world().share_lanes && want.mode[0] == Mode::level && want.mode[1] == Mode::level;
    for (size_t d = 0; d < kDirections; d++) {
        facts.lane[d] = share ? 0 : static_cast<uint8_t>(d);
    }
    return Errno::ok;
}

Mode Backend::mode_of(int fd, Direction direction) const {
    const sim::OpenFile* file = world().find(fd);
    if (file == nullptr) return Mode::none;
    const auto at = items_.find({file->serial, fd, static_cast<int>(direction)});
    return at == items_.end() ? Mode::none : at->second.mode;
}

// ---- items that have something to report ----

void Backend::list(const Key& key, Item& item) {
    if (item.listed || item.spent) return;
    if (world().one_shot && key.serial != 0) {
        item.posted = ask(key, item);
        if (item.posted == 0) return;
        item.spent = true;
    }
    const bool was = readable();
    item.listed = true;
    ready_.push_back(key);
    if (!was && readable() && exists()) world().poke(world().file(fd_), 1);
}

void Backend::on_poke(uint64_t serial, uint8_t directions) {
    for (auto at = items_.lower_bound({serial, INT_MIN, 0});
         at != items_.end() && at->first.serial == serial; ++at)
        if ((directions & (1u << at->first.direction)) != 0 && at->second.mode != Mode::none)
            list(at->first, at->second);
}

void Backend::on_file_ended(uint64_t serial) {
    ready_.remove_if([serial](const Key& key) { return key.serial == serial; });
    std::erase_if(items_, [serial](const auto& entry) { return entry.first.serial == serial; });
}

void Backend::list_special(Special which) {
    const Key key{0, which, 0};
    list(key, items_.at(key));
}

// The Ready bits of an item now; 0 if it has nothing to report.
uint16_t Backend::ask(const Key& key, const Item& item) const {
    if (key.serial == 0) return ask_special(key.fd);
    if (item.spent) return item.listed ? item.posted : 0;
    if (item.mode == Mode::none) return 0;
    // The file is found by its serial, because the number may now name another file.
    const sim::OpenFile* file = world().find(key.fd);  // usually the number still names it
    if (file == nullptr || file->serial != key.serial) file = world().find_serial(key.serial);
    KQ_CHECK(file != nullptr);
    return world().ready(*file, static_cast<Direction>(key.direction));
}

uint16_t Backend::ask_special(int which) const {
    switch (which) {
        case kRing:
            return ringing_ ? kReadable : 0;
        case kHold:
            return held_ ? kReadable : 0;
        case kMonotonic:
        case kRealtime:
            return due(which == kMonotonic ? Clock::monotonic : Clock::realtime) ? kReadable : 0;
        case kProcesses:
            return hears_ && !world().news.empty() ? kReadable : 0;
        default:
            for (const auto& [id, file] : files_)
                if (file.changes != 0) return kReadable;
            return 0;
    }
}

void Backend::heard_special(int which) {
    if (which == kRing) ringing_ = false;
    if (which == kMonotonic) armed_[0] = kForever;
    if (which == kRealtime) armed_[1] = kForever;
}

bool Backend::due(Clock clock) const {
    return armed_[static_cast<size_t>(clock)] <= world().now(clock);
}

bool Backend::readable() const {
    if (!strays_.empty() || due(Clock::monotonic) || due(Clock::realtime)) return true;
    for (const Key& key : ready_)
        if (ask(key, items_.at(key)) != 0) return true;
    return false;
}

std::string Backend::what_is_ready() const {
    std::string text = due(Clock::monotonic) || due(Clock::realtime) ? "a deadline;" : "";
    for (const Key& key : ready_) {
        if (ask(key, items_.at(key)) == 0) continue;
        if (key.serial == 0)
            text += " special " + std::to_string(key.fd);
        else
            text += " fd " + std::to_string(key.fd) + (key.direction == 0 ? " read" : " write");
    }
    return text;
}

// The report of a ready item. If the world has share_lanes, two directions by level share a lane.
// Then each reports both.
Wakeup Backend::report(const Key& key, const Item& item, uint16_t ready) const {
    const auto own_lane = static_cast<uint8_t>(key.direction);
    if (key.serial == 0 || !world().share_lanes || item.mode != Mode::level)
        return {item.handle, ready, own_lane};
    const Key other{key.serial, key.fd, 1 - key.direction};
    const auto at = items_.find(other);
    if (at == items_.end() || at->second.mode != Mode::level) return {item.handle, ready, own_lane};
    return {item.handle, static_cast<uint16_t>(ready | ask(other, at->second)), 0};
}

Result<size_t> Backend::collect(std::span<Wakeup> out) {
    world().counts.collect++;
    KQ_CHECK(!out.empty());
    // What a sleeping thread has brought is given out even if the kernel refuses, as the backends
    // of event ports and completion ports do it.
    const bool brought = world().one_shot && inbox_.has_report();
    const Errno error = brought ? Errno::ok : world().use(Fault::collect);
    if (error != Errno::ok) return error;
    if (due(Clock::monotonic)) list_special(kMonotonic);
    if (due(Clock::realtime)) list_special(kRealtime);
    if (world().one_shot) return collect_one_shot(out);
    size_t count = 0;
    for (; !strays_.empty() && count < out.size(); strays_.erase(strays_.begin()))
        out[count++] = strays_.front();
    for (size_t left = ready_.size(); left > 0 && count < out.size(); left--) {
        const Key key = ready_.front();
        ready_.pop_front();
        Item& item = items_.at(key);
        item.listed = false;
        const uint16_t ready = ask(key, item);
        if (ready == 0) continue;
        out[count++] = report(key, item, ready);
        if (key.serial == 0) heard_special(key.fd);
        if (item.mode == Mode::once) item.mode = Mode::none;
        if (item.mode != Mode::level) continue;
        item.listed = true;
        ready_.push_back(key);
    }
    return count;
}

Errno Backend::sleep(Nanos t) const {
    const Errno error = world().sleep(*this, t);
    if (error == Errno::ok && world().one_shot) const_cast<Backend*>(this)->dequeue_one();
    return error;
}

Errno Backend::pause(Nanos t) {
    return world().pause(t);
}

Errno Backend::announce(Announce how) {
    if (!exists()) return Errno::bad_descriptor;
    if (how == Announce::ring) {
        world().counts.ring++;
        ringing_ = true;
        list_special(kRing);
        // A ring is news for a queue that watches this one, even if this one was readable before.
        world().poke(world().file(fd_), bit(Direction::read));
        return Errno::ok;
    }
    world().counts.hold++;
    KQ_CHECK(held_ == (how == Announce::release));
    held_ = how == Announce::hold;
    if (held_) list_special(kHold);
    return Errno::ok;
}

Errno Backend::post(int descriptor, uint32_t /*tag*/) {
    const sim::OpenFile* file = world().find(descriptor);
    Backend* queue = file == nullptr ? nullptr : file->queue;
    return queue == nullptr ? Errno::bad_descriptor : queue->announce(Announce::ring);
}

bool Backend::is_queue(int descriptor) {
    const sim::OpenFile* file = world().find(descriptor);
    return file != nullptr && file->queue != nullptr;
}

const char* signal_name(uintptr_t /*number*/) {
    return nullptr;
}

uint64_t thread_number() {
    return 1;
}

uint32_t coarse_tick() {
    return static_cast<uint32_t>(now(Clock::monotonic) >> 24);
}

// ---- signals: all signals can be caught in the simulated system; tests call arrived() ----

namespace signals {

Errno start(int /*number*/) {
    return Errno::ok;
}
void stop(int /*number*/) {}
bool refresh(uint64_t /*set*/) {
    return false;
}
bool look_at_pending() {
    return false;
}
bool are_left() {
    return false;
}
bool withdraw(Nanos& /*wait*/) {
    return false;
}
void put_back() {}
void abandon_in_child() {}

}  // namespace signals

// ---- deadlines ----

Errno Backend::prepare_clock(Clock clock) {
    if (prepared_[static_cast<size_t>(clock)]) return Errno::ok;
    const Errno error = world().use(Fault::prepare_clock);
    if (error == Errno::ok) prepared_[static_cast<size_t>(clock)] = true;
    return error;
}

// As on Linux: a deadline that moves to a later time is not changed in the kernel, and comes early.
void Backend::set_deadline(Clock clock, Nanos t) {
    const auto c = static_cast<size_t>(clock);
    if (t >= armed_[c]) return;
    KQ_CHECK(prepared_[c]);
    world().counts.set_deadline++;
    armed_[c] = t;
}

void Backend::settle(Nanos monotonic, Nanos realtime) {
    set_deadline(Clock::monotonic, monotonic);
    set_deadline(Clock::realtime, realtime);
    if (world().one_shot) arm_the_spent();
}

Nanos Backend::earliest_deadline() const {
    Nanos earliest = edges_.next_look();
    for (const Clock clock : {Clock::monotonic, Clock::realtime}) {
        const Nanos armed = armed_[static_cast<size_t>(clock)];
        if (armed == kForever) continue;
        const Nanos skew = world().now(clock) - world().now(Clock::monotonic);
        if (armed - skew < earliest) earliest = armed - skew;
    }
    return earliest;
}

}  // namespace kq
