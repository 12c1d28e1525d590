// SPDX-License-Identifier: BSD-2-Clause
// Timers that are close together share wakeups. The tests move the clock, and check wakeups to the
// nanosecond.
#include "sim_test.h"

namespace sim {
namespace {

constexpr int kTimer = EVFILT_TIMER;
constexpr Nanos kMicrosecond = 1000;

class TimerShare : public Sim {
  protected:
    Queue q;
    const Nanos start = mono();

    static Nanos mono() { return world().now(Clock::monotonic); }
    // A one-shot timer that is due `us` microseconds after the start of the test.
    void at(int ident, Nanos us, unsigned fflags = 0) {
        const Nanos left = start + us * kMicrosecond - mono();
        ASSERT_EQ(q.change(ident, kTimer, EV_ADD | EV_ONESHOT, NOTE_NSECONDS | fflags,
                           static_cast<intptr_t>(left)),
                  Errno::ok);
    }
    // Waits for events, and says how many microseconds after the start they came.
    Kevents next(Nanos& us) {
        Kevents events = q.wait(64, kForever);
        us = (mono() - start) / kMicrosecond;
        return events;
    }
    void expect_next(Nanos us, const std::vector<int>& which) {
        Nanos came = 0;
        EXPECT_EQ(idents(next(came)), which);
        EXPECT_EQ(came, us);
    }
};

// at most 50 us late, never early.
TEST_F(TimerShare, R348_NeighboursComeTogether) {
    at(1, 1000);
    at(2, 2000);
    at(3, 2020);
    at(4, 2050);
    at(5, 2051);
    expect_next(1000, {1});
    expect_next(2050, {2, 3, 4});
    expect_next(2051, {5});
}

// a timer with no other timer close to it is as exact as the clock.
TEST_F(TimerShare, R349_ALoneTimerIsExact) {
    at(1, 1000);
    at(2, 2000);
    at(3, 2051);
    at(4, 9000);
    expect_next(1000, {1});
    expect_next(2000, {2});
    expect_next(2051, {3});
    expect_next(9000, {4});
}

// the neighbour was deleted.
TEST_F(TimerShare, R349_ADeletedNeighbourIsNotWaitedFor) {
    at(1, 1000);
    at(2, 2000);
    at(3, 2040);
    expect_next(1000, {1});
    ASSERT_EQ(q.change(3, kTimer, EV_DELETE), Errno::ok);
    at(2, 2010);
    expect_next(2010, {2});
}

TEST_F(TimerShare, R349_AnEarlierOneDoesNotWaitForWhatIsGone) {
    at(1, 1000);
    at(2, 2000);
    at(3, 2040);
    at(4, 3000);
    expect_next(1000, {1});
    ASSERT_EQ(q.change(3, kTimer, EV_DELETE), Errno::ok);
    expect_next(2000, {2});
}

TEST_F(TimerShare, R349_AnEarlierOneDoesNotWaitForWhatIsPutOff) {
    at(1, 1000);
    at(2, 2000);
    at(3, 2040);
    at(4, 4000);
    at(5, 4030);
    expect_next(1000, {1});
    at(3, 3000);
    expect_next(2000, {2});
    expect_next(3000, {3});
    expect_next(4030, {4, 5});
}

// a critical timer is added while others share a wakeup.
TEST_F(TimerShare, R350_ACriticalOneThatIsDisabledCountsAtOnce) {
    at(1, 1000);
    at(2, 2000);
    at(3, 2040);
    expect_next(1000, {1});
    ASSERT_EQ(q.change(9, kTimer, EV_ADD | EV_DISABLE, NOTE_CRITICAL, 1000), Errno::ok);
    expect_next(2000, {2});
}

// a timer that was added later is not late by more than 50 us, either.
TEST_F(TimerShare, R348_AnEarlierOneIsNotLate) {
    at(1, 1000);
    at(2, 2000);
    at(3, 2040);
    expect_next(1000, {1});
    at(4, 1980);
    expect_next(1980, {4});
    expect_next(2040, {2, 3});
}

// NOTE_CRITICAL makes all other timers of the kqueue exact, too.
TEST_F(TimerShare, R350_CriticalTimersDoNotWait) {
    at(9, 9000, NOTE_CRITICAL);
    at(1, 1000);
    at(2, 2000);
    at(3, 2040);
    expect_next(1000, {1});
    expect_next(2000, {2});
    expect_next(2040, {3});
    at(9, 9000);  // not critical any more
    at(4, 4000);
    at(5, 5000);
    at(6, 5001);
    expect_next(4000, {4});
    expect_next(5001, {5, 6});
    at(8, 8000, NOTE_CRITICAL);
    ASSERT_EQ(q.change(8, kTimer, EV_DELETE), Errno::ok);
    at(7, 7000);
    at(10, 9030);
    expect_next(7000, {7});
    expect_next(9030, {9, 10});
}

// a period counts from the moment when it ended, not from the wakeup.
TEST_F(TimerShare, R348_PeriodsDoNotDrift) {
    for (int i = 1; i <= 3; i++)
        ASSERT_EQ(q.change(i, kTimer, EV_ADD, NOTE_USECONDS, 1000 + i), Errno::ok);
    long count[4] = {};
    while (mono() < start + 100'000 * kMicrosecond) {
        Nanos us = 0;
        for (const struct kevent& event : next(us)) {
            const long ident = static_cast<long>(event.ident);
            count[ident] += event.data;
            const Nanos late = us - count[ident] * (1000 + ident);
            EXPECT_GE(late, 0);
            EXPECT_LE(late, 50);
        }
    }
}

}  // namespace
}  // namespace sim
