// The registry: kqueues are made, found, retired. See registry.h, and
// registry_cells.h for how they live.
#include "registry.h"

#include "alloc.h"
#include "registry_cells.h"
#include "trace.h"

namespace kq::registry {
namespace {

// How many of the others a new kqueue looks at, whether they were closed.
constexpr int kSweepEachTime = 1;

// The kernel has just given us this number: a kqueue of ours that had it is closed, and may move
// to another one. An error: that cannot be told, and may not be overlooked.
Errno rescue_former(const std::atomic<Cell*>& place, int fd) KQ_REQUIRES(cells.mutex) {
    Cell* old = place.load();
    return old == nullptr || old->fd != fd ? Errno::ok : rescue(*old).error();
}

// It was found closed. What cannot be told is left for the next time.
bool may_live_on(Cell& cell) KQ_REQUIRES(cells.mutex) {
    const Result<bool> rescued = rescue(cell);
    return !rescued.ok() || rescued.value();
}

// Looks at `looks` live kqueues and retires those that are closed, `most` at
// the most; they are returned in `closed`, for drop_reference(). One need not be
// looked at: the number that was just made.
int collect_closed(Cell** closed, int most, size_t looks, int fresh = -1) KQ_REQUIRES(cells.mutex) {
    int count = 0;
    for (size_t seen = cells.used_count; seen > 0 && looks > 0 && count < most; seen--) {
        if (cells.next_look >= cells.used_count) cells.next_look = 0;
        Cell& cell = *cells.used[cells.next_look++];
        if (state_of(cell.word.load()) != State::live || cell.fd == fresh) continue;
        looks--;
        if (!cell.kqueue()->exists() && !may_live_on(cell) && unpublish(cell))
            closed[count++] = &cell;
    }
    return count;
}

}  // namespace

Result<int> create_locked(Cell** closed, int& count, int adopted) {
    prepare_for_forks();
    if (!grow_array(cells.used, cells.used_capacity, cells.used_count + 1)) return Errno::no_memory;
    Cell* cell = take_cell();
    if (cell == nullptr) return Errno::no_memory;
    Errno error = adopted < 0 ? cell->kqueue()->open() : cell->kqueue()->adopt(adopted);
    std::atomic<Cell*>* place = nullptr;
    if (error == Errno::ok) {
        place = make_place(cell->kqueue()->descriptor());
        if (place == nullptr) error = Errno::no_memory;
    }
    if (error == Errno::ok) error = rescue_former(*place, cell->kqueue()->descriptor());
    if (error != Errno::ok) {
        if (adopted < 0) cell->kqueue()->close_unpublished();
        cell->kqueue()->~Kqueue();
        give_back(*cell);
        return error;
    }
    cell->fd = cell->kqueue()->descriptor();
    if (Cell* old = place->load()) {
        if (old->fd != cell->fd)
            forget_number(cell->fd, *old);  // a duplicate of it
        else if (unpublish(*old))
            closed[count++] = old;
    }
    cell->word.fetch_add(word_of(State::live) + kReference);
    list_used(*cell);
    place->store(cell, std::memory_order_release);
    return cell->fd;
}

Result<int> create() {
    trace_initialize();
    if (is_copy_of_process()) begin_anew_in_copy();
    Cell* closed[kSweepEachTime + 1];
    for (int attempt = 0;; attempt++) {
        int count = 0;
        Result<int> fd = Errno::no_memory;
        {
            const Guard guard(cells.mutex);
            fd = create_locked(closed, count);
            // Closed queues that nobody used since are found here, a few at a time.
            count += collect_closed(closed + count, kSweepEachTime, kSweepEachTime,
                                    fd.ok() ? fd.value() : -1);
        }
        for (int i = 0; i < count; i++)
            drop_reference(*closed[i]);
        const bool exhausted = !fd.ok() && (fd.error() == Errno::too_many_open ||
                                            fd.error() == Errno::too_many_open_in_system);
        if (!exhausted || attempt > 0) return fd;
        sweep();  // what they still hold may be just what is missing
    }
}

Result<Kqueue*> find(int fd) {
    for (int attempt = 0; attempt < 2; attempt++) {
        Kqueue* kqueue = find_known(fd);
        if (kqueue == nullptr) {
            const Errno error = learn_duplicate(fd);
            if (error != Errno::ok) return error;
            kqueue = find_known(fd);
        }
        if (kqueue == nullptr) return Errno::bad_descriptor;
        if (kqueue->descriptor() == fd) return kqueue;
        const Errno error = check_duplicate(fd, kqueue);
        if (error == Errno::ok) return kqueue;
        release_later(kqueue);
        if (error != Errno::bad_descriptor) return error;
        // It was one: what is it now?
    }
    return Errno::bad_descriptor;
}

Kqueue* find_watched(int fd) {
    return find_known(fd);
}

void release(Kqueue* kqueue) {
    drop_reference(*Cell::of(kqueue));
}

bool is_live(int fd) {
    Kqueue* kqueue = find_known(fd);
    if (kqueue == nullptr) return false;
    const bool live = kqueue->exists();
    release_later(kqueue);
    return live;
}

uint32_t serial_of(int fd) {
    Kqueue* kqueue = find_known(fd);
    if (kqueue == nullptr) return 0;
    const uint32_t serial = kqueue->serial();
    release_later(kqueue);
    return serial;
}

void release_later(Kqueue* kqueue) {
    Cell* cell = Cell::of(kqueue);
    if (!take_reference_off(*cell)) return;
    cell->next = cells.dying.load();
    while (!cells.dying.compare_exchange_weak(cell->next, cell)) {
    }
}

void reap() {
    if (cells.dying.load(std::memory_order_relaxed) == nullptr) return;
    for (Cell* cell = cells.dying.exchange(nullptr); cell != nullptr;) {
        Cell* next = cell->next;
        destroy(*cell);
        cell = next;
    }
}

void retire(Kqueue* kqueue) {
    Cell* cell = Cell::of(kqueue);
    bool ours = false;
    {
        const Guard guard(cells.mutex);
        ours = !may_live_on(*cell) && unpublish(*cell);
    }
    if (ours) drop_reference(*cell);
}

void sweep() {
    Cell* closed[16];
    int count = 0;
    do {
        {
            const Guard guard(cells.mutex);
            count = collect_closed(closed, 16, cells.used_count);
        }
        for (int i = 0; i < count; i++)
            drop_reference(*closed[i]);
    } while (count > 0);
}

}  // namespace kq::registry
