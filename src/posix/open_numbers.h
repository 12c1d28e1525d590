// SPDX-License-Identifier: BSD-2-Clause
// Which descriptors are open, where the system has no list of them.
#ifndef KQ_POSIX_OPEN_NUMBERS_H
#define KQ_POSIX_OPEN_NUMBERS_H

#include "result.h"

namespace kq::open_numbers {

// See visit_open() in capabilities.h. Any thread.
Result<int> visit(void (*to)(void*, int), void* context);

}  // namespace kq::open_numbers

#endif
