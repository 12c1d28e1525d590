// Blocked for a while in the thread that made an EV_ADD. See held_signals.h.
#include "held_signals.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <utility>

#include "check.h"
#include "dispositions.h"
#include "signal_hub.h"

namespace kq::held_signals {
namespace {

using signal_hub::bit_of;
using signal_hub::kLastSignal;

// Held back in this thread. Of the thread and nobody else: identifiers of threads are used again.
constinit thread_local uint64_t held_here = 0;
// A thread inherits what its maker holds back. So where a thread first comes to
// collect, it is compared with the last that held: under the hub's lock.
struct Holder {
    Thread thread{};
    uint64_t blocks = 0;  // the program's own mask there
    uint64_t held = 0;
    bool holds = false;  // still
    uint64_t since = 0;  // thread_clock() when it began, and ended
    uint64_t until = 0;
};
constinit Holder holder{};
constinit std::atomic<bool> anybody_held{false};
constinit thread_local bool looked_at_mask = false;

uint64_t to_bits(const sigset_t& set) {
    uint64_t bits = 0;
    for (int number = 1; number <= kLastSignal; number++)
        if (sigismember(&set, number) == 1) bits |= bit_of(number);
    return bits;
}

uint64_t blocked_here() {
    sigset_t mask;
    return pthread_sigmask(SIG_BLOCK, nullptr, &mask) == 0 ? to_bits(mask) : 0;
}

// What this thread blocks because the one that made it held it back. A program
// that made it meanwhile, and blocks just that in it and not in the other, is
// misunderstood: L-SIGNAL-HELD.
uint64_t inherited_here() {
    if (std::exchange(looked_at_mask, true)) return 0;
    const uint64_t made = thread_made();
    if (made != 0 && (made < holder.since || (!holder.holds && made > holder.until))) return 0;
    if (holder.holds && !is_alive(holder.thread)) return 0;
    const uint64_t blocked = blocked_here();
    const uint64_t more = blocked & ~holder.blocks & holder.held & dispositions::taken_over();
    return blocked == (holder.blocks | more) ? more : 0;
}

void note_end_of_hold() {
    if (held_here != 0 || !is_this(holder.thread)) return;
    holder.holds = false;
    holder.until = thread_clock();
}

}  // namespace

void hold(int number) {
    if (((held_here | ~dispositions::silent()) & bit_of(number)) != 0) return;
    sigset_t set;
    sigset_t old;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    KQ_CHECK(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
    if (sigismember(&old, number) == 1) return;
    looked_at_mask = true;
    if (held_here == 0) holder = {this_thread(), to_bits(old), 0, true, thread_clock(), 0};
    held_here |= bit_of(number);
    holder.held |= bit_of(number);
    anybody_held.store(true);
}

void release(int number) {
    const uint64_t set = held_here & bit_of(number);
    held_here &= ~set;
    note_end_of_hold();
    let_go(set);
}

bool may_hold() {
    return held_here != 0 || (!looked_at_mask && anybody_held.load(std::memory_order_relaxed));
}

uint64_t take() {
    const uint64_t set = std::exchange(held_here, 0);
    note_end_of_hold();
    return set | inherited_here();
}

uint64_t take_inherited() {
    return may_hold() ? inherited_here() : 0;
}

void let_go(uint64_t set) {
    if (set == 0) return;
    sigset_t mask;
    (void)sigemptyset(&mask);
    for (int number = 1; number <= kLastSignal; number++)
        if ((set & bit_of(number)) != 0) (void)sigaddset(&mask, number);
    KQ_CHECK(pthread_sigmask(SIG_UNBLOCK, &mask, nullptr) == 0);
}

}  // namespace kq::held_signals
