// What the rest of this directory must know of signals.cc.
#ifndef KQ_LINUX_SIGNALS_H
#define KQ_LINUX_SIGNALS_H

#include <signal.h>

namespace kq {

// What a thread blocks while it sleeps in the library: its own mask, and the
// signals that are caught for a program that has no handler: these must not
// interrupt it. They wake it through the signalfd. False if there are none.
// Any thread, no lock.
bool mask_for_sleep(sigset_t& mask);

// The signalfd of the process; -1 if no signal is watched. Any thread.
int signal_listener();

// It too, if a thread that sleeps can poll() it: what is directed to one thread is
// readable for that one only, and through an epoll set it may miss it. Else -1. Any thread.
int listener_for_sleep();

}  // namespace kq

#endif
