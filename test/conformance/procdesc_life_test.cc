// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROCDESC through the life of a process and of its descriptors (semantics 5.7). A process
// is forked, ends in one way or another, and is reaped. A descriptor is duplicated, closed,
// inherited, and watched by several kqueues. FreeBSD's tests do this with the descriptors of
// pdfork(). Unlike there, closing a pidfd ends no process.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <vector>

#include "support/procdesc.h"
#include "support/process.h"
#include "support/thread.h"

namespace kqtest {
namespace {

constexpr int kLast = EV_ADD | EV_CLEAR | EV_ONESHOT | EV_EOF;

class ProcDescLife : public ProcDescTest {
  protected:
    static int add(const Queue& to, int fd, int flags = 0) {
        return to.apply(change(fd, EVFILT_PROCDESC, EV_ADD | flags, NOTE_EXIT));
    }
    static void expect_exit(const Queue& from, int fd, int status, int line = __builtin_LINE()) {
        expect_only(from.wait(), fd, EVFILT_PROCDESC, kLast, NOTE_EXIT, status, nullptr, __FILE__,
                    line);
    }

    Queue q;
};

TEST_F(ProcDescLife, S57_ForkedWatchedKilledAndReaped) {
    Sleeper child;
    const Fd fd = open_process(child.pid());
    ASSERT_EQ(add(q, *fd), 0);
    expect_silent(q);
    ASSERT_EQ(::syscall(SYS_pidfd_send_signal, *fd, SIGTERM, nullptr, 0), 0);
    expect_exit(q, *fd, SIGTERM);
    EXPECT_EQ(child.reap(), SIGTERM);
    expect_silent(q);
    EXPECT_EQ(q.apply(change(*fd, EVFILT_PROCDESC, EV_DELETE)), ENOENT);
}

// All descriptors of one process look alike to fstat().
TEST_F(ProcDescLife, R290_TheSameProcessUnderTheSameNumberAgain) {
    Sleeper child(exits_with(3));
    Fd fd = open_process(child.pid());
    const int number = *fd;
    ASSERT_EQ(add(q, number), 0);
    fd.reset();
    fd = open_process(child.pid());
    ASSERT_EQ(*fd, number);
    ASSERT_EQ(add(q, number), 0);
    expect_silent(q);
    child.go();
    expect_exit(q, number, 3 << 8);
    expect_silent(q);
}

#ifdef EV_VANISHED
TEST_F(ProcDescLife, R344_TheSameProcessUnderTheSameNumberAgain) {
    constexpr int kKept = EV_ADD | EV_DISPATCH2 | EV_VANISHED;
    Sleeper child(exits_with(4));
    Fd fd = open_process(child.pid());
    const int number = *fd;
    ASSERT_EQ(q.apply(change(number, EVFILT_PROCDESC, kKept, NOTE_EXIT, 0, tag(1))), 0);
    fd.reset();
    fd = open_process(child.pid());
    ASSERT_EQ(*fd, number);
    ASSERT_EQ(q.apply(change(number, EVFILT_PROCDESC, kKept, NOTE_EXIT, 0, tag(2))), 0);
    std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].udata, tag(1));
    EXPECT_NE(events[0].flags & EV_VANISHED, 0);
    child.go();
    events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].udata, tag(2));
    EXPECT_EQ(events[0].fflags, static_cast<unsigned>(NOTE_EXIT));
    EXPECT_EQ(events[0].data, 4 << 8);
}
#endif

TEST_F(ProcDescLife, R199_EachStatusIsThatOfWait) {
    for (const auto& body :
         {exits_with(0), exits_with(1), exits_with(255), killed_by(SIGKILL), killed_by(SIGHUP)}) {
        Sleeper child(body);
        const Fd fd = open_process(child.pid());
        ASSERT_EQ(add(q, *fd), 0);
        child.go();
        const std::vector<Event> events = q.wait();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].data, child.reap());
    }
}

TEST_F(ProcDescLife, S57_ManyProcessesEachOnce) {
    constexpr int kCount = 24;
    std::vector<std::unique_ptr<Sleeper>> children;
    std::vector<Fd> descriptors;
    for (int i = 0; i < kCount; i++) {
        children.push_back(std::make_unique<Sleeper>(exits_with(i)));
        descriptors.push_back(open_process(children.back()->pid()));
        ASSERT_EQ(add(q, *descriptors.back()), 0);
    }
    for (const auto& child : children)
        child->go();
    std::map<uintptr_t, intptr_t> status;
    size_t count = 0;
    while (count < kCount) {
        const std::vector<Event> events = q.wait();
        ASSERT_FALSE(events.empty());
        for (const Event& event : events)
            status[event.ident] = event.data;
        count += events.size();
    }
    for (int i = 0; i < kCount; i++)
        EXPECT_EQ(status[static_cast<uintptr_t>(*descriptors[static_cast<size_t>(i)])], i << 8);
    EXPECT_EQ(count, size_t{kCount});
    expect_silent(q);
}

TEST_F(ProcDescLife, R74_SeveralKqueues) {
    Sleeper child(exits_with(9));
    const Fd fd = open_process(child.pid());
    const Queue other;
    const Queue third;
    ASSERT_EQ(add(q, *fd), 0);
    ASSERT_EQ(add(other, *fd), 0);
    ASSERT_EQ(add(third, *fd), 0);
    ASSERT_EQ(third.apply(change(*fd, EVFILT_PROCDESC, EV_DELETE)), 0);
    child.go();
    expect_exit(q, *fd, 9 << 8);
    expect_exit(other, *fd, 9 << 8);
    expect_silent(q);
    expect_silent(third);
}

TEST_F(ProcDescLife, S57_SeveralDescriptorsOfOneProcess) {
    Sleeper child(exits_with(4));
    const Fd first = open_process(child.pid());
    const Fd second = open_process(child.pid());
    const Fd duplicate{::dup(*first)};
    for (const Fd* fd : {&first, &second, &duplicate})
        ASSERT_EQ(add(q, **fd), 0);
    child.go();
    std::map<uintptr_t, int> told;
    for (const auto start = now(); told.size() < 3 && since(start) < time_limit();)
        for (const Event& event : q.wait()) {
            EXPECT_EQ(event.data, 4 << 8);
            told[event.ident]++;
        }
    EXPECT_EQ(told, (std::map<uintptr_t, int>{{static_cast<uintptr_t>(*first), 1},
                                              {static_cast<uintptr_t>(*second), 1},
                                              {static_cast<uintptr_t>(*duplicate), 1}}));
    expect_silent(q);
}

// A kqueue does not keep a descriptor open, and closing the descriptor does not end the process.
TEST_F(ProcDescLife, R291_ClosedBeforeTheExit) {
    Sleeper child(exits_with(4));
    Fd fd = open_process(child.pid());
    const Fd other = open_process(child.pid());
    const Fd duplicate{::dup(*fd)};
    ASSERT_EQ(add(q, *fd), 0);
    const int number = *fd;
    fd.reset();
    expect_silent(q);
    EXPECT_EQ(q.apply(change(number, EVFILT_PROCDESC, EV_DELETE)), EBADF);
    EXPECT_EQ(::kill(child.pid(), 0), 0);
    ASSERT_EQ(add(q, *other), 0);
    child.go();
    expect_exit(q, *other, 4 << 8);
    expect_silent(q);
}

TEST_F(ProcDescLife, R289_ANumberThatIsAnotherProcessNow) {
    Sleeper old(exits_with(1));
    Sleeper child(exits_with(2));
    Fd fd = open_process(old.pid());
    const Fd kept{::dup(*fd)};
    const int number = *fd;
    ASSERT_EQ(add(q, number), 0);
    const Fd other = open_process(child.pid());
    ASSERT_EQ(::dup2(*other, number), number);
    old.go_and_exit();
    expect_silent(q);
    ASSERT_EQ(add(q, number), 0);
    expect_silent(q);
    child.go();
    expect_exit(q, number, 2 << 8);
    expect_silent(q);
}

TEST_F(ProcDescLife, S57_ToldAgainToWhoeverAsksAgain) {
    Sleeper child(exits_with(6));
    const Fd fd = open_process(child.pid());
    child.go_and_exit();
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(add(q, *fd), 0);
        expect_exit(q, *fd, 6 << 8);
        expect_silent(q);
    }
}

// L-PROCDESC: before Linux 6.15 the kernel does not know the status any more.
TEST_F(ProcDescLife, S57_ReapedBeforeItIsWatched) {
    Sleeper child(exits_with(6));
    const Fd fd = open_process(child.pid());
    EXPECT_EQ(child.go_and_reap(), 6 << 8);
    ASSERT_EQ(add(q, *fd), 0);
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].fflags, unsigned{NOTE_EXIT});
    EXPECT_EQ(int{events[0].flags}, kLast);
    EXPECT_TRUE(events[0].data == 6 << 8 || events[0].data == 0) << events[0].data;
    expect_silent(q);
}

TEST_F(ProcDescLife, S57_ReapedWhileTheEventWaits) {
    Sleeper child(exits_with(6));
    const Fd fd = open_process(child.pid());
    ASSERT_EQ(add(q, *fd), 0);
    EXPECT_EQ(child.go_and_reap(), 6 << 8);
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].fflags, unsigned{NOTE_EXIT});
    EXPECT_TRUE(events[0].data == 6 << 8 || events[0].data == 0) << events[0].data;
    expect_silent(q);
}

TEST_F(ProcDescLife, R333_EachUdataIsTold) {
    Sleeper child(exits_with(5));
    const Fd fd = open_process(child.pid());
    const auto one = [&fd](int flags, uintptr_t udata) {
        return change(*fd, EVFILT_PROCDESC, flags | EV_UDATA_SPECIFIC, NOTE_EXIT, 0, tag(udata));
    };
    ASSERT_EQ(q.apply(one(EV_ADD, 1), one(EV_ADD, 2), one(EV_ADD, 3)), 0);
    ASSERT_EQ(q.apply(one(EV_DELETE, 2)), 0);
    child.go();
    std::map<void*, int> told;
    for (const auto start = now(); told.size() < 2 && since(start) < time_limit();)
        for (const Event& event : q.wait())
            told[event.udata]++;
    EXPECT_EQ(told, (std::map<void*, int>{{tag(1), 1}, {tag(3), 1}}));
    expect_silent(q);
}

// The descriptor names the same process in every process that has it, here in a brother of the
// watched process. Whether the brother gets the status is in L-PROCDESC.
TEST_F(ProcDescLife, S57_InheritedByAnotherChild) {
    Sleeper watched(exits_with(8));
    const Fd fd = open_process(watched.pid());
    const Pipe ready = make_pipe();
    Child brother([&] {
        const Queue own;
        if (add(own, *fd) != 0) return 1;
        write_bytes(*ready.write, 1);
        const std::vector<Event> events = own.wait();
        if (events.size() != 1 || events[0].fflags != NOTE_EXIT) return 2;
        return events[0].data == 8 << 8 || events[0].data == 0 ? 0 : 3;
    });
    read_bytes(*ready.read, 1);
    ASSERT_EQ(add(q, *fd), 0);
    watched.go();
    EXPECT_EQ(brother.wait(), 0);
    expect_exit(q, *fd, 8 << 8);
}

}  // namespace
}  // namespace kqtest
