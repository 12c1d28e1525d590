// SPDX-License-Identifier: BSD-2-Clause
// Doubtful readiness: the kernel reports a descriptor as ready, but the filter does not agree.
// Conditions that no kernel reports. Low-water marks.; Parking and
// rest() in fd_filter.cc.
#include "sim_test.h"

namespace sim {
namespace {

constexpr int kRead = EVFILT_READ;
constexpr int kWrite = EVFILT_WRITE;
constexpr Nanos kRecheck = 20 * kMillisecond;

class Doubt : public Sim {
  protected:
    Queue q;
    const Nanos start = mono();

    static Nanos mono() { return world().now(Clock::monotonic); }
    [[nodiscard]] Nanos passed() const { return mono() - start; }
    static int liar() {
        const int fd = world().open(FdKind::unix_stream);
        world().file(fd).lies = true;
        return fd;
    }
};

// An unconnected socket: no event, and no busy loop.
TEST_F(Doubt, AKernelThatLiesIsAskedAFewTimesOnly) {
    for (const int filter : {kRead, kWrite})
        for (const unsigned mode : {0u, 1u * EV_CLEAR, 1u * EV_ONESHOT, 1u * EV_DISPATCH}) {
            SCOPED_TRACE(mode);
            const int fd = liar();
            ASSERT_EQ(q.change(fd, filter, EV_ADD | mode), Errno::ok);
            reset_counts();
            const Nanos before = mono();
            EXPECT_TRUE(q.wait(8, 100 * kSecond).empty());
            EXPECT_EQ(mono(), before + 100 * kSecond);
            EXPECT_LE(counts().sleep, 4);
            EXPECT_LE(counts().control, 2);
            EXPECT_FALSE(q.readable());
            ASSERT_EQ(q.change(fd, filter, EV_DELETE), Errno::ok);
        }
}

// A doubtful report becomes true. Then the knote reports again in its own mode, as before.
TEST_F(Doubt, WhatIsTrueAfterAllIsReportedInItsOwnMode) {
    for (const int filter : {kRead, kWrite})
        for (const unsigned mode : {0u, 1u * EV_CLEAR, 1u * EV_ONESHOT, 1u * EV_DISPATCH}) {
            SCOPED_TRACE(mode);
            const int fd = liar();
            ASSERT_EQ(q.change(fd, filter, EV_ADD | mode), Errno::ok);
            for (int i = 0; i < 4; i++)
                EXPECT_TRUE(q.wait().empty());
            world().file(fd).lies = false;
            world().feed(fd, 3);
            world().room(fd, 3);
            EXPECT_EQ(only_data(q.wait()), 3);
            for (int i = 0; i < 3; i++)
                EXPECT_EQ(q.wait().size(), mode == 0 ? 1u : 0u);
            world().close(fd);
        }
}

// The same, but the kernel refuses to change the registration. With no_memory the event is still
// reported. With no_entry there is no event.
TEST_F(Doubt, WhatIsTrueAfterAllIsReportedThoughTheKernelRefuses) {
    for (const Errno refusal : {Errno::no_memory, Errno::no_entry}) {
        const int fd = liar();
        ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
        for (int i = 0; i < 4; i++)
            EXPECT_TRUE(q.wait().empty());
        world().file(fd).lies = false;
        world().feed(fd, 3);
        world().fail(Fault::modify, refusal);
        for (int i = 0; i < 3; i++)
            EXPECT_EQ(q.wait().size(), refusal == Errno::no_memory ? 1u : 0u);
        world().close(fd);
    }
}

// The kernel does not report this descriptor, so the library looks at it. It may be closed before.
TEST_F(Doubt, WhatIsLookedAtMayBeClosed) {
    const int fd = liar();
    world().file(fd).untold = true;
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    world().close(fd);
    EXPECT_TRUE(q.wait(8, 100 * kMillisecond).empty());
    EXPECT_EQ(q.backend().earliest_deadline(), kForever) << "it is looked at still";
}

// Lies that come between truths must cost no event.
TEST_F(Doubt, NoEventIsMissedHoweverOftenItLies) {
    const int fd = liar();
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    for (int i = 0; i < 50; i++) {
        for (int empty = 0; empty < i % 5; empty++)
            EXPECT_TRUE(q.wait().empty()) << i;
        world().feed(fd, 1 + i % 3);
        EXPECT_EQ(q.wait().size(), 1u) << i;
        drain(fd);
    }
}

// for a mark for reading the library need not look, because more bytes are an edge.
TEST_F(Doubt, LowWaterMarkForReading) {
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, kRead, EV_ADD, NOTE_LOWAT, 16), Errno::ok);
    world().feed(fd, 8);
    EXPECT_TRUE(q.wait(8, kSecond).empty());
    EXPECT_LE(counts().sleep, 3);
    world().feed(fd, 16);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(only_data(q.wait()), 24);  // by level
    world().feed(fd, -20);
    EXPECT_TRUE(q.wait().empty());
    world().end(fd);
    const Kevents events = q.wait();
    EXPECT_EQ(only_data(events), 4);
    EXPECT_NE(events.at(0).flags & EV_EOF, 0);
    EXPECT_EQ(events.at(0).fflags, 0u);
}

// each knote has its own mark. The descriptor has none.
TEST_F(Doubt, TwoQueuesTwoMarks) {
    Queue other;
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, kRead, EV_ADD, NOTE_LOWAT, 4), Errno::ok);
    ASSERT_EQ(other.change(fd, kRead, EV_ADD, NOTE_LOWAT, 16), Errno::ok);
    world().feed(fd, 8);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_TRUE(other.wait().empty());
    world().feed(fd, 8);
    EXPECT_EQ(other.wait().size(), 1u);
}

// space grows without an edge if there was some space before. So the library looks for it.
TEST_F(Doubt, LowWaterMarkForWritingIsRechecked) {
    const int fd = writable(10);
    ASSERT_EQ(q.change(fd, kWrite, EV_ADD, NOTE_LOWAT, 100), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    world().at(kSecond, [&] { world().room(fd, 200); });
    EXPECT_EQ(only_data(q.wait(8, 10 * kSecond)), 210);
    EXPECT_GE(passed(), kSecond);
    EXPECT_LE(passed(), kSecond + kRecheck);
    EXPECT_LE(counts().sleep, kSecond / kRecheck + 3);
    EXPECT_EQ(q.wait().size(), 1u);  // and it is reported by level again
    ASSERT_EQ(q.change(fd, kWrite, EV_ADD, NOTE_LOWAT, 1), Errno::ok);
    EXPECT_EQ(q.wait().size(), 1u);
}

// The second look makes the public descriptor readable, too, so poll() notices it.
TEST_F(Doubt, TheRecheckIsSeenByPoll) {
    const int fd = writable(10);
    ASSERT_EQ(q.change(fd, kWrite, EV_ADD, NOTE_LOWAT, 100), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
    world().advance(kRecheck);
    EXPECT_TRUE(q.readable());
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
}

// A knote may be parked for any reason. A change or the end of the knote takes it off the list.
TEST_F(Doubt, ParkedKnotesCanBeChanged) {
    const int fd = writable(10);
    for (const unsigned flags : {1u * EV_DISABLE, 1u * EV_ENABLE, 1u * EV_ADD, 1u * EV_DELETE}) {
        ASSERT_EQ(q.change(fd, kWrite, EV_ADD | EV_ENABLE, NOTE_LOWAT, 100), Errno::ok);
        EXPECT_TRUE(q.wait().empty());
        ASSERT_EQ(q.change(fd, kWrite, flags, NOTE_LOWAT, 100), Errno::ok);
        world().advance(kRecheck);
        EXPECT_TRUE(q.wait(8, kSecond).empty());
    }
}

// The library looks now and then at a file that the backend calls untold.
TEST_F(Doubt, UntoldConditionsAreRechecked) {
    const int fd = liar();
    world().file(fd).untold = true;
    ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_CLEAR), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    world().at(kSecond, [&] { world().file(fd).readable = 5; });
    EXPECT_EQ(only_data(q.wait(8, 10 * kSecond)), 5);
    EXPECT_LE(passed(), kSecond + kRecheck);
}

}  // namespace
}  // namespace sim
