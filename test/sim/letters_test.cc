// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC: news that were told, and not read before the knote, the kqueue or the process they
// are about was another one, or gone..
#include "process_fixture.h"

namespace sim {
namespace {

class Letters : public Processes {
  protected:
    // So that nothing is left behind in the hub.
    static bool nobody_listens() { return !world().listening; }
    // More of them than a queue keeps, which does not read; another one does.
    void fill(Queue& reader, int32_t pid) {
        constexpr int kMore = (1 << 16) + 64;
        for (int i = 0; i < kMore; i++) {
            world().announce(What::executed, pid);
            if (i % 64 == 0) (void)reader.wait();
        }
        (void)reader.wait();
    }
};

// The program made it itself: it is kept, and asks for what its parent does, too.
TEST_F(Letters, R215_AKnoteOfTheChildThatIsThereAlready) {
    int mine = 0;
    world().start(7);
    ASSERT_EQ(add(7, kExit | NOTE_TRACK), Errno::ok);
    fork(7, 8);
    ASSERT_EQ(q.change(8, EVFILT_PROC, EV_ADD, kExit, 0, &mine), Errno::ok);
    Kevents events = q.wait();
    expect_only(events, 8, NOTE_CHILD, 7);
    EXPECT_EQ(events.at(0).udata, &mine);
    fork(8, 9);
    expect_only(q.wait(), 9, NOTE_CHILD, 8);
    exit(8, 5);
    events = q.wait();
    expect_only(events, 8, kExit, 5);
    EXPECT_EQ(events.at(0).udata, &mine);
    exit(9, 6);
    expect_only(q.wait(), 9, kExit, 6);
    exit(7, 1);
    expect_only(q.wait(), 7, kExit, 1);
    EXPECT_TRUE(nobody_listens());
}

// Likewise with more than a struct kevent has: kevent64().
TEST_F(Letters, R215_ABirthComesWithTheExtensionOfItsKnote) {
    world().start(7);
    ASSERT_EQ(add(7, NOTE_TRACK), Errno::ok);
    fork(7, 8);
    struct kevent64_s wide {};
    wide.ident = 8;
    wide.filter = EVFILT_PROC;
    wide.flags = EV_ADD;
    wide.fflags = kExit;
    wide.ext[1] = 42;
    const timespec at_once{};
    struct kevent64_s event {};
    ASSERT_EQ(q.kqueue().run_wide(&wide, 1, &event, 1, 0, &at_once, [](void*) {}).value(), 1);
    EXPECT_EQ(event.ident, 8u);
    EXPECT_EQ(event.fflags, unsigned{NOTE_CHILD});
    EXPECT_EQ(event.ext[1], 42u);
}

TEST_F(Letters, R87_NewsOfAKnoteThatWasDeleted) {
    Queue other;
    world().start(7);
    constexpr unsigned kAll = kExit | NOTE_TRACK | NOTE_EXEC | NOTE_FORK;
    ASSERT_EQ(add(7, kAll), Errno::ok);
    ASSERT_EQ(other.change(7, EVFILT_PROC, EV_ADD, kAll), Errno::ok);
    fork(7, 8);
    world().announce(What::executed, 7);
    EXPECT_EQ(idents(other.wait()), (std::vector<int>{7, 8}));  // takes what both are to hear
    EXPECT_TRUE(q.readable());
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_DELETE), Errno::ok);
    EXPECT_FALSE(q.readable());
    EXPECT_TRUE(q.wait().empty());
    exit(8, 5);
    EXPECT_TRUE(q.wait().empty());
    expect_only(other.wait(), 8, kExit, 5);
    exit(7, 1);
    expect_only(other.wait(), 7, kExit, 1);
    EXPECT_TRUE(nobody_listens());
}

TEST_F(Letters, R10_AQueueThatIsGoneHasLeftSomeUnread) {
    world().start(7);
    ASSERT_EQ(add(7, kExit | NOTE_TRACK), Errno::ok);
    {
        Queue gone;
        ASSERT_EQ(gone.change(7, EVFILT_PROC, EV_ADD, kExit | NOTE_TRACK), Errno::ok);
        fork(7, 8);
        expect_only(q.wait(), 8, NOTE_CHILD, 7);
        EXPECT_TRUE(gone.readable());
    }
    exit(8, 5);
    expect_only(q.wait(), 8, kExit, 5);
    exit(7, 1);
    expect_only(q.wait(), 7, kExit, 1);
    EXPECT_TRUE(nobody_listens());
}

TEST_F(Letters, R215_TrackingIsAskedForLater) {
    world().start(7);
    ASSERT_EQ(add(7, NOTE_FORK), Errno::ok);
    ASSERT_EQ(add(7, NOTE_TRACK), Errno::ok);
    fork(7, 8);
    expect_only(q.wait(), 8, NOTE_CHILD, 7);
    ASSERT_EQ(add(7, NOTE_FORK), Errno::ok);
    fork(7, 9);
    expect_only(q.wait(), 7, NOTE_FORK, 0);
}

// Nobody asked for its exit: with that the knote is gone, but its birth is told.
TEST_F(Letters, R215_AChildWhoseExitNobodyAskedFor) {
    for (const bool reaped : {false, true}) {
        world().start(7);
        ASSERT_EQ(add(7, NOTE_TRACK), Errno::ok);
        fork(7, 8);
        exit(8, 5);
        if (reaped) world().reap(8);
        expect_only(q.wait(1), 8, NOTE_CHILD, 7);
        EXPECT_TRUE(q.wait().empty());
        EXPECT_EQ(q.change(8, EVFILT_PROC, EV_DELETE), Errno::no_entry);
        if (!reaped) world().reap(8);
        exit(7, 1);
        world().reap(7);
        EXPECT_TRUE(q.wait().empty());
        EXPECT_EQ(q.change(7, EVFILT_PROC, EV_DELETE), Errno::no_entry);
        EXPECT_TRUE(nobody_listens());
    }
}

// Its number is free, its parent forks again: two processes, of which the kqueue has one knote.
TEST_F(Letters, R215_ANumberBornAgainToTheSameParent) {
    world().start(7);
    ASSERT_EQ(add(7, kExit | NOTE_TRACK), Errno::ok);
    fork(7, 8);
    expect_only(q.wait(), 8, NOTE_CHILD, 7);
    exit(8, 5);
    world().reap(8);
    fork(7, 8);
    expect_only(q.wait(1), 8, NOTE_CHILD, 7);
    EXPECT_TRUE(q.wait().empty());
    exit(8, 6);
    expect_only(q.wait(), 8, kExit, 6);
}

// Not by its exit, and there is no second time: from then on it is looked at by time.
TEST_F(Letters, R211_AWakeupThatWasNotTheExit) {
    const uint64_t serial = world().start(7).serial;
    ASSERT_EQ(add(7, kExit), Errno::ok);
    q.backend().on_process_ended(serial);
    EXPECT_TRUE(q.wait().empty());
    world().at(70 * kMillisecond, [] { world().exit(7, 3); });
    expect_only(q.wait(64, kForever), 7, kExit, 3);
}

// Tracked, and nothing tells of its end.
TEST_F(Letters, R215_AChildThatIsLookedAtByTime) {
    world().start(7);
    ASSERT_EQ(add(7, kExit | NOTE_TRACK), Errno::ok);
    fork(7, 8);
    world().fail(Fault::watch_process, Errno::unimplemented);
    expect_only(q.wait(), 8, NOTE_CHILD, 7);
    EXPECT_TRUE(q.wait().empty());
    world().at(70 * kMillisecond, [] { world().exit(8, 3); });
    expect_only(q.wait(64, kForever), 8, kExit, 3);
}

TEST_F(Letters, R211_LookedAtByTimeAndNobodyAsksForItsExit) {
    world().fail(Fault::watch_process, Errno::unimplemented);
    world().start(7);
    ASSERT_EQ(add(7, NOTE_EXEC), Errno::ok);
    world().at(10 * kMillisecond, [] { world().exit(7, 3); });
    EXPECT_TRUE(q.wait(64, 100 * kMillisecond).empty());
    EXPECT_EQ(q.change(7, EVFILT_PROC, EV_DELETE), Errno::no_entry);
}

// What does not fit into letters is merged, and comes after them.
TEST_F(Letters, R213_MoreThanAreKept) {
    Queue reader;
    world().start(7);
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ADD | EV_DISABLE, kExit | NOTE_EXEC | NOTE_TRACK),
              Errno::ok);
    ASSERT_EQ(reader.change(7, EVFILT_PROC, EV_ADD, NOTE_EXEC), Errno::ok);
    fill(reader, 7);
    fork(7, 8);  // which cannot be told any more
    exit(7, 3);
    while (!reader.wait().empty()) {
    }
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ENABLE), Errno::ok);
    expect_only(q.wait(), 7, kExit | NOTE_EXEC | NOTE_TRACKERR, 3);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_TRUE(nobody_listens());
}

// And what was merged of one whose number is born again is lost, which is told.
TEST_F(Letters, R213_MoreThanAreKeptOfANumberBornAgain) {
    Queue reader;
    world().start(6);
    world().start(7);
    ASSERT_EQ(add(6, NOTE_TRACK), Errno::ok);
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ADD | EV_DISABLE, kExit | NOTE_EXEC), Errno::ok);
    ASSERT_EQ(reader.change(7, EVFILT_PROC, EV_ADD, NOTE_EXEC), Errno::ok);
    fill(reader, 7);
    exit(7, 3);
    world().reap(7);
    world().start(7);
    world().announce(What::forked, 1, 7);
    (void)reader.wait();
    expect_only(q.wait(), 6, NOTE_TRACKERR, 0);
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ENABLE), Errno::ok);
    expect_only(q.wait(), 7, kExit | NOTE_EXEC, 3);
}

}  // namespace
}  // namespace sim
