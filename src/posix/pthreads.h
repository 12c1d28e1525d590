// SPDX-License-Identifier: BSD-2-Clause
// Threads, locks and fork handlers of every Unix, by pthreads. Contract: platform.h, "threads".
//
// A platform directory of a Unix has a threading.h that includes this file and adds
// single_threaded(). The core includes "threading.h" and no header of the system.
#ifndef KQ_POSIX_PTHREADS_H
#define KQ_POSIX_PTHREADS_H

#include <pthread.h>

namespace kq {

class RawMutex {
  public:
    constexpr RawMutex() = default;
    bool lock() { return pthread_mutex_lock(&mutex_) == 0; }
    bool unlock() { return pthread_mutex_unlock(&mutex_) == 0; }
    bool try_lock() { return pthread_mutex_trylock(&mutex_) == 0; }

  private:
    // Where the C library can do so, a thread that has to wait spins first: what our mutexes guard
    // takes about as long as falling asleep.
#if defined(PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP)
    pthread_mutex_t mutex_ = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
#else
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
#endif
};

namespace threading {

void yield();

bool on_fork(void (*prepare)(), void (*parent)(), void (*child)());

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
