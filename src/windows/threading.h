// SPDX-License-Identifier: BSD-2-Clause
// Threads and locks of Windows. Contract: platform.h, "threads".
//
// <windows.h> is not included: the core includes this header, and must not get the macros of that
// one.
#ifndef KQ_THREADING_H
#define KQ_THREADING_H

#include <stdint.h>

namespace kq {

class RawMutex {
  public:
    constexpr RawMutex() = default;
    bool lock();
    bool unlock();
    bool try_lock();

  private:
    void* word_ = nullptr;  // an SRWLOCK, of which null is the initial state
};

// The system begins threads of its own in every process.
constexpr bool single_threaded() {
    return false;
}

namespace threading {

void yield();

// Windows does not fork, so threads need not be told apart.
constexpr uintptr_t self() {
    return 0;
}

// Only fork() asks for this.
constexpr void enter_shared() {}
constexpr void leave_shared() {}

inline bool on_fork(void (* /*prepare*/)(), void (* /*parent*/)(), void (* /*child*/)()) {
    return true;
}

// Threads are not cancelled here.
template <class Body>
void cancellable(Body body, void (* /*cleanup*/)(void*), void* /*arg*/) {
    body();
}

}  // namespace threading
}  // namespace kq

#endif
