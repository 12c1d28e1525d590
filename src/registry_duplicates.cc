// SPDX-License-Identifier: BSD-2-Clause
// Other numbers of a kqueue: duplicates that the user made. See registry_cells.h.
#include <limits.h>
#include <stdlib.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "alloc.h"
#include "registry.h"
#include "registry_cells.h"

namespace kq {

static_assert(Backend::kHas.duplicates && DuplicatesContract<Backend>);

Errno Kqueue::adopt(int fd) {
    const Guard guard(mutex_);
    return backend_.adopt(fd, serial_);
}

void Kqueue::move_to(int fd) {
    const Guard guard(mutex_);
    backend_.move_to(fd);
    if (mailbox_ != nullptr) mailbox_->descriptor.store(fd >= 0 ? fd : Mailbox::kNowhere);
}

bool Kqueue::holds_descriptors() {
    const Guard guard(mutex_);
    return backend_.holds_descriptors();
}

// The number of this kqueue names another kqueue now, and these reports belong to that one. Keeps
// them until the current call ends, which hands them over. If memory is short they are lost.
void Kqueue::keep_for_others(std::span<const Wakeup> wakeups) {
    if (!grow_array(astray_, astray_capacity_, astray_count_ + wakeups.size())) return;
    std::copy(wakeups.begin(), wakeups.end(), astray_ + astray_count_);
    astray_count_ += wakeups.size();
}

void Kqueue::hand_over() {
    Wakeup* wakeups = nullptr;
    size_t count = 0;
    {
        const Guard guard(mutex_);
        wakeups = std::exchange(astray_, nullptr);
        count = std::exchange(astray_count_, 0);
        astray_capacity_ = 0;
    }
    registry::hand_over(descriptor(), wakeups, count);
    free(wakeups);
}

void Kqueue::take_over(Wakeup* wakeups, size_t count) {
    (void)in_one_call([&](After& /*what*/) KQ_NO_ANALYSIS {
        backend_.note_collected({wakeups, count});
        (void)take_in({wakeups, count}, count, INT_MAX, &Backend::collect);
        return Result<int>(0);
    });
}

namespace registry {
namespace {

constexpr int kNoNumber = -1;
constexpr size_t kFew = 128;  // numbers that may be looked at for one kqueue
constexpr size_t kLeast = 4;  // how many kqueues may be homeless, at least

// Visits the numbers of a kqueue. Walks through all numbers, because few kqueues have duplicates.
template <class Visit>
void for_each_number(const Cell& cell, Visit visit) KQ_REQUIRES(cells.mutex) {
    for (size_t c = 0; c < kChunks; c++) {
        Chunk* chunk = cells.directory[c].load();
        for (size_t i = 0; chunk != nullptr && i < kChunk; i++)
            if (chunk->cells[i].load() == &cell) visit(static_cast<int>(c * kChunk + i));
    }
}

Cell* find_by_tag(uint32_t tag) KQ_REQUIRES(cells.mutex) {
    for (size_t i = 0; i < cells.used_count; i++)
        if (state_of(cells.used[i]->word.load()) == State::live &&
            cells.used[i]->kqueue()->serial() == tag)
            return cells.used[i];
    return nullptr;
}

// For a number whose tag cannot be read or is wrong. It is wrong if another kqueue has rung this
// number as its own, because a ring leaves the tag there. Expensive: one question for each kqueue.
Cell* find_by_comparing(int fd) KQ_REQUIRES(cells.mutex) {
    for (size_t i = 0; i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
        const bool live = state_of(cell.word.load()) == State::live && cell.fd >= 0;
        if (live && cell.kqueue()->exists() && Backend::is_duplicate(fd, cell.fd)) return &cell;
    }
    return nullptr;
}

// The number was closed, and no other number of the kqueue is known.
void make_homeless(Cell& cell) KQ_REQUIRES(cells.mutex) {
    forget_number(cell.fd, cell);
    cell.kqueue()->move_to(kNoNumber);
    cell.fd = kNoNumber;
    cell.searched = false;
    cells.homeless++;
}

// From now on the kqueue is reached by this number, which has its tag. False: no memory.
bool take_number(Cell& cell, int fd) KQ_REQUIRES(cells.mutex) {
    std::atomic<Cell*>* place = make_place(fd);
    if (place == nullptr) return false;
    // So the kqueue that we knew by this number has lost it. It may have other numbers itself.
    Cell* former = place->load();
    if (former != nullptr && former != &cell && former->fd == fd) make_homeless(*former);
    if (cell.fd < 0)
        cells.homeless--;
    else
        forget_number(cell.fd, cell);
    cell.kqueue()->move_to(fd);
    cell.fd = fd;
    place->store(&cell);
    cells.caution.fetch_or(kCareful);
    return true;
}

// Finds another number of the kqueue. We know those that were used. dup() gives the lowest free
// number, so one that was not used yet is looked for beside the original. -1: none found.
int find_near(Cell& cell) KQ_REQUIRES(cells.mutex) {
    constexpr int kBefore = 8;
    constexpr int kSearched = 24;
    const uint32_t tag = cell.kqueue()->serial();
    int fd = -1;
    const auto look = [&fd, tag, &cell](int number) {
        if (fd >= 0 || number < 0 || number == cell.fd) return;
        const Result<uint32_t> found = Backend::tag_of(number);
        if (found.ok() && found.value() == tag) fd = number;
    };
    if (cell.duplicates > 0) for_each_number(cell, look);
    for (int i = 0; i < kSearched; i++)
        look(cell.fd - kBefore + i);
    return fd;
}

// Looks at a number, unless we know it as that of a kqueue. False: it cannot be told whose it is.
bool look_for_home(int fd) KQ_REQUIRES(cells.mutex) {
    const std::atomic<Cell*>* place = place_of(fd);
    Cell* known = place == nullptr ? nullptr : place->load();
    if (known != nullptr && known->fd == fd && known->kqueue()->exists()) return true;
    const Result<uint32_t> tag = Backend::tag_of(fd);
    if (!tag.ok() || tag.value() == 0) return tag.ok();
    Cell* cell = find_by_tag(tag.value());
    return cell == nullptr || cell->fd >= 0 || take_number(*cell, fd);
}

// No number of the kqueue was found. But the kqueue may have moved twice during the walk: from a
// number that was not looked at yet to one that was. So its tag is kept. Otherwise such a kqueue
// would begin anew later, as if it had never had knotes.
void give_up(Cell& cell) KQ_REQUIRES(cells.mutex) {
    cells.lost[cells.lost_count++ % Cells::kLost] = cell.kqueue()->serial();
    unpublish(cell);
}

bool was_given_up(uint32_t tag) KQ_REQUIRES(cells.mutex) {
    return std::find(std::begin(cells.lost), std::end(cells.lost), tag) != std::end(cells.lost);
}

}  // namespace

void close_duplicates_in_child(Cell& cell, bool (*keep)(int fd)) {
    if (cell.duplicates == 0) return;
    for_each_number(cell, [&cell, keep](int fd) {
        if (fd == cell.fd) return;
        const auto is_ours = [&cell, fd] {
            const Result<uint32_t> tag = Backend::tag_of(fd);
            return tag.ok() && tag.value() == cell.kqueue()->serial();
        };
        if (keep == nullptr || !is_ours() || !keep(fd)) Backend::close_in_child(fd);
    });
}

void forget_duplicates(Cell& cell) {
    for_each_number(cell, [&cell](int fd) KQ_NO_ANALYSIS { forget_number(fd, cell); });
    cell.duplicates = 0;
}

// A look at all numbers each time would be too expensive. For a kqueue that holds descriptors the
// look comes earlier, because the program may need them soon. If a look is cheap, it comes at once.
bool rescue(Cell& cell) {
    const bool has_knotes = cell.kqueue()->has_knotes();
    // It begins anew: see learn_duplicate(). Only KQUEUE_CPONFORK would be lost by that.
    if (!has_knotes && !cell.copied && Backend::kAdopts) return false;
    const int fd = has_knotes ? find_near(cell) : -1;
    if (fd >= 0 && take_number(cell, fd)) return true;
    make_homeless(cell);
    const bool holds = cell.kqueue()->holds_descriptors();
    const size_t patience = !holds ? cells.patience : cells.looks <= kFew ? 1 : kLeast;
    if (cells.homeless >= patience) find_homes();
    return true;
}

void find_homes() {
    // How many may be homeless before the next search: a part of the numbers that are looked at. So
    // each closed kqueue costs some looks, and this does not depend on how many numbers there are.
    constexpr size_t kMost = 1024;
    constexpr size_t kPart = 32;
    if (cells.homeless == 0) return;
    for (size_t i = 0; i < cells.used_count; i++)
        cells.used[i]->searched = true;
    bool certain = true;
    const Result<int> looks = Backend::visit_open(
        [](void* told, int fd) KQ_NO_ANALYSIS {
            if (!look_for_home(fd)) *static_cast<bool*>(told) = false;
        },
        &certain);
    // A kqueue that became homeless during the walk may have a number that was looked at before.
    for (size_t i = 0; looks.ok() && certain && i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
        const bool live = state_of(cell.word.load()) == State::live;
        if (live && cell.fd < 0 && cell.searched) give_up(cell);
    }
    if (looks.ok()) cells.looks = static_cast<size_t>(looks.value());
    cells.patience = cells.homeless + std::clamp(cells.looks / kPart, kLeast, kMost);
}

Errno learn_duplicate(int fd) {
    if (!Backend::is_queue(fd)) return Errno::bad_descriptor;
    const Guard guard(cells.mutex);
    std::atomic<Cell*>* place = make_place(fd);
    if (place == nullptr) return Errno::no_memory;
    // Only now, under the mutex: another thread may just have made and published this kqueue. It
    // must not be taken for one that lost its Kqueue.
    if (place->load() != nullptr) return Errno::ok;
    const Result<uint32_t> tag = Backend::tag_of(fd);
    const bool tagged = tag.ok() && tag.value() != 0;
    Cell* cell = tagged ? find_by_tag(tag.value()) : find_by_comparing(fd);
    if (cell == nullptr && !tagged) return tag.ok() ? Errno::bad_descriptor : tag.error();
    cells.caution.fetch_or(kCareful);
    if (cell == nullptr) {
        // It was closed long ago, and had no knotes: it begins anew.
        const bool adopts = Backend::kAdopts && !was_given_up(tag.value());
        return adopts ? create_locked(false, fd).error() : Errno::bad_descriptor;
    }
    if (cell->fd < 0) return take_number(*cell, fd) ? Errno::ok : Errno::no_memory;
    place->store(cell);
    cell->duplicates++;
    return Errno::ok;
}

void hand_over(int fd, Wakeup* wakeups, size_t count) {
    cells.caution.fetch_or(kCareful);  // the number still leads to its former kqueue
    const Result<Kqueue*> owner = find(fd);
    if (!owner.ok()) return;
    owner.value()->take_over(wakeups, count);
    release(owner.value());
}

Errno check_duplicate(int fd, Kqueue* kqueue) {
    if (kqueue->exists() && Backend::is_duplicate(fd, kqueue->descriptor())) return Errno::ok;
    const Guard guard(cells.mutex);
    Cell& cell = *Cell::of(kqueue);
    const Result<uint32_t> tag = Backend::tag_of(fd);
    const bool same = tag.ok() && tag.value() == kqueue->serial();
    if (state_of(cell.word.load()) != State::live || !same) {
        forget_number(fd, cell);  // learn_duplicate() says whose it is, or why that is unknown
        return Errno::bad_descriptor;
    }
    if (kqueue->exists()) {
        Backend::follow(fd, kqueue->descriptor());
        return Errno::ok;
    }
    // The first number was closed: this number takes its place.
    return take_number(cell, fd) ? Errno::ok : Errno::no_memory;
}

}  // namespace registry
}  // namespace kq
