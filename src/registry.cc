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
#include <sched.h>

#include <atomic>

#include "alloc.h"
#include "kqueue.h"
#include "process_hub.h"
#include "signal_hub.h"
#include "trace.h"

namespace kq::registry {
namespace {

// Cell::word: references in the low half, above them the state.
// `dying`: nobody has a reference; `destroying`: and its destructor runs.
enum class State : uint32_t { free, live, retired, dying, destroying };
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
    int fd = -1;           // of its descriptor, while live
    size_t place = 0;      // in used_cells, while not free
    bool locked = false;   // by prepare_fork()
    int duplicates = 0;    // other numbers that lead here
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
// Cells that are not free, in no order; next_look goes round them, see collect_closed().
Cell** used_cells KQ_GUARDED_BY(mutex) = nullptr;
size_t used_count KQ_GUARDED_BY(mutex) = 0;
size_t used_capacity KQ_GUARDED_BY(mutex) = 0;
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

void list_used(Cell& cell) KQ_REQUIRES(mutex) {
    cell.place = used_count;
    used_cells[used_count++] = &cell;
}

void unlist_used(Cell& cell) KQ_REQUIRES(mutex) {
    used_cells[cell.place] = used_cells[--used_count];
    used_cells[cell.place]->place = cell.place;
}

void forget_number(int fd, const Cell& cell) KQ_REQUIRES(mutex) {
    std::atomic<Cell*>* place = place_of(fd);
    if (place != nullptr && place->load() == &cell) place->store(nullptr);
}

// Walks through all numbers: they are few that have duplicates.
template <class Visit>
void for_each_number(const Cell& cell, Visit visit) KQ_REQUIRES(mutex) {
    for (size_t c = 0; c < kChunks; c++) {
        Chunk* chunk = directory[c].load();
        for (size_t i = 0; chunk != nullptr && i < kChunk; i++)
            if (chunk->cells[i].load() == &cell) visit(static_cast<int>(c * kChunk + i));
    }
}

void forget_duplicates(Cell& cell) KQ_REQUIRES(mutex) {
    for_each_number(cell, [&cell](int fd) KQ_NO_ANALYSIS { forget_number(fd, cell); });
    cell.duplicates = 0;
}

// The number of a live kqueue was closed. If it has knotes, and the user has
// duplicated the descriptor, it lives on under another number: true.
bool rescue(Cell& cell) KQ_REQUIRES(mutex) {
    if (!cell.kqueue()->has_knotes()) return false;
    const int fd = Backend::find_duplicate(cell.kqueue()->serial());
    std::atomic<Cell*>* place = fd < 0 ? nullptr : make_place(fd);
    if (place == nullptr) return false;
    forget_number(cell.fd, cell);
    cell.kqueue()->move_to(fd);
    cell.fd = fd;
    place->store(&cell);
    return true;
}

// Takes the cell out of the registry. True for exactly one caller, who then
// owes a drop_reference() for the registry, without the lock.
bool unpublish(Cell& cell) KQ_REQUIRES(mutex) {
    if (state_of(cell.word.load()) != State::live) return false;
    forget_number(cell.fd, cell);
    if (cell.duplicates > 0) forget_duplicates(cell);
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

// The word is added to, since a late find() may be counted in.
void destroy(Cell& cell) KQ_EXCLUDES(mutex) {
    cell.word.fetch_add(word_of(State::destroying) - word_of(State::dying));
    cell.kqueue()->~Kqueue();
    const Guard guard(mutex);
    cell.word.fetch_sub(word_of(State::destroying));
    unlist_used(cell);
    give_back(cell);
}

void drop_reference(Cell& cell) KQ_EXCLUDES(mutex) {
    if (take_reference_off(cell)) destroy(cell);
}

// Looks at `looks` live kqueues and retires those that are closed, `most` at
// the most; they are returned in `closed`, for drop_reference(). One need not be
// looked at: the number that was just made.
int collect_closed(Cell** closed, int most, size_t looks, int fresh = -1) KQ_REQUIRES(mutex) {
    int count = 0;
    for (; looks > 0 && count < most && used_count > 0; looks--) {
        if (next_look >= used_count) next_look = 0;
        if (used_cells[next_look]->fd == fresh && ++next_look >= used_count) next_look = 0;
        Cell& cell = *used_cells[next_look++];
        const bool live = state_of(cell.word.load()) == State::live;
        if (live && !cell.kqueue()->exists() && !rescue(cell) && unpublish(cell))
            closed[count++] = &cell;
    }
    return count;
}

// ---- fork ----

//
// Everything is locked while the process forks, so that the child finds it whole
// and can take it apart: the registry, all kqueues (a thread that sleeps in one
// holds no lock), the hubs.

// A kqueue that is not free within this time is left as it is in the child:
// perhaps fork() was called by a signal handler, inside kevent().
constexpr Nanos kPatience = 200 * kMillisecond;

void prepare_fork() KQ_NO_ANALYSIS {
    mutex.lock();
    Nanos limit = 0;
    for (size_t i = 0; i < used_count; i++) {
        Cell& cell = *used_cells[i];
        cell.locked = false;
        if (state_of(cell.word.load()) == State::destroying) continue;
        while (!(cell.locked = cell.kqueue()->mutex().try_lock())) {
            const Nanos t = now(Clock::monotonic);
            if (limit == 0) limit = t + kPatience;
            if (t > limit) break;
            sched_yield();
        }
    }
    signal_hub::before_fork();
    process_hub::lock_before_fork();
}

void unlock_kqueues() KQ_NO_ANALYSIS {
    for (size_t i = 0; i < used_count; i++)
        if (used_cells[i]->locked) used_cells[i]->kqueue()->mutex().unlock();
}

void parent_forked() KQ_NO_ANALYSIS {
    process_hub::unlock_in_parent();
    signal_hub::after_fork_in_parent();
    unlock_kqueues();
    mutex.unlock();
}

// Takes a parent's kqueue apart in the child, with the descriptors already
// closed: nothing it does reaches the parent's. References do not count any more:
// those who had them are threads of the parent.
void discard_in_child(Cell& cell) KQ_NO_ANALYSIS {
    forget_number(cell.fd, cell);
    forget_duplicates(cell);
    if (!cell.locked) return;  // its state is unknown: the memory is lost
    cell.kqueue()->~Kqueue();
    Owned<Cell>(&cell).reset();
}

// The child inherits no kqueue: descriptors, memory, signal masks and handlers
// are as if there had been none.
void child_forked() KQ_NO_ANALYSIS {
    const bool clean = fork_cleanup.load();
    process_hub::after_fork_in_child(clean);
    signal_hub::after_fork_in_child(clean);
    for (size_t i = 0; clean && i < used_count; i++) {
        Cell& cell = *used_cells[i];
        if (cell.duplicates > 0) for_each_number(cell, [](int fd) { Backend::close_in_child(fd); });
        cell.kqueue()->abandon_in_child();
    }
    unlock_kqueues();
    mutex.unlock();
    if (!clean) return;
    for (size_t i = 0; i < used_count; i++)
        discard_in_child(*used_cells[i]);
    used_count = 0;
    dying_cells.store(nullptr);
    mailbox::abandon_in_child();
    Backend::close_shared();
    mark_process();
}

// A child that was made without fork handlers, by _Fork() or clone(), and has
// come to use the library. What was locked when it was made stays so, and what was
// under way is half done: nothing is freed, and all begins anew.
void begin_anew_in_copy() KQ_NO_ANALYSIS {
    ::new (&mutex) Mutex;
    for (size_t i = 0; i < used_count; i++) {
        Cell& cell = *used_cells[i];
        cell.kqueue()->abandon_in_child();
        if (std::atomic<Cell*>* place = place_of(cell.fd)) place->store(nullptr);
    }
    used_count = 0;
    free_cells = nullptr;
    dying_cells.store(nullptr);
    process_hub::begin_anew_in_copy();
    signal_hub::begin_anew_in_copy();
    mailbox::abandon_in_child();
    Backend::close_shared();
    mark_process();
}

// A new kqueue, published; or why not. What it replaced or found closed is in
// `closed`. Its kernel queue is new, or that which the number `adopted` names.
Result<int> create_locked(Cell** closed, int& count, int adopted = -1) KQ_REQUIRES(mutex) {
    if (!prepared) {
        prepared = pthread_atfork(prepare_fork, parent_forked, child_forked) == 0;
        mark_process();
    }
    if (!grow_array(used_cells, used_capacity, used_count + 1)) return Errno::no_memory;
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
    // The kernel gave us a number that a kqueue of ours had: that one is closed.
    Cell* old = place->load();
    if (old != nullptr && old->fd != cell->fd)
        forget_number(cell->fd, *old);  // a duplicate of it
    else if (old != nullptr && !rescue(*old) && unpublish(*old))
        closed[count++] = old;
    cell->word.fetch_add(word_of(State::live) + kReference);
    list_used(*cell);
    place->store(cell, std::memory_order_release);
    return cell->fd;
}

}  // namespace

Result<int> create() {
    trace_initialize();
    if (is_copy_of_process()) begin_anew_in_copy();
    Cell* closed[kSweepEachTime + 1];
    for (int attempt = 0;; attempt++) {
        int count = 0;
        Result<int> fd = Errno::no_memory;
        {
            const Guard guard(mutex);
            fd = create_locked(closed, count);
            // Closed queues that nobody used since are found here, a few at a time.
            const size_t others = used_count > 0 ? used_count - 1 : 0;
            const size_t looks = others < kSweepEachTime ? others : size_t{kSweepEachTime};
            count +=
                collect_closed(closed + count, kSweepEachTime, looks, fd.ok() ? fd.value() : -1);
        }
        for (int i = 0; i < count; i++)
            drop_reference(*closed[i]);
        const bool exhausted = !fd.ok() && (fd.error() == Errno::too_many_open ||
                                            fd.error() == Errno::too_many_open_in_system);
        if (!exhausted || attempt > 0) return fd;
        sweep();  // what they still hold may be just what is missing
    }
}

namespace {

// A reference to what a number leads to, if anything.
Kqueue* find_known(int fd) {
    std::atomic<Cell*>* place = place_of(fd);
    if (place == nullptr) return nullptr;
    for (;;) {
        Cell* cell = place->load(std::memory_order_acquire);
        if (cell == nullptr) return nullptr;
        if (is_copy_of_process()) {
            begin_anew_in_copy();
            return nullptr;
        }
        cell->word.fetch_add(kReference);
        if (place->load() == cell) return cell->kqueue();
        drop_reference(*cell);
    }
}

Cell* find_by_tag(uint32_t tag) KQ_REQUIRES(mutex) {
    for (size_t i = 0; i < used_count; i++)
        if (state_of(used_cells[i]->word.load()) == State::live &&
            used_cells[i]->kqueue()->serial() == tag)
            return used_cells[i];
    return nullptr;
}

// The number is not that of a kqueue as far as we know. If it is a duplicate it
// leads there from now on.
void learn_duplicate(int fd) {
    if (!Backend::is_queue(fd)) return;
    const uint32_t tag = Backend::tag_of(fd);
    if (tag == 0) return;
    const Guard guard(mutex);
    std::atomic<Cell*>* place = make_place(fd);
    if (place == nullptr) return;
    Cell* cell = find_by_tag(tag);
    if (cell == nullptr) {
        // Closed long ago, and without knotes: it begins anew.
        Cell* closed[1];
        int count = 0;
        (void)create_locked(closed, count, fd);
        return;
    }
    place->store(cell);
    cell->duplicates++;
}

// A number that leads to a kqueue of another number. True if it still does.
bool check_duplicate(int fd, Kqueue* kqueue) {
    if (Backend::is_duplicate(fd, kqueue->descriptor())) return true;
    const Guard guard(mutex);
    Cell& cell = *Cell::of(kqueue);
    if (state_of(cell.word.load()) != State::live || Backend::tag_of(fd) != kqueue->serial()) {
        forget_number(fd, cell);
        return false;
    }
    if (kqueue->exists()) {
        Backend::follow(fd, kqueue->descriptor());
        return true;
    }
    // The first number was closed: this one takes its place.
    forget_number(cell.fd, cell);
    kqueue->move_to(fd);
    cell.fd = fd;
    return true;
}

}  // namespace

Kqueue* find(int fd) {
    for (int attempt = 0; attempt < 2; attempt++) {
        Kqueue* kqueue = find_known(fd);
        if (kqueue == nullptr) {
            learn_duplicate(fd);
            kqueue = find_known(fd);
        }
        if (kqueue == nullptr || kqueue->descriptor() == fd) return kqueue;
        if (check_duplicate(fd, kqueue)) return kqueue;
        release_later(kqueue);  // it was one: what is it now?
    }
    return nullptr;
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
        ours = !rescue(*cell) && unpublish(*cell);
    }
    if (ours) drop_reference(*cell);
}

void sweep() {
    Cell* closed[16];
    int count = 0;
    do {
        {
            const Guard guard(mutex);
            count = collect_closed(closed, 16, used_count);
        }
        for (int i = 0; i < count; i++)
            drop_reference(*closed[i]);
    } while (count > 0);
}

bool set_fork_cleanup(bool wanted) {
    return fork_cleanup.exchange(wanted);
}

}  // namespace kq::registry
