// SPDX-License-Identifier: BSD-2-Clause
// A kqueue watched by another kqueue: EVFILT_READ, data is the number of events that wait in it.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <vector>

#include "support/absolute.h"
#include "support/kq.h"
#include "support/net.h"
#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class Nested : public KqTest {
  protected:
    int watch(const Queue& outer, const Queue& inner, int flags = 0) const {
        return outer.apply(change(inner.fd(), EVFILT_READ, EV_ADD | flags));
    }
    int watch(int flags = 0) const { return watch(outer_, inner_, flags); }
    void add_user(int ident, int flags = EV_CLEAR) const {
        ASSERT_EQ(inner_.apply(change(ident, EVFILT_USER, EV_ADD | flags)), 0);
    }
    void trigger(int ident = 1) const {
        ASSERT_EQ(inner_.apply(change(ident, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    }
    void expect(int flags, intptr_t data, int line = __builtin_LINE()) const {
        expect_only(outer_.wait(), inner_.fd(), EVFILT_READ, EV_ADD | flags, 0, data, nullptr,
                    __FILE__, line);
    }

    Queue inner_;
    Queue outer_;
};

TEST_F(Nested, R307_OneUserEventIsDataOne) {
    add_user(1);
    ASSERT_EQ(watch(), 0);
    expect_none(outer_.collect());
    trigger();
    expect(0, 1);
    expect(0, 1);  // by level: the event is still in the inner queue
}

// The inner queue is told of a descriptor that is closed, which is no event, and then of another.
TEST_F(Nested, R310_AnEdgeAfterNewsThatWereNoEvent) {
    Pair closed = make_socketpair(SOCK_STREAM);
    Pair ended = make_socketpair(SOCK_STREAM);
    const int number = *ended.first;
    ASSERT_EQ(watch(EV_CLEAR), 0);
    expect_none(outer_.collect());
    ASSERT_EQ(inner_.apply(change(number, EVFILT_READ, EV_ADD | EV_DISABLE)), 0);
    ASSERT_EQ(inner_.apply(change(*closed.first, EVFILT_READ, EV_ADD)), 0);
    ended.second.reset();
    closed.first.reset();
    expect_none(outer_.collect());
    ASSERT_EQ(inner_.apply(change(number, EVFILT_READ, EV_ENABLE)), 0);
    expect(EV_CLEAR, 1);
}

TEST_F(Nested, R308_DataCountsTheUserEventsThatWait) {
    ASSERT_EQ(watch(), 0);
    for (int n = 1; n <= 5; n++) {
        add_user(n);
        trigger(n);
        trigger(n);  // once more is no more
        expect(0, n);
    }
    EXPECT_EQ(inner_.collect(2).size(), 2u);
    expect(0, 3);
}

TEST_F(Nested, R308_EventsBeforeAddCount) {
    add_user(1);
    add_user(2);
    trigger(1);
    trigger(2);
    ASSERT_EQ(watch(), 0);
    expect(0, 2);
}

TEST_F(Nested, R308_DisabledKnotesDoNotCount) {
    add_user(1);
    add_user(2);
    ASSERT_EQ(watch(), 0);
    trigger(1);
    trigger(2);
    ASSERT_EQ(inner_.apply(change(2, EVFILT_USER, EV_DISABLE)), 0);
    expect(0, 1);
    ASSERT_EQ(inner_.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    expect_none(outer_.collect());
    ASSERT_EQ(inner_.apply(change(2, EVFILT_USER, EV_ENABLE)), 0);
    expect(0, 1);
}

TEST_F(Nested, R309_DrainedInnerIsSilentAndSleeps) {
    add_user(1);
    ASSERT_EQ(watch(), 0);
    for (int i = 0; i < 3; i++) {
        trigger();
        expect(0, 1);
        EXPECT_EQ(inner_.collect().size(), 1u);
        expect_none(outer_.collect());
    }
    expect_sleeps(outer_);
    EXPECT_FALSE(outer_.readable());
}

TEST_F(Nested, R310_ClearReportsEachTrigger) {
    add_user(1);
    ASSERT_EQ(watch(EV_CLEAR), 0);
    for (int i = 0; i < 100; i++) {
        trigger();
        expect(EV_CLEAR, 1);
        expect_none(outer_.collect());
        EXPECT_EQ(inner_.collect().size(), 1u);
        if (HasFailure()) break;
    }
}

TEST_F(Nested, R310_ClearSleepsWhileTheInnerIsNotDrained) {
    add_user(1);
    ASSERT_EQ(watch(EV_CLEAR), 0);
    trigger();
    expect(EV_CLEAR, 1);
    expect_sleeps(outer_);
    EXPECT_FALSE(outer_.readable());
}

TEST_F(Nested, R310_OneshotAndDispatch) {
    add_user(1);
    ASSERT_EQ(watch(EV_ONESHOT), 0);
    trigger();
    expect(EV_ONESHOT, 1);
    EXPECT_FALSE(has_knote(outer_, inner_.fd(), EVFILT_READ));
    ASSERT_EQ(watch(EV_DISPATCH), 0);
    expect(EV_DISPATCH, 1);
    expect_sleeps(outer_);
    ASSERT_EQ(outer_.apply(change(inner_.fd(), EVFILT_READ, EV_ENABLE)), 0);
    expect(EV_DISPATCH, 1);
}

TEST_F(Nested, R311_OneselfIsRefused) {
    EXPECT_EQ(watch(outer_, outer_), EINVAL);
    EXPECT_FALSE(has_knote(outer_, outer_.fd(), EVFILT_READ));
    expect_silent(outer_);
}

TEST_F(Nested, R311_OneselfByAnotherNumberIsRefused) {
    const Fd other(::fcntl(outer_.fd(), F_DUPFD_CLOEXEC, 3));
    EXPECT_EQ(outer_.apply(change(*other, EVFILT_READ, EV_ADD)), EINVAL);
    expect_silent(outer_);
}

TEST_F(Nested, R311_OnlyReadIsAccepted) {
    EXPECT_EQ(outer_.apply(change(inner_.fd(), EVFILT_WRITE, EV_ADD)), EINVAL);
    EXPECT_EQ(outer_.apply(change(inner_.fd(), EVFILT_WRITE, EV_DELETE)), ENOENT);
    expect_silent(outer_);
}

TEST_F(Nested, R312_ACycleIsRefusedOrHarmless) {
    const Queue third;
    ASSERT_EQ(watch(outer_, inner_), 0);
    ASSERT_EQ(watch(third, outer_), 0);
    const int error = watch(inner_, third);
    EXPECT_TRUE(error == 0 || error == EINVAL || error == ELOOP) << error;
    add_user(1);
    trigger();
    EXPECT_EQ(inner_.collect(1).size(), 1u);
    third.collect();  // may say anything, but must return
    outer_.collect();
}

TEST_F(Nested, R313_ClosingTheInnerIsSilent) {
    add_user(1);
    ASSERT_EQ(watch(), 0);
    trigger();
    expect(0, 1);
    inner_.close();
    expect_none(outer_.collect());
    expect_sleeps(outer_);
}

TEST_F(Nested, R313_ClosingTheOuterLeavesTheInner) {
    add_user(1);
    ASSERT_EQ(watch(), 0);
    trigger();
    outer_.close();
    expect_only(inner_.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(Nested, R313_TheNumberOfAClosedInnerCanBeWatchedAgain) {
    const int number = inner_.fd();
    ASSERT_EQ(watch(), 0);
    inner_.close();
    inner_ = Queue();
    ASSERT_EQ(inner_.fd(), number);
    add_user(1);
    trigger();
    expect_none(outer_.collect());  // no queue watches the new one yet
    ASSERT_EQ(watch(), 0);
    expect(0, 1);
}

TEST_F(Nested, R314_AChainOfFourOverAPipe) {
    const Queue third, fourth;
    const Pipe pipe = make_pipe();
    ASSERT_EQ(inner_.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(watch(outer_, inner_), 0);
    ASSERT_EQ(watch(third, outer_), 0);
    ASSERT_EQ(watch(fourth, third), 0);
    expect_sleeps(fourth);
    std::vector<Event> events;
    Thread waiter([&] { events = fourth.wait(); });
    waiter.wait_until_asleep();
    write_bytes(*pipe.write, 1);
    waiter.join();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].ident, static_cast<uintptr_t>(third.fd()));
    EXPECT_GE(events[0].data, 1);
    EXPECT_TRUE(fourth.readable());
    drain(*pipe.read);
    expect_none(fourth.collect());
    expect_sleeps(fourth);
}

TEST_F(Nested, R314_ALongChainWorksOrIsRefused) {
    std::vector<Queue> chain(12);
    size_t top = 0;
    for (size_t i = 1; i < chain.size(); i++) {
        const int error = watch(chain[i], chain[i - 1]);
        if (error != 0) {
            EXPECT_EQ(error, EINVAL) << "at level " << i;  // D-40
            break;
        }
        top = i;
    }
    EXPECT_GE(top, 3u);
    ASSERT_EQ(
        chain[0].apply(change(1, EVFILT_USER, EV_ADD), change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    EXPECT_EQ(chain[top].wait().size(), 1u);
}

TEST_F(Nested, R315_PollSeesTheOuterWhenTheInnerIsReady) {
    add_user(1);
    ASSERT_EQ(watch(), 0);
    EXPECT_FALSE(outer_.readable());
    trigger();
    EXPECT_TRUE(outer_.wait_until_readable());
    EXPECT_EQ(inner_.collect().size(), 1u);
    expect_none(outer_.collect());
    EXPECT_FALSE(outer_.readable());
}

TEST_F(Nested, R316_TriggerIsSeenAtOnce) {
    add_user(1);
    ASSERT_EQ(watch(), 0);
    for (int i = 0; i < 1000; i++) {
        trigger();
        ASSERT_EQ(outer_.collect().size(), 1u) << i;
        ASSERT_EQ(inner_.collect().size(), 1u) << i;
        ASSERT_EQ(outer_.collect().size(), 0u) << i;
    }
}

TEST_F(Nested, R307_AWaiterOnTheOuterIsWokenByATrigger) {
    add_user(1);
    ASSERT_EQ(watch(), 0);
    std::vector<Event> events;
    Thread waiter([&] { events = outer_.wait(); });
    waiter.wait_until_asleep();
    trigger();
    waiter.join();
    expect_only(events, inner_.fd(), EVFILT_READ, EV_ADD, 0, 1);
}

TEST_F(Nested, R307_ATimerInTheInnerWakesTheOuter) {
    ASSERT_EQ(watch(), 0);
    const auto start = now();
    ASSERT_EQ(inner_.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 50)), 0);
    expect(0, 1);
    EXPECT_GE(since(start), milliseconds{49});
    EXPECT_EQ(inner_.collect().size(), 1u);
    expect_sleeps(outer_);
}

// Nothing else in the inner queue wakes it.
TEST_F(Nested, R307_ATimerByTheWallClockInTheInnerWakesTheOuter) {
    ASSERT_EQ(watch(), 0);
    const Absolute at = absolute(std::chrono::system_clock::now() + milliseconds{50});
    ASSERT_EQ(inner_.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, at.fflags, at.data)), 0);
    expect(0, 1);
    EXPECT_EQ(inner_.collect().size(), 1u);
    expect_sleeps(outer_);
}

// The program drains the socket, and no call on the inner queue notices that before the next bytes.
TEST_F(Nested, R307_EachEdgeOfASocketInTheInnerWakesTheOuter) {
    const Pair pair = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(inner_.apply(change(*pair.first, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    ASSERT_EQ(watch(), 0);
    for (int i = 0; i < 3 && !HasFailure(); i++) {
        write_bytes(*pair.second, 1);
        expect(0, 1);
        EXPECT_EQ(inner_.collect().size(), 1u);
        read_bytes(*pair.first, 1);
    }
}

TEST_F(Nested, R307_AFileInTheInnerWakesTheOuter) {
    const TempFile file;
    ASSERT_EQ(inner_.apply(change(*file.fd, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(watch(), 0);
    expect_sleeps(outer_);
    write_bytes(*open_file(file.path, O_WRONLY), 5);
    expect(0, 1);
    expect(0, 1);
    EXPECT_EQ(drain(*file.fd), 5u);
    // What is queued in the inner may be stale (semantics 4.3) until it is collected.
    expect_none(inner_.collect());
    expect_none(outer_.collect());
    expect_sleeps(outer_);
}

// A backend may find such a signal only by looking.
TEST_F(Nested, R307_ABlockedSignalInTheInnerWakesTheOuter) {
    Child child([] {  // its signal mask is its own
        block(SIGUSR1);
        const Queue inner;
        const Queue outer;
        if (inner.apply(signals::add(SIGUSR1)) != 0) return 1;
        if (outer.apply(change(inner.fd(), EVFILT_READ, EV_ADD)) != 0) return 2;
        if (!outer.collect().empty()) return 3;
        send(SIGUSR1);
        return outer.wait().size() == 1 && inner.wait().size() == 1 ? 0 : 4;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

TEST_F(Nested, R307_WhatDidNotFitStillWaits) {
    for (int i = 1; i <= 4; i++) {
        add_user(i);
        trigger(i);
    }
    ASSERT_EQ(watch(), 0);
    EXPECT_EQ(inner_.collect(3).size(), 3u);
    expect(0, 1);
    EXPECT_TRUE(outer_.readable());
}

TEST_F(Nested, R308_ReadyDescriptorsInTheInner) {
    const Pipe a = make_pipe();
    const Pipe b = make_pipe();
    for (const Pipe* pipe : {&a, &b})
        ASSERT_EQ(inner_.apply(change(*pipe->read, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(watch(), 0);
    write_bytes(*a.write, 1);
    write_bytes(*b.write, 1);
    // The count may include only what the inner queue has noticed.
    expect_between(outer_.wait(), inner_.fd(), EVFILT_READ, EV_ADD, 1, 2);
    drain(*a.read);
    expect_between(outer_.wait(), inner_.fd(), EVFILT_READ, EV_ADD, 1, 2);
    drain(*b.read);
    expect_none(outer_.collect());
    expect_sleeps(outer_);
}

TEST_F(Nested, R313_DeletingTheKnoteOfTheInner) {
    add_user(1);
    ASSERT_EQ(watch(), 0);
    trigger();
    ASSERT_EQ(outer_.apply(change(inner_.fd(), EVFILT_READ, EV_DELETE)), 0);
    expect_sleeps(outer_);
    EXPECT_EQ(inner_.collect().size(), 1u);
}

TEST_F(Nested, R74_TwoOutersOfOneInner) {
    const Queue second;
    add_user(1);
    ASSERT_EQ(watch(EV_CLEAR), 0);
    ASSERT_EQ(watch(second, inner_), 0);
    trigger();
    expect(EV_CLEAR, 1);
    expect_only(second.wait(), inner_.fd(), EVFILT_READ, EV_ADD, 0, 1);
    EXPECT_EQ(inner_.collect().size(), 1u);
    expect_none(outer_.collect());
    expect_none(second.collect());
}

}  // namespace
}  // namespace kqtest
