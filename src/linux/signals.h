// SPDX-License-Identifier: BSD-2-Clause
// What the rest of this directory needs of signals.cc.
#ifndef KQ_LINUX_SIGNALS_H
#define KQ_LINUX_SIGNALS_H

#include <signal.h>

namespace kq {

// What a thread blocks while it sleeps in the library: its own mask, and the signals that are
// caught although the program has no handler for them. Such a signal must not interrupt the sleep:
// it wakes the thread through the signalfd. False if there are no such signals. Any thread, no
// lock.
bool mask_for_sleep(sigset_t& mask);

// The signalfd of the process; -1 if no signal is watched. Any thread.
int signal_listener();

// The signalfd, if a sleeping thread can poll() it; else -1. A signal that is directed to one
// thread makes it readable for that thread only, which may miss it through an epoll set. Any
// thread.
int listener_for_sleep();

}  // namespace kq

#endif
