// SPDX-License-Identifier: BSD-2-Clause
// The promise of kqueue.h about poll() on the public descriptor, and calls that the promise must
// not cost. Rings that are taken back, and deadlines that are collected together with them.
#include "sim_test.h"

namespace sim {
namespace {

constexpr unsigned kTrigger = NOTE_TRIGGER;

class Announcement : public Sim {
  protected:
    Queue q;
};

TEST_F(Announcement, ATriggerIsSeenByPollUntilItIsTaken) {
    ASSERT_EQ(q.change(1, EVFILT_USER, EV_ADD | EV_CLEAR), Errno::ok);
    EXPECT_FALSE(q.readable());
    ASSERT_EQ(q.change(1, EVFILT_USER, 0, kTrigger), Errno::ok);
    EXPECT_TRUE(q.readable());
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_FALSE(q.readable());
}

// The event is deleted, disabled or cleared before a call collects it.
TEST_F(Announcement, WhatIsTakenBackIsNotSeenByPoll) {
    for (const unsigned flags : {1u * EV_DELETE, 1u * EV_DISABLE, 1u * EV_CLEAR}) {
        ASSERT_EQ(q.change(1, EVFILT_USER, EV_ADD | EV_CLEAR, kTrigger), Errno::ok);
        EXPECT_TRUE(q.readable());
        ASSERT_EQ(q.change(1, EVFILT_USER, flags), Errno::ok);
        EXPECT_FALSE(q.readable());
        EXPECT_TRUE(q.wait().empty());
        (void)q.change(1, EVFILT_USER, EV_DELETE);
    }
}

// Events that a call leaves in the queue keep it readable, without another ring.
TEST_F(Announcement, LeftoversAreHeld) {
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(q.change(i, EVFILT_USER, EV_ADD | EV_CLEAR, kTrigger), Errno::ok);
    reset_counts();
    for (int left = 3; left > 0; left--) {
        EXPECT_TRUE(q.readable());
        EXPECT_EQ(q.wait(1).size(), 1u);
    }
    EXPECT_FALSE(q.readable());
    EXPECT_EQ(counts().ring, 0);
    EXPECT_EQ(counts().hold, 2);  // held once, released once
}

// A ring that is taken back may be collected together with a deadline that was too early, because
// deadlines are changed lazily. The true deadline must be set again, or poll() misses it.
TEST_F(Announcement, TakingARingBackLosesNoDeadline) {
    for (const Nanos period : {Nanos{1000}, Nanos{30}}) {
        ASSERT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, 10), Errno::ok);
        ASSERT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, period), Errno::ok);
        ASSERT_EQ(q.change(2, EVFILT_USER, EV_ADD, kTrigger), Errno::ok);
        world().advance(10 * kMillisecond);
        ASSERT_EQ(q.change(2, EVFILT_USER, EV_DELETE), Errno::ok);
        EXPECT_FALSE(q.readable());
        EXPECT_NE(q.backend().earliest_deadline(), kForever);
        world().advance((period - 10) * kMillisecond);
        EXPECT_TRUE(q.readable());
        EXPECT_EQ(only_data(q.wait()), 1);
        ASSERT_EQ(q.change(1, EVFILT_TIMER, EV_DELETE), Errno::ok);
    }
}

// The same with a timer that has expired, and another timer that has not.
TEST_F(Announcement, TakingARingBackLosesNoOtherTimer) {
    ASSERT_EQ(q.change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 10), Errno::ok);
    ASSERT_EQ(q.change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 20), Errno::ok);
    ASSERT_EQ(q.change(3, EVFILT_USER, EV_ADD, kTrigger), Errno::ok);
    world().advance(10 * kMillisecond);
    ASSERT_EQ(q.change(3, EVFILT_USER, EV_DELETE), Errno::ok);
    EXPECT_TRUE(q.readable());
    world().advance(10 * kMillisecond);
    EXPECT_EQ(q.wait().size(), 2u);
}

// An edge that is collected while a ring is taken back must not be lost, either.
TEST_F(Announcement, TakingARingBackLosesNoEdge) {
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    world().feed(fd, 1);
    ASSERT_EQ(q.change(2, EVFILT_USER, EV_ADD, kTrigger), Errno::ok);
    ASSERT_EQ(q.change(2, EVFILT_USER, EV_DELETE), Errno::ok);
    EXPECT_TRUE(q.readable());
    EXPECT_EQ(idents(q.wait()), std::vector{fd});
    EXPECT_FALSE(q.readable());
}

// First the kernel backs a knote by level. When it no longer does so, the knote must be announced.
TEST_F(Announcement, ALeftoverThatStopsBeingBackedIsAnnounced) {
    const int fd = readable();
    world().room(fd, 10);
    world().share_lanes = true;
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
    ASSERT_EQ(q.change(fd, EVFILT_WRITE, EV_ADD), Errno::ok);
    EXPECT_EQ(q.wait(1).size(), 1u);  // the other one stays on the queue, backed
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD, NOTE_LOWAT, 1), Errno::ok);  // by edge from now on
    ASSERT_EQ(q.change(fd, EVFILT_WRITE, EV_ADD, NOTE_LOWAT, 1), Errno::ok);
    EXPECT_TRUE(q.readable());
    EXPECT_EQ(q.wait().size(), 2u);
}

}  // namespace
}  // namespace sim
