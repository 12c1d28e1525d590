// SPDX-License-Identifier: BSD-2-Clause
// kevent() on duplicates of a kqueue's descriptor: R-11.
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class Duplicate : public KqTest {
  protected:
    static Event user(int flags, unsigned fflags = 0) {
        return change(1, EVFILT_USER, flags, fflags);
    }
    static void expect_trigger(const Queue& by, const Queue& seen) {
        ASSERT_EQ(by.apply(user(0, NOTE_TRIGGER)), 0);
        EXPECT_TRUE(seen.readable());
        expect_only(seen.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
        EXPECT_FALSE(by.readable());
    }
};

TEST_F(Duplicate, R11_SurvivesTheCloseOfTheOriginal) {
    Queue original;
    const Pipe pipe = make_pipe();
    ASSERT_EQ(original.apply(user(EV_ADD | EV_CLEAR), change(*pipe.read, EVFILT_READ, EV_ADD),
                             change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_DISABLE, 0, 50)),
              0);
    const Queue copy(::dup(original.fd()));
    expect_trigger(copy, original);
    const int number = original.fd();
    original.close();
    Event event{};
    EXPECT_EQ(::kevent(number, nullptr, 0, &event, 1, &kAtOnce), -1);
    EXPECT_EQ(errno, EBADF);
    expect_trigger(copy, copy);
    ASSERT_EQ(copy.apply(change(2, EVFILT_TIMER, EV_ENABLE)), 0);
    expect_only(copy.wait(), 2, EVFILT_TIMER, EV_ADD | EV_CLEAR | EV_ONESHOT, 0, 1);
    write_bytes(*pipe.write, 1);
    expect_only(copy.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, 1);
}

// The duplicate is not used before the original is closed. The library hears of the close first.
TEST_F(Duplicate, R11_IsFoundWhenTheOriginalIsReclaimed) {
    for (const bool reused : {false, true}) {
        Queue original;
        ASSERT_EQ(original.apply(user(EV_ADD | EV_CLEAR)), 0);
        const Queue copy(::dup(original.fd()));
        const int number = original.fd();
        original.close();
        libkqueue_drain_pending_close();
        const Queue next = reused ? Queue() : Queue(::dup(copy.fd()));
        EXPECT_EQ(next.fd(), number);
        expect_trigger(copy, copy);
        if (reused)
            expect_silent(next);
        else
            expect_trigger(next, copy);
    }
}

// Event ports lose their associations (S-DUP), and the library makes them again.
TEST_F(Duplicate, R11_ClosingOneTakesNothingAway) {
    const Queue original;
    const Pipe pipe = make_pipe();
    const Pipe other = make_pipe();
    ASSERT_EQ(original.apply(change(*pipe.read, EVFILT_READ, EV_ADD),
                             change(*other.read, EVFILT_READ, EV_ADD)),
              0);
    for (int round = 0; round < 3; round++) {
        ::close(::dup(original.fd()));
        std::vector<Event> events;
        Thread waiter([&] { events = original.wait(); });
        waiter.wait_until_asleep();
        write_bytes(*pipe.write, 1);
        waiter.join();
        expect_only(events, *pipe.read, EVFILT_READ, EV_ADD, 0, 1);
        drain(*pipe.read);
    }
}

// On some systems closing a duplicate ends the reports of files. There the library must ask for
// them again. The pipe shows the library that this has happened (S-DUP).
TEST_F(Duplicate, R11_ClosingOneTakesNoFileAway) {
    const Queue original;
    const Pipe pipe = make_pipe();
    const TempFile file("abc");
    ASSERT_EQ(original.apply(change(*pipe.read, EVFILT_READ, EV_ADD),
                             change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)),
              0);
    for (int round = 0; round < 3; round++) {
        ::close(::dup(original.fd()));
        std::vector<Event> events;
        Thread waiter([&] { events = original.wait(); });
        waiter.wait_until_asleep();
        write_bytes(*file.fd, 1);
        waiter.join();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].fflags & NOTE_WRITE, 1u * NOTE_WRITE);
    }
}

// The second timer is added in one pass (at_once.h), and must count as a knote: a kqueue that has
// no knotes is forgotten here.
TEST_F(Duplicate, R11_KeepsATimerThatWasAddedBesideAnother) {
    Queue original;
    for (const uintptr_t ident : {1U, 2U})
        ASSERT_EQ(original.apply(change(ident, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 20)), 0);
    ASSERT_EQ(original.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
    const Queue copy(::dup(original.fd()));
    original.close();
    libkqueue_drain_pending_close();
    expect_only(copy.wait(), 2, EVFILT_TIMER, EV_ADD | EV_CLEAR | EV_ONESHOT, 0, 1);
}

TEST_F(Duplicate, R11_OfAnEmptyQueueIsAQueue) {
    Queue original;
    const Queue copy(::dup(original.fd()));
    original.close();
    libkqueue_drain_pending_close();
    ASSERT_EQ(copy.apply(user(EV_ADD | EV_CLEAR)), 0);
    expect_trigger(copy, copy);
}

TEST_F(Duplicate, R11_TheNumberOfADuplicateIsReused) {
    Queue original;
    ASSERT_EQ(original.apply(user(EV_ADD | EV_CLEAR)), 0);
    const int number = ::dup(original.fd());
    {
        const Queue copy(number);
        expect_trigger(copy, original);
    }
    Event event{};
    EXPECT_EQ(::kevent(number, nullptr, 0, &event, 1, &kAtOnce), -1);
    EXPECT_EQ(errno, EBADF);
    {
        const Fd foreign(::epoll_create1(EPOLL_CLOEXEC));
        ASSERT_EQ(*foreign, number);
        EXPECT_EQ(::kevent(number, nullptr, 0, &event, 1, &kAtOnce), -1);
        EXPECT_EQ(errno, EBADF);
    }
    {
        const Queue other;
        ASSERT_EQ(other.fd(), number);
        expect_silent(other);
    }
    {
        const Queue copy(::dup(original.fd()));
        expect_trigger(copy, original);
        const Queue third;
        ASSERT_EQ(::dup3(third.fd(), copy.fd(), O_CLOEXEC), copy.fd());  // of another queue now
        ASSERT_EQ(third.apply(change(7, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
        expect_only(copy.collect(), 7, EVFILT_USER, EV_ADD | EV_CLEAR);
    }
    expect_trigger(original, original);
}

// The library does not look for duplicates with such high numbers, and the kernel queue is replaced
// (see close_test.cc). The duplicate gets the new kernel queue when it is used.
TEST_F(Duplicate, R11_OfAHighNumberFollowsAQueueThatAClosedDescriptorHadHaunted) {
    const Queue original;
    const int high = ::fcntl(original.fd(), F_DUPFD_CLOEXEC, 1500);
    if (high < 0) GTEST_SKIP() << "the limit of descriptors is too low";
    const Queue copy(high);
    ASSERT_EQ(copy.apply(user(EV_ADD | EV_CLEAR)), 0);
    Pipe pipe = make_pipe();
    ASSERT_EQ(original.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    const Fd kept(::dup(*pipe.read));
    pipe.read.reset();
    write_bytes(*pipe.write, 1);
    expect_none(original.collect(16, milliseconds{100}));
    expect_none(copy.collect(16, milliseconds{100}));
    expect_trigger(original, copy);
    expect_trigger(copy, original);
}

TEST_F(Duplicate, R11_AThreadWaitsOnADuplicate) {
    const Queue original;
    ASSERT_EQ(original.apply(user(EV_ADD | EV_CLEAR)), 0);
    const Queue copy(::dup(original.fd()));
    std::vector<Event> events;
    Thread waiter([&] { events = copy.wait(); });
    waiter.wait_until_asleep();
    ASSERT_EQ(original.apply(user(0, NOTE_TRIGGER)), 0);
    waiter.join();
    expect_only(events, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

// A descriptor was closed, but its file stays open. Then the library replaces the kernel queue
// of the original (Kqueue::renew), but not that of a duplicate.
TEST_F(Duplicate, R11_SurvivesAFileThatOutlivedItsDescriptor) {
    for (const bool used : {false, true}) {
        Queue original;
        ASSERT_EQ(original.apply(user(EV_ADD | EV_CLEAR)), 0);
        const Queue copy(::dup(original.fd()));
        if (used) expect_trigger(copy, original);
        Pipe gone = make_pipe();
        ASSERT_EQ(original.apply(change(*gone.read, EVFILT_READ, EV_ADD)), 0);
        const Fd kept(::dup(*gone.read));
        gone.read.reset();
        write_bytes(*gone.write, 1);
        for (int i = 0; i < 50; i++)
            expect_none(original.collect());
        ASSERT_EQ(copy.apply(user(0, NOTE_TRIGGER)), 0);
        expect_only(copy.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
        const Pipe pipe = make_pipe();
        ASSERT_EQ(original.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
        original.close();
        write_bytes(*pipe.write, 1);
        expect_only(copy.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, 1);
    }
}

TEST_F(Duplicate, R281_IsNotInheritedEither) {
    const Queue original;
    ASSERT_EQ(original.apply(user(EV_ADD | EV_CLEAR)), 0);
    const Queue used(::dup(original.fd()));
    const Queue unused(::dup(original.fd()));
    expect_trigger(used, original);
    Child child([&] {
        Event event{};
        for (const int fd : {original.fd(), used.fd(), unused.fd()})
            if (::kevent(fd, nullptr, 0, &event, 1, &kAtOnce) != -1 || errno != EBADF) return 1;
        return ::close(used.fd()) == -1 && errno == EBADF ? 0 : 2;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
    expect_trigger(unused, original);
}

}  // namespace
}  // namespace kqtest
