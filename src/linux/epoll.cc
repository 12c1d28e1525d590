// epoll_wait() that does not wait. See epoll.h.
#include "epoll.h"

#include <errno.h>

#include "sys.h"

namespace kq::epoll {
namespace {

constexpr int kBatch = 64;

uint16_t ready_from(uint32_t events) {
    unsigned ready = 0;
    if ((events & EPOLLIN) != 0) ready |= kReadable;
    if ((events & EPOLLOUT) != 0) ready |= kWritable;
    if ((events & EPOLLHUP) != 0) ready |= kHangup;
    if ((events & EPOLLRDHUP) != 0) ready |= kReadHangup;
    if ((events & EPOLLERR) != 0) ready |= kFailed;
    return static_cast<uint16_t>(ready);
}

// Appends what one lane tells to `out`; true in `inner` if another has to be asked.
Result<size_t> take(int epoll, uint8_t lane, std::span<Wakeup> out, bool& inner) {
    epoll_event events[kBatch];
    const int room = static_cast<int>(out.size() < kBatch ? out.size() : kBatch);
    // A timeout of 0 never sleeps: not interrupted, and as a raw call no cancellation point.
    const long got = syscall(SYS_epoll_pwait, epoll, events, room, 0, nullptr, size_t{8});
    if (got < 0) return errno == EINVAL ? Errno::bad_descriptor : last_errno();
    size_t count = 0;
    for (long i = 0; i < got; i++) {
        const Handle handle(events[i].data.u64);
        if (handle.kind() == Handle::Kind::lane)
            inner = true;
        else
            out[count++] = {handle, ready_from(events[i].events), lane};
    }
    return count;
}

}  // namespace

Result<size_t> take_wakeups(const int lanes[2], std::span<Wakeup> out) {
    bool inner = false;
    const Result<size_t> first = take(lanes[0], 0, out, inner);
    if (!first.ok() || !inner) return first;
    // The inner queue took a place of `out`, so there is room for one at least.
    const Result<size_t> second = take(lanes[1], 1, out.subspan(first.value()), inner);
    if (!second.ok()) return second;
    return first.value() + second.value();
}

}  // namespace kq::epoll
