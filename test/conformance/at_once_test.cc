// SPDX-License-Identifier: BSD-2-Clause
// The usual changes, and the usual report of a user event, are done in one pass (src/at_once.h).
// These tests check what such a pass must not do, and what it must leave to the usual way.
#include <cerrno>

#include "support/gaps.h"
#include "support/kq.h"

namespace kqtest {
namespace {

class AtOnce : public KqTest {
  protected:
    void add_user(uintptr_t ident, int flags = EV_ADD | EV_CLEAR) const {
        ASSERT_EQ(q.apply(change(ident, EVFILT_USER, flags)), 0);
    }
    void trigger(uintptr_t ident) const {
        ASSERT_EQ(q.apply(change(ident, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    }

    Queue q;
};

// ---- EV_ENABLE and EV_DISABLE ----

TEST_F(AtOnce, R85_EnabledAgainItReportsWhatCameMeanwhile) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DISABLE)), 0);
        write_bytes(*pipe.write, 1);
        expect_none(q.collect());  // here the kernel reports it, and is told to be silent
        EXPECT_FALSE(q.readable());
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ENABLE)), 0);
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, i + 1);
    }
}

TEST_F(AtOnce, R85_AnEdgeIsReportedAnewWhenItIsEnabled) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    write_bytes(*pipe.write, 1);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 1);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DISABLE)), 0);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ENABLE)), 0);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 1);
}

TEST_F(AtOnce, R85_ASpentOneOfDispatchIsArmedAgain) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_DISPATCH)), 0);
    write_bytes(*pipe.write, 1);
    for (int i = 0; i < 3; i++) {
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_DISPATCH, 0, 1);
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ENABLE)), 0);
    }
}

// A call takes all reports from the kernel, but its list has room for one event. So a knote waits
// for its turn. When it is disabled, that must be taken back.
TEST(AtOnceAlone, R6_ADisabledKnoteThatWaitedIsNotPending) {
    for (const int flags : {EV_ADD, EV_ADD | EV_CLEAR, EV_ADD | EV_DISPATCH}) {
        const Queue queue;
        const Pipe first = make_pipe();
        const Pipe second = make_pipe();
        ASSERT_EQ(queue.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
        for (const Pipe* pipe : {&first, &second}) {
            ASSERT_EQ(queue.apply(change(*pipe->read, EVFILT_READ, flags)), 0);
            write_bytes(*pipe->write, 1);
        }
        ASSERT_EQ(queue.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        const std::vector<Event> one = queue.wait(1);
        ASSERT_EQ(one.size(), 1U);
        const bool took_first =
            one[0].filter == EVFILT_READ && one[0].ident == static_cast<uintptr_t>(*first.read);
        const Pipe& disabled = took_first ? second : first;
        ASSERT_EQ(queue.apply(change(*disabled.read, EVFILT_READ, EV_DISABLE)), 0);
        for (int i = 0; i < 3; i++)
            for (const Event& event : queue.collect())
                EXPECT_FALSE(event.filter == EVFILT_READ &&
                             event.ident == static_cast<uintptr_t>(*disabled.read));
        ASSERT_EQ(queue.apply(change(*disabled.read, EVFILT_READ, EV_ENABLE)), 0);
        bool came = false;
        for (int i = 0; i < 3; i++)
            for (const Event& event : queue.collect())
                came = came || event.ident == static_cast<uintptr_t>(*disabled.read);
        EXPECT_TRUE(came);
    }
}

TEST_F(AtOnce, TheSwitchKeepsTheNewUdata) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD, 0, 0, tag(1))), 0);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DISABLE, 0, 0, tag(2))), 0);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ENABLE, 0, 0, tag(3))), 0);
    write_bytes(*pipe.write, 1);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, 1, tag(3));
}

TEST_F(AtOnce, SwitchesOfWhatIsNotThereFail) {
    const Pipe pipe = make_pipe();
    EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DISABLE)), ENOENT);
    EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_WRITE, EV_ENABLE)), ENOENT);
    EXPECT_EQ(q.apply(change(-1, EVFILT_READ, EV_ENABLE)), EBADF);
}

// ---- user events ----

TEST_F(AtOnce, R47_TriggersComeInTheirOrder) {
    for (const uintptr_t ident : {1U, 2U, 3U})
        add_user(ident);
    for (const uintptr_t ident : {2U, 3U, 1U, 2U})
        trigger(ident);
    for (const uintptr_t ident : {2U, 3U, 1U})
        expect_only(q.collect(1), ident, EVFILT_USER, EV_ADD | EV_CLEAR);
    expect_none(q.collect());
    EXPECT_FALSE(q.readable());
}

TEST_F(AtOnce, R6_WhatIsLeftOverIsPendingStill) {
    add_user(1);
    add_user(2);
    for (int i = 0; i < 2; i++) {
        trigger(1);
        trigger(2);
        EXPECT_EQ(q.collect(2).size(), 2U);
        EXPECT_FALSE(q.readable());
        trigger(1);
        trigger(2);
        expect_only(q.collect(1), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
        EXPECT_TRUE(q.readable());
        expect_only(q.collect(1), 2, EVFILT_USER, EV_ADD | EV_CLEAR);
        EXPECT_FALSE(q.readable());
    }
}

// A user event is triggered beside another one that stays pending. The other one ends later.
TEST_F(AtOnce, R6_NothingIsPendingWhenTheLastHasEnded) {
    add_user(1, EV_ADD);
    add_user(2);
    trigger(1);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD);
    trigger(2);
    EXPECT_EQ(q.collect().size(), 2U);
    EXPECT_TRUE(q.readable());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    EXPECT_FALSE(q.readable());
    expect_none(q.collect());
    trigger(2);
    EXPECT_TRUE(q.readable());
    expect_only(q.collect(), 2, EVFILT_USER, EV_ADD | EV_CLEAR);
    EXPECT_FALSE(q.readable());
    // Now the other one ends while both are pending.
    add_user(1, EV_ADD);
    trigger(1);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD);
    trigger(2);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    expect_only(q.collect(), 2, EVFILT_USER, EV_ADD | EV_CLEAR);
    EXPECT_FALSE(q.readable());
}

TEST_F(AtOnce, S23_ATriggerHidesNothingThatTheKernelHas) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    add_user(7);
    for (int i = 0; i < 3; i++) {
        trigger(7);
        write_bytes(*pipe.write, 1);
        EXPECT_EQ(q.collect(2).size(), 2U);
        trigger(7);
        std::map<int, int> count;
        for (int call = 0; call < 2; call++)
            for (const Event& event : q.collect(1))
                count[event.filter]++;
        EXPECT_EQ(count[EVFILT_USER], 1);
        EXPECT_EQ(count[EVFILT_READ], 1);
    }
}

TEST_F(AtOnce, R6_ATriggerThatWasTakenBackIsNotPending) {
    add_user(1);
    trigger(1);
    EXPECT_TRUE(q.readable());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DISABLE)), 0);
    EXPECT_FALSE(q.readable());
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ENABLE)), 0);
    EXPECT_TRUE(q.readable());
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    trigger(1);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    EXPECT_FALSE(q.readable());
    expect_none(q.collect());
}

// Knotes whose report does something else than clearing the trigger.
TEST_F(AtOnce, OtherUserEventsAreWhatTheyAskedFor) {
    add_user(1, EV_ADD);
    trigger(1);
    for (int i = 0; i < 3; i++) {
        expect_only(q.collect(), 1, EVFILT_USER, EV_ADD);
        EXPECT_TRUE(q.readable());
    }
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    add_user(2, EV_ADD | EV_ONESHOT | EV_CLEAR);
    trigger(2);
    expect_only(q.collect(), 2, EVFILT_USER, EV_ADD | EV_ONESHOT | EV_CLEAR);
    EXPECT_EQ(q.apply(change(2, EVFILT_USER, 0, NOTE_TRIGGER)), ENOENT);
    add_user(3, EV_ADD | EV_DISPATCH | EV_CLEAR);
    trigger(3);
    expect_only(q.collect(), 3, EVFILT_USER, EV_ADD | EV_DISPATCH | EV_CLEAR);
    trigger(3);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(3, EVFILT_USER, EV_ENABLE)), 0);
    expect_only(q.collect(), 3, EVFILT_USER, EV_ADD | EV_DISPATCH | EV_CLEAR);
}

TEST_F(AtOnce, R270_ValuesOfATriggerAreThoseOfAnyChange) {
    add_user(1);
    const auto change_of = [](unsigned fflags, intptr_t data, uintptr_t udata) {
        return change(1, EVFILT_USER, 0, NOTE_TRIGGER | fflags, data, tag(udata));
    };
    ASSERT_EQ(q.apply(change_of(NOTE_FFOR | 0x5, 10, 1)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0x5, 10, tag(1));
    ASSERT_EQ(q.apply(change_of(NOTE_FFAND | 0x4, 11, 2)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0x4, 11, tag(2));
    ASSERT_EQ(q.apply(change_of(NOTE_FFCOPY | 0x8, 12, 3)), 0);
    ASSERT_EQ(q.apply(change_of(NOTE_FFNOP | 0x1, 13, 4)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0x8, 13, tag(4));
}

TEST_F(AtOnce, ATriggerThatWasReportedIsOver) {
    add_user(1);
    for (int i = 0; i < 2; i++) {
        trigger(1);
        EXPECT_TRUE(q.readable());
        expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DISABLE)), 0);
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ENABLE)), 0);
        EXPECT_FALSE(q.readable());
        expect_none(q.collect());
    }
}

// Flags that come with NOTE_TRIGGER take effect, too.
TEST_F(AtOnce, R274_FlagsBesideATrigger) {
    add_user(1);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DISABLE, NOTE_TRIGGER)), 0);
    EXPECT_FALSE(q.readable());
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ENABLE, NOTE_TRIGGER)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE, NOTE_TRIGGER)), 0);
    expect_none(q.collect());
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), ENOENT);
}

// The number belongs to another file, and then to another kqueue.
TEST_F(AtOnce, R10_ATriggerInAClosedQueueConcernsNothingElse) {
    const Pipe pipe = make_pipe();
    add_user(1);
    const int number = q.fd();
    ASSERT_EQ(q.close(), 0);
    const Fd other(::dup(*pipe.read));
    ASSERT_EQ(*other, number);
    const Event trigger_it = change(1, EVFILT_USER, 0, NOTE_TRIGGER);
    (void)::kevent(number, &trigger_it, 1, nullptr, 0, nullptr);
    const Queue next;
    EXPECT_EQ(next.apply(trigger_it), ENOENT);
    EXPECT_FALSE(next.readable());
    expect_none(next.collect());
    EXPECT_FALSE(wait_readable(*other, milliseconds{0}));
}

// ---- timers ----

constexpr intptr_t kLong = 60'000;  // ms

TEST_F(AtOnce, R249_ATimerThatIsMadeEarlierFiresThen) {
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, kLong)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 2 * kLong)), 0);
    ASSERT_EQ(q.apply(change(2, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, kLong)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, 5, tag(1))), 0);
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].ident, 1U);
    EXPECT_EQ(events[0].udata, tag(1));
}

// No thread calls kevent() between the changes and poll().
TEST_F(AtOnce, R6_PollHearsOfATimerThatIsMadeEarlier) {
    if (!on_linux()) GTEST_SKIP() << "P-POLL";
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, kLong)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 2 * kLong)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 2)), 0);
    EXPECT_TRUE(q.wait_until_readable());
    EXPECT_EQ(q.wait().size(), 1U);
}

TEST_F(AtOnce, R249_WhatIsPutOffStaysWhatItWas) {
    // A timer stays periodic or one-shot, as the first EV_ADD said. A disabled timer stays
    // disabled.
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, kLong)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, kLong)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, 1)), 0);
    for (int i = 0; i < 2; i++)
        ASSERT_EQ(q.wait().size(), 1U);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DISABLE)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, 1)), 0);
    expect_none(q.collect(1, milliseconds{20}));
}

TEST_F(AtOnce, R249_AnExpiryThatWasNotReportedIsTakenBack) {
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, 1)), 0);
    const Clock::time_point start = now();
    while (since(start) < milliseconds{2})
        continue;  // no other kqueue, and no thread: they would take the usual way
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, kLong)), 0);
    EXPECT_FALSE(q.readable());
    expect_none(q.collect());
}

TEST_F(AtOnce, TimersThatAreNotPutOffButChangedOtherwise) {
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, kLong)), 0);
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, -1)), EINVAL);
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS | NOTE_USECONDS, 1)), EINVAL);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_DISABLE, 0, 1)), 0);
    expect_none(q.collect(1, milliseconds{20}));
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ENABLE)), 0);
    EXPECT_EQ(q.wait().size(), 1U);
    // A time that is long past, on the wall clock.
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE | NOTE_SECONDS, 1)), 0);
    EXPECT_EQ(q.wait().size(), 1U);
}

// ---- a change with an eventlist ----

TEST_F(AtOnce, R20_AnAnswerEndsTheCall) {
    const Pipe pipe = make_pipe();
    write_bytes(*pipe.write, 1);
    const Event add = change(*pipe.read, EVFILT_READ, EV_ADD | EV_RECEIPT);
    expect_answers(q.call({add}, 4, kForever), {{add, 0}});
    const Event wrong = change(*pipe.read, EVFILT_WRITE, EV_ENABLE);
    expect_answers(q.call({wrong}, 4, kForever), {{wrong, ENOENT}});
    const Event plain = change(*pipe.read, EVFILT_READ, EV_ENABLE);
    EXPECT_EQ(q.call({plain}, 4, kForever).ret, 1);
}

// ---- errno ----

TEST_F(AtOnce, ErrnoStaysAsItWas) {
    const Pipe pipe = make_pipe();
    const std::vector<Event> changes = {
        change(*pipe.read, EVFILT_READ, EV_ADD),       change(*pipe.read, EVFILT_READ, EV_DISABLE),
        change(*pipe.read, EVFILT_READ, EV_ENABLE),    change(1, EVFILT_USER, EV_ADD | EV_CLEAR),
        change(1, EVFILT_USER, 0, NOTE_TRIGGER),       change(1, EVFILT_TIMER, EV_ADD, 0, kLong),
        change(1, EVFILT_TIMER, EV_ADD, 0, 2 * kLong), change(2, EVFILT_TIMER, EV_ADD, 0, kLong),
        change(3, EVFILT_TIMER, EV_ADD, 0, 3 * kLong),
    };
    for (const Event& one : changes) {
        errno = EDOM;
        ASSERT_EQ(::kevent(q.fd(), &one, 1, nullptr, 0, nullptr), 0);
        EXPECT_EQ(errno, EDOM) << to_string(one);
    }
    Event event;
    errno = EDOM;
    ASSERT_EQ(::kevent(q.fd(), nullptr, 0, &event, 1, &kAtOnce), 1);
    EXPECT_EQ(errno, EDOM);
}

}  // namespace
}  // namespace kqtest
