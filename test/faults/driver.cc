// See driver.h.
#include "faults/driver.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "faults/injector.h"

namespace kqfaults {
namespace {

constexpr int kHigh = 300;
constexpr timespec kAtOnce{0, 0};
constexpr timespec kBrief{0, 10'000'000};
constexpr std::chrono::seconds kPatience{10};

std::string name(uintptr_t ident, int filter) {
    return "ident " + std::to_string(ident) + " filter " + std::to_string(filter);
}

int call(const Fd& queue, const struct kevent* change, struct kevent* events, int room,
         const timespec* timeout) {
    const Inside inside;
    return ::kevent(*queue, change, change == nullptr ? 0 : 1, events, room, timeout);
}

}  // namespace

void Driver::refused(int error, const std::string& call) {
    const std::string told = call + ": " + strerror(error);
    if (refusals_++ > 0) throw Broken(told + ", although nothing is refused any more");
    if (!due_(error)) throw Broken(told + " is not what the system said");
    relieve_();
}

Fd Driver::kqueue() {
    for (;;) {
        int fd = -1;
        {
            const Inside inside;
            fd = ::kqueue();
        }
        if (fd >= 0) return Fd(fd);
        refused(errno, "kqueue()");
    }
}

void Driver::change(const Fd& queue, uintptr_t ident, int filter, unsigned flags, unsigned fflags,
                    intptr_t data) {
    struct kevent kev {};
    EV_SET(&kev, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags,
           data, nullptr);
    while (call(queue, &kev, nullptr, 0, nullptr) != 0)
        refused(errno, "change of " + name(ident, filter));
}

void Driver::change_wide(const Fd& queue, uintptr_t ident, int filter, unsigned flags) {
    const struct kevent64_s kev {
        ident, static_cast<int16_t>(filter), static_cast<uint16_t>(flags), 0, 0, 7, { 8, 9 }
    };
    for (int result = -1; result != 0;) {
        {
            const Inside inside;
            result = ::kevent64(*queue, &kev, 1, nullptr, 0, 0, nullptr);
        }
        if (result != 0) refused(errno, "wide change of " + name(ident, filter));
    }
}

int Driver::collect(const Fd& queue, struct kevent* events, int room, const timespec& timeout) {
    for (;;) {
        const int count = call(queue, nullptr, events, room, &timeout);
        if (count >= 0) return count;
        refused(errno, "collecting");
    }
}

void Driver::expect(const Fd& queue, std::set<Key> events) {
    constexpr int kRoom = 8;
    const auto late = std::chrono::steady_clock::now() + kPatience;
    const bool none = events.empty();
    std::set<Key> seen;
    for (bool first = true;; first = false) {
        struct kevent got[kRoom];
        const int count = collect(queue, got, kRoom, none || !first ? kBrief : kAtOnce);
        for (int i = 0; i < count; i++) {
            const Key key{got[i].ident, got[i].filter};
            if (events.erase(key) == 0 && !seen.contains(key))
                throw Broken("an event of " + name(key.ident, key.filter));
            seen.insert(key);
        }
        if (events.empty()) return;
        if (std::chrono::steady_clock::now() >= late)
            throw Broken("no event of " + name(events.begin()->ident, events.begin()->filter));
    }
}

void Driver::look(const Fd& queue) {
    struct kevent got[8];
    (void)collect(queue, got, 8, kAtOnce);
}

// ---- descriptors ----

Unlimited::Unlimited() {
    rlimit limit{};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    soft_ = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

Unlimited::~Unlimited() {
    rlimit limit{};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = soft_;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

Fd high(int fd) {
    const Unlimited unlimited;
    const Fd low(fd);
    return Fd(fcntl(fd, F_DUPFD_CLOEXEC, kHigh));
}

Ends make_pipe() {
    const Unlimited unlimited;
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw Broken("no pipe");
    return {high(ends[0]), high(ends[1])};
}

Ends make_sockets(int type) {
    const Unlimited unlimited;
    int ends[2] = {-1, -1};
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        throw Broken("no sockets");
    return {high(ends[0]), high(ends[1])};
}

}  // namespace kqfaults
