// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC on the simulated system: orders of events that are rare on a real system.
#include "process_fixture.h"

namespace sim {
namespace {

TEST_F(Processes, AnExitIsToldOnce) {
    world().start(7);
    ASSERT_EQ(add(7, kExit), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    exit(7, 3 << 8);
    expect_only(q.wait(), 7, kExit, 3 << 8);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_EQ(q.backend().process_watches(), 0u);
}

TEST_F(Processes, TheStatusIsTakenWhenTheExitIsHeardOf) {
    world().start(7);
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ADD | EV_DISABLE, kExit), Errno::ok);
    exit(7, 3 << 8);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_EQ(q.backend().process_watches(), 0u);
    world().reap(7);
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ENABLE), Errno::ok);
    expect_only(q.wait(), 7, kExit, 3 << 8);
}

TEST_F(Processes, AStatusThatComesWithTheReapIsWaitedFor) {
    world().start(7).known = false;
    ASSERT_EQ(add(7, kExit), Errno::ok);
    world().exit(7, 3 << 8);
    EXPECT_TRUE(q.wait().empty());
    world().at(50 * kMillisecond, [] { world().reap(7); });
    const Nanos begin = world().now(Clock::monotonic);
    expect_only(q.wait(64, kForever), 7, kExit, 3 << 8);
    EXPECT_LE(world().now(Clock::monotonic) - begin, 80 * kMillisecond);
}

TEST_F(Processes, ButNotForEver) {
    world().start(7).known = false;
    ASSERT_EQ(add(7, kExit), Errno::ok);
    world().exit(7, 3 << 8);
    const Nanos begin = world().now(Clock::monotonic);
    expect_only(q.wait(64, kForever), 7, kExit, 0);
    const Nanos waited = world().now(Clock::monotonic) - begin;
    EXPECT_GE(waited, 200 * kMillisecond);
    EXPECT_LE(waited, 240 * kMillisecond);
}

TEST_F(Processes, TheStatusByHearsayIsBetterThanNone) {
    world().start(7).known = false;
    ASSERT_EQ(add(7, kExit | NOTE_FORK), Errno::ok);
    exit(7, 3 << 8);
    expect_only(q.wait(), 7, kExit, 3 << 8);
}

TEST_F(Processes, TheEndOfTheFirstThreadIsNotTheExit) {
    world().start(7).known = false;
    ASSERT_EQ(add(7, kExit | NOTE_EXEC), Errno::ok);
    world().announce(What::exited, 7, 0);
    EXPECT_TRUE(q.wait().empty());
    world().announce(What::executed, 7);
    expect_only(q.wait(), 7, NOTE_EXEC, 0);
}

TEST_F(Processes, WithoutAWakeupItIsLookedAt) {
    world().fail(Fault::watch_process, Errno::unimplemented);
    world().start(7);
    ASSERT_EQ(add(7, kExit), Errno::ok);
    world().at(70 * kMillisecond, [] { world().exit(7, 9); });
    const Nanos begin = world().now(Clock::monotonic);
    expect_only(q.wait(64, kForever), 7, kExit, 9);
    EXPECT_LE(world().now(Clock::monotonic) - begin, 90 * kMillisecond);
}

TEST_F(Processes, AStrayWakeupLosesNothing) {
    world().start(7);
    ASSERT_EQ(add(7, kExit), Errno::ok);
    q.backend().inject({kq::Handle(kq::Handle::Kind::process, 7, 12345), kq::kReadable, 0});
    EXPECT_TRUE(q.wait().empty());
    EXPECT_EQ(q.backend().earliest_deadline(), kForever);  // and the library does not look at it
    exit(7, 1);
    expect_only(q.wait(), 7, kExit, 1);
}

TEST_F(Processes, RefusalsAreTold) {
    world().start(7);
    world().fail(Fault::watch_process, Errno::too_many_open);
    EXPECT_EQ(add(7, kExit), Errno::too_many_open);
    world().fail(Fault::listen, Errno::unsupported);
    EXPECT_EQ(add(7, kExit | NOTE_FORK), Errno::unsupported);
    EXPECT_EQ(q.backend().process_watches(), 0u);
    EXPECT_EQ(q.change(7, EVFILT_PROC, EV_DELETE), Errno::no_entry);
}

TEST_F(Processes, WhatIsHeardBeforeAnExitIsReportedWithIt) {
    world().start(7);
    ASSERT_EQ(add(7, kExit | NOTE_EXEC | NOTE_FORK), Errno::ok);
    fork(7, 8);
    world().announce(What::executed, 7);
    world().exit(7, 1);
    // The exit is reported first.
    Kevents events = q.wait(1);
    unsigned fflags = 0;
    for (; !events.empty(); events = q.wait(1))
        fflags |= events[0].fflags;
    EXPECT_EQ(fflags, kExit | NOTE_EXEC | NOTE_FORK);
}

TEST_F(Processes, AChildThatWasGoneBeforeItsLetterWasRead) {
    world().start(7);
    ASSERT_EQ(add(7, kExit | NOTE_TRACK), Errno::ok);
    fork(7, 8);
    exit(8, 5);
    world().reap(8);
    expect_only(q.wait(1), 8, NOTE_CHILD, 7);
    expect_only(q.wait(1), 8, kExit, 5);
    EXPECT_TRUE(q.wait().empty());
}

TEST_F(Processes, AGrandchildThatIsBornBeforeTheFirstLetterIsRead) {
    world().start(7);
    ASSERT_EQ(add(7, NOTE_TRACK), Errno::ok);
    fork(7, 8);
    fork(8, 9);
    EXPECT_EQ(idents(q.wait()), (std::vector<int>{8, 9}));
    EXPECT_TRUE(q.wait().empty());
}

TEST_F(Processes, LostNewsEndAChildThatWasNeverSeen) {
    world().start(7);
    ASSERT_EQ(add(7, kExit | NOTE_TRACK), Errno::ok);
    fork(7, 8);
    world().find_process(8)->exited = true;
    world().reap(8);
    expect_only(q.wait(1), 8, NOTE_CHILD, 7);
    ASSERT_EQ(q.change(1, EVFILT_USER, EV_ADD), Errno::ok);  // this knote must get no event
    world().overflowed = true;
    world().announce(What::executed, 1);
    unsigned exits = 0;
    unsigned lost = 0;
    for (const auto& event : q.wait()) {
        exits += (event.fflags & NOTE_EXIT) != 0;
        lost += (event.fflags & NOTE_TRACKERR) != 0;
    }
    EXPECT_EQ(exits, 1u);
    EXPECT_EQ(lost, 2u);
}

TEST_F(Processes, AChildThatCannotBeWatchedIsAnError) {
    world().start(7);
    ASSERT_EQ(add(7, kExit | NOTE_TRACK), Errno::ok);
    fork(7, 8);
    world().fail(Fault::watch_process, Errno::too_many_open);
    expect_only(q.wait(), 7, NOTE_TRACKERR, 0);
    exit(8, 1);
    EXPECT_TRUE(q.wait().empty());
}

// The number is given to a new process. Its actions are no news for knotes of the old process.
TEST_F(Processes, TheNewsOfTheNextOfThatNumberAreNotOurs) {
    world().start(6);
    world().start(7);
    ASSERT_EQ(add(6, NOTE_EXEC), Errno::ok);  // so the listener stays
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ADD | EV_DISABLE, kExit | NOTE_EXEC), Errno::ok);
    exit(7, 1);
    world().reap(7);
    world().start(7);
    world().announce(What::forked, 1, 7);
    world().announce(What::executed, 7);
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ENABLE), Errno::ok);
    expect_only(q.wait(), 7, kExit, 1);
}

TEST_F(Processes, TwoQueuesHearOfOneProcess) {
    Queue other;
    world().start(7);
    ASSERT_EQ(add(7, NOTE_EXEC), Errno::ok);
    ASSERT_EQ(other.change(7, EVFILT_PROC, EV_ADD, NOTE_EXEC), Errno::ok);
    world().announce(What::executed, 7);
    expect_only(q.wait(), 7, NOTE_EXEC, 0);
    EXPECT_TRUE(other.readable());
    expect_only(other.wait(), 7, NOTE_EXEC, 0);
    EXPECT_TRUE(other.wait().empty());
}

TEST_F(Processes, NobodyListensWithoutNeed) {
    world().start(7);
    ASSERT_EQ(add(7, kExit), Errno::ok);
    EXPECT_FALSE(world().listening);
    ASSERT_EQ(add(7, kExit | NOTE_FORK), Errno::ok);
    EXPECT_TRUE(world().listening && q.backend().hears());
    ASSERT_EQ(add(7, kExit), Errno::ok);
    EXPECT_FALSE(world().listening || q.backend().hears());
    ASSERT_EQ(add(7, kExit | NOTE_TRACK), Errno::ok);
    fork(7, 8);
    exit(7, 1);
    exit(8, 1);
    while (!q.wait().empty()) {
    }
    EXPECT_FALSE(world().listening || q.backend().hears());
}

}  // namespace
}  // namespace sim
