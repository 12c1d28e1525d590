// SPDX-License-Identifier: BSD-2-Clause
// Processes that one kqueue watches: a handle of each, for which the pool of the system waits. The
// handle keeps the process id from being given to another one.
// Used by Backend only; the kqueue's mutex.
#ifndef KQ_WINDOWS_CHILDREN_H
#define KQ_WINDOWS_CHILDREN_H

#include "platform_types.h"

namespace kq::children {

// As Backend::watch_process(): a packet of this key will come, of which handle_of() makes `handle`.
Errno watch(void* port, uintptr_t key, int32_t pid, Handle handle, ProcessFacts& process);
void unwatch(ProcessFacts& process);

// What a packet says: a handle has 64 bits, which do not fit a pointer everywhere.
Handle handle_of(uintptr_t bytes, const void* object);

}  // namespace kq::children

#endif
