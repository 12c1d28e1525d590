// SPDX-License-Identifier: BSD-2-Clause
// The names of signals, for trace lines. POSIX has strsignal(), which gives descriptions.
#include <signal.h>

#include "platform.h"

namespace kq {

// Those of POSIX, and one more that many systems have.
const char* signal_name(uintptr_t number) {
#define KQ_SIGNAL(name) \
    case name:          \
        return #name
    switch (number) {
        KQ_SIGNAL(SIGABRT);
        KQ_SIGNAL(SIGALRM);
        KQ_SIGNAL(SIGBUS);
        KQ_SIGNAL(SIGCHLD);
        KQ_SIGNAL(SIGCONT);
        KQ_SIGNAL(SIGFPE);
        KQ_SIGNAL(SIGHUP);
        KQ_SIGNAL(SIGILL);
        KQ_SIGNAL(SIGINT);
        KQ_SIGNAL(SIGKILL);
        KQ_SIGNAL(SIGPIPE);
        KQ_SIGNAL(SIGPROF);
        KQ_SIGNAL(SIGQUIT);
        KQ_SIGNAL(SIGSEGV);
        KQ_SIGNAL(SIGSTOP);
        KQ_SIGNAL(SIGSYS);
        KQ_SIGNAL(SIGTERM);
        KQ_SIGNAL(SIGTRAP);
        KQ_SIGNAL(SIGTSTP);
        KQ_SIGNAL(SIGTTIN);
        KQ_SIGNAL(SIGTTOU);
        KQ_SIGNAL(SIGURG);
        KQ_SIGNAL(SIGUSR1);
        KQ_SIGNAL(SIGUSR2);
        KQ_SIGNAL(SIGVTALRM);
        KQ_SIGNAL(SIGXCPU);
        KQ_SIGNAL(SIGXFSZ);
#ifdef SIGWINCH
        KQ_SIGNAL(SIGWINCH);
#endif
        default:
            return nullptr;
    }
#undef KQ_SIGNAL
}

}  // namespace kq
