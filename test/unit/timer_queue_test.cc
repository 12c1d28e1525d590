// SPDX-License-Identifier: BSD-2-Clause
// TimerQueue: two clocks, the earliest deadline, which timers are due; catch_up() without drift.
#include "timer_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace kq {
namespace {

constexpr Clock kMono = Clock::monotonic;
constexpr Clock kReal = Clock::realtime;

void start(TimerQueue& queue, TimerKnote& timer, Clock clock, Nanos deadline) {
    timer.clock = clock;
    timer.deadline = deadline;
    queue.start(timer);
}

TEST(TimerQueue, EmptyIsNeverDue) {
    TimerQueue queue;
    EXPECT_EQ(queue.earliest(kMono), kForever);
    EXPECT_EQ(queue.take_due(kMono, kForever), nullptr);
}

TEST(TimerQueue, TakesTheDueInOrderOfTheirDeadlines) {
    TimerQueue queue;
    TimerKnote a, b, c;
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(queue.join(kMono), Errno::ok);
    start(queue, a, kMono, 30);
    start(queue, b, kMono, 10);
    start(queue, c, kMono, 20);
    EXPECT_EQ(queue.earliest(kMono), 10);
    EXPECT_EQ(queue.take_due(kMono, 9), nullptr);
    EXPECT_EQ(queue.take_due(kMono, 20), &b);  // due at its deadline, not after it
    EXPECT_FALSE(b.waiting());
    EXPECT_EQ(queue.take_due(kMono, 20), &c);
    EXPECT_EQ(queue.take_due(kMono, 20), nullptr);
    EXPECT_EQ(queue.earliest(kMono), 30);
    EXPECT_TRUE(a.waiting());
    queue.stop(a);
    EXPECT_FALSE(a.waiting());
    queue.stop(a);  // once is enough, twice no harm
    EXPECT_EQ(queue.earliest(kMono), kForever);
}

// A kqueue asks the backend for a new wakeup only then.
TEST(TimerQueue, TellsWhenADeadlineMayHaveBecomeTheEarliest) {
    TimerQueue queue;
    TimerKnote a;
    ASSERT_EQ(queue.join(kMono), Errno::ok);
    EXPECT_FALSE(queue.moved());
    start(queue, a, kMono, 30);
    EXPECT_TRUE(queue.moved());
    queue.move(a, 40);  // earlier than that was not told yet
    EXPECT_TRUE(queue.moved());
    queue.note_told();
    queue.move(a, 50);
    EXPECT_FALSE(queue.moved());
    queue.move(a, 49);
    EXPECT_TRUE(queue.moved());
    queue.note_told();
    queue.stop(a);
    EXPECT_FALSE(queue.moved());
    queue.note_moved();
    EXPECT_TRUE(queue.moved());
}

// A timer with a later deadline needs no new wakeup.
TEST(TimerQueue, TellsOfANewTimerOnlyIfItIsTheEarliest) {
    TimerQueue queue;
    std::vector<TimerKnote> timers(4);
    for (size_t i = 0; i < timers.size(); i++)
        ASSERT_EQ(queue.join(kMono), Errno::ok);
    start(queue, timers[0], kMono, 30);
    EXPECT_TRUE(queue.moved());
    queue.note_told();
    start(queue, timers[1], kMono, 40);
    start(queue, timers[2], kMono, 30);
    EXPECT_FALSE(queue.moved());
    start(queue, timers[3], kMono, 29);
    EXPECT_TRUE(queue.moved());
}

// the last of two timers that share a wakeup is put off. The wakeup is then earlier, and the
// backend must be told.
TEST(TimerQueue, TellsIfTheLastOfASharedWakeupIsPutOff) {
    TimerQueue queue;
    TimerKnote first, last;
    for (int i = 0; i < 2; i++)
        ASSERT_EQ(queue.join(kMono), Errno::ok);
    start(queue, first, kMono, 1'000'000);
    start(queue, last, kMono, 1'040'000);
    queue.share(kMono);
    EXPECT_EQ(queue.wakeup(kMono), 1'040'000);
    queue.note_told();
    queue.move(last, 2'000'000);
    EXPECT_EQ(queue.wakeup(kMono), 1'000'000);
    EXPECT_TRUE(queue.moved());
}

TEST(TimerQueue, JoinsInRoomThatIsThere) {
    TimerQueue queue;
    EXPECT_FALSE(queue.join_in_room(kMono));
    EXPECT_FALSE(queue.has_joined(kMono));
    ASSERT_EQ(queue.join(kMono), Errno::ok);
    std::vector<TimerKnote> timers(64);
    size_t joined = 1;
    while (joined < timers.size() && queue.join_in_room(kMono))
        joined++;
    EXPECT_LT(joined, timers.size());  // the array is full
    for (size_t i = 0; i < joined; i++)
        start(queue, timers[i], kMono, static_cast<Nanos>(joined - i));
    EXPECT_EQ(queue.earliest(kMono), 1);
    ASSERT_EQ(queue.join(kMono), Errno::ok);
    for (TimerKnote& timer : timers)
        queue.stop(timer);
}

TEST(TimerQueue, ClocksAreApart) {
    TimerQueue queue;
    TimerKnote mono, real;
    ASSERT_EQ(queue.join(kMono), Errno::ok);
    ASSERT_EQ(queue.join(kReal), Errno::ok);
    start(queue, mono, kMono, 100);
    start(queue, real, kReal, 50);
    EXPECT_EQ(queue.earliest(kMono), 100);
    EXPECT_EQ(queue.earliest(kReal), 50);
    EXPECT_EQ(queue.take_due(kMono, 70), nullptr);
    EXPECT_EQ(queue.take_due(kReal, 70), &real);
    queue.stop(mono);
}

// Room is reserved by join(): start() and stop() in any order never lack it.
TEST(TimerQueue, RandomAgreesWithAScan) {
    std::mt19937 random(7);
    TimerQueue queue;
    std::vector<TimerKnote> timers(200);
    for (size_t i = 0; i < timers.size(); i++)
        ASSERT_EQ(queue.join(kMono), Errno::ok);
    for (int step = 0; step < 20000; step++) {
        TimerKnote& timer = timers[random() % timers.size()];
        if (timer.waiting())
            queue.stop(timer);
        else
            start(queue, timer, kMono, static_cast<Nanos>(random() % 500));
        Nanos least = kForever;
        for (const TimerKnote& t : timers)
            if (t.waiting()) least = std::min(least, t.deadline);
        ASSERT_EQ(queue.earliest(kMono), least) << "step " << step;
    }
    for (TimerKnote& timer : timers)
        queue.stop(timer);
}

TEST(TimerQueueDeathTest, LeaveOnlyAfterJoin) {
    TimerQueue queue;
    EXPECT_DEATH(queue.leave(kReal), "broken invariant");
}

TEST(CatchUp, CountsWholePeriodsAndMovesOn) {
    Nanos deadline = 100;
    EXPECT_EQ(catch_up(deadline, 10, 100), 1);
    EXPECT_EQ(deadline, 110);
    EXPECT_EQ(catch_up(deadline, 10, 119), 1);
    EXPECT_EQ(deadline, 120);
    EXPECT_EQ(catch_up(deadline, 10, 150), 4);
    EXPECT_EQ(deadline, 160);
}

// however late each look is, ticks and deadlines are those of the first start.
TEST(CatchUp, DoesNotDriftOverAMillionPeriods) {
    std::mt19937_64 random(1);
    constexpr Nanos kPeriod = 10 * kMillisecond + 1;
    const Nanos start = 123456789;
    Nanos deadline = start + kPeriod;
    int64_t ticks = 0;
    while (ticks < 1'000'000) {
        const Nanos t = deadline + static_cast<Nanos>(random() % (3 * kPeriod));
        ticks += catch_up(deadline, kPeriod, t);
        ASSERT_EQ(ticks, (t - start) / kPeriod);
        ASSERT_EQ(deadline, start + (ticks + 1) * kPeriod);
        ASSERT_GT(deadline, t);
    }
}

TEST(CatchUp, SaturatesNeverEarly) {
    Nanos deadline = 5;
    EXPECT_EQ(catch_up(deadline, kForever, 5), 1);
    EXPECT_EQ(deadline, kForever);
    deadline = kForever - 10;
    EXPECT_EQ(catch_up(deadline, 7, kForever - 1), 2);
    EXPECT_EQ(deadline, kForever);
    deadline = 1;
    EXPECT_EQ(catch_up(deadline, 1, kForever - 1), kForever - 1);
    EXPECT_EQ(deadline, kForever);
}

TEST(CatchUpDeathTest, RefusesNonsense) {
    Nanos deadline = 10;
    EXPECT_DEATH(catch_up(deadline, 0, 20), "broken invariant");
    EXPECT_DEATH(catch_up(deadline, 5, 9), "broken invariant");
}

}  // namespace
}  // namespace kq
