// Signals of the process, caught by handlers (dispositions.h): what every platform with
// sigaction() does. See signals in platform.h. Lock: the signal hub's.
//
// What a platform adds is in signal_source.h: how it hears of signals that no handler gets.
#include "signal_source.h"

#include <atomic>

#include "dispositions.h"
#include "held_signals.h"
#include "platform.h"
#include "signal_hub.h"

namespace kq {
namespace {

// The signals that are caught; set under the hub's lock.
constinit std::atomic<uint64_t> started{0};

bool is_pending(int number) {
    return signal_source::pending_of(signal_hub::bit_of(number)) != 0;
}

}  // namespace

// ---- for the platform ----

namespace signal_source {

uint64_t caught() {
    return started.load();
}

sigset_t to_sigset(uint64_t set) {
    sigset_t result;
    (void)sigemptyset(&result);
    for (; set != 0; set &= set - 1)
        (void)sigaddset(&result, __builtin_ctzll(set) + 1);
    return result;
}

uint64_t to_bits(const sigset_t& signals, uint64_t of) {
    uint64_t result = 0;
    for (; of != 0; of &= of - 1)
        if (sigismember(&signals, __builtin_ctzll(of) + 1) == 1) result |= of & -of;
    return result;
}

uint64_t pending_of(uint64_t set) {
    sigset_t pending;
    return set == 0 || sigpending(&pending) != 0 ? 0 : to_bits(pending, set);
}

}  // namespace signal_source

namespace signals {

Errno start(int number) {
    bool changed = false;
    const bool first = (started & signal_hub::bit_of(number)) == 0;
    started |= signal_hub::bit_of(number);
    Errno error = signal_source::listen(started);
    if (error == Errno::ok) error = dispositions::take_over(number, changed);
    if (error != Errno::ok && first) {
        started &= ~signal_hub::bit_of(number);
        (void)signal_source::listen(started);
    }
    if (error != Errno::ok) return error;
    if (signal_source::may_hold(number)) held_signals::hold(number);
    if (!first) return error;
    // Was pending before anybody watched it: no news, even when its handler comes to run.
    const bool silent = (dispositions::silent() & signal_hub::bit_of(number)) != 0;
    if (!silent && is_pending(number)) (void)dispositions::count_ahead(number);
    return Errno::ok;
}

void stop(int number) {
    // What came while it was watched was not meant for the disposition that comes now.
    take_pending();
    dispositions::give_back(number);
    held_signals::release(number);
    started &= ~signal_hub::bit_of(number);
    (void)signal_source::listen(started);
}

bool may_hold() {
    return held_signals::may_hold();
}
uint64_t take_held() {
    return held_signals::take();
}
uint64_t take_inherited() {
    return held_signals::take_inherited();
}
void let_go(uint64_t set) {
    held_signals::let_go(set);
}

bool refresh(uint64_t set) {
    bool any = false;
    for (set &= started; set != 0; set &= set - 1) {
        const int number = __builtin_ctzll(set) + 1;
        bool changed = false;
        (void)dispositions::take_over(number, changed);
        any = any || changed;
        if (dispositions::is_counted_ahead(number) && !is_pending(number))
            dispositions::forget_ahead(number);
    }
    return any;
}

void take_pending() {
    // Not from a handler that the program has set since.
    (void)refresh(signal_source::pending_of(started));
    const uint64_t silent = dispositions::silent() & started;
    while (const int number = silent == 0 ? 0 : signal_source::take_one(silent))
        (void)signal_hub::arrived(number);
    const uint64_t handled = started & ~silent;
    const uint64_t pending = signal_source::pending_of(handled);
    for (uint64_t set = handled; set != 0; set &= set - 1) {
        const int number = __builtin_ctzll(set) + 1;
        if ((pending & signal_hub::bit_of(number)) == 0)
            dispositions::forget_ahead(number);
        else if (dispositions::count_ahead(number))
            (void)signal_hub::arrived(number);
    }
}

void abandon_in_child() {
    started = 0;
    (void)signal_source::listen(started);
    dispositions::abandon_in_child();
}

}  // namespace signals

}  // namespace kq
