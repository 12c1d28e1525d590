// SPDX-License-Identifier: BSD-2-Clause
// What happens to kqueues when the process forks. See registry_cells.h.
//
// Everything is locked while the process forks: the registry, all kqueues (a thread that sleeps in
// one holds no lock), the hubs. So the child finds complete data, and can destroy it. Kqueues with
// KQUEUE_CPONFORK are not destroyed: the child goes on with them (fork_copy.cc).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "alloc.h"
#include "process_hub.h"
#include "registry.h"
#include "registry_cells.h"
#include "signal_hub.h"
#include "trace.h"

namespace kq {

static_assert(Backend::kHas.fork && ForkContract<Backend>);

void Kqueue::abandon_in_child() {
    backend_.abandon_in_child();
}

namespace registry {
namespace {

constinit std::atomic<bool> fork_cleanup{true};

// How long fork() waits for a kqueue's mutex. If the mutex is not free then, the child leaves that
// kqueue as it is. kPatience: this thread was the last to begin a call in the kqueue. It may hold
// the mutex itself, if a signal handler has called fork() inside kevent(). kPatienceWithOthers:
// another thread was the last, so the mutex will become free.
constexpr Nanos kPatience = 200 * kMillisecond;
constexpr Nanos kPatienceWithOthers = 20 * kSecond;

bool is_being_destroyed(const Cell& cell) {
    return state_of(cell.word.load()) == State::destroying;
}

// The thread that has locked everything for its fork(); 0: none. So a handler of the program that
// runs in the child before ours can be told from one that runs after it: begin_anew().
constinit std::atomic<uintptr_t> forker{0};

bool is_locked_here() {
    return forker.load(std::memory_order_relaxed) == threading::self();
}

// There was a kqueue in this process.
constinit bool used KQ_GUARDED_BY(cells.mutex) = false;

// While everything is locked no line is traced: a function of the program would get the line, and
// this function may use a kqueue.
constinit TraceLevel traced = TraceLevel::off;

// Prepares the kqueues of which the child is to have a copy.
void prepare_copies() KQ_NO_ANALYSIS {
    bool any = false;
    for (size_t i = 0; i < cells.used_count; i++)
        any = any || cells.used[i]->copied;
    traced = any ? trace_detail::level.exchange(TraceLevel::off) : TraceLevel::off;
    for (size_t i = 0; i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
        const bool wanted = cell.copied && cell.locked && fork_cleanup.load() &&
                            state_of(cell.word.load()) == State::live && cell.fd >= 0;
        cell.prepared = wanted && cell.kqueue()->prepare_copy();
    }
}

bool lock(Cell& cell) KQ_NO_ANALYSIS {
    const Kqueue& kqueue = *cell.kqueue();
    Nanos begin = 0;
    while (!is_being_destroyed(cell)) {
        if (cell.kqueue()->mutex().try_lock()) return true;
        if (single_threaded()) break;  // this thread holds it itself
        const bool others = kqueue.user() != threading::self();
        const Nanos t = now(Clock::monotonic);
        if (begin == 0) begin = t;
        if (t - begin > (others ? kPatienceWithOthers : kPatience)) break;
        threading::yield();
    }
    return false;
}

// Locks the registry. False: this thread holds one of the mutexes of the whole process, because a
// signal handler has called fork() inside of a call. Or this is a copy that has not begun anew, in
// which a thread of the parent may seem to hold any of them.
bool lock_registry() KQ_NO_ANALYSIS {
    if (is_copy_of_process() || threading::is_in_shared()) return false;
    cells.mutex.lock();
    return true;
}

// Signal handlers that ran between the two handlers of ours would find everything locked by their
// own thread. So they run afterwards.
constinit threading::SignalMask held_signals KQ_GUARDED_BY(cells.mutex){};

void prepare_fork() KQ_NO_ANALYSIS {
    const threading::SignalMask mask = threading::hold_signals();
    if (!lock_registry()) {
        // The child is like one that was made without fork handlers: begin_anew().
        threading::release_signals(mask);
        return;
    }
    held_signals = mask;
    cells.caution.fetch_or(kForking);
    for (size_t i = 0; i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
        cell.locked = lock(cell);
        // The destructor of a kqueue unlocks the mutex before it destroys the members. So a thread
        // that waited for the mutex may have locked that of a kqueue that is being destroyed.
        if (cell.locked && is_being_destroyed(cell)) {
            cell.kqueue()->mutex().unlock();
            cell.locked = false;
        }
    }
    prepare_copies();
    signal_hub::before_fork();
    process_hub::lock_before_fork();
    Backend::lock_before_fork();
    forker.store(threading::self(), std::memory_order_relaxed);
}

// All from this one on.
void unlock_kqueues(size_t first) KQ_NO_ANALYSIS {
    for (size_t i = first; i < cells.used_count; i++)
        if (cells.used[i]->locked) cells.used[i]->kqueue()->mutex().unlock();
}

void end_copies() {
    Kqueue::forget_old_edges();
    if (traced != TraceLevel::off) trace_detail::level.store(traced);
}

void parent_forked() KQ_NO_ANALYSIS {
    if (!is_locked_here()) return;
    forker.store(0, std::memory_order_relaxed);
    Backend::unlock_after_fork(false);
    process_hub::unlock_in_parent();
    signal_hub::after_fork_in_parent();
    for (size_t i = 0; i < cells.used_count; i++)
        if (cells.used[i]->prepared) cells.used[i]->kqueue()->end_preparation();
    end_copies();
    unlock_kqueues(0);
    cells.caution.fetch_and(static_cast<uint8_t>(~kForking));
    const threading::SignalMask mask = held_signals;
    cells.mutex.unlock();
    threading::release_signals(mask);
}

void say_lost(const char* why, Errno error) {
    char line[160];
    (void)snprintf(line, sizeof line,
                   "libkqueue: a kqueue of KQUEUE_CPONFORK is closed in a forked child: %s",
                   error == Errno::ok ? why : strerror(to_int(error)));
    say(line);
}

// Destroys a parent's kqueue in the child. The descriptors are closed already, so this does not
// reach the parent's kqueue. References do not count any more: threads of the parent had them.
void discard_in_child(Cell& cell) KQ_NO_ANALYSIS {
    forget_number(cell.fd, cell);
    if (cell.duplicates > 0) forget_duplicates(cell);
    if (!cell.locked) {  // its state is unknown: the memory is lost
        if (cell.copied && state_of(cell.word.load()) == State::live)
            say_lost("it was in use by the thread that forked", Errno::ok);
        return;
    }
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

// Numbers of kqueues that the child does not inherit, and duplicates of all kqueues. They are
// closed after the kqueues that the child inherits have got their descriptors. The reason: a
// program may close such a number, because it does not know that it is closed already. Then the
// number must not be a descriptor of the library.
struct Numbers {
    int* numbers = nullptr;
    size_t count = 0;
    size_t capacity = 0;
};
constinit Numbers lost;

bool keep_open(int number) {
    if (!grow_array(lost.numbers, lost.capacity, lost.count + 1)) return false;
    lost.numbers[lost.count++] = number;
    return true;
}

bool keep_number_of(Cell& cell) {
    return cell.kqueue()->exists() && keep_open(cell.fd);
}

void close_lost() {
    for (size_t i = 0; i < lost.count; i++)
        Backend::close_number(lost.numbers[i]);
    free(lost.numbers);
    lost = Numbers{};
}

// The descriptors of the parent's kernel queues. The first `kept` are inherited.
void close_in_child(size_t kept) KQ_NO_ANALYSIS {
    for (size_t i = 0; i < cells.used_count; i++) {
        Cell& cell = *cells.used[i];
        close_duplicates_in_child(cell, kept > 0 ? keep_open : nullptr);
        if (i < kept || (kept > 0 && keep_number_of(cell)))
            cell.kqueue()->abandon_all_but_number();
        else
            cell.kqueue()->abandon_in_child();
    }
}

// Destroys all kqueues except the first `kept`, which are those that the child inherits.
void discard_all_but(size_t kept) KQ_NO_ANALYSIS {
    for (size_t i = kept; i < cells.used_count; i++)
        discard_in_child(*cells.used[i]);
    forget_all();
    for (size_t i = 0; i < kept; i++) {
        Cell& cell = *cells.used[i];
        if (cell.duplicates > 0) {  // they are closed
            forget_duplicates(cell);
            place_of(cell.fd)->store(&cell);
        }
        cell.word.store(word_of(State::live) + kReference);  // threads had references
        cell.kqueue()->forsake_parent();
    }
}

// The kqueue cannot be inherited. Its number is closed.
void give_up_copy(Cell& cell, Errno error) KQ_NO_ANALYSIS {
    say_lost("", error);
    cell.kqueue()->mutex().unlock();
    forget_number(cell.fd, cell);
    cell.kqueue()->~Kqueue();
    Owned<Cell>(&cell).reset();
}

// The first `kept` cells are those of kqueues that the child inherits. All of them get their kernel
// queue before the first one opens its sources, because one may watch another.
void inherit_copies(size_t kept) KQ_NO_ANALYSIS {
    for (size_t i = 0; i < kept; i++) {
        Cell& cell = *cells.used[i];
        const Errno error = cell.kqueue()->open_at(cell.fd);
        if (error == Errno::ok)
            list_used(cell);
        else
            give_up_copy(cell, error);
    }
    kept = cells.used_count;
    cells.used_count = 0;
    for (size_t i = 0; i < kept; i++) {
        Cell& cell = *cells.used[i];
        const Errno error = cell.kqueue()->inherit();
        if (error == Errno::ok) {
            cell.kqueue()->mutex().unlock();
            list_used(cell);
        } else {
            cell.kqueue()->close_copy();
            give_up_copy(cell, error);
        }
    }
}

// Sorts the cells of kqueues that the child inherits to the front, and counts them. After the
// preparation another thread may have closed the kqueue, and its number may name another file.
size_t sort_copies() KQ_NO_ANALYSIS {
    Cell** end = std::partition(cells.used, cells.used + cells.used_count, [](Cell* cell) {
        return cell->prepared && cell->kqueue()->exists();
    });
    return static_cast<size_t>(end - cells.used);
}

// The child inherits no kqueue: its descriptors, memory, signal masks and handlers are as if the
// parent had no kqueue. Kqueues with KQUEUE_CPONFORK are made anew from the data in the memory.
void child_forked() KQ_NO_ANALYSIS {
    if (!is_locked_here()) return;  // done, or to be done: begin_anew()
    forker.store(0, std::memory_order_relaxed);
    const bool clean = used && fork_cleanup.load();
    cells.caution.fetch_and(static_cast<uint8_t>(~kForking));
    Backend::unlock_after_fork(true);
    process_hub::after_fork_in_child(clean);
    signal_hub::after_fork_in_child(clean);
    const size_t kept = clean ? sort_copies() : 0;
    if (clean) close_in_child(kept);
    unlock_kqueues(kept);
    if (clean) {
        discard_all_but(kept);
        mailbox::abandon_in_child();
        Backend::close_shared();
        (void)mark_process();
        inherit_copies(kept);
        close_lost();
    }
    const threading::SignalMask mask = held_signals;
    cells.mutex.unlock();
    end_copies();
    threading::release_signals(mask);
}

// Whether the handlers are installed. This is done when the library is loaded, before the program
// can install handlers of its own. Then our handlers run after the program's before the fork, and
// before the program's after it. So a handler of the program may use kqueues.
constinit bool handled = false;

[[gnu::constructor]] void install_handlers() {
    handled = threading::on_fork(prepare_fork, parent_forked, child_forked);
}

}  // namespace

void prepare_for_forks() {
    // Called under the mutex. If one of these fails, it is tried again for the next kqueue.
    static bool marked = false;
    if (!handled) install_handlers();
    if (!marked) marked = mark_process();
    used = true;
}

void begin_anew() KQ_NO_ANALYSIS {
    // The library was loaded after the program had installed its handlers, and one of them runs in
    // the child before ours. Everything is locked, so nothing is lost.
    if (is_locked_here()) {
        child_forked();
        return;
    }
    forker.store(0, std::memory_order_relaxed);
    threading::forget_shared();
    ::new (&cells.mutex) SharedMutex;
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
