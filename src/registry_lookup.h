// SPDX-License-Identifier: BSD-2-Clause
// The registry's part of a kevent() call, in place: find() and release() where they are plain.
//
// In a process with one thread only its signal handlers look numbers up or retire a kqueue
// meanwhile. So a reference is one instruction, and then the number is looked at again, as find()
// does it: a handler that ran before that may have closed the kqueue and used the cell for another.
// What is not plain is left to registry.cc. For api.cc; and
// what the filters of descriptors ask in place.
#ifndef KQ_REGISTRY_LOOKUP_H
#define KQ_REGISTRY_LOOKUP_H

#include "registry.h"
#include "registry_cells.h"

namespace kq::registry {

// Where it stands what a number is.
using Place = std::atomic<Cell*>;

// The kqueue of this number, without a reference, as far as that is plain; null: it is not.
// Where there is one thread.
KQ_INLINE Kqueue* look_up_plain(int fd, const Place*& place) {
    if (cells.caution.load(std::memory_order_relaxed) != 0) return nullptr;
    place = place_of(fd);
    Cell* cell = place == nullptr ? nullptr : place->load(std::memory_order_relaxed);
    if (cell == nullptr || cell->kqueue()->descriptor() != fd) return nullptr;
    if constexpr (Backend::kHas.fork)
        if (is_copy_of_process()) return nullptr;
    return cell->kqueue();
}

// Takes a reference to it. False: a handler of a signal was faster, and it may be another's or
// nobody's; then the reference is to be given back, and find() to be asked.
KQ_INLINE bool take_plain(Kqueue* kqueue, const Place* place) {
    unsplit::add_one(Cell::of(kqueue)->word);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return __builtin_expect(place->load(std::memory_order_relaxed) == Cell::of(kqueue), 1);
}

// Gives back what take_plain() took. False: it was the last reference, or something else is to be
// destroyed: finish_release() does it.
KQ_INLINE bool release_plain(Kqueue* kqueue) {
    const bool last = unsplit::take_one_off(Cell::of(kqueue)->word);
    return !last && cells.dying.load(std::memory_order_relaxed) == nullptr;
}
[[gnu::noinline, gnu::cold]] inline void finish_release(Kqueue* kqueue) {
    Cell& cell = *Cell::of(kqueue);
    if (took_last_reference_off(cell)) destroy(cell);
    reap();
}
[[gnu::noinline, gnu::cold]] inline void finish_release_of(Kqueue* kqueue) {
    if (!release_plain(kqueue)) finish_release(kqueue);
}

// The kqueue of this number, with a reference, as far as that is plain, where there are several
// threads: as find_known() and find() do it, the number looked at again when it has one.
KQ_INLINE Kqueue* find_among_threads(int fd) {
    if (cells.caution.load(std::memory_order_relaxed) != 0) return nullptr;
    const Place* place = place_of(fd);
    Cell* cell = place == nullptr ? nullptr : place->load(std::memory_order_acquire);
    if (cell == nullptr) return nullptr;
    if constexpr (Backend::kHas.fork)
        if (is_copy_of_process()) return nullptr;
    cell->word.fetch_add(kReference);
    if (place->load() == cell && cell->kqueue()->descriptor() == fd) return cell->kqueue();
    drop_reference(*cell);
    return nullptr;
}

// Takes one reference off, where there are several threads and it is not the last one. False:
// nothing was done, release() is to be asked.
KQ_INLINE bool release_among_threads(Kqueue* kqueue) {
    Cell& cell = *Cell::of(kqueue);
    uint64_t word = cell.word.load(std::memory_order_relaxed);
    const uint64_t next = word - kReference;
    return references_of(word) > 0 && next != word_of(State::retired) &&
           cell.word.compare_exchange_strong(word, next);
}

// As find(), in place where that is plain.
KQ_INLINE Result<Kqueue*> find_in_place(int fd) {
    if (!single_threaded()) {
        Kqueue* kqueue = find_among_threads(fd);
        return kqueue != nullptr ? Result<Kqueue*>(kqueue) : find(fd);
    }
    const Place* place = nullptr;
    Kqueue* kqueue = look_up_plain(fd, place);
    if (kqueue != nullptr) {
        if (take_plain(kqueue, place)) return kqueue;
        finish_release_of(kqueue);
    }
    return find(fd);
}

// As release(), followed by reap().
KQ_INLINE void release_and_reap(Kqueue* kqueue) {
    if (single_threaded()) {
        if (!release_plain(kqueue)) finish_release(kqueue);
    } else {
        if (!release_among_threads(kqueue)) release(kqueue);
        reap();
    }
}

// Whether the number ever was a kqueue's, as far as is known. If not, is_live() is false.
KQ_INLINE bool may_be_live(int fd) {
    const Place* place = place_of(fd);
    return place != nullptr && place->load(std::memory_order_acquire) != nullptr;
}

}  // namespace kq::registry

#endif
