// SPDX-License-Identifier: BSD-2-Clause
// Signals that no handler gets, because they are blocked where they could be received. They are
// counted, and left for the program to take (with a handler, sigwait(), a signalfd).
//
// The kernel says that a signal is pending, but not whether that one was told already. So each is
// taken, marked and sent again: a signal without a mark is news. Lock: the signal hub's, except for
// told().
#ifndef KQ_POSIX_LEFT_SIGNALS_H
#define KQ_POSIX_LEFT_SIGNALS_H

#include <stdint.h>

#include "nanos.h"

namespace kq::left_signals {

// The signals that are pending and were told, as far as is known.
uint64_t told();

// begin(): the signal is watched from now on, and a pending one is no news. end(): it is not
// watched any more.
void begin(int number);
void end(int number);

// Tells the signal hub what is new among the signals that are caught and pending. True if there was
// any news.
bool look(uint64_t pending);

// For a thread that goes to sleep. While a signal is pending the kernel drops others of its number,
// or they look alike. So this takes the signals that were told and that no other thread's handler
// may wait for. True if there are any: then put_back() must follow. It may shorten `wait`, the time
// of the sleep, so that others have the time to take them between two sleeps.
bool withdraw(Nanos& wait);
void put_back();

// In a forked child, which inherits no pending signals.
void abandon_in_child();

}  // namespace kq::left_signals

#endif
