// SPDX-License-Identifier: BSD-2-Clause
// The simulated system uses the threads of the real system. But the test decides whether the
// library sees one thread or several.
#ifndef KQ_THREADING_H
#define KQ_THREADING_H

#include "../../src/posix/pthreads.h"

namespace kq {

using RawMutex = PthreadMutex;

bool single_threaded();

}  // namespace kq

#endif
