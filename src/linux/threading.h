// SPDX-License-Identifier: BSD-2-Clause
// Threads on Linux: see ../posix/pthreads.h.
#ifndef KQ_THREADING_H
#define KQ_THREADING_H

#include "../posix/pthreads.h"
#include "futex_mutex.h"

// musl, and glibc before 2.32, do not tell whether there is a second thread.
#if __has_include(<sys/single_threaded.h>)
    #include <sys/single_threaded.h>
#else
constexpr bool __libc_single_threaded = false;
#endif

namespace kq {

using RawMutex = FutexMutex;

inline bool single_threaded() {
    return __libc_single_threaded != 0;
}

}  // namespace kq

#endif
