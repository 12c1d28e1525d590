// SPDX-License-Identifier: BSD-2-Clause
// Deadlines on the wall clock, for backends that can wait only on the monotonic one.
#ifndef KQ_POSIX_CLOCKS_H
#define KQ_POSIX_CLOCKS_H

#include "nanos.h"

namespace kq {

// When to look whether a time on the wall clock has come: a monotonic time; `t` is now. The wall
// clock may be set at any time, so it is looked at now and then.
Nanos to_monotonic(Nanos realtime, Nanos t);

}  // namespace kq

#endif
