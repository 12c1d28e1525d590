// Catching signals beside the program: our handler takes the place of what the
// program had set, tells the signal hub, and does what the program wants.
//
// Plain POSIX, used by the signals.cc of every platform that has sigaction().
// Lock: the signal hub's, for everything but let_go() and silent(). The handler
// takes no lock; what it must know is in atomics.
//
// It stays ours as long as the program does not call sigaction() for that
// signal; take_over() is called again to find out. What the program does with
// the handler it finds there (save it, restore it after we have gone) must not
// hurt: called when nobody watches the signal any more, the handler does what
// the program wanted before, the default action included. So a kqueue may also
// be closed behind our back.
#ifndef KQ_POSIX_DISPOSITIONS_H
#define KQ_POSIX_DISPOSITIONS_H

#include <signal.h>
#include <stdint.h>

#include "result.h"

namespace kq::dispositions {

// Puts our handler in place of whatever is there. `changed`: that was not our
// handler. invalid: the system has no such signal.
Errno take_over(int number, bool& changed);
// Puts back what the program had, if our handler still is in place.
void give_back(int number);
// give_back() for all, in a forked child, and no signal is held back there.
void abandon_in_child();

// The signals that were taken over and for which the program has no handler.
uint64_t silent();
// All that were taken over.
uint64_t taken_over();

// For signals that have a handler of the program and are pending, since blocked:
// true if they were not counted yet. The handler will not count them again.
bool count_ahead(int number);
bool is_counted_ahead(int number);
// It is not pending: whoever took it did not ask the handler.
void forget_ahead(int number);

// Whom the handler tells of SIGCHLD beside the hub, before it does what the program wants;
// null: nobody. Async-signal-safe.
void tell_of_children(void (*listener)(const siginfo_t& info));
// Of a SIGCHLD that was taken while it was pending: no handler will run for it.
void child_signal_was_taken(const siginfo_t& info);

}  // namespace kq::dispositions

#endif
