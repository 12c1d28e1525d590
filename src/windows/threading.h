// SPDX-License-Identifier: BSD-2-Clause
// Threads and locks of Windows. Contract: platform.h, "threads".
//
// <windows.h> is not included: the core includes this header, and must not get the macros of that
// one.
#ifndef KQ_THREADING_H
#define KQ_THREADING_H

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
