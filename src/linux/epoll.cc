// SPDX-License-Identifier: BSD-2-Clause
// Events of epoll turned into wakeups, where there are two lanes. See epoll.h.
#include "epoll.h"

namespace kq::epoll {
namespace {

// Turns the events of one lane, from `done` on, into wakeups, in place. `filled`: how many there
// are then. True if another lane has something, too.
bool translate_lane(size_t done, size_t count, uint8_t lane, uint32_t tag, std::span<Wakeup> out,
                    size_t& filled) {
    const char* events = place_for_events(out);
    bool inner = false;
    for (size_t i = done; i < count; i++) {
        const epoll_event event = event_at(events, i);
        const Handle handle(event.data.u64);
        if (handle.kind() == Handle::Kind::lane && handle.generation() == tag)
            inner = true;
        else
            out[filled++] = {handle, ready_from(event.events), lane};
    }
    return inner;
}

}  // namespace

Result<size_t> translate_lanes(size_t done, size_t count, int lane1, uint32_t tag,
                               std::span<Wakeup> out) {
    size_t filled = done;
    if (!translate_lane(done, count, 0, tag, out, filled)) return filled;
    // The inner set took a place of `out`, so there is room for one at least.
    const std::span<Wakeup> rest = out.subspan(filled);
    const long got = take_events(lane1, place_for_events(rest), rest.size());
    if (got < 0) return static_cast<Errno>(-got);
    size_t more = 0;
    (void)translate_lane(0, static_cast<size_t>(got), 1, tag, rest, more);
    return filled + more;
}

}  // namespace kq::epoll
