// SPDX-License-Identifier: BSD-2-Clause
// The registry: kqueues are made, found, retired. See registry.h, and
// registry_cells.h for how they live.
#include "registry.h"

#include "alloc.h"
#include "registry_cells.h"
#include "trace.h"

namespace kq::registry {
namespace {

// How many other kqueues create() looks at, to find closed ones.
constexpr size_t kLooks = 1;

// Looks at so many live kqueues, to find closed ones. `fresh` is the number that was just made: it
// need not be looked at.
void look_for_closed(size_t looks, int fresh = -1) KQ_REQUIRES(cells.mutex) {
    for (size_t seen = cells.used_count; seen > 0 && looks > 0; seen--) {
        if (cells.next_look >= cells.used_count) cells.next_look = 0;
        Cell& cell = *cells.used[cells.next_look++];
        if (state_of(cell.word.load()) != State::live || cell.fd < 0 || cell.fd == fresh) continue;
        looks--;
        if (!cell.kqueue()->exists() && !rescue(cell)) unpublish(cell);
    }
}

}  // namespace

Result<int> create_locked(bool copied, int adopted) {
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
    if (error != Errno::ok) {
        if (adopted < 0) cell->kqueue()->close_unpublished();
        cell->kqueue()->~Kqueue();
        give_back(*cell);
        return error;
    }
    cell->fd = cell->kqueue()->descriptor();
    cell->copied = copied;
    // The kernel has just given us this number, so its earlier file is closed.
    if (Cell* old = place->load()) {
        if (old->fd != cell->fd)
            forget_number(cell->fd, *old);  // the number was its duplicate
        else if (!rescue(*old))
            unpublish(*old);
    }
    cell->word.fetch_add(word_of(State::live) + kReference);
    list_used(*cell);
    place->store(cell, std::memory_order_release);
    return cell->fd;
}

Result<int> create(bool copied) {
    trace_initialize();
    (void)begin_anew_in_copy();
    for (int attempt = 0;; attempt++) {
        Result<int> fd = Errno::no_memory;
        {
            const Guard guard(cells.mutex);
            fd = create_locked(copied);
            // This finds kqueues that were closed and not used since, a few at a time.
            look_for_closed(kLooks, fd.ok() ? fd.value() : -1);
        }
        reap();
        const bool exhausted = !fd.ok() && (fd.error() == Errno::too_many_open ||
                                            fd.error() == Errno::too_many_open_in_system);
        if (!exhausted || attempt > 0) return fd;
        sweep();  // closed kqueues may hold the descriptors that are missing
    }
}

namespace {

// Waits while another thread forks. Without new calls the mutexes of all kqueues become free soon.
// The wait has a limit, because a function of the program that the library calls inside of a call
// may make this call. Then fork() waits for this thread.
[[gnu::noinline, gnu::cold]] void let_fork() {
    constexpr Nanos kMost = 100 * kMillisecond;
    const Nanos end = now(Clock::monotonic) + kMost;
    while ((cells.caution.load(std::memory_order_relaxed) & kForking) != 0 &&
           now(Clock::monotonic) < end)
        threading::yield();
}

// find(), and find_traced().
template <bool tells_of_tracing>
KQ_INLINE Result<Kqueue*> find_any(int fd) {
    // Other threads make and find kqueues, too. So an answer may be out of date at once, and the
    // loop tries again.
    constexpr int kAttempts = 16;
    for (int attempt = 0; attempt < kAttempts; attempt++) {
        if ((cells.caution.load(std::memory_order_relaxed) & kForking) != 0) let_fork();
        Kqueue* kqueue = find_known(fd);
        if (kqueue == nullptr) {
            const Errno error = learn_duplicate(fd);
            if (error != Errno::ok) return error;
            continue;
        }
        const unsigned caution = cells.caution.load(std::memory_order_relaxed);
        Errno error = Errno::ok;
        if (kqueue->descriptor() == fd) {
            if (caution == 0) return kqueue;
            if ((caution & kCareful) != 0 && !kqueue->exists()) {
                retire(kqueue);
                error = Errno::bad_descriptor;
            }
        } else {
            error = check_duplicate(fd, kqueue);
        }
        if (tells_of_tracing && error == Errno::ok && (caution & kTraced) != 0)
            error = Errno::traced;
        if (error == Errno::ok) return kqueue;
        release_later(kqueue);
        if (error != Errno::bad_descriptor) return error;
        // The number was that kqueue's. Whose is it now?
    }
    return Errno::bad_descriptor;
}

}  // namespace

Result<Kqueue*> find(int fd) {
    return find_any<true>(fd);
}

Result<Kqueue*> find_traced(int fd) {
    return find_any<false>(fd);
}

void set_traced(bool traced) {
    if (traced)
        cells.caution.fetch_or(kTraced);
    else
        cells.caution.fetch_and(static_cast<uint8_t>(~kTraced));
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
    // If this is a signal handler, its thread may hold the lock. A thread that has the lock, or the
    // next call of any thread, comes here, too.
    if (!cells.mutex.try_lock()) return;
    cells.mutex.unlock();
    for (Cell* cell = cells.dying.exchange(nullptr); cell != nullptr;) {
        Cell* next = cell->next;
        destroy(*cell);
        cell = next;
    }
}

void retire(Kqueue* kqueue) {
    {
        const Guard guard(cells.mutex);
        Cell& cell = *Cell::of(kqueue);
        if (state_of(cell.word.load()) != State::live || kqueue->exists()) return;
        if (cell.fd >= 0 && !rescue(cell)) unpublish(cell);
        find_homes();
    }
    reap();
}

void sweep() {
    {
        const Guard guard(cells.mutex);
        look_for_closed(cells.used_count);
        find_homes();
    }
    reap();
}

}  // namespace kq::registry
