// SPDX-License-Identifier: BSD-2-Clause
// Catches signals beside the program: our handler takes the place of what the program had set,
// tells the signal hub, and does what the program wants.
//
// Plain POSIX, used by the signals.cc of every platform that has sigaction(). Lock: the signal
// hub's, except for the functions that say "any thread". The handler takes no lock; what it must
// know is in atomics.
//
// Our handler stays in place until the program calls sigaction() for that signal. take_over() is
// called again to find that out, and after such a call (program_actions.cc). The program may save
// the handler it finds there, and restore it after we have gone. That must do no harm: when no
// kqueue watches the signal any more, the handler does what the program wanted before, the default
// action included. So a kqueue may also be closed behind our back.
#ifndef KQ_POSIX_DISPOSITIONS_H
#define KQ_POSIX_DISPOSITIONS_H

#include <signal.h>
#include <stdint.h>

#include "result.h"

namespace kq::dispositions {

// Puts our handler in place of the present one. `changed`: the present one was not our handler.
// invalid: the system has no such signal.
Errno take_over(int number, bool& changed);
// Puts back what the program had, if our handler still is in place.
void give_back(int number);
// give_back() for all, in a forked child.
void abandon_in_child();

// The signals that were taken over and for which the program has no handler. Any thread.
uint64_t silent();
// Whether this process took them over. False in a process that shares its memory or has a copy of
// it. Async-signal-safe, any thread.
bool is_this_process();
// Whether the default action of the signal is to do nothing.
bool is_ignored_by_default(int number);

// Sets a listener that the handler tells of SIGCHLD, after the hub and before it does what the
// program wants; null: none. The listener must be async-signal-safe.
void tell_of_children(void (*listener)(const siginfo_t& info));
// Tells the listener of a SIGCHLD that was taken while pending: no handler will run for it.
void child_signal_was_taken(const siginfo_t& info);

}  // namespace kq::dispositions

#endif
