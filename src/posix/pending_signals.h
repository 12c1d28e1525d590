// SPDX-License-Identifier: BSD-2-Clause
// Signals that are caught, but that no handler gets because they are blocked. POSIX does not report
// them, so the library has to look for them. Used by Backend; any thread, no lock.
#ifndef KQ_POSIX_PENDING_SIGNALS_H
#define KQ_POSIX_PENDING_SIGNALS_H

#include <stdint.h>

#include "nanos.h"

namespace kq::pending_signals {

// How often a sleeping thread looks for them if it blocks some.
inline constexpr Nanos kLookPeriod = 20 * kMillisecond;

// Whether signals::look_at_pending() would find some that it has not found before.
bool are_news();
// Whether the calling thread blocks signals that are caught: only then it has to look.
bool are_blocked_here();

// How many signals came that are caught and for which the program has no handler. Such a signal
// interrupts a sleep, but must not end a kevent().
uint64_t count_silent();

}  // namespace kq::pending_signals

#endif
