// SPDX-License-Identifier: BSD-2-Clause
// The registry's part of a kevent() call, inlined: the simple cases of find() and release().
//
// In a process with one thread only its signal handlers can look numbers up or retire a kqueue at
// the same time. So a reference is added by one instruction. After that the number is looked at
// again, as find() does it: a handler that ran before may have closed the kqueue and used the cell
// for another one. All other cases are left to registry.cc. Included where calls begin and end
// (api.cc, among_threads.h, call_end.h), and by files that call may_be_live().
#ifndef KQ_REGISTRY_LOOKUP_H
#define KQ_REGISTRY_LOOKUP_H

#include "registry.h"
#include "registry_cells.h"

namespace kq::registry {

// The place in the registry that leads from a number to its cell.
using Place = std::atomic<Cell*>;

// The kqueue of this number, without a reference. Null: there is none, or it is no simple case;
// find() must be called. For processes with one thread.
KQ_INLINE Kqueue* look_up_plain(int fd, const Place*& place) {
    if (cells.caution.load(std::memory_order_relaxed) != 0) return nullptr;
    place = place_of(fd);
    Cell* cell = place == nullptr ? nullptr : place->load(std::memory_order_relaxed);
    if (cell == nullptr || cell->kqueue()->descriptor() != fd) return nullptr;
    if constexpr (Backend::kHas.fork)
        if (is_copy_of_process()) return nullptr;
    return cell->kqueue();
}

// Adds a reference to it. False: a signal handler ran in between, and the cell may hold another
// kqueue or none. Then the caller must give the reference back with finish_release_of() and call
// find().
KQ_INLINE bool take_plain(Kqueue* kqueue, const Place* place) {
    unsplit::add_one(Cell::of(kqueue)->word);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return __builtin_expect(place->load(std::memory_order_relaxed) == Cell::of(kqueue), 1);
}

// Takes the reference of take_plain() off. False: that is done, but it was the last reference, or a
// Kqueue waits for reap(). Then the caller must call finish_release().
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

// The kqueue of this number, with a reference, in a process with several threads. Null: there is
// none, or it is no simple case. As in find_known(), the number is looked at again after the
// reference was added.
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

// Takes one reference off in a process with several threads, if it is not the last one. False:
// nothing was done, and the caller must call release().
KQ_INLINE bool release_among_threads(Kqueue* kqueue) {
    Cell& cell = *Cell::of(kqueue);
    uint64_t word = cell.word.load(std::memory_order_relaxed);
    const uint64_t next = word - kReference;
    return references_of(word) > 0 && next != word_of(State::retired) &&
           cell.word.compare_exchange_strong(word, next);
}

// As release_among_threads(), if no kqueue waits to be destroyed at the end of a call. False:
// nothing was done, and the caller must call release_and_reap().
KQ_INLINE bool release_usual(Kqueue* kqueue) {
    return cells.dying.load(std::memory_order_relaxed) == nullptr && release_among_threads(kqueue);
}

// As find(), with the simple cases inlined.
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
