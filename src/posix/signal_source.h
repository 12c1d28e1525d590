// SPDX-License-Identifier: BSD-2-Clause
// The seam between signals.cc, which does what all platforms with sigaction() do alike, and what
// each platform does in its own way: hear of blocked signals, which no handler gets. Sets of
// signals are as of signal_hub::bit_of().
#ifndef KQ_POSIX_SIGNAL_SOURCE_H
#define KQ_POSIX_SIGNAL_SOURCE_H

#include <signal.h>
#include <stdint.h>

#include "result.h"

namespace kq::signal_source {

// ---- what the platform supplies; the signal hub's lock ----

// Hears of these signals from now on, and of no others.
Errno listen(uint64_t set);
// Whether one of these may have become pending since the last call. Told once for all kqueues.
bool has_news();
// Whether take_one() and put_back() can do anything.
extern const bool kCanTake;
// Takes one signal of this set that is pending for the process or this thread. False: there is
// none, or its handler has run instead.
bool take_one(uint64_t set, siginfo_t& info);
// Makes the signal pending again. It is marked if its number allows that, so that a handler and
// take_one() can tell it from one that came since. False: the system refused, and it is gone.
bool put_back(const siginfo_t& info);
bool can_mark(int number);
// Whether the system drops others of a number while one that was put back is pending.
bool drops_others();

// ---- what the platform supplies for a handler: async-signal-safe, no lock ----

bool is_marked(const siginfo_t& info);
// Makes it as it was before it was marked.
void restore(siginfo_t& info);

// ---- what signals.cc supplies; any thread ----

// The signals that are caught.
uint64_t caught();
// Which of them are pending for the process or this thread.
uint64_t pending_of(uint64_t set);

sigset_t to_sigset(uint64_t set);
// The signals of the set `of` that are in a sigset_t.
uint64_t to_bits(const sigset_t& signals, uint64_t of);

}  // namespace kq::signal_source

#endif
