// SPDX-License-Identifier: BSD-2-Clause
// The simulated kernel queue, built like event ports and completion ports: World::one_shot.
//
// A ready item is posted with its state of that moment. From then on it is silent, until it is
// armed again. A posted item is reported even if it is no longer ready. Arming takes the post back,
// and posts again if the item is ready. A thread that waits dequeues: after its sleep it holds one
// report. Closing a number removes its items, even if another number names the file. It does not
// remove reports that were dequeued.
//
// Therefore this queue needs src/inbox.h, src/spent_edges.h and settle().
#include <algorithm>

#include "backend.h"
#include "check.h"
#include "world.h"

namespace kq {

using sim::world;

// ---- arming ----

Errno Backend::arm(const Key& key, Item& item) {
    const Errno error = edges_.prepare(key.fd);
    if (error != Errno::ok) return error;
    forget_edge(key.fd, key.direction);
    std::erase(to_arm_, key);
    if (item.listed) ready_.remove(key);
    item.listed = false;
    item.spent = false;
    if (ask(key, item) != 0) list(key, item);
    return Errno::ok;
}

// The rule for a kernel that reports once: when the mutex is free, no level item may be silent.
void Backend::arm_the_spent() {
    for (const Key& key : std::exchange(to_arm_, {})) {
        const auto at = items_.find(key);
        if (at != items_.end() && at->second.mode == Mode::level)
            KQ_CHECK(arm(key, at->second) == Errno::ok);
    }
    for (const auto& [key, item] : items_)
        KQ_CHECK(key.serial == 0 || item.mode != Mode::level || !item.spent || item.listed);
}

void Backend::on_number_closed(uint64_t serial, int fd) {
    for (int direction = 0; direction < kDirections; direction++) {
        const auto at = items_.find({serial, fd, direction});
        if (at == items_.end()) continue;
        const auto edge = edge_serials_.find({fd, direction});
        if (edge != edge_serials_.end() && edge->second == serial) forget_edge(fd, direction);
        ready_.remove(at->first);
        std::erase(to_arm_, at->first);
        items_.erase(at);
    }
}

// ---- reporting ----

bool Backend::reports_snapshots() {
    return world().one_shot;
}

// Takes the next report off the kernel's queue.
bool Backend::take_next(Report& report) {
    while (!ready_.empty()) {
        const Key key = ready_.front();
        ready_.pop_front();
        Item& item = items_.at(key);
        const uint16_t ready = ask(key, item);
        item.listed = false;
        if (ready == 0) continue;
        const auto lane = static_cast<uint8_t>(key.direction);
        report = {{item.handle, ready, lane}, key.serial, key.fd, key.direction};
        if (key.serial != 0) return true;
        heard_special(key.fd);
        if (item.mode == Mode::level) {
            item.listed = true;
            ready_.push_back(key);
        }
        return true;
    }
    return false;
}

// The core is about to get this report. From now on the item must be armed, or the library must
// look at it. False if the report is an edge that is no longer true.
bool Backend::note_reported(const Report& report) {
    const Key key{report.serial, report.fd, report.direction};
    const auto at = items_.find(key);
    if (key.serial == 0 || at == items_.end()) return true;
    Item& item = at->second;
    if (item.mode == Mode::level) to_arm_.push_back(key);
    if (item.mode == Mode::once) item.mode = Mode::none;
    if (item.mode != Mode::edge) return true;
    const sim::OpenFile& file = *world().find_serial(key.serial);
    const uint16_t ready = world().ready(file, static_cast<Direction>(key.direction));
    if (ready == 0) {  // no longer ready: without arm() the next edge would not be reported
        KQ_CHECK(arm(key, item) == Errno::ok);
        return false;
    }
    edges_.add(key.fd, static_cast<Direction>(key.direction), item.handle,
               {ready, key.direction == 0 ? file.readable : 0}, world().now(Clock::monotonic));
    edge_serials_[{key.fd, key.direction}] = key.serial;
    return true;
}

void Backend::forget_edge(int fd, int direction) {
    (void)edges_.remove(fd, static_cast<Direction>(direction));
    edge_serials_.erase({fd, direction});
}

size_t Backend::look_at_edges(std::span<Wakeup> out) {
    const auto sample = [this](int fd, Direction d) -> SpentEdges::Look {
        const sim::OpenFile* file = world().find(fd);
        if (file == nullptr || file->serial != edge_serials_.at({fd, static_cast<int>(d)}))
            return {kClosed, 0};
        return {world().ready(*file, d), d == Direction::read ? file->readable : 0};
    };
    const auto rearm = [this](int fd, Direction d) {
        const std::pair<int, int> place{fd, static_cast<int>(d)};
        const auto at = items_.find({edge_serials_.at(place), fd, place.second});
        edge_serials_.erase(place);
        if (at != items_.end()) KQ_CHECK(arm(at->first, at->second) == Errno::ok);
    };
    const auto gone = [this](int fd, Direction d) {
        edge_serials_.erase({fd, static_cast<int>(d)});
    };
    return edges_.look(world().now(Clock::monotonic), out, sample, rearm, gone);
}

size_t Backend::collect_one_shot(std::span<Wakeup> out) {
    size_t count = 0;
    for (; !strays_.empty() && count < out.size(); strays_.erase(strays_.begin()))
        out[count++] = strays_.front();
    Report report{};
    while (count < out.size() && inbox_.take({&report, 1}) == 1)
        if (note_reported(report)) out[count++] = report.wakeup;
    if (count < out.size()) count += look_at_edges(out.subspan(count));
    const size_t most = ready_.size();  // level items return to the end
    for (size_t taken = 0; taken < most && count < out.size() && take_next(report); taken++)
        if (note_reported(report)) out[count++] = report.wakeup;
    return count;
}

// ---- sleeping ----

bool Backend::has_to_look() const {
    return edges_.next_look() <= world().now(Clock::monotonic);
}

void Backend::dequeue_one() {
    KQ_CHECK(inbox_.enter() == Errno::ok);
    Report report{};
    if (take_next(report))
        inbox_.leave(report);
    else
        inbox_.leave();
}

}  // namespace kq
