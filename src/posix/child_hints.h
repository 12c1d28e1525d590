// What SIGCHLD said: which child exited, and how. Left by the signal handler, taken by
// children.cc under its lock.
#ifndef KQ_POSIX_CHILD_HINTS_H
#define KQ_POSIX_CHILD_HINTS_H

#include <signal.h>
#include <stdint.h>

namespace kq::child_hints {

struct Hint {
    int32_t pid;
    int status;  // as of wait()
};

// As of wait(), from what waitid() and SIGCHLD say.
int status_of(const siginfo_t& info);

// By the handler; async-signal-safe, from many threads at once.
void leave(const siginfo_t& info);

// Whether there was a SIGCHLD since the last time. `lost`: not all of them left a hint.
bool heard(bool& lost);
// The next one; false: there are no more.
bool take(Hint& hint);

}  // namespace kq::child_hints

#endif
