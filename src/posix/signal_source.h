// Between what all platforms with sigaction() do about signals (signals.cc) and what each
// does in its own way: hearing of those that no handler gets, because they are blocked.
// Sets of signals are as of signal_hub::bit_of().
#ifndef KQ_POSIX_SIGNAL_SOURCE_H
#define KQ_POSIX_SIGNAL_SOURCE_H

#include <signal.h>
#include <stdint.h>

#include "result.h"

namespace kq::signal_source {

// ---- what the platform supplies; the signal hub's lock ----

// Hears of these from now on, and of no others.
Errno listen(uint64_t set);
// Takes one of these signals that is pending for the process or this thread; 0: none, or its
// handler has run instead.
int take_one(uint64_t set);
// Whether a signal is to be held back (held_signals.h) where it begins to be watched.
bool may_hold(int number);

// ---- what signals.cc supplies; any thread ----

// The signals that are caught.
uint64_t caught();
// Which of them are pending for the process or this thread.
uint64_t pending_of(uint64_t set);

sigset_t to_sigset(uint64_t set);
// Those of the set `of` that are in a sigset_t.
uint64_t to_bits(const sigset_t& signals, uint64_t of);

}  // namespace kq::signal_source

#endif
