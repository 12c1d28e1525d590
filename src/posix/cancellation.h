// SPDX-License-Identifier: BSD-2-Clause
// Our signal handlers in a thread that is cancelled while they run.
//
// glibc may unwind a sleeping thread at any instruction until it has left the system call. So it
// may unwind out of a handler that runs at the end of that call. A signal that the handler was
// taking would be lost together with the thread. So our handlers hold back the signal by which
// glibc cancels.
//
// Where a thread is cancelled asynchronously (port_getn() is no cancellation point), every C
// library unwinds it anywhere. Every C library also unwinds it within pthread_setcancelstate() if
// that call allows a cancellation that was requested before; our handlers make that call by way of
// sys.h. So our handlers defer cancellation to their end.
#ifndef KQ_POSIX_CANCELLATION_H
#define KQ_POSIX_CANCELLATION_H

#include <pthread.h>
#include <signal.h>

namespace kq::cancellation {

#if defined(__GLIBC__) && defined(__SIGRTMIN)

// Adds that signal to the mask of a handler. sigaddset() refuses the signals of the C library.
inline void hold_in(sigset_t& mask) {
    mask.__val[(__SIGRTMIN - 1) / (8 * sizeof *mask.__val)] |=
        1UL << ((__SIGRTMIN - 1) % (8 * sizeof *mask.__val));
}

// In such a handler: from here on the thread can be cancelled again. Async-signal-safe.
inline void let_in() {
    sigset_t mask;
    // Setting a mask takes the signals of the C library out of it. Unblocking them does not.
    if (pthread_sigmask(SIG_BLOCK, nullptr, &mask) == 0)
        (void)pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

#else

inline void hold_in(sigset_t& /*mask*/) {}
inline void let_in() {}

#endif

// For a handler of ours, from its first line to the call of the program's handler: if the thread is
// cancelled in between, it is unwound when this object ends.
//
// The type of cancellation alone is not enough: with glibc a call that is a cancellation point
// (write()) then waits in the handler for the signal that the handler holds. The state alone is not
// enough either: in glibc 2.36 pthread_join() does not answer PTHREAD_CANCELED for a thread that
// was cancelled by setting the state.
//
// `alone`: the process has no other thread. Then no other thread can cancel this one, and the
// handler makes no call that is a cancellation point. So nothing has to be deferred. Only glibc
// tells that a process has one thread. With glibc the mask of the handler holds cancellation back,
// too.
class Deferred {
  public:
    explicit Deferred(bool alone) {
        if (!alone) (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_);
    }
    ~Deferred() { end(); }
    Deferred(const Deferred&) = delete;
    Deferred& operator=(const Deferred&) = delete;
    void end() {
        if (state_ == PTHREAD_CANCEL_DISABLE) return;
        int type = 0;
        int ignored = 0;
        (void)pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
        (void)pthread_setcancelstate(state_, &ignored);
        state_ = PTHREAD_CANCEL_DISABLE;  // before the next line, which may not return
        (void)pthread_setcanceltype(type, &ignored);
    }

  private:
    int state_ = PTHREAD_CANCEL_DISABLE;
};

}  // namespace kq::cancellation

#endif
