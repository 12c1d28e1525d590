// Signals that are blocked, and threads that hold some back: the POSIX side of
// signal_source.h and held_signals.h.
#include "pending_signals.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

#include "alloc.h"
#include "children.h"
#include "dispositions.h"
#include "held_signals.h"
#include "platform.h"
#include "signal_hub.h"
#include "signal_source.h"
#include "sys.h"

namespace kq {

namespace pending_signals {

bool are_news() {
    uint64_t pending = signal_source::pending_of(signal_source::caught());
    for (uint64_t set = pending & ~dispositions::silent(); set != 0; set &= set - 1)
        if (dispositions::is_counted_ahead(__builtin_ctzll(set) + 1)) pending &= ~(set & -set);
    return pending != 0;
}

bool are_blocked_here() {
    sigset_t mask;
    if (pthread_sigmask(SIG_BLOCK, nullptr, &mask) != 0) return false;
    return signal_source::to_bits(mask, signal_source::caught()) != 0;
}

}  // namespace pending_signals

namespace signal_source {

// Nobody tells: see are_news().
Errno listen(uint64_t /*set*/) {
    return Errno::ok;
}

#if defined(_POSIX_REALTIME_SIGNALS) && _POSIX_REALTIME_SIGNALS > 0
int take_one(uint64_t set) {
    const sys::Uncancelled uncancelled;
    const sigset_t wanted = to_sigset(set);
    const timespec at_once{};
    siginfo_t info{};
    // One that no thread blocks is pending, too, until its thread has been chosen.
    const int number = sigtimedwait(&wanted, &info, &at_once);
    if (number == SIGCHLD) dispositions::child_signal_was_taken(info);
    return number > 0 ? number : 0;
}
#else
// Let through for a moment, it runs into our handler, which takes it for counted.
int take_one(uint64_t set) {
    const uint64_t pending = pending_of(set);
    if (pending == 0) return 0;
    const int number = __builtin_ctzll(pending) + 1;
    const sigset_t let_through = to_sigset(signal_hub::bit_of(number));
    sigset_t before;
    (void)dispositions::count_ahead(number);
    if (pthread_sigmask(SIG_UNBLOCK, &let_through, &before) == 0)
        (void)pthread_sigmask(SIG_SETMASK, &before, nullptr);
    dispositions::forget_ahead(number);  // another thread was quicker
    return number;
}
#endif

// SIGCHLD has to come through while we wait for children.
bool may_hold(int number) {
    return number != SIGCHLD || !children::anybody_waits();
}

}  // namespace signal_source

// ---- threads ----

namespace held_signals {
namespace {

// Threads that were asked for their names. The names are numbers of our own: POSIX uses a
// pthread_t again, and does not say whether it is alive. Under the hub's lock, but for the
// end of a thread; never freed, only used again.
struct Named {
    std::atomic<Thread> name{0};  // 0: it has ended
    Named* next = nullptr;
};
constinit Named* named = nullptr;
constinit Thread last_name = 0;
constinit pthread_key_t key{};
constinit bool has_key = false;

extern "C" void kq_named_thread_ended(void* value) {
    static_cast<Named*>(value)->name.store(0);
}

Named* find_named(Thread name) {
    for (Named* n = named; n != nullptr; n = n->next)
        if (n->name.load() == name) return n;
    return nullptr;
}

Named* take_named() {
    if (Named* unused = find_named(0)) return unused;
    Named* fresh = make<Named>().release();
    if (fresh == nullptr) return nullptr;
    fresh->next = named;
    named = fresh;
    return fresh;
}

}  // namespace

Thread this_thread() {
    has_key = has_key || pthread_key_create(&key, kq_named_thread_ended) == 0;
    if (!has_key) return 0;
    if (const void* known = pthread_getspecific(key))
        return static_cast<const Named*>(known)->name.load();
    Named* fresh = take_named();
    if (fresh == nullptr || pthread_setspecific(key, fresh) != 0) return 0;
    fresh->name.store(++last_name);
    return last_name;
}

bool is_alive(Thread thread) {
    return thread != 0 && find_named(thread) != nullptr;
}

uint64_t thread_clock() {
    return static_cast<uint64_t>(now(Clock::monotonic) / kMillisecond) + 1;
}

uint64_t thread_made() {
    return 0;  // not known
}

}  // namespace held_signals
}  // namespace kq
