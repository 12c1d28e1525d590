// SPDX-License-Identifier: BSD-2-Clause
// Calls that are not made: laziness the design promises (fd_watch.h, platform.h),
// measured by counting what reaches the kernel.
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

// A disabled source is silenced when it speaks: one call, once.
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
    EXPECT_EQ(counts().control, 1);  // being delivered costs none
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
    EXPECT_EQ(counts().poll, 0);  // just reported: true without asking
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
    // It wakes once too early and no event comes of that.
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
    EXPECT_EQ(counts().ring + counts().hold, 0);  // the kernel shows that by itself
}

// One ring however many triggers; another only for what came since.
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

// In one call, changes and events: nobody else has to know.
TEST_F(Lazy, ATriggerCollectedInTheSameCallRingsNobody) {
    Queue q;
    reset_counts();
    EXPECT_EQ(q.wait(4, 0, {change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)}).size(), 1u);
    EXPECT_EQ(counts().ring + counts().hold, 0);
}

}  // namespace
}  // namespace sim
