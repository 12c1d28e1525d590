// Blocked for a while in the thread that began to watch them. See held_signals.h.
#include "held_signals.h"

#include <pthread.h>
#include <signal.h>

#include <atomic>

#include "alloc.h"
#include "check.h"
#include "dispositions.h"
#include "signal_hub.h"

namespace kq::held_signals {
namespace {

using signal_hub::bit_of;
using signal_hub::kLastSignal;

// What is known of a thread, kept by pthread_setspecific(): identifiers of threads
// are used again, and thread_local variables would need the dynamic linker, and
// room in every thread of every program. Null: it has not been looked at yet.
struct Record {
    uint64_t held = 0;
};
constinit Record looked_at{};  // shared by all threads that hold nothing
constinit pthread_key_t key{};
constinit std::atomic<bool> anybody_held{false};  // and so there is a key

Record* record() {
    return anybody_held.load() ? static_cast<Record*>(pthread_getspecific(key)) : nullptr;
}

uint64_t held_here() {
    const Record* r = record();
    return r == nullptr ? 0 : r->held;
}

extern "C" void kq_thread_ended(void* value) {
    auto* r = static_cast<Record*>(value);
    if (r != &looked_at) Owned<Record>(r).reset();
}

// Changes what is held here; from nothing to something may fail.
bool set_held_here(uint64_t held) {
    if (!anybody_held.load()) {
        if (pthread_key_create(&key, kq_thread_ended) != 0) return false;
        anybody_held.store(true);
    }
    Record* r = record();
    if (r == nullptr || r == &looked_at) {
        if (held == 0) return pthread_setspecific(key, &looked_at) == 0;
        Owned<Record> fresh = make<Record>();
        if (!fresh || pthread_setspecific(key, fresh.get()) != 0) return false;
        r = fresh.release();
    }
    r->held = held;
    return true;
}

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

void change_mask(int how, uint64_t bits) {
    sigset_t set;
    (void)sigemptyset(&set);
    for (int number = 1; number <= kLastSignal; number++)
        if ((bits & bit_of(number)) != 0) (void)sigaddset(&set, number);
    KQ_CHECK(pthread_sigmask(how, &set, nullptr) == 0);
}

// What this thread blocks because the one that made it held it back. A program
// that made it meanwhile, and blocks just that in it and not in the other, is
// misunderstood: L-SIGNAL-HELD.
uint64_t inherited_here() {
    if (!anybody_held.load() || record() != nullptr) return 0;
    (void)set_held_here(0);  // once for each thread
    const uint64_t made = thread_made();
    if (made != 0 && (made < holder.since || (!holder.holds && made > holder.until))) return 0;
    if (holder.holds && !is_alive(holder.thread)) return 0;
    const uint64_t blocked = blocked_here();
    const uint64_t more = blocked & ~holder.blocks & holder.held & dispositions::taken_over();
    return blocked == (holder.blocks | more) ? more : 0;
}

void note_end_of_hold() {
    if (held_here() != 0 || !is_this(holder.thread)) return;
    holder.holds = false;
    holder.until = thread_clock();
}

}  // namespace

void hold(int number) {
    const uint64_t before = held_here();
    if (((before | ~dispositions::silent()) & bit_of(number)) != 0) return;
    const uint64_t blocked = blocked_here();
    if ((blocked & bit_of(number)) != 0 || !set_held_here(before | bit_of(number))) return;
    if (before == 0) holder = {this_thread(), blocked, 0, true, thread_clock(), 0};
    holder.held |= bit_of(number);
    change_mask(SIG_BLOCK, bit_of(number));
}

void release(int number) {
    const uint64_t set = held_here() & bit_of(number);
    if (set == 0) return;
    (void)set_held_here(held_here() & ~set);
    note_end_of_hold();
    let_go(set);
}

bool may_hold() {
    return anybody_held.load(std::memory_order_relaxed) && record() != &looked_at &&
           (record() == nullptr || held_here() != 0);
}

uint64_t take() {
    const uint64_t set = held_here();
    if (set == 0) return inherited_here();
    (void)set_held_here(0);
    note_end_of_hold();
    return set;
}

uint64_t take_inherited() {
    return may_hold() ? inherited_here() : 0;
}

void let_go(uint64_t set) {
    if (set != 0) change_mask(SIG_UNBLOCK, set);
}

}  // namespace kq::held_signals
