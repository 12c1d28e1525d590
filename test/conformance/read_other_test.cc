// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ on terminals, counters, timers, processes, devices, directories and foreign epolls.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#ifdef __linux__
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/inotify.h>
    #include <sys/syscall.h>
    #include <sys/timerfd.h>
#endif

#include <algorithm>
#include <string>

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class ReadOther : public KqTest {
  protected:
    int add(int fd, int flags = 0) const {
        return q_.apply(change(fd, EVFILT_READ, EV_ADD | flags));
    }
    void expect(int fd, int flags, intptr_t data, int line = __builtin_LINE()) const {
        expect_only(q_.wait(), fd, EVFILT_READ, EV_ADD | flags, 0, data, nullptr, __FILE__, line);
    }
    // Exactly the event of that knote, whatever its data.
    void expect_active(int fd, int flags = 0, int line = __builtin_LINE()) const {
        const std::vector<Event> events = q_.wait();
        const intptr_t data = events.size() == 1 ? events[0].data : 0;
        EXPECT_GE(data, 0) << "line " << line;
        expect_only(events, fd, EVFILT_READ, EV_ADD | flags, 0, data, nullptr, __FILE__, line);
    }

    Queue q_;
};

// ---- terminals ----

TEST_F(ReadOther, R145_TerminalCountsCompleteLines) {
    const Terminal t(false);
    ASSERT_EQ(add(*t.slave), 0);
    expect_none(q_.collect());
    write_bytes(*t.master, "hel");
    expect_sleeps(q_);  // no line yet
    write_bytes(*t.master, "lo\n");
    expect(*t.slave, 0, 6);
    expect(*t.slave, 0, 6);
    EXPECT_EQ(read_bytes(*t.slave, 6), "hello\n");
    expect_none(q_.collect());
}

TEST_F(ReadOther, R145_RawTerminalCountsBytes) {
    const Terminal t(true);
    ASSERT_EQ(add(*t.slave, EV_CLEAR), 0);
    write_bytes(*t.master, "hel");
    expect(*t.slave, EV_CLEAR, 3);
    expect_sleeps(q_);
}

TEST_F(ReadOther, R145_HangUpIsEofForTheSlave) {
    for (const int mode : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        const Queue q;
        Terminal t(false);
        ASSERT_EQ(q.apply(change(*t.slave, EVFILT_READ, EV_ADD | mode)), 0);
        t.master.reset();
        expect_only(q.wait(), *t.slave, EVFILT_READ, EV_ADD | mode | EV_EOF, 0, 0);
        if (mode != 0) expect_sleeps(q);
    }
}

TEST_F(ReadOther, R145_MasterCountsTheOutput) {
    const Terminal t(true);
    ASSERT_EQ(add(*t.master), 0);
    write_bytes(*t.slave, "abc");
    ASSERT_TRUE(wait_readable(*t.master));
    expect(*t.master, 0, 3);
}

TEST_F(ReadOther, R145_LastSlaveClosedIsEofForTheMaster) {
    Terminal t(true);
    ASSERT_EQ(add(*t.master), 0);
    write_bytes(*t.slave, "abc");
    ASSERT_TRUE(wait_readable(*t.master));
    t.slave.reset();
    ASSERT_TRUE(wait_for(*t.master, 0));  // POLLHUP
    expect(*t.master, EV_EOF, 3);
    read_bytes(*t.master, 3);
    expect(*t.master, EV_EOF, 0);
}

TEST_F(ReadOther, R84_TerminalHangUpWhileDisabledIsQuietUntilEnabled) {
    Terminal t(false);
    ASSERT_EQ(add(*t.slave, EV_DISABLE), 0);
    t.master.reset();
    ASSERT_TRUE(wait_for(*t.slave, POLLIN));
    expect_sleeps(q_);
    ASSERT_EQ(q_.apply(change(*t.slave, EVFILT_READ, EV_ENABLE)), 0);
    expect(*t.slave, EV_EOF, 0);
}

// ---- what only Linux has ----

#ifdef __linux__

TEST_F(ReadOther, R146_EventfdDataIsTheCounter) {
    const Fd fd{::eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC)};
    ASSERT_EQ(add(*fd), 0);
    expect(*fd, 0, 5);
    ASSERT_EQ(::eventfd_write(*fd, 1'000'000'000'000), 0);
    // More than an intptr_t holds is its largest.
    constexpr int64_t kCounter = 1'000'000'000'005;
    expect(*fd, 0, static_cast<intptr_t>(std::min<int64_t>(kCounter, INTPTR_MAX)));
    eventfd_t value = 0;
    ASSERT_EQ(::eventfd_read(*fd, &value), 0);
    EXPECT_EQ(value, 1'000'000'000'005u);  // nothing was consumed by looking
    expect_none(q_.collect());
}

TEST_F(ReadOther, R146_EventfdDataNeverGetsNegative) {
    const Fd fd{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    ASSERT_EQ(::eventfd_write(*fd, UINT64_MAX - 1), 0);
    ASSERT_EQ(add(*fd), 0);
    expect(*fd, 0, INTPTR_MAX);
}

TEST_F(ReadOther, R146_EventfdCounterWrittenByAnotherProcess) {
    const Fd fd{::eventfd(0, EFD_NONBLOCK)};
    ASSERT_EQ(add(*fd), 0);
    Child child([&] { return ::eventfd_write(*fd, 3); });
    expect(*fd, 0, 3);
    EXPECT_EQ(child.wait(), 0);
}

TEST_F(ReadOther, R106_TimerfdIsActiveUntilItIsRead) {
    const Fd fd{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    ASSERT_EQ(add(*fd), 0);
    expect_sleeps(q_);
    const itimerspec soon{{0, 0}, {0, 20'000'000}};
    ASSERT_EQ(::timerfd_settime(*fd, 0, &soon, nullptr), 0);
    expect_active(*fd);
    expect_active(*fd);
    EXPECT_EQ(drain(*fd), 8u);
    expect_sleeps(q_);
}

TEST_F(ReadOther, R106_InotifyIsActiveUntilItIsRead) {
    const TempFile file;
    const Fd fd{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    ASSERT_GE(::inotify_add_watch(*fd, file.path.c_str(), IN_MODIFY), 0);
    ASSERT_EQ(add(*fd), 0);
    expect_none(q_.collect());
    write_bytes(*file.fd, 1);
    expect(*fd, 0, bytes_to_read(*fd));
    drain(*fd);
    expect_sleeps(q_);
}

// A child that ends when `go` is closed, and its pidfd.
struct Process {
    Process() {
        Pipe pipe = make_pipe();
        pid = ::fork();
        if (pid == 0) {
            ::close(*pipe.write);
            char byte;
            ::_exit(static_cast<int>(::read(*pipe.read, &byte, 1)));
        }
        go = std::move(pipe.write);
        fd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        EXPECT_TRUE(bool(fd)) << ::strerror(errno);
    }
    Process(const Process&) = delete;
    ~Process() {
        go.reset();
        ::waitpid(pid, nullptr, 0);
    }
    pid_t pid;
    Fd go;
    Fd fd;
};

TEST_F(ReadOther, R106_PidfdIsActiveWhenTheProcessEnds) {
    Process process;
    ASSERT_EQ(add(*process.fd), 0);
    expect_sleeps(q_);
    process.go.reset();
    for (int i = 0; i < 2; i++) {
        const std::vector<Event> events = q_.wait();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].ident, static_cast<uintptr_t>(*process.fd));
        EXPECT_EQ(events[0].filter, EVFILT_READ);
        EXPECT_EQ(events[0].flags & EV_ERROR, 0);
    }
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(process.pid), &info, WEXITED | WNOWAIT), 0);
    EXPECT_EQ(q_.apply(change(*process.fd, EVFILT_READ, EV_DELETE)), 0);
    expect_silent(q_);
}

TEST_F(ReadOther, R88_PidfdOneshot) {
    Process process;
    ASSERT_EQ(add(*process.fd, EV_ONESHOT), 0);
    process.go.reset();
    EXPECT_EQ(q_.wait().size(), 1u);
    expect_sleeps(q_);
}

TEST_F(ReadOther, R106_ForeignEpoll) {
    const Fd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    const Pipe pipe = make_pipe();
    epoll_event interest{};
    interest.events = EPOLLIN;
    ASSERT_EQ(::epoll_ctl(*epoll, EPOLL_CTL_ADD, *pipe.read, &interest), 0);
    ASSERT_EQ(add(*epoll), 0);
    expect_sleeps(q_);
    write_bytes(*pipe.write, 1);
    expect_active(*epoll);
    expect_active(*epoll);
    drain(*pipe.read);
    expect_none(q_.collect());
}

#endif

// ---- devices and directories ----

TEST_F(ReadOther, R106_NullAndZeroAreAlwaysActiveWithDataZero) {
    for (const char* path : {"/dev/null", "/dev/zero"}) {
        const Queue q;
        const Fd fd = open_file(path, O_RDONLY);
        ASSERT_EQ(q.apply(change(*fd, EVFILT_READ, EV_ADD)), 0);
        for (int i = 0; i < 3; i++)
            expect_only(q.wait(), *fd, EVFILT_READ, EV_ADD, 0, 0);
        EXPECT_TRUE(q.readable());
        ASSERT_EQ(q.apply(change(*fd, EVFILT_READ, EV_DISABLE)), 0);
        expect_sleeps(q);
        EXPECT_FALSE(q.readable());
        ASSERT_EQ(q.apply(change(*fd, EVFILT_READ, EV_ENABLE)), 0);
        expect_only(q.wait(), *fd, EVFILT_READ, EV_ADD, 0, 0);
        ASSERT_EQ(q.apply(change(*fd, EVFILT_READ, EV_DELETE)), 0);
        expect_sleeps(q);
    }
}

TEST_F(ReadOther, R95_NullWithClearOneshotAndDispatch) {
    const Fd null = open_file("/dev/null", O_RDONLY);
    for (const int mode : {EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        const Queue q;
        ASSERT_EQ(q.apply(change(*null, EVFILT_READ, EV_ADD | mode)), 0);
        expect_only(q.wait(), *null, EVFILT_READ, EV_ADD | mode, 0, 0);
        expect_sleeps(q);
        const int error = q.apply(change(*null, EVFILT_READ, EV_ENABLE));
        EXPECT_EQ(error, mode == EV_ONESHOT ? ENOENT : 0);
        if (mode == EV_DISPATCH) expect_only(q.wait(), *null, EVFILT_READ, EV_ADD | mode, 0, 0);
    }
}

TEST_F(ReadOther, R143_DirectoryIsRefused) {
    const Fd directory = open_file("/", O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(add(*directory), EINVAL);
    EXPECT_EQ(q_.apply(change(*directory, EVFILT_READ, EV_DELETE)), ENOENT);
    expect_silent(q_);
}

}  // namespace
}  // namespace kqtest
