// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_TIMER on a clock that the tests move.; D-15 to D-18.
#include <limits>

#include "sim_test.h"

namespace sim {
namespace {

constexpr int kTimer = EVFILT_TIMER;
constexpr intptr_t kHuge = std::numeric_limits<intptr_t>::max();

class Timer : public Sim {
  protected:
    Queue q;

    static Nanos mono() { return world().now(Clock::monotonic); }
    static intptr_t real(Nanos unit) {
        return static_cast<intptr_t>(world().now(Clock::realtime) / unit);
    }
    static void pass(Nanos ms) { world().advance(ms * kMillisecond); }
};

// to the nanosecond, in a sleep and with polling.
TEST_F(Timer, FiresAtItsMomentAndNotBefore) {
    const Nanos start = mono();
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 1000), Errno::ok);
    world().advance(kSecond - 1);
    EXPECT_FALSE(q.readable());
    EXPECT_TRUE(q.wait().empty());
    world().advance(1);
    EXPECT_TRUE(q.readable());
    const Kevents events = q.wait();
    EXPECT_EQ(only_data(events), 1);
    EXPECT_EQ(events[0].flags, EV_ADD | EV_CLEAR);
    EXPECT_EQ(events[0].fflags, 0u);
    EXPECT_EQ(only_data(q.wait(4, kForever)), 1);
    EXPECT_EQ(mono(), start + 2 * kSecond);
    ASSERT_EQ(q.change(1, kTimer, EV_DELETE), Errno::ok);
    EXPECT_TRUE(q.wait(4, 10 * kSecond).empty());
}

//
TEST_F(Timer, Units) {
    struct Unit {
        unsigned fflags;
        Nanos span;
    };
    for (const Unit& unit : {Unit{0, kMillisecond}, Unit{NOTE_SECONDS, kSecond},
                             Unit{NOTE_USECONDS, 1000}, Unit{NOTE_NSECONDS, 1}}) {
        const Nanos start = mono();
        ASSERT_EQ(q.change(1, kTimer, EV_ADD | EV_ONESHOT, unit.fflags, 7), Errno::ok);
        EXPECT_EQ(q.wait(4, kForever).size(), 1u);
        EXPECT_EQ(mono(), start + 7 * unit.span);
    }
}

// D-17, D-18: the change is refused, and an existing timer is not touched.
TEST_F(Timer, RefusesNonsense) {
    const auto bad = [&](unsigned fflags, intptr_t data) {
        return q.change(1, kTimer, EV_ADD, fflags, data);
    };
    for (const bool existing : {false, true}) {
        EXPECT_EQ(bad(0, -1), Errno::invalid);
        EXPECT_EQ(bad(NOTE_SECONDS | NOTE_USECONDS, 1), Errno::invalid);
        EXPECT_EQ(bad(0x8000, 1), Errno::invalid);
        if (existing) break;
        EXPECT_EQ(q.change(1, kTimer, EV_DELETE), Errno::no_entry);
        ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 50), Errno::ok);
        pass(20);
    }
    pass(30);
    EXPECT_EQ(only_data(q.wait()), 1);
}

//
TEST_F(Timer, CountsWhatWasMissed) {
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 50), Errno::ok);
    pass(524);
    EXPECT_EQ(only_data(q.wait()), 10);
    EXPECT_TRUE(q.wait().empty());
    pass(26);  // 550: the periods count from the start
    EXPECT_EQ(only_data(q.wait()), 1);
}

// a million periods, and each is collected late.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int64_t kManyTicks = 100'000;  // and these builds are not optimized
#else
constexpr int64_t kManyTicks = 1'000'000;
#endif

TEST_F(Timer, DoesNotDrift) {
    const Nanos period = 1'000'003;
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, NOTE_NSECONDS, period), Errno::ok);
    const Nanos start = mono();
    int64_t ticks = 0;
    for (int i = 0; ticks < kManyTicks; i++) {
        world().advance(i % 7 * 299'999);
        const Kevents events = q.wait(1, kForever);
        ASSERT_EQ(events.size(), 1u);
        ticks += events[0].data;
        ASSERT_EQ(ticks, (mono() - start) / period);
    }
}

// there is one event, however much time passes.
TEST_F(Timer, AShortPeriodIsCoalesced) {
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, NOTE_NSECONDS, 1), Errno::ok);
    const int fd = readable();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
    for (int i = 0; i < 4; i++) {
        world().advance(12345);
        const Kevents events = q.wait();
        ASSERT_EQ(events.size(), 2u);
        EXPECT_EQ(events[0].data + events[1].data, 12345 + 1);
    }
}

//
TEST_F(Timer, APeriodOfNothing) {
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 0), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    pass(3);
    EXPECT_EQ(only_data(q.wait()), 3);
    ASSERT_EQ(q.change(2, kTimer, EV_ADD | EV_ONESHOT, 0, 0), Errno::ok);
    EXPECT_TRUE(q.readable());
    EXPECT_EQ(idents(q.wait()), std::vector{2});
}

// a timer is never early, whatever the program asks for.
TEST_F(Timer, SaturatesAndNeverFiresEarly) {
    int ident = 0;
    for (const unsigned unit : {0u, 1u * NOTE_SECONDS, 1u * NOTE_USECONDS, 1u * NOTE_NSECONDS})
        for (const intptr_t data : {kHuge, kHuge / 2, kHuge / 1000})
            for (const unsigned once : {0u, unsigned{EV_ONESHOT}})
                for (const unsigned absolute : {0u, unsigned{NOTE_ABSOLUTE}}) {
                    const bool soon = unit == NOTE_NSECONDS && data == kHuge / 1000;
                    if (soon) continue;  // as a moment it is past, as a period not huge
                    ASSERT_EQ(q.change(++ident, kTimer, EV_ADD | once, unit | absolute, data),
                              Errno::ok);
                }
    EXPECT_TRUE(q.wait().empty());
    world().advance(10 * 365 * 86400 * kSecond);
    EXPECT_TRUE(q.wait().empty());
}

// D-16.
TEST_F(Timer, AMomentComesOnce) {
    const Nanos start = mono();
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, NOTE_ABSOLUTE, real(kMillisecond) + 100), Errno::ok);
    const Kevents events = q.wait(4, kForever);
    EXPECT_EQ(mono(), start + 100 * kMillisecond);
    EXPECT_EQ(only_data(events), 1);
    EXPECT_EQ(events[0].flags, EV_ADD | EV_CLEAR | EV_ONESHOT);
    EXPECT_EQ(q.change(1, kTimer, EV_DELETE), Errno::no_entry);
    for (const intptr_t past : {real(kSecond) - 5, intptr_t{0}, intptr_t{-5}}) {
        ASSERT_EQ(q.change(1, kTimer, EV_ADD, NOTE_ABSOLUTE | NOTE_SECONDS, past), Errno::ok);
        EXPECT_EQ(q.wait().size(), 1u) << past;
    }
}

//
TEST_F(Timer, AddingAgainStartsAnew) {
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 100), Errno::ok);
    pass(60);
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 100), Errno::ok);
    pass(99);
    EXPECT_TRUE(q.wait().empty());
    pass(1);
    EXPECT_EQ(only_data(q.wait()), 1);
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, NOTE_SECONDS, 3600), Errno::ok);
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 10), Errno::ok);
    pass(10);
    EXPECT_EQ(only_data(q.wait()), 1);
}

// the timer has expired, and was perhaps collected, but not reported.
TEST_F(Timer, AddingAgainDiscardsWhatExpired) {
    for (const bool collected : {false, true}) {
        ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 10), Errno::ok);
        pass(35);
        if (collected) {
            const auto user = change(1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER);
            EXPECT_EQ(q.wait(1, 0, {user}).size(), 1u);
        }
        ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 20), Errno::ok);
        EXPECT_TRUE(q.wait().empty());
        pass(20);
        EXPECT_EQ(only_data(q.wait()), 1);
        ASSERT_EQ(q.change(1, kTimer, EV_DELETE), Errno::ok);
    }
}

// R-251, and back to the first clock.
TEST_F(Timer, AddingAgainMayChangeTheClock) {
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 50), Errno::ok);
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, NOTE_ABSOLUTE, real(kMillisecond) + 80), Errno::ok);
    pass(79);
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 30), Errno::ok);
    pass(1);
    EXPECT_TRUE(q.wait().empty());
    pass(29);
    EXPECT_EQ(only_data(q.wait()), 1);
    pass(30);
    EXPECT_EQ(only_data(q.wait()), 1);  // and it is periodic again
}

// a one-shot timer stays one.
TEST_F(Timer, AddingAgainKeepsOneshot) {
    ASSERT_EQ(q.change(1, kTimer, EV_ADD | EV_ONESHOT, 0, 50), Errno::ok);
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 20), Errno::ok);
    pass(100);
    EXPECT_EQ(only_data(q.wait()), 1);
    EXPECT_EQ(q.change(1, kTimer, EV_DELETE), Errno::no_entry);
}

// D-15: EV_ENABLE begins a new period, and the old period is forgotten.
TEST_F(Timer, EnablingStartsThePeriodAnew) {
    ASSERT_EQ(q.change(1, kTimer, EV_ADD | EV_DISPATCH, 0, 200), Errno::ok);
    pass(200);
    EXPECT_EQ(only_data(q.wait()), 1);
    pass(500);
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(q.change(1, kTimer, EV_ENABLE), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    pass(1100);
    EXPECT_EQ(only_data(q.wait()), 5);
    ASSERT_EQ(q.change(2, kTimer, EV_ADD | EV_ONESHOT, 0, 2000), Errno::ok);
    pass(1500);
    ASSERT_EQ(q.change(2, kTimer, EV_DISABLE), Errno::ok);
    pass(9000);
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(q.change(2, kTimer, EV_ENABLE), Errno::ok);
    const Nanos start = mono();
    EXPECT_EQ(idents(q.wait(4, kForever)), std::vector{2});
    EXPECT_EQ(mono(), start + 2 * kSecond);
}

// A disabled timer that is enabled twice, or added again, has one place in the queue.
TEST_F(Timer, EveryChangeOfADisabledOne) {
    ASSERT_EQ(q.change(1, kTimer, EV_ADD | EV_DISABLE, 0, 10), Errno::ok);
    for (const unsigned flags : {EV_ADD | 0u, EV_ENABLE | 0u, EV_ENABLE | 0u,
                                 EV_ADD | EV_DISABLE | 0u, EV_ADD | EV_ENABLE | 0u, EV_ADD | 0u})
        ASSERT_EQ(q.change(1, kTimer, flags, 0, 10), Errno::ok) << flags;
    pass(10);
    EXPECT_EQ(only_data(q.wait()), 1);
}

//
TEST_F(Timer, IdentsAreJustNumbers) {
    const int fd = readable();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    for (const uintptr_t ident : {uintptr_t{0}, static_cast<uintptr_t>(fd), UINTPTR_MAX})
        ASSERT_EQ(q.change(ident, kTimer, EV_ADD, 0, 5), Errno::ok);
    pass(5);
    EXPECT_EQ(q.wait().size(), 4u);
}

// Many timers are reported one by one, in the order of their deadlines.
TEST_F(Timer, ManyTimersComeInTheOrderOfTheirDeadlines) {
    for (int i = 0; i < 200; i++)
        ASSERT_EQ(q.change(i, kTimer, EV_ADD | EV_ONESHOT, 0, (i * 73) % 200 + 1), Errno::ok);
    std::vector<int> seen;
    for (Nanos last = 0; seen.size() < 200; last = mono()) {
        const Kevents events = q.wait(1, kForever);
        ASSERT_EQ(events.size(), 1u);
        EXPECT_GT(mono(), last);
        seen.push_back(static_cast<int>(events[0].ident));
    }
    for (int i = 0; i < 200; i++)
        EXPECT_EQ(seen[static_cast<size_t>((i * 73) % 200)], i);
}

}  // namespace
}  // namespace sim
