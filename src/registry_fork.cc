// SPDX-License-Identifier: BSD-2-Clause
// What happens to kqueues when the process forks. See registry_cells.h.
//
// Everything is locked while the process forks: the registry, all kqueues (a thread that sleeps in
// one holds no lock), the hubs. So the child finds all of it whole, and can destroy it.
#include "alloc.h"
#include "process_hub.h"
#include "registry.h"
#include "registry_cells.h"
#include "signal_hub.h"

namespace kq {

static_assert(Backend::kHas.fork && ForkContract<Backend>);

void Kqueue::abandon_in_child() {
    backend_.abandon_in_child();
}

namespace registry {
namespace {

constinit std::atomic<bool> fork_cleanup{true};

// How long fork() waits for a kqueue's mutex. If it is not free then, the child leaves that kqueue
// as it is: perhaps a signal handler called fork() inside kevent().
constexpr Nanos kPatience = 200 * kMillisecond;

bool is_being_destroyed(const Cell& cell) {
    return state_of(cell.word.load()) == State::destroying;
}

void prepare_fork() KQ_NO_ANALYSIS {
    cells.mutex.lock();
    Nanos limit = 0;
    for (size_t i = 0; i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
        cell.locked = false;
        while (!is_being_destroyed(cell) && !(cell.locked = cell.kqueue()->mutex().try_lock())) {
            const Nanos t = now(Clock::monotonic);
            if (limit == 0) limit = t + kPatience;
            if (t > limit) break;
            threading::yield();
        }
        // The destructor of a kqueue unlocks the mutex before it destroys the members. So a thread
        // that waited for the mutex may have locked that of a kqueue that is being destroyed.
        if (cell.locked && is_being_destroyed(cell)) {
            cell.kqueue()->mutex().unlock();
            cell.locked = false;
        }
    }
    signal_hub::before_fork();
    process_hub::lock_before_fork();
    Backend::lock_before_fork();
}

void unlock_kqueues() KQ_NO_ANALYSIS {
    for (size_t i = 0; i < cells.used_count; i++)
        if (cells.used[i]->locked) cells.used[i]->kqueue()->mutex().unlock();
}

void parent_forked() KQ_NO_ANALYSIS {
    Backend::unlock_after_fork(false);
    process_hub::unlock_in_parent();
    signal_hub::after_fork_in_parent();
    unlock_kqueues();
    cells.mutex.unlock();
}

// Destroys a parent's kqueue in the child. The descriptors are closed already, so nothing it does
// reaches the parent's. References do not count any more: threads of the parent had them.
void discard_in_child(Cell& cell) KQ_NO_ANALYSIS {
    forget_number(cell.fd, cell);
    if (cell.duplicates > 0) forget_duplicates(cell);
    if (!cell.locked) return;  // its state is unknown: the memory is lost
    cell.kqueue()->~Kqueue();
    Owned<Cell>(&cell).reset();
}

void forget_all() KQ_REQUIRES(cells.mutex) {
    cells.used_count = 0;
    cells.homeless = 0;
    cells.caution.fetch_and(kTraced);
    several.store(false);
    Kqueue::forget_serials();
    cells.dying.store(nullptr);
}

// The child inherits no kqueue: its descriptors, memory, signal masks and handlers are as if there
// had been none.
void child_forked() KQ_NO_ANALYSIS {
    const bool clean = fork_cleanup.load();
    Backend::unlock_after_fork(true);
    process_hub::after_fork_in_child(clean);
    signal_hub::after_fork_in_child(clean);
    for (size_t i = 0; clean && i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
        close_duplicates_in_child(cell);
        cell.kqueue()->abandon_in_child();
    }
    unlock_kqueues();
    cells.mutex.unlock();
    if (!clean) return;
    for (size_t i = 0; i < cells.used_count; i++)
        discard_in_child(*cells.used[i]);
    forget_all();
    mailbox::abandon_in_child();
    Backend::close_shared();
    (void)mark_process();
}

}  // namespace

void prepare_for_forks() {
    // Called under the mutex. What fails now is tried again for the next kqueue.
    static bool handled = false;
    static bool marked = false;
    if (!handled) handled = threading::on_fork(prepare_fork, parent_forked, child_forked);
    if (!marked) marked = mark_process();
}

void begin_anew() KQ_NO_ANALYSIS {
    ::new (&cells.mutex) Mutex;
    for (size_t i = 0; i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
        cell.kqueue()->abandon_in_child();
        if (std::atomic<Cell*>* place = place_of(cell.fd)) place->store(nullptr);
    }
    forget_all();
    cells.free = nullptr;
    process_hub::begin_anew_in_copy();
    signal_hub::begin_anew_in_copy();
    mailbox::abandon_in_child();
    Backend::close_shared();
    (void)mark_process();
}

bool set_fork_cleanup(bool wanted) {
    return fork_cleanup.exchange(wanted);
}

}  // namespace registry
}  // namespace kq
