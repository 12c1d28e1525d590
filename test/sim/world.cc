// SPDX-License-Identifier: BSD-2-Clause
// The simulated system. See world.h.
#include "world.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "backend.h"
#include "check.h"

namespace sim {
namespace {

constexpr uint8_t kRead = 1;
constexpr uint8_t kWrite = 2;

std::unique_ptr<World>& instance() {
    static std::unique_ptr<World> the = std::make_unique<World>();
    return the;
}

}  // namespace

World& world() {
    return *instance();
}

void reset() {
    KQ_CHECK(world().queues.empty());  // a queue of the last test still exists
    instance() = std::make_unique<World>();
    // Another test of ctest runs the whole suite on a system that reports once.
    instance()->one_shot = std::getenv("KQ_SIM_ONE_SHOT") != nullptr;
}

// ---- descriptors ----

int World::open(FdKind kind, int fd) {
    if (fd < 0)
        for (fd = 3; table_.count(fd) != 0;)
            fd++;
    if (table_.count(fd) != 0) close(fd);
    auto file = std::make_shared<OpenFile>();
    file->serial = ++serials_;
    file->kind = kind;
    file->numbers = 1;
    file->identity = static_cast<uint32_t>(file->serial);
    table_[fd] = file;
    return fd;
}

int World::dup(int fd, int other) {
    const std::shared_ptr<OpenFile> file = table_.at(fd);
    if (other < 0)
        for (other = 3; table_.count(other) != 0;)
            other++;
    file->numbers++;
    table_[other] = file;
    return other;
}

void World::close(int fd) {
    const std::shared_ptr<OpenFile> file = table_.at(fd);
    table_.erase(fd);
    if (one_shot)
        for (kq::Backend* queue : queues)
            queue->on_number_closed(file->serial, fd);
    if (--file->numbers > 0) return;
    for (kq::Backend* queue : queues)
        queue->on_file_ended(file->serial);
}

OpenFile* World::find(int fd) {
    const auto at = table_.find(fd);
    return at == table_.end() ? nullptr : at->second.get();
}

OpenFile* World::find_serial(uint64_t serial) {
    for (const auto& [fd, file] : table_)
        if (file->serial == serial) return file.get();
    return nullptr;
}

OpenFile& World::file(int fd) {
    OpenFile* file = find(fd);
    KQ_CHECK(file != nullptr);
    return *file;
}

void World::feed(int fd, int64_t bytes) {
    OpenFile& f = file(fd);
    f.readable += bytes;
    KQ_CHECK(f.readable >= 0);
    if (bytes > 0) poke(f, kRead);
}

void World::room(int fd, int64_t bytes) {
    OpenFile& f = file(fd);
    const bool was = f.space >= f.low_space;
    f.space += bytes;
    KQ_CHECK(f.space >= 0);
    if (!was && f.space >= f.low_space) poke(f, kWrite);
}

void World::end(int fd, uint32_t error) {
    OpenFile& f = file(fd);
    f.eof = f.hangup = true;
    f.error = error;
    poke(f, kRead | kWrite);
}

void World::grow(int fd, int64_t bytes) {
    OpenFile& f = file(fd);
    f.size += bytes;
    changed(fd, kq::kModified);
}

void World::changed(int fd, uint32_t changes) {
    OpenFile& f = file(fd);
    constexpr uint32_t kWritten = kq::kModified | kq::kEntryChanged | kq::kSubdirectoryChanged |
                                  kq::kEntryMoved | kq::kSubdirectoryMoved | kq::kEntryRenamed;
    f.changed = ++ticks_;
    if ((changes & kWritten) != 0) f.modified = f.changed;
    for (kq::Backend* queue : queues)
        queue->on_file_changed(f.serial, changes);
}

void World::poke(const OpenFile& file, uint8_t directions) {
    for (kq::Backend* queue : queues)
        queue->on_poke(file.serial, directions);
}

uint16_t World::ready(int fd, Direction direction) {
    const OpenFile* f = find(fd);
    return f == nullptr ? uint16_t{kq::kClosed} : ready(*f, direction);
}

uint16_t World::ready(const OpenFile& file, Direction direction) {
    unsigned bits = 0;
    if (file.queue != nullptr)
        return direction == Direction::read && file.queue->readable() ? kq::kReadable : 0;
    if (direction == Direction::read) {
        if (file.readable > 0 || file.eof || file.lies) bits |= kq::kReadable;
        if (file.eof) bits |= kq::kReadHangup;
    } else if (file.space >= file.low_space || file.hangup || file.lies) {
        bits |= kq::kWritable;
    }
    if (file.hangup) bits |= kq::kHangup;
    if (file.error != 0) bits |= kq::kFailed;
    return static_cast<uint16_t>(bits);
}

// ---- time and script ----

void World::at(Nanos after, std::function<void()> action) {
    script_.emplace(monotonic_ + after, std::move(action));
}

void World::run_due() {
    while (!script_.empty() && script_.begin()->first <= monotonic_) {
        const std::function<void()> action = std::move(script_.begin()->second);
        script_.erase(script_.begin());
        action();
    }
}

Errno World::sleep(const kq::Backend& queue, Nanos t) {
    counts.sleep++;
    if (t < shortest_sleep) shortest_sleep = t;
    const Nanos end = kq::saturating_add(monotonic_, t);
    for (int steps = 0; steps < 1'000'000; steps++) {
        run_due();
        if (find(queue.descriptor()) == nullptr) return Errno::bad_descriptor;
        if (queue.readable() || queue.has_to_look()) return Errno::ok;
        if (std::exchange(interrupted_, false)) return Errno::interrupted;
        if (std::exchange(stray_wake_, false)) return Errno::ok;
        Nanos next = queue.earliest_deadline();
        if (!script_.empty() && script_.begin()->first < next) next = script_.begin()->first;
        if (next >= end && end != kForever) {
            monotonic_ = end;
            return Errno::timed_out;
        }
        if (next == kForever) {
            ADD_FAILURE() << "asleep for ever: nothing left in the script";
            return Errno::interrupted;
        }
        monotonic_ = next;
    }
    ADD_FAILURE() << "a sleep that does not end";
    return Errno::interrupted;
}

Errno World::pause(Nanos t) {
    counts.pause++;
    const Nanos end = kq::saturating_add(monotonic_, t);
    while (!script_.empty() && script_.begin()->first <= end) {
        if (script_.begin()->first > monotonic_) monotonic_ = script_.begin()->first;
        run_due();
    }
    monotonic_ = end;
    return std::exchange(interrupted_, false) ? Errno::interrupted : Errno::ok;
}

// ---- faults ----

void World::fail(Fault fault, Errno error, int nth, int times) {
    plans_[static_cast<size_t>(fault)] = {error, nth - 1, times};
}

Errno World::use(Fault fault) {
    Plan& plan = plans_[static_cast<size_t>(fault)];
    if (plan.left == 0) return Errno::ok;
    if (plan.skip > 0) {
        plan.skip--;
        return Errno::ok;
    }
    plan.left--;
    return plan.error;
}

}  // namespace sim
