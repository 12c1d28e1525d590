// Events of epoll turned into wakeups. See epoll.h.
#include "epoll.h"

namespace kq::epoll {
namespace {

uint16_t ready_from(uint32_t events) {
    unsigned ready = 0;
    if ((events & EPOLLIN) != 0) ready |= kReadable;
    if ((events & EPOLLOUT) != 0) ready |= kWritable;
    if ((events & EPOLLHUP) != 0) ready |= kHangup;
    if ((events & EPOLLRDHUP) != 0) ready |= kReadHangup;
    if ((events & EPOLLERR) != 0) ready |= kFailed;
    return static_cast<uint16_t>(ready);
}

// Appends what one lane tells to `out`; true if another has something, too.
bool append(const epoll_event* events, size_t count, uint8_t lane, std::span<Wakeup> out,
            size_t& filled) {
    bool inner = false;
    for (size_t i = 0; i < count; i++) {
        const Handle handle(events[i].data.u64);
        if (handle.kind() == Handle::Kind::lane)
            inner = true;
        else
            out[filled++] = {handle, ready_from(events[i].events), lane};
    }
    return inner;
}

}  // namespace

Result<size_t> translate(const epoll_event* events, size_t count, int lane1,
                         std::span<Wakeup> out) {
    size_t filled = 0;
    if (!append(events, count, 0, out, filled)) return filled;
    // The inner set took a place of `out`, so there is room for one at least.
    epoll_event more[kBatch];
    const long got = take_events(lane1, more, out.size() - filled);
    if (got < 0) return last_errno();
    append(more, static_cast<size_t>(got), 1, out, filled);
    return filled;
}

}  // namespace kq::epoll
