// SPDX-License-Identifier: BSD-2-Clause
// Threads on any POSIX system: see pthreads.h.
#ifndef KQ_THREADING_H
#define KQ_THREADING_H

#include "pthreads.h"

namespace kq {

using RawMutex = PthreadMutex;

// POSIX has no call that tells.
constexpr bool single_threaded() {
    return false;
}

}  // namespace kq

#endif
