// SPDX-License-Identifier: BSD-2-Clause
// What every Unix does alike for the core: yield, fork handlers, stderr. See pthreads.h.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "check.h"
#include "threading.h"

namespace kq {

// Not fprintf(): some C libraries give it 8 KiB of the stack if the stream has no buffer. The line
// goes out whole, in one write, because others write there, too.
void say(const char* line) {
    char text[512];
    (void)snprintf(text, sizeof text, "%.*s\n", static_cast<int>(sizeof text - 2), line);
    int state = 0;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    (void)fputs(text, stderr);
    (void)pthread_setcancelstate(state, nullptr);
}

namespace threading {

void yield() {
    (void)sched_yield();
}

SignalMask hold_signals() {
    SignalMask all;
    SignalMask old;
    (void)sigfillset(&all);
    (void)sigemptyset(&old);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    return old;
}

void release_signals(const SignalMask& mask) {
    (void)pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

bool on_fork(void (*prepare)(), void (*parent)(), void (*child)()) {
    return pthread_atfork(prepare, parent, child) == 0;
}

}  // namespace threading
}  // namespace kq
