// Signals that are caught but that no handler gets, because they are blocked. POSIX tells
// nobody of these: whoever wants to know looks. Used by Backend; any thread, no lock.
#ifndef KQ_POSIX_PENDING_SIGNALS_H
#define KQ_POSIX_PENDING_SIGNALS_H

#include "nanos.h"

namespace kq::pending_signals {

// How often a sleeping thread looks, if it blocks some.
inline constexpr Nanos kLookPeriod = 20 * kMillisecond;

// Whether signals::take_pending() would find some that it has not found before.
bool are_news();
// Whether the calling thread blocks any that are caught: only then they need looking for.
bool are_blocked_here();

}  // namespace kq::pending_signals

#endif
