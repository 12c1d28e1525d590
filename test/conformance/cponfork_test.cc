// SPDX-License-Identifier: BSD-2-Clause
// KQUEUE_CPONFORK: the child of a fork has a copy of the kqueue, with all its knotes: R-322 to
// Whole programs that use it are in cponfork_process_test.cc.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "support/cponfork.h"
#include "support/leave.h"
#include "support/library.h"
#include "support/process.h"

#ifdef KQUEUE_CPONFORK

namespace kqtest {
namespace {

TEST_F(CpOnFork, R322_TheChildHasACopyOfTheSameNumber) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(5))), 0);
    in_both([this] {
        expect_none(q.collect());
        EXPECT_EQ(::fcntl(q.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        EXPECT_TRUE(q.readable());
        expect_only(q.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(0));
    });
}

TEST_F(CpOnFork, R322_TheFlagsTogetherAndUnknownOnes) {
    const Queue both(::kqueuex(KQUEUE_CPONFORK | KQUEUE_CLOEXEC));
    ASSERT_EQ(both.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    in_both([&both] { expect_only(both.wait(), 1, EVFILT_USER, EV_ADD); });
    EXPECT_EQ(::kqueuex(KQUEUE_CPONFORK | 4u), -1);
    EXPECT_EQ(errno, EINVAL);
}

TEST_F(CpOnFork, R322_AnotherKqueueBesideItIsNotInherited) {
    const Queue plain;
    ASSERT_EQ(plain.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    in_child([this, &plain] {
        Event event{};
        EXPECT_EQ(::kevent(plain.fd(), nullptr, 0, &event, 1, &kAtOnce), -1);
        EXPECT_EQ(errno, EBADF);
        EXPECT_EQ(::fcntl(plain.fd(), F_GETFD), -1);
        expect_only(q.wait(), 1, EVFILT_USER, EV_ADD);
    });
    EXPECT_EQ(plain.wait().size(), 1U);
    EXPECT_EQ(q.wait().size(), 1U);
}

// The child may close the duplicate, because the program knows of it. Then that number must not be
// a descriptor that the copy needs.
TEST_F(CpOnFork, R322_TheChildClosesTheNumberOfADuplicate) {
    const Queue other(::dup(q.fd()));
    const Pipe pipe = make_pipe();
    ASSERT_EQ(other.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 20)), 0);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    in_child([&] {
        EXPECT_EQ(::close(other.fd()), -1);
        EXPECT_EQ(errno, EBADF);
        const std::vector<Event> events = q.wait();
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].filter, EVFILT_TIMER);
        write_bytes(*pipe.write, 1);
        ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, 1);
    });
}

// What one process does with its kqueue does not affect the other process.
TEST_F(CpOnFork, R323_TheTwoAreIndependent) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD), change(1, EVFILT_USER, EV_ADD),
                      change(2, EVFILT_TIMER, EV_ADD, 0, 60'000)),
              0);
    in_child([this, &pipe] {
        EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE),
                          change(1, EVFILT_USER, EV_DELETE), change(2, EVFILT_TIMER, EV_DELETE)),
                  0);
        EXPECT_EQ(q.apply(change(3, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
        expect_only(q.wait(), 3, EVFILT_USER, EV_ADD);
    });
    EXPECT_FALSE(q.readable());
    EXPECT_FALSE(has_knote(q, 3, EVFILT_USER));
    EXPECT_EQ(q.apply(change(2, EVFILT_TIMER, EV_DELETE)), 0);
    write_bytes(*pipe.write, 1);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, 1);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    EXPECT_EQ(q.wait().size(), 2U);
}

TEST_F(CpOnFork, R324_DataThatComeAfterTheForkAreReportedToBoth) {
    const Pipe pipe = make_pipe();
    const Pair pair = make_tcp_pair();
    for (const int how : {0, EV_CLEAR, EV_DISPATCH, EV_ONESHOT}) {
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | how),
                          change(*pair.first, EVFILT_READ, EV_ADD | how)),
                  0);
        expect_none(q.collect());
        in_child([&] {
            expect_none(q.collect());
            write_bytes(*pipe.write, 2);
            expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | how, 0, 2);
            write_bytes(*pair.second, 3);
            wait_readable(*pair.first);
            const std::vector<Event> events = q.wait();
            if (how == EV_CLEAR)
                return expect_only(events, *pair.first, EVFILT_READ, EV_ADD | how, 0, 3);
            const size_t repeated = how == 0 ? 1 : 0;
            ASSERT_EQ(events.size(), 1 + repeated);
            expect_event(events.back(), *pair.first, EVFILT_READ, EV_ADD | how, 0, 3);
        });
        EXPECT_EQ(q.wait().size(), 2U);
        drain(*pipe.read);
        drain(*pair.first);
        (void)q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE));
        (void)q.apply(change(*pair.first, EVFILT_READ, EV_DELETE));
    }
}

// The kernel has more than one registration for such a descriptor.
TEST_F(CpOnFork, R324_ReadAndWriteOfDifferentModes) {
    const Pair pair = make_tcp_pair();
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_READ, EV_ADD),
                      change(*pair.first, EVFILT_WRITE, EV_ADD | EV_CLEAR)),
              0);
    EXPECT_EQ(q.wait().size(), 1U);
    in_child([&] {
        expect_none(q.collect());
        write_bytes(*pair.second, 1);
        expect_only(q.wait(), *pair.first, EVFILT_READ, EV_ADD, 0, 1);
    });
    expect_only(q.wait(), *pair.first, EVFILT_READ, EV_ADD, 0, 1);
}

TEST_F(CpOnFork, R325_WhatIsPendingStaysPendingInOrder) {
    const Pipe pipe = make_pipe();
    write_bytes(*pipe.write, 1);
    ASSERT_EQ(q.apply(change(3, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER | 7),
                      change(*pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR),
                      change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER | 8, 9),
                      change(2, EVFILT_USER, EV_ADD | EV_DISPATCH, NOTE_TRIGGER)),
              0);
    in_both([&] {
        EXPECT_TRUE(q.readable());
        const std::vector<Event> events = q.wait();
        ASSERT_EQ(events.size(), 4U);
        expect_event(events[0], 3, EVFILT_USER, EV_ADD | EV_ONESHOT, 7);
        expect_event(events[1], 1, EVFILT_USER, EV_ADD | EV_CLEAR, 8, 9);
        expect_event(events[2], 2, EVFILT_USER, EV_ADD | EV_DISPATCH);
        expect_event(events[3], *pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 1);
        expect_none(q.collect());
        EXPECT_FALSE(has_knote(q, 3, EVFILT_USER));
    });
}

TEST_F(CpOnFork, R325_WhatDidNotFitIsStillPending) {
    for (int i = 0; i < 10; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    EXPECT_EQ(q.wait(4).size(), 4U);
    in_both([&] {
        EXPECT_TRUE(q.readable());
        EXPECT_EQ(idents(q.wait()), (std::vector<uintptr_t>{4, 5, 6, 7, 8, 9}));
    });
}

// An edge that was reported in the parent is no event in the child. Data that were not reported are
// an event there.
TEST_F(CpOnFork, R326_AnEdgeThatWasReportedIsNotReportedAgain) {
    const Pipe pipe = make_pipe();
    const Pair pair = make_tcp_pair();
    write_bytes(*pipe.write, 3);
    write_bytes(*pair.second, 5);
    wait_readable(*pair.first);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR),
                      change(*pipe.write, EVFILT_WRITE, EV_ADD | EV_CLEAR),
                      change(*pair.first, EVFILT_READ, EV_ADD | EV_CLEAR),
                      change(*pair.first, EVFILT_WRITE, EV_ADD | EV_CLEAR)),
              0);
    EXPECT_EQ(q.wait().size(), 4U);
    in_both([&] { expect_none(q.collect()); });
    in_child([&] {
        write_bytes(*pipe.write, 1);
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 4);
    });
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 4);
}

TEST_F(CpOnFork, R326_DisabledAndDispatchedKnotesStaySo) {
    const Pipe pipe = make_pipe();
    const Pipe other = make_pipe();
    write_bytes(*pipe.write, 1);
    write_bytes(*other.write, 1);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_DISPATCH),
                      change(*other.read, EVFILT_READ, EV_ADD | EV_DISABLE),
                      change(1, EVFILT_USER, EV_ADD | EV_DISABLE, NOTE_TRIGGER)),
              0);
    EXPECT_EQ(q.wait().size(), 1U);
    in_both([&] {
        expect_none(q.collect());
        EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ENABLE)), 0);
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_DISPATCH, 0, 1);
        EXPECT_EQ(q.apply(change(*other.read, EVFILT_READ, EV_ENABLE)), 0);
        expect_only(q.wait(), *other.read, EVFILT_READ, EV_ADD, 0, 1);
        EXPECT_EQ(q.apply(change(*other.read, EVFILT_READ, EV_DISABLE)), 0);
        EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ENABLE)), 0);
        expect_only(q.wait(), 1, EVFILT_USER, EV_ADD);
    });
}

TEST_F(CpOnFork, R327_TimersKeepTheirDeadlines) {
    const auto start = now();
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 300),
                      change(2, EVFILT_TIMER, EV_ADD, 0, 60'000),
                      change(3, EVFILT_TIMER, EV_ADD | EV_DISABLE, 0, 1),
                      change(4, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 0)),
              0);
    ASSERT_TRUE(q.wait_until_readable());
    const pid_t pid = ::fork();
    for (const bool child : {pid == 0}) {
        std::vector<Event> events = q.collect();
        EXPECT_FALSE(events.empty());
        const std::vector<Event> later = collect_all(q, 2 - std::min(events.size(), size_t{2}));
        events.insert(events.end(), later.begin(), later.end());
        EXPECT_EQ(idents(events), (std::vector<uintptr_t>{4, 1}));
        for (const Event& e : events)
            expect_only({e}, static_cast<Ident>(e.ident), EVFILT_TIMER,
                        EV_ADD | EV_ONESHOT | EV_CLEAR, 0, 1);
        EXPECT_GE(since(start).count(), 299);
        EXPECT_TRUE(has_knote(q, 2, EVFILT_TIMER));
        if (child) leave(HasFailure() ? 1 : 0);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
}

TEST_F(CpOnFork, R328_SignalsAreThoseOfTheProcess) {
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD),
                      change(SIGUSR2, EVFILT_SIGNAL, EV_ADD | EV_DISABLE)),
              0);
    in_child([&] {
        send(SIGUSR1);
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1);
        send(SIGUSR2);
        expect_none(q.collect());
        EXPECT_EQ(q.apply(change(SIGUSR2, EVFILT_SIGNAL, EV_ENABLE)), 0);
        expect_only(q.wait(), SIGUSR2, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1);
        EXPECT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_DELETE)), 0);
    });
    expect_none(q.collect());
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1);
}

TEST_F(CpOnFork, R328_SignalsThatWerePendingAtTheForkAreReportedToBoth) {
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD)), 0);
    send(SIGUSR1);
    send(SIGUSR1);
    in_both([&] {
        EXPECT_TRUE(q.readable());
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 2);
        send(SIGUSR1);
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1);
    });
}

TEST_F(CpOnFork, R329_ChangesOfFiles) {
    const TempFile file("content");
    const TempFile other("content");
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_ATTRIB),
                      change(*other.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)),
              0);
    write_bytes(*other.fd, 1);
    in_child([&] {
        expect_only(q.wait(), *other.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
        write_bytes(*file.fd, 1);
        const std::vector<Event> events = q.wait();
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].ident, static_cast<uintptr_t>(*file.fd));
        EXPECT_NE(events[0].fflags & NOTE_WRITE, 0U);
    });
    std::vector<Event> events = q.wait();
    if (events.size() == 1) events.push_back(q.wait().at(0));
    EXPECT_EQ(events.size(), 2U);
}

TEST_F(CpOnFork, R326_ReadOfAFileThatIsWatchedByVnodeIsNotReportedAgain) {
    const TempFile file("content");
    ASSERT_EQ(::lseek(*file.fd, 0, SEEK_SET), 0);
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_READ, EV_ADD | EV_CLEAR),
                      change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)),
              0);
    expect_only(q.wait(), *file.fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 7);
    in_both([&] { expect_none(q.collect()); });
    in_child([&] {
        ASSERT_EQ(::pwrite(*file.fd, "more", 4, 7), 4);
        std::vector<Event> events = q.wait();
        if (events.size() == 1) events.push_back(q.wait().at(0));
        EXPECT_EQ(events.size(), 2U);
    });
}

    #ifdef EV_UDATA_SPECIFIC
TEST_F(CpOnFork, R329_SeveralKnotesOfAFile) {
    constexpr int kOther = EV_ADD | EV_UDATA_SPECIFIC;
    const TempFile file("content");
    ASSERT_EQ(::lseek(*file.fd, 0, SEEK_SET), 0);
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_READ, EV_ADD),
                      change(*file.fd, EVFILT_READ, kOther | EV_DISABLE, 0, 0, tag(1))),
              0);
    in_both([&] {
        expect_only(q.wait(), *file.fd, EVFILT_READ, EV_ADD, 0, 7);
        EXPECT_EQ(
            q.apply(change(*file.fd, EVFILT_READ, EV_DELETE),
                    change(*file.fd, EVFILT_READ, EV_ENABLE | EV_UDATA_SPECIFIC, 0, 0, tag(1))),
            0);
        expect_only(q.wait(), *file.fd, EVFILT_READ, kOther, 0, 7, tag(1));
    });
}
    #endif

TEST_F(CpOnFork, R329_ReadOfAFile) {
    const TempFile file("content");
    ASSERT_EQ(::lseek(*file.fd, 0, SEEK_SET), 0);
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_READ, EV_ADD)), 0);
    in_both([&] { expect_only(q.wait(), *file.fd, EVFILT_READ, EV_ADD, 0, 7); });
    ASSERT_EQ(::lseek(*file.fd, 0, SEEK_END), 7);
    expect_none(q.collect());
    in_child([&] {
        expect_none(q.collect());
        ASSERT_EQ(::pwrite(*file.fd, "more", 4, 7), 4);
        expect_only(q.wait(), *file.fd, EVFILT_READ, EV_ADD, 0, 4);
    });
    expect_only(q.wait(), *file.fd, EVFILT_READ, EV_ADD, 0, 4);
}

// The children of the parent are not children of its child.
TEST_F(CpOnFork, R330_KnotesOfTheParentsChildrenAreNotInherited) {
    Sleeper sleeper;
    ASSERT_EQ(q.apply(change(sleeper.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT),
                      change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)),
              0);
    in_child([&] {
        EXPECT_FALSE(has_knote(q, sleeper.pid(), EVFILT_PROC));
        expect_only(q.wait(), 1, EVFILT_USER, EV_ADD);
    });
    expect_only(q.wait(), 1, EVFILT_USER, EV_ADD);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    sleeper.go();
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].fflags, NOTE_EXIT);
}

TEST_F(CpOnFork, R330_OtherProcessesAreWatched) {
    KQ_OF(linux);
    Stranger stranger;
    ASSERT_EQ(q.apply(change(stranger.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT),
                      change(::getpid(), EVFILT_PROC, EV_ADD, NOTE_EXIT)),
              0);
    const pid_t parent = ::getpid();
    in_child([&] {
        EXPECT_TRUE(has_knote(q, parent, EVFILT_PROC));
        expect_none(q.collect());
        stranger.go();
        const std::vector<Event> events = q.wait();
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].ident, static_cast<uintptr_t>(stranger.pid()));
    });
    EXPECT_EQ(q.wait().size(), 1U);
}

TEST_F(CpOnFork, R331_AKqueueInAKqueue) {
    const Queue inner(::kqueuex(KQUEUE_CPONFORK));
    const Queue lost;
    ASSERT_EQ(inner.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    ASSERT_EQ(lost.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    ASSERT_EQ(q.apply(change(inner.fd(), EVFILT_READ, EV_ADD | EV_CLEAR),
                      change(lost.fd(), EVFILT_READ, EV_ADD)),
              0);
    in_child([&] {
        expect_none(q.collect());
        EXPECT_EQ(q.apply(change(lost.fd(), EVFILT_READ, EV_DELETE)), EBADF);
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(inner.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
            expect_only(q.wait(), inner.fd(), EVFILT_READ, EV_ADD | EV_CLEAR, 0, 1);
            EXPECT_EQ(inner.wait().size(), 1U);
        }
    });
    expect_only(q.wait(), lost.fd(), EVFILT_READ, EV_ADD, 0, 1);
    EXPECT_EQ(inner.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    EXPECT_EQ(q.wait().size(), 2U);
}

TEST_F(CpOnFork, R331_APendingInnerKqueueIsPendingInTheOuter) {
    const Queue inner(::kqueuex(KQUEUE_CPONFORK));
    ASSERT_EQ(inner.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    ASSERT_EQ(q.apply(change(inner.fd(), EVFILT_READ, EV_ADD)), 0);
    in_both([&] { expect_only(q.wait(), inner.fd(), EVFILT_READ, EV_ADD, 0, 1); });
}

}  // namespace
}  // namespace kqtest

#endif
