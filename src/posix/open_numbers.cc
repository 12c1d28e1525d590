// SPDX-License-Identifier: BSD-2-Clause
// See open_numbers.h.
#include "open_numbers.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "sys.h"

namespace kq::open_numbers {

// Limits are often much higher than the numbers in use, so one poll() says of many numbers which
// are open. If the limit was lowered, some may be open beyond it: they are not found.
Result<int> visit(void (*to)(void*, int), void* context) {
    constexpr int kMost = 1 << 21;    // higher ones are no kqueues: see registry_cells.h
    constexpr int kAtATime = 128;     // on the stack
    constexpr int kClosedAsOne = 16;  // so many closed numbers cost as much as one look
    const long limit = sysconf(_SC_OPEN_MAX);
    const int end = limit > 0 && limit < kMost ? static_cast<int>(limit) : kMost;
    int looks = end / kClosedAsOne;
    for (int first = 0; first < end; first += kAtATime) {
        pollfd fds[kAtATime];
        const std::span some(fds, static_cast<size_t>(std::min(end - first, kAtATime)));
        for (size_t i = 0; i < some.size(); i++)
            some[i] = {first + static_cast<int>(i), 0, 0};
        if (sys::poll_at_once(fds, some.size()) < 0) return last_errno();
        for (const pollfd& fd : some) {
            if ((fd.revents & POLLNVAL) != 0) continue;
            to(context, fd.fd);
            looks++;
        }
    }
    return looks;
}

}  // namespace kq::open_numbers
