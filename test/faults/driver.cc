// SPDX-License-Identifier: BSD-2-Clause
// See driver.h.
#include "faults/driver.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "faults/injector.h"

namespace kqfaults {
namespace {

constexpr int kHigh = 300;
constexpr std::chrono::seconds kPatience{10};

std::string name(uintptr_t ident, int filter) {
    return "ident " + std::to_string(ident) + " filter " + std::to_string(filter);
}

timespec to_timespec(milliseconds time) {
    const auto count = static_cast<long>(time.count());
    return {count / 1000, count % 1000 * 1'000'000};
}

}  // namespace

void Driver::refused(int error, const std::string& call) {
    const std::string told = call + ": " + strerror(error);
    if (refusals_++ > 0) throw Broken(told + ", although nothing is refused any more");
    if (!hooks_.due(error)) throw Broken(told + " is not what the system said");
    hooks_.relieve();
}

Fd Driver::kqueue() {
    for (;;) {
        int fd = -1;
        begin_call();
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
    for (int result = -1; result != 0;) {
        begin_call();
        {
            const Inside inside;
            result = ::kevent(*queue, &kev, 1, nullptr, 0, nullptr);
        }
        if (result != 0 && errno == EINTR) throw Broken("EINTR, which says that it was changed");
        if (result != 0) refused(errno, "change of " + name(ident, filter));
    }
}

void Driver::change_wide(const Fd& queue, uintptr_t ident, int filter, unsigned flags, bool room) {
    const struct kevent64_s kev {
        ident, static_cast<int16_t>(filter), static_cast<uint16_t>(flags), 0, 0, 7, { 8, 9 }
    };
    for (int result = -1; result != 0;) {
        struct kevent64_s answer {};
        begin_call();
        {
            const Inside inside;
            result = ::kevent64(*queue, &kev, 1, room ? &answer : nullptr, room ? 1 : 0,
                                KEVENT_FLAG_IMMEDIATE | KEVENT_FLAG_ERROR_EVENTS, nullptr);
        }
        const int error = result < 0 ? errno : static_cast<int>(answer.data);
        if (result != 0) refused(error, "wide change of " + name(ident, filter));
    }
}

std::vector<struct kevent> Driver::collect(const Fd& queue, milliseconds timeout) {
    const timespec limit = to_timespec(timeout);
    for (;;) {
        std::vector<struct kevent> events(room_);
        int count = -1;
        begin_call();
        {
            const Inside inside;
            count = ::kevent(*queue, nullptr, 0, events.data(), static_cast<int>(room_), &limit);
        }
        events.resize(count < 0 ? 0 : static_cast<size_t>(count));
        if (count >= 0) return events;
        refused(errno, "collecting");
    }
}

void Driver::collect_until(const Fd& queue, const std::function<bool(const struct kevent&)>& take) {
    constexpr milliseconds kBrief{10};
    const auto late = std::chrono::steady_clock::now() + kPatience;
    bool enough = false;
    for (bool first = true; !enough; first = false) {
        for (const struct kevent& event : collect(queue, first ? milliseconds{0} : kBrief))
            enough = take(event) || enough;
        if (!enough && std::chrono::steady_clock::now() >= late)
            throw Broken("what was expected did not come");
    }
}

void Driver::expect(const Fd& queue, std::set<Key> events) {
    const std::set<Key> all = events;
    try {
        collect_until(queue, [&events, &all](const struct kevent& event) {
            const Key key{event.ident, event.filter};
            if (!all.contains(key)) throw Broken("an event of " + name(key.ident, key.filter));
            if ((event.flags & EV_ERROR) != 0) throw Broken("an error");
            events.erase(key);
            return events.empty();
        });
    } catch (const Broken& broken) {
        if (events.empty()) throw;
        const Key& first = *events.begin();
        throw Broken(broken.what() + (": " + name(first.ident, first.filter)));
    }
}

void Driver::expect_none(const Fd& queue, milliseconds time) {
    const auto found = collect(queue, time);
    if (!found.empty()) throw Broken("an event of " + name(found[0].ident, found[0].filter));
}

void Driver::raise_signal(int number) {
    begin_call();
    const Inside inside;
    (void)kill(getpid(), number);
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

}  // namespace kqfaults
