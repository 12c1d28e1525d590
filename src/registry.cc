// The registry of kqueues, and what happens to them in a forked child.
//
// How a Kqueue lives while others look it up without a lock: it stands in a
// Cell whose memory is never freed, only used again for another Kqueue. find()
// reads the cell of a number, counts itself in, and looks whether the number
// still leads to that cell; if not it counts itself out again. The count may
// thus be touched even while the cell is on the free list; what it guards is
// there exactly while the state is not `free`. The registry itself holds one
// reference until retire(); whoever takes the last one off a retired cell
// destroys the Kqueue in it, holding nothing. References and state are one word,
// so that "the last one, and retired" is one transition: seen apart, a thread
// that stalls between the two could destroy the cell's next tenant.
//
// Lock: mutex, for everything but the fast path; never held together with a
// kqueue's mutex. Under one, a reference is given back by release_later().
#include "registry.h"

#include <pthread.h>

#include <atomic>

#include "alloc.h"
#include "kqueue.h"
#include "process_hub.h"
#include "trace.h"

namespace kq::registry {
namespace {

// Cell::word: references in the low half, above them the state.
enum class State : uint32_t { free, live, retired, dying };
constexpr uint64_t kReference = 1;
constexpr uint64_t word_of(State state) {
    return uint64_t{static_cast<uint32_t>(state)} << 32;
}
constexpr State state_of(uint64_t word) {
    return static_cast<State>(word >> 32);
}
constexpr uint32_t references_of(uint64_t word) {
    return static_cast<uint32_t>(word);
}

struct Cell {
    alignas(Kqueue) unsigned char body[sizeof(Kqueue)] = {};  // first: see of()
    std::atomic<uint64_t> word{word_of(State::free)};
    int fd = -1;           // while live
    size_t place = 0;      // in live_cells, while live
    Cell* next = nullptr;  // while free or dying: the next such cell

    Kqueue* kqueue() { return std::launder(reinterpret_cast<Kqueue*>(body)); }
    static Cell* of(Kqueue* kqueue) { return reinterpret_cast<Cell*>(kqueue); }
};
static_assert(std::is_standard_layout_v<Cell>);

// Numbers to cells: a directory of chunks made when first needed and kept.
constexpr size_t kChunk = 1024;
constexpr size_t kChunks = 2048;  // 2^21 descriptors: twice what Linux allows by default
struct Chunk {
    std::atomic<Cell*> cells[kChunk];
};
constinit std::atomic<Chunk*> directory[kChunks];

constinit Mutex mutex;
// Cells in use, in no order; next_look goes round them, see collect_closed().
Cell** live_cells KQ_GUARDED_BY(mutex) = nullptr;
size_t live_count KQ_GUARDED_BY(mutex) = 0;
size_t live_capacity KQ_GUARDED_BY(mutex) = 0;
size_t next_look KQ_GUARDED_BY(mutex) = 0;
Cell* free_cells KQ_GUARDED_BY(mutex) = nullptr;
constinit std::atomic<Cell*> dying_cells{nullptr};  // for reap()
bool prepared KQ_GUARDED_BY(mutex) = false;         // fork handlers are installed
constinit std::atomic<bool> fork_cleanup{true};

constexpr int kSweepEachTime = 2;

std::atomic<Cell*>* place_of(int fd) {
    const auto number = static_cast<size_t>(fd);
    if (fd < 0 || number / kChunk >= kChunks) return nullptr;
    Chunk* chunk = directory[number / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &chunk->cells[number % kChunk];
}

std::atomic<Cell*>* make_place(int fd) KQ_REQUIRES(mutex) {
    const auto number = static_cast<size_t>(fd);
    if (number / kChunk >= kChunks) return nullptr;
    std::atomic<Chunk*>& chunk = directory[number / kChunk];
    if (chunk.load() == nullptr) {
        // All zero is what a Chunk starts with.
        chunk.store(static_cast<Chunk*>(calloc(1, sizeof(Chunk))), std::memory_order_release);
    }
    return place_of(fd);
}

// An unused cell with a fresh Kqueue in it and no reference of ours yet.
Cell* take_cell() KQ_REQUIRES(mutex) {
    Cell* cell = free_cells;
    if (cell != nullptr)
        free_cells = cell->next;
    else
        cell = make<Cell>().release();
    if (cell != nullptr) ::new (cell->body) Kqueue;
    return cell;
}

void give_back(Cell& cell) KQ_REQUIRES(mutex) {
    cell.next = free_cells;
    free_cells = &cell;
}

// Takes the cell out of the registry. True for exactly one caller, who then
// owes a drop_reference() for the registry, without the lock.
bool unpublish(Cell& cell) KQ_REQUIRES(mutex) {
    if (state_of(cell.word.load()) != State::live) return false;
    std::atomic<Cell*>* place = place_of(cell.fd);
    if (place != nullptr && place->load() == &cell) place->store(nullptr);
    live_cells[cell.place] = live_cells[--live_count];
    live_cells[cell.place]->place = cell.place;
    cell.kqueue()->mark_dead();
    cell.word.fetch_add(word_of(State::retired) - word_of(State::live));
    return true;
}

// Takes one reference off. True for the one thread that has to destroy the
// Kqueue: zero is also reached by a find() that came too late, on a free cell.
bool take_reference_off(Cell& cell) {
    uint64_t word = cell.word.load();
    for (;;) {
        KQ_CHECK(references_of(word) > 0);
        uint64_t next = word - kReference;
        if (next == word_of(State::retired)) next = word_of(State::dying);
        if (!cell.word.compare_exchange_weak(word, next)) continue;
        return state_of(next) == State::dying;
    }
}

void destroy(Cell& cell) KQ_EXCLUDES(mutex) {
    cell.kqueue()->~Kqueue();
    const Guard guard(mutex);
    cell.word.fetch_sub(word_of(State::dying));  // a late find() may be counted in
    give_back(cell);
}

void drop_reference(Cell& cell) KQ_EXCLUDES(mutex) {
    if (take_reference_off(cell)) destroy(cell);
}

// Looks at `looks` live kqueues and retires those that are closed, `most` at
// the most; they are returned in `closed`, for drop_reference().
int collect_closed(Cell** closed, int most, size_t looks) KQ_REQUIRES(mutex) {
    int count = 0;
    for (; looks > 0 && count < most && live_count > 0; looks--) {
        if (next_look >= live_count) next_look = 0;
        Cell& cell = *live_cells[next_look];
        if (cell.kqueue()->exists())
            next_look++;
        else if (unpublish(cell))
            closed[count++] = &cell;
    }
    return count;
}

// ---- fork ----

void prepare_fork() KQ_NO_ANALYSIS {
    mutex.lock();
    process_hub::lock_before_fork();
}
void parent_forked() KQ_NO_ANALYSIS {
    process_hub::unlock_in_parent();
    mutex.unlock();
}

// The child inherits no kqueue. It has one thread and knows nothing of the
// state in which others left their kqueues: it takes no lock of theirs, closes
// the descriptors and forgets the rest.
void child_forked() KQ_NO_ANALYSIS {
    mutex.reset_in_child();
    process_hub::unlock_in_child();
    if (!fork_cleanup.load()) return;
    for (size_t i = 0; i < live_count; i++) {
        Cell& cell = *live_cells[i];
        cell.kqueue()->abandon_in_child();
        if (std::atomic<Cell*>* place = place_of(cell.fd)) place->store(nullptr);
    }
    live_count = 0;
    dying_cells.store(nullptr);
    process_hub::abandon_in_child();
    mailbox::abandon_in_child();
    Backend::close_shared();
}

// A new kqueue, published; or why not. What it replaced or found closed is in
// `closed`.
Result<int> create_locked(Cell** closed, int& count) KQ_REQUIRES(mutex) {
    if (!prepared) prepared = pthread_atfork(prepare_fork, parent_forked, child_forked) == 0;
    if (!grow_array(live_cells, live_capacity, live_count + 1)) return Errno::no_memory;
    Cell* cell = take_cell();
    if (cell == nullptr) return Errno::no_memory;
    Errno error = cell->kqueue()->open();
    std::atomic<Cell*>* place = nullptr;
    if (error == Errno::ok) {
        place = make_place(cell->kqueue()->descriptor());
        if (place == nullptr) error = Errno::no_memory;
    }
    if (error != Errno::ok) {
        cell->kqueue()->close_unpublished();
        cell->kqueue()->~Kqueue();
        give_back(*cell);
        return error;
    }
    cell->fd = cell->kqueue()->descriptor();
    // The kernel gave us a number that a kqueue of ours had: that one is closed.
    Cell* old = place->load();
    if (old != nullptr && unpublish(*old)) closed[count++] = old;
    cell->word.fetch_add(word_of(State::live) + kReference);
    cell->place = live_count;
    live_cells[live_count++] = cell;
    place->store(cell, std::memory_order_release);
    return cell->fd;
}

}  // namespace

Result<int> create() {
    trace_initialize();
    Cell* closed[kSweepEachTime + 1];
    for (int attempt = 0;; attempt++) {
        int count = 0;
        Result<int> fd = Errno::no_memory;
        {
            const Guard guard(mutex);
            fd = create_locked(closed, count);
            // Closed queues that nobody used since are found here, a few at a time.
            const size_t others = live_count > 0 ? live_count - 1 : 0;
            const size_t looks = others < kSweepEachTime ? others : size_t{kSweepEachTime};
            count += collect_closed(closed + count, kSweepEachTime, looks);
        }
        for (int i = 0; i < count; i++)
            drop_reference(*closed[i]);
        const bool exhausted = !fd.ok() && (fd.error() == Errno::too_many_open ||
                                            fd.error() == Errno::too_many_open_in_system);
        if (!exhausted || attempt > 0) return fd;
        sweep();  // what they still hold may be just what is missing
    }
}

Kqueue* find(int fd) {
    std::atomic<Cell*>* place = place_of(fd);
    if (place == nullptr) return nullptr;
    for (;;) {
        Cell* cell = place->load(std::memory_order_acquire);
        if (cell == nullptr) return nullptr;
        cell->word.fetch_add(kReference);
        if (place->load() == cell) return cell->kqueue();
        drop_reference(*cell);
    }
}

void release(Kqueue* kqueue) {
    drop_reference(*Cell::of(kqueue));
}

bool is_live(int fd) {
    std::atomic<Cell*>* place = place_of(fd);
    if (place == nullptr || place->load() == nullptr) return false;
    Kqueue* kqueue = find(fd);
    if (kqueue == nullptr) return false;
    const bool live = kqueue->exists();
    release_later(kqueue);
    return live;
}

void release_later(Kqueue* kqueue) {
    Cell* cell = Cell::of(kqueue);
    if (!take_reference_off(*cell)) return;
    cell->next = dying_cells.load();
    while (!dying_cells.compare_exchange_weak(cell->next, cell)) {
    }
}

void reap() {
    if (dying_cells.load(std::memory_order_relaxed) == nullptr) return;
    for (Cell* cell = dying_cells.exchange(nullptr); cell != nullptr;) {
        Cell* next = cell->next;
        destroy(*cell);
        cell = next;
    }
}

void retire(Kqueue* kqueue) {
    Cell* cell = Cell::of(kqueue);
    bool ours = false;
    {
        const Guard guard(mutex);
        ours = unpublish(*cell);
    }
    if (ours) drop_reference(*cell);
}

void sweep() {
    Cell* closed[16];
    int count = 0;
    do {
        {
            const Guard guard(mutex);
            count = collect_closed(closed, 16, live_count);
        }
        for (int i = 0; i < count; i++)
            drop_reference(*closed[i]);
    } while (count > 0);
}

bool set_fork_cleanup(bool wanted) {
    return fork_cleanup.exchange(wanted);
}

}  // namespace kq::registry
