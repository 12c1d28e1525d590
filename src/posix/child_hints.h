// SPDX-License-Identifier: BSD-2-Clause
// What SIGCHLD said: which child exited, and how. The signal handler leaves hints; children.cc
// takes them under its lock.
#ifndef KQ_POSIX_CHILD_HINTS_H
#define KQ_POSIX_CHILD_HINTS_H

#include <signal.h>
#include <stdint.h>

namespace kq::child_hints {

struct Hint {
    int32_t pid;
    int status;  // as wait() gives it
};

// The status as wait() gives it, made from what waitid() and SIGCHLD say.
int status_of(const siginfo_t& info);

// Called by the handler, in many threads at once. Async-signal-safe.
void leave(const siginfo_t& info);

// Whether a SIGCHLD came since the last call. `lost`: some of them left no hint.
bool heard(bool& lost);
// Takes the next hint; false: there are no more.
bool take(Hint& hint);

}  // namespace kq::child_hints

#endif
