// What happens to kqueues when the process forks. See registry_cells.h.
//
// Everything is locked while the process forks, so that the child finds it whole
// and can take it apart: the registry, all kqueues (a thread that sleeps in one
// holds no lock), the hubs.
#include <pthread.h>
#include <sched.h>

#include "alloc.h"
#include "process_hub.h"
#include "registry.h"
#include "registry_cells.h"
#include "signal_hub.h"

namespace kq::registry {
namespace {

constinit std::atomic<bool> fork_cleanup{true};

// A kqueue that is not free within this time is left as it is in the child:
// perhaps fork() was called by a signal handler, inside kevent().
constexpr Nanos kPatience = 200 * kMillisecond;

void prepare_fork() KQ_NO_ANALYSIS {
    cells.mutex.lock();
    Nanos limit = 0;
    for (size_t i = 0; i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
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
    for (size_t i = 0; i < cells.used_count; i++)
        if (cells.used[i]->locked) cells.used[i]->kqueue()->mutex().unlock();
}

void parent_forked() KQ_NO_ANALYSIS {
    process_hub::unlock_in_parent();
    signal_hub::after_fork_in_parent();
    unlock_kqueues();
    cells.mutex.unlock();
}

// Takes a parent's kqueue apart in the child, with the descriptors already
// closed: nothing it does reaches the parent's. References do not count any more:
// those who had them are threads of the parent.
void discard_in_child(Cell& cell) KQ_NO_ANALYSIS {
    forget_number(cell.fd, cell);
    if (cell.duplicates > 0) forget_duplicates(cell);
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
    cells.used_count = 0;
    cells.dying.store(nullptr);
    mailbox::abandon_in_child();
    Backend::close_shared();
    (void)mark_process();
}

}  // namespace

void prepare_for_forks() {
    // Under the mutex. What cannot be had now is tried again for the next kqueue.
    static bool handled = false;
    static bool marked = false;
    if (!handled) handled = pthread_atfork(prepare_fork, parent_forked, child_forked) == 0;
    if (!marked) marked = mark_process();
}

void begin_anew_in_copy() KQ_NO_ANALYSIS {
    ::new (&cells.mutex) Mutex;
    for (size_t i = 0; i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
        cell.kqueue()->abandon_in_child();
        if (std::atomic<Cell*>* place = place_of(cell.fd)) place->store(nullptr);
    }
    cells.used_count = 0;
    cells.free = nullptr;
    cells.dying.store(nullptr);
    process_hub::begin_anew_in_copy();
    signal_hub::begin_anew_in_copy();
    mailbox::abandon_in_child();
    Backend::close_shared();
    (void)mark_process();
}

bool set_fork_cleanup(bool wanted) {
    return fork_cleanup.exchange(wanted);
}

}  // namespace kq::registry
