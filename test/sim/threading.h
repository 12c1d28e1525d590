// SPDX-License-Identifier: BSD-2-Clause
// Threads of the simulated system are those of the real one; whether there are several is scripted.
#ifndef KQ_THREADING_H
#define KQ_THREADING_H

#include "../../src/posix/pthreads.h"

namespace kq {

bool single_threaded();

}  // namespace kq

#endif
