// SPDX-License-Identifier: BSD-2-Clause
// How long kevent() sleeps, and why it wakes.,
// semantics 2.3, 2.6.
#include <limits>

#include "sim_test.h"

namespace sim {
namespace {

class Timeout : public Sim {
  protected:
    Queue q;
    const Nanos start = mono();

    static Nanos mono() { return world().now(Clock::monotonic); }
    [[nodiscard]] Nanos passed() const { return mono() - start; }
};

//
TEST_F(Timeout, ZeroNeverSleeps) {
    for (int i = 0; i < 1000; i++)
        EXPECT_TRUE(q.wait(1, 0).empty());
    EXPECT_EQ(counts().sleep, 0);
    EXPECT_EQ(q.error(), Errno::ok);
}

//
TEST_F(Timeout, LastsExactlyAsLongAsAsked) {
    for (const Nanos wait : {Nanos{1}, Nanos{500'000}, kSecond, 90 * kSecond}) {
        const Nanos before = mono();
        EXPECT_TRUE(q.wait(1, wait).empty());
        EXPECT_EQ(mono() - before, wait);
    }
    EXPECT_EQ(q.error(), Errno::ok);
    EXPECT_EQ(counts().sleep, 4);
    EXPECT_GT(world().shortest_sleep, 0);
}

// if there is no room for events, the call waits for nothing.
TEST_F(Timeout, WithoutEventlistNothingIsAwaited) {
    for (const timespec& ts : {timespec{5, 0}, timespec{-1, 0}}) {
        EXPECT_TRUE(q.wait_until(&ts, 0).empty());
        EXPECT_EQ(q.error(), Errno::ok);
    }
    EXPECT_TRUE(q.wait_until(nullptr, 0).empty());
    EXPECT_EQ(counts().sleep + counts().collect, 0);
}

//
TEST_F(Timeout, AnInvalidOneIsRefusedAfterTheChanges) {
    for (const timespec& ts : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
        EXPECT_TRUE(q.wait_until(&ts, 1, {change(1, EVFILT_USER, EV_ADD | EV_ONESHOT)}).empty());
        EXPECT_EQ(q.error(), Errno::invalid);
        EXPECT_EQ(q.change(1, EVFILT_USER, EV_DELETE), Errno::ok);
    }
    // If an entry was written, the call does not report the timeout.
    const timespec bad{-1, 0};
    EXPECT_EQ(q.wait_until(&bad, 1, {change(1, EVFILT_USER, EV_DELETE)}).size(), 1u);
}

//
TEST_F(Timeout, HugeIsForEver) {
    const time_t most = std::numeric_limits<time_t>::max();
    ASSERT_EQ(q.change(1, EVFILT_USER, EV_ADD | EV_CLEAR), Errno::ok);
    for (const timespec& ts : {timespec{most, 999'999'999}, timespec{most, 0},
                               timespec{most / 1'000'000'000, 0}, timespec{1L << 32, 0}}) {
        world().at(1000 * kSecond, [&] { (void)q.change(1, EVFILT_USER, 0, NOTE_TRIGGER); });
        EXPECT_EQ(q.wait_until(&ts).size(), 1u) << ts.tv_sec;
    }
    EXPECT_EQ(passed(), 4000 * kSecond);
}

// wakeups without an event do not change the deadline of the first sleep.
TEST_F(Timeout, IsNotExtendedByWakingForNothing) {
    for (int i = 1; i < 20; i++)
        world().at(i * 49 * kMillisecond, [] { world().wake(); });
    EXPECT_TRUE(q.wait(1, kSecond).empty());
    EXPECT_EQ(passed(), kSecond);
    EXPECT_EQ(counts().sleep, 20);
    EXPECT_GT(world().shortest_sleep, 0);
}

// the call is woken for an event that is no longer true when its turn comes.
TEST_F(Timeout, AnEventTakenBackDoesNotEndIt) {
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
    world().at(300 * kMillisecond, [&] {
        world().feed(fd, 1);
        // Another thread takes both the report and the byte.
        EXPECT_EQ(q.wait().size(), 1u);
        drain(fd);
        world().wake();
    });
    EXPECT_TRUE(q.wait(1, kSecond).empty());
    EXPECT_EQ(passed(), kSecond);
}

TEST_F(Timeout, EndsWithTheFirstEvent) {
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
    world().at(300 * kMillisecond, [&] { world().feed(fd, 1); });
    EXPECT_EQ(q.wait(8, kSecond).size(), 1u);
    EXPECT_EQ(passed(), 300 * kMillisecond);
}

// An event at the very end of the wait must be reported.
TEST_F(Timeout, AnEventAtTheDeadlineIsReported) {
    ASSERT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, 100), Errno::ok);
    EXPECT_EQ(q.wait(1, 100 * kMillisecond).size(), 1u);
}

// R-299, semantics 2.7: a knote that another thread adds wakes a sleeper.
TEST_F(Timeout, ChangesOfAnotherThreadWakeTheSleeper) {
    world().at(kSecond, [&] { (void)q.change(readable(), EVFILT_READ, EV_ADD | EV_CLEAR); });
    EXPECT_EQ(q.wait(1, kForever).size(), 1u);
    EXPECT_EQ(passed(), kSecond);
    world().at(kSecond, [&] { (void)q.change(5, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 10); });
    EXPECT_EQ(q.wait(1, kForever).size(), 1u);
    world().at(kSecond, [&] {
        (void)q.change(6, EVFILT_USER, EV_ADD | EV_ONESHOT | EV_DISABLE, NOTE_TRIGGER);
        (void)q.change(6, EVFILT_USER, EV_ENABLE);
    });
    EXPECT_EQ(idents(q.wait(4, kForever)).back(), 6);
}

//
TEST_F(Timeout, ASignalEndsASleepButHidesNoEvent) {
    world().at(kMillisecond, [] { world().interrupt(); });
    EXPECT_TRUE(q.wait(1, kSecond, {change(1, EVFILT_USER, EV_ADD)}).empty());
    EXPECT_EQ(q.error(), Errno::interrupted);
    EXPECT_EQ(passed(), kMillisecond);
    EXPECT_EQ(q.change(1, EVFILT_USER, 0, NOTE_TRIGGER), Errno::ok);
    world().interrupt();
    EXPECT_EQ(q.wait(1, kSecond).size(), 1u);
    EXPECT_EQ(q.error(), Errno::ok);
}

// R-298, D-37: with several threads, each sleep ends now and then to check that the queue is open.
TEST_F(Timeout, ClosingTheQueueEndsASleep) {
    world().single_threaded = false;
    world().at(kSecond, [&] { world().close(q.kqueue().descriptor()); });
    EXPECT_TRUE(q.wait(1, kForever).empty());
    EXPECT_EQ(q.error(), Errno::bad_descriptor);
    EXPECT_LE(passed(), kSecond + 100 * kMillisecond);
}

// The same when the number is given to another queue at once.
TEST_F(Timeout, ClosingTheQueueEndsASleepEvenIfItsNumberIsReused) {
    world().single_threaded = false;
    world().at(kSecond, [&] { (void)world().open(FdKind::other, q.kqueue().descriptor()); });
    EXPECT_TRUE(q.wait(1, kForever).empty());
    EXPECT_EQ(q.error(), Errno::bad_descriptor);
}

// Sleeping in several short sleeps must change nothing else.
TEST_F(Timeout, SlicesKeepTheDeadline) {
    world().single_threaded = false;
    EXPECT_TRUE(q.wait(1, kSecond + 30 * kMillisecond).empty());
    EXPECT_EQ(q.error(), Errno::ok);
    EXPECT_EQ(passed(), kSecond + 30 * kMillisecond);
    EXPECT_EQ(counts().sleep, 11);
    EXPECT_GT(world().shortest_sleep, 0);
}

//
TEST_F(Timeout, ClosingAWatchedDescriptorWakesNobody) {
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
    world().at(300 * kMillisecond, [&] { world().close(fd); });
    EXPECT_TRUE(q.wait(1, kSecond).empty());
    EXPECT_EQ(passed(), kSecond);
    EXPECT_EQ(counts().sleep, 1);
}

// A source wakes the call again and again without an event. Then the call pauses. A signal ends
// that pause, too.
TEST_F(Timeout, ASignalEndsAPause) {
    const kq::Handle stale(kq::Handle::Kind::descriptor, 5000, 0);
    for (Nanos t = 0; t < 100 * kMillisecond; t += kMillisecond / 10)
        world().at(t, [this, stale] { q.backend().inject({stale, kq::kReadable, 0}); });
    world().at(60 * kMillisecond, [] { world().interrupt(); });
    EXPECT_TRUE(q.wait(1, 10 * kSecond).empty());
    EXPECT_EQ(q.error(), Errno::interrupted);
    EXPECT_GT(counts().pause, 0);
}

}  // namespace
}  // namespace sim
