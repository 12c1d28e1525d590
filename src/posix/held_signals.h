// Holding signals back: blocked in one thread, from the moment it begins to watch
// them until its next kevent() that collects.
//
// A signal that the program comes to ignore after that would be gone, our
// handler with it; blocked, it stays pending until the handler is back.
// Lock: the signal hub's, but for may_hold() and let_go().
#ifndef KQ_POSIX_HELD_SIGNALS_H
#define KQ_POSIX_HELD_SIGNALS_H

#include <stdint.h>

namespace kq::held_signals {

// Blocks a silent signal in the calling thread, unless it is held, or blocked by the program.
void hold(int number);
// Unblocks it if this thread holds it.
void release(int number);
// Whether this thread may hold some.
bool may_hold();
// Those that it holds, or blocks because the thread that made it held them: they
// count as let go, but are still blocked.
uint64_t take();
// Only the latter.
uint64_t take_inherited();
// Unblocks them. Handlers run before this returns.
void let_go(uint64_t set);

// ---- what the platform supplies for that ----

// Names a thread of this process, also when it has ended.
using Thread = int;
Thread this_thread();
bool is_alive(Thread thread);
// A clock, and when the calling thread was made by it; 0: not known. They may be
// coarse, but are never 0 and never run backwards.
uint64_t thread_clock();
uint64_t thread_made();

inline bool is_this(Thread thread) {
    return thread == this_thread();
}

}  // namespace kq::held_signals

#endif
