// SPDX-License-Identifier: BSD-2-Clause
// The signal hub: which signals this process watches, and how often each came.
//
// Signals come to the process, not to a kqueue, and catching them changes state of the whole
// process. So one owner, the hub, has this state, with one lock. The platform (signals:: in
// platform.h) catches signals; the hub counts them and tells the kqueues.
//
// A signal is counted once, for all kqueues. total() only grows, and an EVFILT_SIGNAL knote
// remembers the total of its last report. So nothing is copied to each kqueue, and a late knote
// does not see earlier signals. A signal handler only has to add one and ring (mailbox.h).
//
// Called by filter_signal.cc and scan.cc under a kqueue's mutex, by registry_fork.cc around fork(),
// and by the platform's signal handler. Lock: the hub's own mutex, inside that of a kqueue; nothing
// else is locked under it. total(), arrived() and is_heard() take no lock.
#ifndef KQ_SIGNAL_HUB_H
#define KQ_SIGNAL_HUB_H

#include <stdint.h>

#include "mailbox.h"
#include "nanos.h"
#include "result.h"

namespace kq::signal_hub {

inline constexpr int kLastSignal = 64;

inline constexpr uint64_t bit_of(int number) {
    return uint64_t{1} << (number - 1);
}

// From now on the mailbox is told of this signal; `seen` is total() at that moment. Starts to catch
// the signal if no kqueue watched it before. invalid: no such signal. Called once for a mailbox and
// signal, until unwatch().
Errno watch(int number, Mailbox& mailbox, uint64_t& seen);
// Puts the program's disposition back if no other kqueue watches the signal.
void unwatch(int number, Mailbox& mailbox);
// A muted signal is still counted, but does not ring the mailbox.
void mute(int number, Mailbox& mailbox, bool muted);

// How often the signal came since the process began to watch it.
uint64_t total(int number);

// ---- for a kevent() that collects ----

// If the program has changed the disposition of signals in this set, catches them again; what the
// program wants is done as well. True if there were any.
bool refresh(uint64_t set);
// The same, and looks at pending signals. True if there was something to do.
bool mend(uint64_t set);
// Looks at signals that are pending in the kernel, but that no handler gets: they are blocked.
void look_at_pending();
// Whether some of these signals were told already, and are left for the program to take.
bool are_left();
// This thread goes to sleep for `wait` ns. Takes these signals: while one is pending, others of its
// number are lost. True: put_back() must be called afterwards. May shorten the time.
bool withdraw(Nanos& wait);
void put_back();

// ---- for the platform: async-signal-safe ----

// One more signal came. True if some kqueue that watches it still exists.
bool arrived(int number);
// Whether such a kqueue exists; nothing is counted.
bool is_heard(int number);
// As refresh(). False, and nothing is done, if another call holds the hub's lock.
bool try_refresh(uint64_t set);

// ---- around fork() ----
void before_fork();
void after_fork_in_parent();
// The child watches nothing; masks and dispositions are the program's again. With `clean` false the
// hub only becomes usable.
void after_fork_in_child(bool clean);
// The same in a child made without fork handlers, where any thread may hold the lock.
void begin_anew_in_copy();

}  // namespace kq::signal_hub

#endif
