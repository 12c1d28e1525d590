// SPDX-License-Identifier: BSD-2-Clause
// Calls that the library must not make. The design promises to be lazy (fd_watch.h, platform.h).
// The tests count the calls that reach the kernel.
#include "sim_test.h"

namespace sim {
namespace {

class Lazy : public Sim {};

TEST_F(Lazy, DisablingAndEnablingALevelKnoteCallsNothing) {
    Queue q;
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
    reset_counts();
    for (int i = 0; i < 5; i++) {
        ASSERT_EQ(q.change(fd, EVFILT_READ, EV_DISABLE), Errno::ok);
        ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ENABLE), Errno::ok);
    }
    EXPECT_EQ(counts().watch, 0);
    EXPECT_EQ(counts().control, 0);
    world().feed(fd, 1);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_EQ(counts().control, 0);
}

// A disabled source is silenced in the kernel when it reports something. That takes one call, once.
TEST_F(Lazy, ADisabledSourceIsSilencedWhenItSpeaks) {
    Queue q;
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_DISABLE), Errno::ok);
    reset_counts();
    world().feed(fd, 1);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_EQ(counts().control, 1);
    EXPECT_FALSE(q.readable());
    EXPECT_TRUE(q.wait(8, kSecond).empty());
    EXPECT_EQ(counts().control, 1);
    EXPECT_EQ(counts().sleep, 1);  // no busy loop
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ENABLE), Errno::ok);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_EQ(counts().control, 2);
}

TEST_F(Lazy, OneshotAgainIsOneCall) {
    Queue q;
    const int fd = readable();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_ONESHOT), Errno::ok);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(q.wait().size(), 1u);
        reset_counts();
        ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_ONESHOT), Errno::ok);
        EXPECT_EQ(counts().watch, 1);
        EXPECT_EQ(counts().control, 1);
    }
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_EQ(counts().control, 1);  // the delivery makes no call
}

TEST_F(Lazy, DispatchCostsOneCallForEachEnable) {
    Queue q;
    const int fd = readable();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_DISPATCH), Errno::ok);
    reset_counts();
    for (int i = 1; i <= 4; i++) {
        EXPECT_EQ(q.wait().size(), 1u);
        ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ENABLE), Errno::ok);
        EXPECT_EQ(counts().control, i);
    }
}

TEST_F(Lazy, DeliveringLevelAndEdgeCallsNothing) {
    Queue q;
    const int level = readable();
    const int edge = readable();
    ASSERT_EQ(q.change(level, EVFILT_READ, EV_ADD), Errno::ok);
    ASSERT_EQ(q.change(edge, EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    reset_counts();
    for (int i = 0; i < 10; i++) {
        world().feed(edge, 1);
        EXPECT_EQ(q.wait().size(), 2u);
    }
    EXPECT_EQ(counts().control, 0);
    EXPECT_EQ(counts().poll, 0);  // it was just reported: no need to ask
    EXPECT_EQ(counts().ring + counts().hold, 0);
    EXPECT_EQ(counts().collect, 10);
}

TEST_F(Lazy, ManyTimersOneDeadline) {
    Queue q;
    reset_counts();
    Kevents changes;
    for (int i = 0; i < 50; i++)
        changes.push_back(change(i, EVFILT_TIMER, EV_ADD, 0, 1000 - i));
    ASSERT_EQ(q.apply(changes), Errno::ok);
    EXPECT_EQ(counts().set_deadline, 1);
    EXPECT_EQ(q.backend().earliest_deadline(), now(Clock::monotonic) + 951 * kMillisecond);
}

TEST_F(Lazy, ATimerPushedBackCallsNothing) {
    Queue q;
    ASSERT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, 1000), Errno::ok);
    reset_counts();
    for (int i = 0; i < 50; i++) {
        world().advance(kMillisecond);
        ASSERT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, 1000), Errno::ok);
    }
    EXPECT_EQ(counts().set_deadline, 0);
    // The call wakes once too early, and has no event then.
    const Nanos start = now(Clock::monotonic);
    EXPECT_EQ(q.wait(4, 5 * kSecond).size(), 1u);
    EXPECT_EQ(now(Clock::monotonic), start + kSecond);
    EXPECT_EQ(counts().sleep, 2);
}

TEST_F(Lazy, APollOfAnIdleQueueAsksOnce) {
    Queue q;
    ASSERT_EQ(q.change(quiet(), EVFILT_READ, EV_ADD), Errno::ok);
    ASSERT_EQ(q.change(1, EVFILT_USER, EV_ADD), Errno::ok);
    reset_counts();
    EXPECT_TRUE(q.wait().empty());
    EXPECT_EQ(counts().collect, 1);
    EXPECT_EQ(counts().sleep + counts().control + counts().ring + counts().hold, 0);
}

// without an eventlist the kernel is not asked.
TEST_F(Lazy, ChangesAloneCollectNothing) {
    Queue q;
    reset_counts();
    ASSERT_EQ(q.change(readable(), EVFILT_READ, EV_ADD), Errno::ok);
    EXPECT_EQ(counts().collect, 0);
    EXPECT_EQ(counts().ring + counts().hold, 0);  // the kernel itself shows that
}

// Many triggers make one ring. Only a later trigger makes another one.
TEST_F(Lazy, TriggersRingOnce) {
    Queue q;
    for (int i = 0; i < 10; i++)
        ASSERT_EQ(q.change(i, EVFILT_USER, EV_ADD | EV_CLEAR), Errno::ok);
    reset_counts();
    for (int i = 0; i < 10; i++)
        ASSERT_EQ(q.change(i, EVFILT_USER, 0, NOTE_TRIGGER), Errno::ok);
    EXPECT_EQ(counts().ring, 1);
    EXPECT_TRUE(q.readable());
    EXPECT_EQ(q.wait().size(), 10u);
    EXPECT_FALSE(q.readable());
    EXPECT_EQ(counts().ring, 1);
}

// One call triggers the knote and collects the event. No other thread must be woken.
TEST_F(Lazy, ATriggerCollectedInTheSameCallRingsNobody) {
    Queue q;
    reset_counts();
    EXPECT_EQ(q.wait(4, 0, {change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)}).size(), 1u);
    EXPECT_EQ(counts().ring + counts().hold, 0);
}

// ---- src/sleep_habit.h ----

// Makes a call that sleeps until its timeout. Returns how often it asked the kernel.
int asked_by_a_vain_call(Queue& q) {
    world().counts = {};
    EXPECT_TRUE(q.wait(8, kMillisecond).empty());
    EXPECT_EQ(world().counts.sleep, 1);
    return world().counts.collect;
}

TEST_F(Lazy, CallsThatAreUsedToSleepingLookOnceOnly) {
    Queue q;
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(asked_by_a_vain_call(q), 2);
    int looks = 0;
    for (int i = 0; i < 8; i++)
        looks += asked_by_a_vain_call(q);
    EXPECT_EQ(looks, 6 * 1 + 2 * 2);  // every fourth call looks first
    // Events that are there are found without a look of their own, until a call looks first.
    for (int i = 0; i < 5; i++) {
        world().feed(fd, 1);
        reset_counts();
        EXPECT_EQ(q.wait(8, kForever).size(), 1u);
        EXPECT_EQ(counts().collect, 1);
        EXPECT_EQ(counts().sleep, i < 3 ? 1 : 0);
    }
    EXPECT_EQ(asked_by_a_vain_call(q), 2);
}

TEST_F(Lazy, WhatIsQueuedIsNotSleptOver) {
    Queue q;
    ASSERT_EQ(q.change(1, EVFILT_USER, EV_ADD | EV_CLEAR), Errno::ok);
    for (int i = 0; i < 12; i++)
        (void)asked_by_a_vain_call(q);
    for (int i = 0; i < 5; i++) {
        ASSERT_EQ(q.change(1, EVFILT_USER, 0, NOTE_TRIGGER), Errno::ok);
        reset_counts();
        EXPECT_EQ(q.wait(8, kForever).size(), 1u);
        EXPECT_EQ(counts().sleep, 0);
    }
}

}  // namespace
}  // namespace sim
