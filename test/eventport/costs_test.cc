// SPDX-License-Identifier: BSD-2-Clause
// What the Solaris backend costs, counted on the model: system calls for each operation,
// descriptors, threads. Each row has an upper limit, so that a test fails if a cost grows. The
// table is in src/README.md, "The Solaris backend". --gtest_filter=Costs.* prints it.
//
// The library's calls come to this program's functions first, which count them.
#include <dirent.h>
#include <dlfcn.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>

#include "include/eventport.h"
#include "include/port.h"
#include "rules.h"

namespace {

struct Count {
    long getn, associate, dissociate, send, timer;  // of ports
    long poll, stat, amount;                        // of descriptors: poll(), fstat(), the rest
    long ports() const { return getn + associate + dissociate + send + timer; }
    long others() const { return poll + stat + amount; }
};
Count count;

template <class F>
F* next(F* /*of this type*/, const char* name) {
    return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

// A function with that name that counts the call, and then calls the next function of that name.
#define COUNTED(type, name, parameters, arguments, counter)             \
    extern "C" type name parameters {                                   \
        static const auto real = next<type parameters>(nullptr, #name); \
        count.counter++;                                                \
        return real arguments;                                          \
    }

COUNTED(int, port_getn,
        (int port, port_event_t list[], uint_t max, uint_t* nget, timespec* timeout),
        (port, list, max, nget, timeout), getn)
COUNTED(int, port_associate, (int port, int source, uintptr_t object, int events, void* user),
        (port, source, object, events, user), associate)
COUNTED(int, port_dissociate, (int port, int source, uintptr_t object), (port, source, object),
        dissociate)
COUNTED(int, port_send, (int port, int events, void* user), (port, events, user), send)
COUNTED(int, timer_create, (clockid_t clock, sigevent* event, timer_t* id) noexcept,
        (clock, event, id), timer)
COUNTED(int, timer_settime,
        (timer_t id, int flags, const itimerspec* value, itimerspec* old) noexcept,
        (id, flags, value, old), timer)
COUNTED(int, timer_delete, (timer_t id) noexcept, (id), timer)
COUNTED(int, poll, (pollfd * list, nfds_t n, int timeout), (list, n, timeout), poll)
COUNTED(int, fstat64, (int fd, struct stat64* to) noexcept, (fd, to), stat)
COUNTED(int, getsockopt, (int fd, int level, int option, void* value, socklen_t* size) noexcept,
        (fd, level, option, value, size), amount)

extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
    static const auto real = next<int(int, unsigned long, ...)>(nullptr, "ioctl");
    va_list list;
    va_start(list, request);
    void* argument = va_arg(list, void*);
    va_end(list);
    count.amount++;
    return real(fd, request, argument);
}

namespace {

using namespace rules;
using Event = struct kevent;

Event change(uintptr_t ident, int filter, int flags, unsigned fflags = 0, intptr_t data = 0) {
    Event event;
    EV_SET(&event, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags,
           data, nullptr);
    return event;
}

constexpr timespec kAtOnce{0, 0};

class Queue {
  public:
    Queue() : fd_(::kqueue()) {}
    int fd() const { return *fd_; }
    // One call: it applies changes, and collects one event if there is any.
    int call(std::initializer_list<Event> changes, const timespec* timeout = &kAtOnce) const {
        Event event;
        return ::kevent(*fd_, changes.begin(), static_cast<int>(changes.size()), &event, 1,
                        timeout);
    }
    void apply(std::initializer_list<Event> changes) const {
        EXPECT_EQ(
            ::kevent(*fd_, changes.begin(), static_cast<int>(changes.size()), nullptr, 0, nullptr),
            0);
    }

  private:
    Fd fd_;
};

struct Sockets {
    Sockets() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
        read = Fd(ends[0]);
        write = Fd(ends[1]);
    }
    void put() const { EXPECT_EQ(::write(*write, "x", 1), 1); }
    void drain() const {
        char block[256];
        while (::read(*read, block, sizeof block) > 0) {
        }
    }
    Fd read;
    Fd write;
};

class Costs : public Rule {
  protected:
    // Runs `body` many times, and prints what one run costs. A run may make at most `ports` calls
    // of ports and `others` other calls.
    template <class Body>
    void expect_at_most(double ports, double others, const char* name, const Body& body) {
        constexpr int kRounds = 100;
        for (int i = 0; i < 10; i++)
            body();
        count = {};
        for (int i = 0; i < kRounds; i++)
            body();
        const auto of = [](long n) { return static_cast<double>(n) / kRounds; };
        std::printf("| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n", name,
                    of(count.ports()), of(count.getn), of(count.associate), of(count.dissociate),
                    of(count.send + count.timer), of(count.poll), of(count.stat), of(count.amount));
        EXPECT_LE(of(count.ports()), ports) << name;
        EXPECT_LE(of(count.others()), others) << name;
    }

    const Queue q;
};

TEST_F(Costs, Reading) {
    const Pipe pipe;
    const auto fd = static_cast<uintptr_t>(*pipe.read);
    const auto takes = [&](std::initializer_list<Event> changes) {
        return [this, &pipe, changes = std::vector<Event>(changes)] {
            Event event;
            pipe.put();
            EXPECT_EQ(::kevent(q.fd(), changes.data(), static_cast<int>(changes.size()), &event, 1,
                               &kAtOnce),
                      1);
            pipe.drain();
        };
    };
    q.apply({change(fd, EVFILT_READ, EV_ADD)});
    expect_at_most(2.1, 6.2, "READ, drained", takes({}));
    pipe.put();
    expect_at_most(2.1, 6.2, "READ, not drained", [this] { EXPECT_EQ(q.call({}), 1); });
    pipe.drain();
    q.apply({change(fd, EVFILT_READ, EV_DELETE), change(fd, EVFILT_READ, EV_ADD | EV_CLEAR)});
    // An edge is news if the descriptor was seen not ready before. A loop that goes to sleep sees
    // that.
    expect_at_most(5.1, 11.2, "READ, EV_CLEAR, drained, nothing", [&] {
        pipe.put();
        EXPECT_EQ(q.call({}), 1);
        pipe.drain();
        EXPECT_EQ(q.call({}), 0);
    });
    expect_at_most(3.2, 5.3, "READ, EV_CLEAR, grows", [&] {
        pipe.put();
        EXPECT_EQ(q.call({}), 1);
    });
    pipe.drain();
    q.apply({change(fd, EVFILT_READ, EV_DELETE)});
    expect_at_most(2.1, 9.2, "READ, EV_ADD and EV_ONESHOT",
                   takes({change(fd, EVFILT_READ, EV_ADD | EV_ONESHOT)}));
    q.apply({change(fd, EVFILT_READ, EV_ADD | EV_DISPATCH)});
    expect_at_most(2.1, 8.2, "READ, EV_ENABLE and EV_DISPATCH",
                   takes({change(fd, EVFILT_READ, EV_ENABLE)}));
}

TEST_F(Costs, Sockets) {
    const Sockets pair;
    const auto fd = static_cast<uintptr_t>(*pair.read);
    const auto take = [&] {
        pair.put();
        EXPECT_EQ(q.call({}), 1);
        pair.drain();
    };
    q.apply({change(fd, EVFILT_READ, EV_ADD)});
    expect_at_most(2.1, 7.2, "READ of a socket, drained", take);
    q.apply({change(fd, EVFILT_READ, EV_DELETE), change(fd, EVFILT_READ, EV_ADD | EV_CLEAR)});
    expect_at_most(5.1, 11.2, "READ of a socket, EV_CLEAR, nothing", [&] {
        take();
        EXPECT_EQ(q.call({}), 0);
    });
    q.apply({change(fd, EVFILT_READ, EV_DELETE), change(fd, EVFILT_WRITE, EV_ADD)});
    expect_at_most(2.1, 7.2, "WRITE", [this] { EXPECT_EQ(q.call({}), 1); });
    q.apply({change(fd, EVFILT_WRITE, EV_DELETE)});
    expect_at_most(3.1, 7.2, "EV_ADD, EV_DELETE", [&] {
        q.apply({change(fd, EVFILT_READ, EV_ADD)});
        q.apply({change(fd, EVFILT_READ, EV_DELETE)});
    });
    q.apply({change(fd, EVFILT_READ, EV_ADD)});
    expect_at_most(0, 2.2, "EV_DISABLE, EV_ENABLE", [&] {
        q.apply({change(fd, EVFILT_READ, EV_DISABLE)});
        q.apply({change(fd, EVFILT_READ, EV_ENABLE)});
    });
}

TEST_F(Costs, TimersAndTriggers) {
    expect_at_most(1.1, 1.2, "nothing there", [this] { EXPECT_EQ(q.call({}), 0); });
    intptr_t later = 60'000;
    expect_at_most(0, 1.2, "TIMER put off",
                   [&] { q.apply({change(1, EVFILT_TIMER, EV_ADD, 0, ++later)}); });
    intptr_t earlier = 50'000;
    expect_at_most(1.1, 1.2, "TIMER made earlier",
                   [&] { q.apply({change(1, EVFILT_TIMER, EV_ADD, 0, --earlier)}); });
    expect_at_most(6, 6, "TIMER, EV_ONESHOT, waited for", [this] {
        EXPECT_EQ(
            q.call({change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, 300)}, nullptr), 1);
    });
    q.apply({change(3, EVFILT_USER, EV_ADD | EV_CLEAR)});
    expect_at_most(2.1, 3.2, "USER, triggered, collected", [this] {
        q.apply({change(3, EVFILT_USER, 0, NOTE_TRIGGER)});
        EXPECT_EQ(q.call({}), 1);
    });
}

// The number of the program's descriptors, without those of the model.
size_t descriptors() {
    size_t n = 0;
    DIR* directory = ::opendir("/proc/self/fd");
    while (const dirent* entry = ::readdir(directory)) {
        const int fd = std::atoi(entry->d_name);
        const bool other = entry->d_name[0] == '.' || fd == ::dirfd(directory);
        if (!other && ::eventport_hidden(fd) == 0) n++;
    }
    ::closedir(directory);
    return n;
}

size_t threads() {
    size_t n = 0;
    DIR* directory = ::opendir("/proc/self/task");
    while (const dirent* entry = ::readdir(directory)) {
        if (entry->d_name[0] == '.') continue;
        std::string name;
        std::ifstream(std::string("/proc/self/task/") + entry->d_name + "/comm") >> name;
        if (name != "eventport") n++;  // the pump
    }
    ::closedir(directory);
    return n;
}

TEST_F(Costs, TenThousandTimersTakeNoDescriptorAndNoThread) {
    const size_t before = descriptors();
    count = {};
    for (uintptr_t i = 0; i < 10'000; i++)
        q.apply({change(i, EVFILT_TIMER, EV_ADD, 0, 60'000 + static_cast<intptr_t>(i))});
    std::printf("10,000 timers: %zu descriptors, %zu threads, %ld calls for timers\n",
                descriptors() - before, threads(), count.timer);
    EXPECT_EQ(descriptors(), before);
    EXPECT_EQ(threads(), 1u);
    EXPECT_LE(count.timer, 2);
}

TEST_F(Costs, AThousandSocketsTakeNoDescriptorAndNoThread) {
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, std::min<rlim_t>(limit.rlim_max, 2048));
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 1100) GTEST_SKIP() << "too few descriptors are allowed";
    std::vector<Sockets> pairs(500);
    const size_t before = descriptors();
    count = {};
    for (const Sockets& pair : pairs)
        q.apply({change(static_cast<uintptr_t>(*pair.read), EVFILT_READ, EV_ADD),
                 change(static_cast<uintptr_t>(*pair.write), EVFILT_READ, EV_ADD)});
    std::printf("%zu sockets: %zu descriptors, %zu threads, %ld associations\n", 2 * pairs.size(),
                descriptors() - before, threads(), count.associate);
    EXPECT_EQ(descriptors(), before);
    EXPECT_EQ(threads(), 1u);
}

}  // namespace
