// SPDX-License-Identifier: BSD-2-Clause
// The inside of the registry: cells, numbers, references. For registry.cc, registry_lookup.h,
// registry_cells.cc, registry_duplicates.cc and registry_fork.cc only.
//
// How a Kqueue is kept alive while other threads look it up without a lock: it is stored in a Cell
// whose memory is never freed, only used again for another Kqueue. find() reads the cell of a
// number, adds a reference, and checks whether the number still leads to that cell. If not, it
// takes the reference off again. So a reference may be added even while the cell is on the free
// list. The Kqueue exists exactly while the state is not `free`. The registry itself holds one
// reference until retire(). The thread that takes the last reference off a retired cell destroys
// the Kqueue in it, without holding a lock. References and state are one word, so that "the last
// reference of a retired cell" is one atomic step. If they were two words, a thread that stalls
// between reading the two could destroy the next Kqueue in the cell.
//
// Lock: mutex, for everything but the fast path; never held together with a
// kqueue's mutex. Under one, a reference is given back by release_later().
#ifndef KQ_REGISTRY_CELLS_H
#define KQ_REGISTRY_CELLS_H

#include <atomic>
#include <new>
#include <type_traits>

#include "kqueue.h"
#include "unsplit.h"

namespace kq::registry {

// Cell::word: references in the low half, above them the state. `dying`: there is no reference any
// more. `destroying`: its destructor runs.
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
    int fd = -1;            // the number while live; -1: homeless, see rescue()
    size_t place = 0;       // in used_cells, while not free
    bool locked = false;    // by prepare_fork()
    bool copied = false;    // a forked child gets a copy: KQUEUE_CPONFORK
    bool prepared = false;  // for a fork, by Kqueue::prepare_copy()
    int duplicates = 0;     // how many other numbers lead to this cell
    bool searched = false;  // homeless since before find_homes() began
    Cell* next = nullptr;   // while free or dying: the next cell of that list

    Kqueue* kqueue() { return std::launder(static_cast<Kqueue*>(static_cast<void*>(body))); }
    static Cell* of(Kqueue* kqueue) { return reinterpret_cast<Cell*>(kqueue); }
};
static_assert(std::is_standard_layout_v<Cell>);

// Numbers to cells: a directory of chunks made when first needed and kept.
constexpr size_t kChunk = 1024;
constexpr size_t kChunks = 2048;  // 2^21 descriptors: twice what Linux allows by default
struct Chunk {
    std::atomic<Cell*> cells[kChunk];
};

enum Caution : uint8_t {
    // Some kqueue has, or had, a second number. From then on a number may name another kqueue than
    // before although no call of ours has changed it: so each call asks the kernel.
    kCareful = 1,
    // Calls are traced: find() answers Errno::traced.
    kTraced = 2,
    // A thread forks, and waits until no other thread is in a call. Calls that begin wait for the
    // end of the fork, but not longer than let_fork() allows.
    kForking = 4,
};

struct Cells {
    std::atomic<Chunk*> directory[kChunks];
    SharedMutex mutex;
    // Cells that are not free, in no order. next_look goes round them: see look_for_closed().
    Cell** used KQ_GUARDED_BY(mutex) = nullptr;
    size_t used_count KQ_GUARDED_BY(mutex) = 0;
    size_t used_capacity KQ_GUARDED_BY(mutex) = 0;
    size_t next_look KQ_GUARDED_BY(mutex) = 0;
    Cell* free KQ_GUARDED_BY(mutex) = nullptr;
    // How many live cells have no number, and how many there may be before their numbers are
    // searched.
    size_t homeless KQ_GUARDED_BY(mutex) = 0;
    size_t patience KQ_GUARDED_BY(mutex) = 4;
    // How many numbers the last such search looked at.
    size_t looks KQ_GUARDED_BY(mutex) = 0;
    // The tags of the last kqueues that were given up although they had knotes.
    static constexpr size_t kLost = 64;
    uint32_t lost[kLost] KQ_GUARDED_BY(mutex) = {};
    size_t lost_count KQ_GUARDED_BY(mutex) = 0;
    // Why calls cannot take the short way: bits of Caution, so that one test finds all reasons.
    std::atomic<uint8_t> caution{0};
    std::atomic<Cell*> dying{nullptr};  // for reap()
};
extern constinit Cells cells;

// ---- numbers ----

// Where the cell of a number stands; null if there never was one near it.
inline std::atomic<Cell*>* place_of(int fd) {
    const auto number = static_cast<unsigned>(fd);  // a negative one is beyond all chunks
    if (number / kChunk >= kChunks) return nullptr;
    Chunk* chunk = cells.directory[number / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &chunk->cells[number % kChunk];
}
std::atomic<Cell*>* make_place(int fd) KQ_REQUIRES(cells.mutex);
// The number does not lead to this cell any more.
void forget_number(int fd, const Cell& cell) KQ_REQUIRES(cells.mutex);

// ---- cells ----

// An unused cell with a fresh Kqueue in it and no reference of ours yet.
Cell* take_cell() KQ_REQUIRES(cells.mutex);
void give_back(Cell& cell) KQ_REQUIRES(cells.mutex);
void list_used(Cell& cell) KQ_REQUIRES(cells.mutex);
// Takes the cell out of the registry, if it is in there. To be followed by reap(), without the
// lock.
void unpublish(Cell& cell) KQ_REQUIRES(cells.mutex);

// ---- references ----

// A reference to what a number leads to, if anything.
Kqueue* find_known(int fd);

// Without other threads this needs no atomic operation, which is the most expensive step of a
// lookup. But it must be one instruction, because a signal handler may retire or use the cell
// before or after it. A thread that is made later sees what was stored before.
inline void add_reference(Cell& cell) {
    if (single_threaded())
        unsplit::add_one(cell.word);
    else
        cell.word.fetch_add(kReference);
}
// Takes one reference off. True: the caller must destroy the Kqueue. A count of zero alone does not
// mean that, because a find() that came too late takes its reference off a free cell.
bool take_reference_off(Cell& cell);
// As take_reference_off(), after unsplit::take_one_off() has taken the last reference off. For
// processes with one thread.
bool took_last_reference_off(Cell& cell);
void destroy(Cell& cell) KQ_EXCLUDES(cells.mutex);
void drop_reference(Cell& cell) KQ_EXCLUDES(cells.mutex);

// ---- registry.cc ----

// A new kqueue, published; or why not. Its kernel queue is new, or that which the number `adopted`
// names. To be followed by reap(), without the lock.
Result<int> create_locked(bool copied, int adopted = -1) KQ_REQUIRES(cells.mutex);

// ---- registry_duplicates.cc: other numbers of a kqueue ----

// Closes the duplicates of a kqueue in a forked child. With `keep`: those remain open for which it
// returns true.
void close_duplicates_in_child(Cell& cell, bool (*keep)(int fd)) KQ_REQUIRES(cells.mutex);
void forget_duplicates(Cell& cell) KQ_REQUIRES(cells.mutex);
// The number of a live kqueue was closed. The user may have duplicated the descriptor before, and
// we are not notified of that. If another number is found, the kqueue has that number from now on.
// Otherwise it is homeless until another number is used, or is found by find_homes(). False: the
// kqueue has nothing that could be lost.
bool rescue(Cell& cell) KQ_REQUIRES(cells.mutex);
// Looks at all numbers to find those of the homeless kqueues. Kqueues without any number are
// unpublished.
void find_homes() KQ_REQUIRES(cells.mutex);
// As far as we know the number is not that of a kqueue. If it is a duplicate, it leads to its
// kqueue from now on. bad_descriptor: it is not a duplicate. Other errors: that cannot be told, or
// no memory.
Errno learn_duplicate(int fd) KQ_EXCLUDES(cells.mutex);
// Checks a number that leads to a kqueue whose public number is another one. bad_descriptor: as far
// as can be told, it is not a duplicate of that kqueue any more, and does not lead there any more.
Errno check_duplicate(int fd, Kqueue* kqueue) KQ_EXCLUDES(cells.mutex);

// ---- registry_fork.cc ----

// Installs the fork handlers; the first time.
void prepare_for_forks() KQ_REQUIRES(cells.mutex);
void begin_anew();
// In a child that was made without fork handlers, by _Fork() or clone(), and has
// come to use the library, for the first time: true. Mutexes that were locked when it was made stay
// locked, and work of other threads is half done. So nothing is freed, and all begins anew. Else
// false, after a load.
inline bool begin_anew_in_copy() {
    if constexpr (Backend::kHas.fork) {
        if (!is_copy_of_process()) return false;
        begin_anew();
        return true;
    }
    return false;
}

}  // namespace kq::registry

#endif
