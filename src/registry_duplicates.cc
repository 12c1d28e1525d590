// Other numbers of a kqueue: duplicates that the user made. See registry_cells.h.
#include "registry_cells.h"

namespace kq::registry {
namespace {

// Walks through all numbers: they are few that have duplicates.
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

// Whether the number is that of another live kqueue, as far as we know.
bool is_of_another(int number, const Cell& cell) KQ_REQUIRES(cells.mutex) {
    const std::atomic<Cell*>* place = place_of(number);
    const Cell* known = place == nullptr ? nullptr : place->load();
    return known != nullptr && known != &cell;
}

}  // namespace

void close_duplicates_in_child(const Cell& cell) {
    if (cell.duplicates > 0) for_each_number(cell, [](int fd) { Backend::close_in_child(fd); });
}

void forget_duplicates(Cell& cell) {
    for_each_number(cell, [&cell](int fd) KQ_NO_ANALYSIS { forget_number(fd, cell); });
    cell.duplicates = 0;
}

// Of those that were used we know; dup() gives the lowest number that is free, so
// one that was not used yet is looked for beside the original. All numbers would
// be too many: closing a kqueue must not take longer than making it.
Result<bool> rescue(Cell& cell) {
    constexpr int kBefore = 8;
    constexpr int kSearched = 24;
    if (!cell.kqueue()->has_knotes()) return false;
    const uint32_t tag = cell.kqueue()->serial();
    int fd = -1;
    Errno error = Errno::ok;
    const auto look = [&fd, &error, tag, &cell](int number) KQ_NO_ANALYSIS {
        if (fd >= 0 || number < 0 || number == cell.fd) return;
        const Result<uint32_t> found = Backend::tag_of(number);
        if (found.ok() && found.value() == tag) fd = number;
        if (!found.ok() && !is_of_another(number, cell)) error = found.error();
    };
    if (cell.duplicates > 0) for_each_number(cell, look);
    for (int i = 0; i < kSearched; i++)
        look(cell.fd - kBefore + i);
    if (fd < 0) return error == Errno::ok ? Result<bool>(false) : error;
    std::atomic<Cell*>* place = make_place(fd);
    if (place == nullptr) return Errno::no_memory;
    forget_number(cell.fd, cell);
    cell.kqueue()->move_to(fd);
    cell.fd = fd;
    place->store(&cell);
    return true;
}

Errno learn_duplicate(int fd) {
    if (!Backend::is_queue(fd)) return Errno::ok;
    const Guard guard(cells.mutex);
    std::atomic<Cell*>* place = make_place(fd);
    if (place == nullptr) return Errno::no_memory;
    // Only now: a kqueue that another thread was just making has been published meanwhile,
    // and is not to be taken for one that lost its Kqueue.
    if (place->load() != nullptr) return Errno::ok;
    const Result<uint32_t> tag = Backend::tag_of(fd);
    if (!tag.ok() || tag.value() == 0) return tag.error();
    Cell* cell = find_by_tag(tag.value());
    if (cell == nullptr) {
        // Closed long ago, and without knotes: it begins anew.
        Cell* closed[1];
        int count = 0;
        return create_locked(closed, count, fd).error();
    }
    place->store(cell);
    cell->duplicates++;
    return Errno::ok;
}

Errno check_duplicate(int fd, Kqueue* kqueue) {
    if (Backend::is_duplicate(fd, kqueue->descriptor())) return Errno::ok;
    const Guard guard(cells.mutex);
    Cell& cell = *Cell::of(kqueue);
    const Result<uint32_t> tag = Backend::tag_of(fd);
    if (!tag.ok()) return tag.error();
    if (state_of(cell.word.load()) != State::live || tag.value() != kqueue->serial()) {
        forget_number(fd, cell);
        return Errno::bad_descriptor;
    }
    if (kqueue->exists()) {
        Backend::follow(fd, kqueue->descriptor());
        return Errno::ok;
    }
    // The first number was closed: this one takes its place.
    forget_number(cell.fd, cell);
    kqueue->move_to(fd);
    cell.fd = fd;
    return Errno::ok;
}

}  // namespace kq::registry
