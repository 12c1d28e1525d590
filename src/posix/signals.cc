// SPDX-License-Identifier: BSD-2-Clause
// Signals of the process, caught by handlers (dispositions.h): what every platform with
// sigaction() does. See namespace signals in capabilities.h. Lock: the signal hub's.
//
// The part of each platform is in signal_source.h: how it hears of signals that no handler gets.
#include "signal_source.h"

#include <atomic>

#include "dispositions.h"
#include "left_signals.h"
#include "platform.h"
#include "signal_hub.h"

namespace kq {
namespace {

// The signals that are caught; set under the hub's lock.
constinit std::atomic<uint64_t> started{0};

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
    // If it was pending before it was watched, it is no news, even if its handler runs later.
    if (first) left_signals::begin(number);
    return Errno::ok;
}

void stop(int number) {
    dispositions::give_back(number);
    left_signals::end(number);
    started &= ~signal_hub::bit_of(number);
    (void)signal_source::listen(started);
}

bool refresh(uint64_t set) {
    bool any = false;
    for (set &= started; set != 0; set &= set - 1) {
        bool changed = false;
        (void)dispositions::take_over(__builtin_ctzll(set) + 1, changed);
        any = any || changed;
    }
    return any;
}

bool look_at_pending() {
    const uint64_t pending = signal_source::pending_of(started);
    (void)refresh(pending);  // is there a handler for it now?
    return left_signals::look(pending);
}

bool are_left() {
    return left_signals::told() != 0;
}
bool withdraw(Nanos& wait) {
    return left_signals::withdraw(wait);
}
void put_back() {
    left_signals::put_back();
}

void abandon_in_child() {
    started = 0;
    (void)signal_source::listen(started);
    dispositions::abandon_in_child();
    left_signals::abandon_in_child();
}

}  // namespace signals

}  // namespace kq
