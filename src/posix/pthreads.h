// SPDX-License-Identifier: BSD-2-Clause
// Threads, locks and fork handlers of every Unix, by pthreads. Contract: platform.h, "threads".
//
// A platform directory of a Unix has a threading.h that includes this file and adds RawMutex and
// single_threaded(). The core includes "threading.h" and no header of the system.
#ifndef KQ_POSIX_PTHREADS_H
#define KQ_POSIX_PTHREADS_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#include <atomic>
#include <type_traits>

namespace kq {

// Contract: platform.h, RawMutex.
class PthreadMutex {
  public:
    constexpr PthreadMutex() = default;
    bool lock() { return pthread_mutex_lock(&mutex_) == 0; }
    bool unlock() { return pthread_mutex_unlock(&mutex_) == 0; }
    bool try_lock() { return pthread_mutex_trylock(&mutex_) == 0; }

  private:
    // If the C library can do so, a thread that has to wait spins first: our mutexes are held for
    // about as long as it takes to fall asleep.
#if defined(PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP)
    pthread_mutex_t mutex_ = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
#else
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
#endif
};

namespace threading {

void yield();

// pthread_t is a number or a pointer.
template <class T>
uintptr_t as_number(T thread) {
    if constexpr (std::is_pointer_v<T>)
        return reinterpret_cast<uintptr_t>(thread);
    else
        return thread;
}
inline uintptr_t self() {
    return as_number(pthread_self());
}

bool on_fork(void (*prepare)(), void (*parent)(), void (*child)());

// How many mutexes of the process this thread has, or is about to lock. Each is counted before it
// is locked, and until it is unlocked, so a signal handler never sees too few. The model of the
// variable needs no call, also not in a shared library.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local volatile int shared_held = 0;

inline void enter_shared() {
    shared_held = shared_held + 1;
    std::atomic_signal_fence(std::memory_order_seq_cst);
}
inline void leave_shared() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    shared_held = shared_held - 1;
}
inline bool is_in_shared() {
    return shared_held > 0;
}
inline void forget_shared() {
    shared_held = 0;
}

using SignalMask = sigset_t;
SignalMask hold_signals();
void release_signals(const SignalMask& mask);

// A template, so that `body` is inlined: each frame that is open across a system call costs
// (linux/raw_call.h). What `body` changes must be behind references: locals may be lost when
// cancellation comes back here.
template <class Body>
void cancellable(Body body, void (*cleanup)(void*), void* arg) {
    pthread_cleanup_push(cleanup, arg);
    body();
    pthread_cleanup_pop(0);
}

}  // namespace threading
}  // namespace kq

#endif
