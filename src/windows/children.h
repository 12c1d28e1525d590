// SPDX-License-Identifier: BSD-2-Clause
// Processes that one kqueue watches: a handle of each, on which the thread pool of the system
// waits. The system does not give out the process id again while the handle is open. Used by
// Backend only; the kqueue's mutex.
#ifndef KQ_WINDOWS_CHILDREN_H
#define KQ_WINDOWS_CHILDREN_H

#include "platform_types.h"

namespace kq::children {

// As Backend::watch_process(): a packet with this key will come, from which handle_of() makes
// `handle`.
Errno watch(void* port, uintptr_t key, int32_t pid, Handle handle, ProcessFacts& process);
void unwatch(ProcessFacts& process);

// The handle that a packet stands for. It has 64 bits, which do not fit into a pointer everywhere,
// so a packet cannot carry it.
Handle handle_of(uintptr_t bytes, const void* object);

}  // namespace kq::children

#endif
