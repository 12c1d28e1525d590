// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC: news that a kqueue was sent but has not read. Before the kqueue reads it, the knote,
// the kqueue or the process is gone, or another one has taken its place..
#include "process_fixture.h"
#include "signal_hub.h"

namespace sim {
namespace {

class Letters : public Processes {
  protected:
    // Whether the hub has no subscription left.
    static bool nobody_listens() { return !world().listening; }
    // Makes more news than the hub keeps for a queue that does not read. Another queue reads.
    void fill(Queue& reader, int32_t pid) {
        constexpr int kMore = (1 << 16) + 64;
        for (int i = 0; i < kMore; i++) {
            world().announce(What::executed, pid);
            if (i % 64 == 0) (void)reader.wait();
        }
        (void)reader.wait();
    }
};

// The program itself has added the knote of the child. The knote is kept. It also asks for the
// notes that its parent's knote asks for.
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

// The same with the fields that only kevent64() has.
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
    EXPECT_EQ(idents(other.wait()), (std::vector<int>{7, 8}));  // reads the news for both
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

// One ring reports both a letter and a signal. Both must be read.
TEST_F(Letters, R213_ALetterBesideASignal) {
    constexpr int kNumber = 10;
    Queue other;
    world().start(7);
    ASSERT_EQ(add(7, NOTE_EXEC), Errno::ok);
    ASSERT_EQ(other.change(7, EVFILT_PROC, EV_ADD, NOTE_EXEC), Errno::ok);
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);
    world().announce(What::executed, 7);
    EXPECT_EQ(idents(other.wait()), (std::vector<int>{7}));  // writes the letter to q
    EXPECT_TRUE(kq::signal_hub::arrived(kNumber));
    EXPECT_EQ(q.wait().size(), 2u);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
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

// No knote asked for the exit of the child. The exit ends the child's knote, but its birth is
// reported.
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

// The child's number is free, and its parent forks again. There are two processes with one number,
// but one knote in the kqueue.
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

// The wakeup was not for the exit, and no other wakeup will come. From then on the library looks at
// the process at intervals.
TEST_F(Letters, R211_AWakeupThatWasNotTheExit) {
    const uint64_t serial = world().start(7).serial;
    ASSERT_EQ(add(7, kExit), Errno::ok);
    q.backend().on_process_ended(serial);
    EXPECT_TRUE(q.wait().empty());
    world().at(70 * kMillisecond, [] { world().exit(7, 3); });
    expect_only(q.wait(64, kForever), 7, kExit, 3);
}

// The child is tracked, and nothing reports its end.
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

// News that does not fit into letters is merged, and comes after the letters.
TEST_F(Letters, R213_MoreThanAreKept) {
    Queue reader;
    world().start(7);
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ADD | EV_DISABLE, kExit | NOTE_EXEC | NOTE_TRACK),
              Errno::ok);
    ASSERT_EQ(reader.change(7, EVFILT_PROC, EV_ADD, NOTE_EXEC), Errno::ok);
    fill(reader, 7);
    fork(7, 8);  // no letter can be written for it
    exit(7, 3);
    while (!reader.wait().empty()) {
    }
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ENABLE), Errno::ok);
    expect_only(q.wait(), 7, kExit | NOTE_EXEC | NOTE_TRACKERR, 3);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_TRUE(nobody_listens());
}

// The merged news of a process is lost if its number is given to a new process. The library reports
// that.
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
