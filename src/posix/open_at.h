// SPDX-License-Identifier: BSD-2-Clause
// Backend::open_at() of the backends whose public descriptor has a bell (KQUEUE_CPONFORK).
#ifndef KQ_POSIX_OPEN_AT_H
#define KQ_POSIX_OPEN_AT_H

#include "bells.h"
#include "sys.h"

namespace kq {

// Contract: ForkContract in capabilities.h. The child has one thread.
template <class B>
Errno open_at(B& backend, int number, uint32_t tag) {
    Errno error = backend.open(tag);
    if (error == Errno::ok && !bells::reserve(number)) error = Errno::no_memory;
    if (error == Errno::ok && sys::move(backend.descriptor(), number) < 0) error = last_errno();
    if (error == Errno::ok) {
        backend.move_to(number);
    } else {
        backend.close_unpublished();
        sys::close(number);
    }
    return error;
}

}  // namespace kq

#endif
