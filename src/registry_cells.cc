// SPDX-License-Identifier: BSD-2-Clause
// Cells, numbers, references. See registry_cells.h.
#include "registry_cells.h"

#include "alloc.h"
#include "registry.h"

namespace kq::registry {

constinit Cells cells;
constinit std::atomic<bool> several{false};

std::atomic<Cell*>* make_place(int fd) {
    const auto number = static_cast<size_t>(fd);
    if (number / kChunk >= kChunks) return nullptr;
    std::atomic<Chunk*>& chunk = cells.directory[number / kChunk];
    if (chunk.load() == nullptr) {
        // All zero is what a Chunk starts with.
        chunk.store(static_cast<Chunk*>(calloc(1, sizeof(Chunk))), std::memory_order_release);
    }
    return place_of(fd);
}

void forget_number(int fd, const Cell& cell) {
    std::atomic<Cell*>* place = place_of(fd);
    if (place != nullptr && place->load() == &cell) place->store(nullptr);
}

Cell* take_cell() {
    Cell* cell = cells.free;
    if (cell != nullptr)
        cells.free = cell->next;
    else
        cell = make<Cell>().release();
    if (cell != nullptr) ::new (cell->body) Kqueue;
    return cell;
}

void give_back(Cell& cell) {
    cell.next = cells.free;
    cells.free = &cell;
}

void list_used(Cell& cell) {
    cell.place = cells.used_count;
    cells.used[cells.used_count++] = &cell;
    several.store(cells.used_count > 1);
}

namespace {

void unlist_used(Cell& cell) KQ_REQUIRES(cells.mutex) {
    cells.used[cell.place] = cells.used[--cells.used_count];
    cells.used[cell.place]->place = cell.place;
    several.store(cells.used_count > 1);
}

}  // namespace

void unpublish(Cell& cell) {
    if (state_of(cell.word.load()) != State::live) return;
    if (cell.fd < 0) cells.homeless--;
    forget_number(cell.fd, cell);
    if (cell.duplicates > 0) forget_duplicates(cell);
    cell.kqueue()->mark_dead();
    cell.word.fetch_add(word_of(State::retired) - word_of(State::live));
    release_later(cell.kqueue());
}

Kqueue* find_known(int fd) {
    std::atomic<Cell*>* place = place_of(fd);
    if (place == nullptr) return nullptr;
    for (;;) {
        Cell* cell = place->load(std::memory_order_acquire);
        if (cell == nullptr) return nullptr;
        if (begin_anew_in_copy()) return nullptr;
        add_reference(*cell);
        if (place->load() == cell) return cell->kqueue();
        drop_reference(*cell);
    }
}

bool took_last_reference_off(Cell& cell) {
    uint64_t word = word_of(State::retired);
    if (cell.word.compare_exchange_strong(word, word_of(State::dying))) return true;
    KQ_CHECK(references_of(word) != UINT32_MAX);
    return false;
}

bool take_reference_off(Cell& cell) {
    if (single_threaded()) return unsplit::take_one_off(cell.word) && took_last_reference_off(cell);
    uint64_t word = cell.word.load(std::memory_order_relaxed);
    for (;;) {
        KQ_CHECK(references_of(word) > 0);
        uint64_t next = word - kReference;
        const bool last = next == word_of(State::retired);
        if (last) next = word_of(State::dying);
        if (!cell.word.compare_exchange_weak(word, next)) continue;
        return last;  // false if it was dying already: a late find() may add and remove a reference
                      // until the cell is free
    }
}

// The state is changed by addition, because a late find() may have added a reference.
void destroy(Cell& cell) {
    cell.word.fetch_add(word_of(State::destroying) - word_of(State::dying));
    cell.kqueue()->~Kqueue();
    const Guard guard(cells.mutex);
    cell.word.fetch_sub(word_of(State::destroying));
    unlist_used(cell);
    give_back(cell);
}

void drop_reference(Cell& cell) {
    if (take_reference_off(cell)) destroy(cell);
}

}  // namespace kq::registry
