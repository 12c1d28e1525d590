// The signal hub: which signals this process watches, and how often each came.
//
// Signals come to the process, not to a kqueue, and catching them changes state
// of the whole process: so there is one owner, this, with one lock. The platform
// (signals:: in platform.h) catches; the hub counts and tells the kqueues.
//
// A signal is counted once, for all: total() only grows, and an EVFILT_SIGNAL
// knote remembers what it was when it last reported. So nothing has to be copied
// to each kqueue, a late knote does not see what was before it, and the only
// thing a signal handler does is to add one and ring (mailbox.h).
//
// Called by filter_signal.cc and scan.cc under a kqueue's mutex, by registry.cc
// around fork(), and by the platform's signal handler. Lock: the hub's own
// mutex, inside that of a kqueue; nothing else is locked under it. total(),
// arrived() and holding() take no lock.
#ifndef KQ_SIGNAL_HUB_H
#define KQ_SIGNAL_HUB_H

#include <stdint.h>

#include "mailbox.h"
#include "result.h"

namespace kq::signal_hub {

inline constexpr int kLastSignal = 64;

inline constexpr uint64_t bit_of(int number) {
    return uint64_t{1} << (number - 1);
}

// The mailbox is to be told of a signal from now on; `seen` is what total() was at
// that moment. Starts to catch it if nobody watched it before. invalid: no such
// signal. Once for a mailbox and signal, until unwatch().
Errno watch(int number, Mailbox& mailbox, uint64_t& seen);
// Puts the program's disposition back if nobody else watches it.
void unwatch(int number, Mailbox& mailbox);
// Muted, it is still counted, but the mailbox is not rung.
void mute(int number, Mailbox& mailbox, bool muted);

// How often it came since the process began to watch it.
uint64_t total(int number);

// ---- for a kevent() that collects ----

// Whether this thread holds back signals since an EV_ADD.
bool holding();
// Lets this thread receive what it held back: from now on handlers count.
void let_go();
// The program may have changed the disposition of signals of this set since: we
// catch them again, and what it wants is done beside. True if it had.
bool refresh(uint64_t set);
// The kernel has signals pending that no handler gets, because they are blocked.
void take_pending();

// ---- for the platform: async-signal-safe ----

// One more came. True if some kqueue that watches it still exists.
bool arrived(int number);

// ---- around fork() ----
void before_fork();
void after_fork_in_parent();
// The child watches nothing; masks and dispositions are the program's again.
// With `clean` false it only becomes usable.
void after_fork_in_child(bool clean);
// As that, in a child made without fork handlers: the lock may be anybody's.
void begin_anew_in_copy();

}  // namespace kq::signal_hub

#endif
