// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_TIMER with the hints of macOS: a leeway, or a clock that a plain timer does not use
// (semantics 5.9, Hints).
#include <time.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "support/absolute.h"
#include "support/kq.h"
#include "support/library.h"

namespace kqtest {
namespace {

#ifdef NOTE_MACH_CONTINUOUS_TIME
constexpr unsigned kContinuous = NOTE_MACH_CONTINUOUS_TIME;
#else
constexpr unsigned kContinuous = 0x80;  // has no name where it is refused
#endif
constexpr int kPeriodic = EV_ADD | EV_CLEAR;
constexpr int kOnce = EV_ADD | EV_CLEAR | EV_ONESHOT;
constexpr intptr_t kHour = 3'600'000;  // ms

class TimerHints : public KqTest {
  protected:
    // By kevent64(); `leeway` is ext[1].
    int add(Ident ident, int flags, unsigned fflags, int64_t data, uint64_t leeway = 0) const {
        struct kevent64_s change;
        EV_SET64(&change, ident.value, EVFILT_TIMER, static_cast<uint16_t>(EV_ADD | flags), fflags,
                 data, 0, 0, leeway);
        return ::kevent64(q.fd(), &change, 1, nullptr, 0, 0, nullptr) == 0 ? 0 : errno;
    }
    int add_plainly(Ident ident, int flags, unsigned fflags, intptr_t data) const {
        return q.apply(change(ident, EVFILT_TIMER, EV_ADD | flags, fflags, data));
    }
    // Now, on the clock that counts for NOTE_MACHTIME.
    static int64_t machtime([[maybe_unused]] unsigned fflags) {
        timespec ts{};
#ifdef CLOCK_BOOTTIME
        if ((fflags & kContinuous) != 0)
            (void)::clock_gettime(CLOCK_BOOTTIME, &ts);
        else
#endif
            (void)::clock_gettime(CLOCK_MONOTONIC, &ts);
        return int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec;
    }
    // The combinations that this library serves.
    static std::vector<unsigned> clocks() {
        if (on_linux()) return {0u, kContinuous};
        return {0u};
    }
    Queue q;
};

// ---- leeway ----

// A timer with a leeway comes together with another timer. Without another one it would come at the
// end of its leeway.
TEST_F(TimerHints, S59_ALeewayIsUsedToShareAWakeup) {
    const auto start = now();
    ASSERT_EQ(add(1, EV_ONESHOT, NOTE_LEEWAY, 100, 60'000), 0);
    ASSERT_EQ(add(2, EV_ONESHOT, 0, 400), 0);
    EXPECT_EQ(idents(q.wait()), (std::vector<uintptr_t>{2, 1})) << "in one call";
    EXPECT_GE(since(start), milliseconds{400});
    EXPECT_LT(since(start), milliseconds{30'000});
}

TEST_F(TimerHints, S59_NeverEarlyAndNeverLaterThanTheLeeway) {
    for (const unsigned unit :
         {0u, unsigned{NOTE_USECONDS}, unsigned{NOTE_NSECONDS}, unsigned{NOTE_MACHTIME}}) {
        SCOPED_TRACE(unit);
        const int64_t ms = unit == 0 ? 1 : unit == NOTE_USECONDS ? 1000 : 1'000'000;
        const auto start = now();
        ASSERT_EQ(add(1, EV_ONESHOT, NOTE_LEEWAY | unit, 50 * ms, static_cast<uint64_t>(150 * ms)),
                  0);
        expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
        EXPECT_GE(since(start), milliseconds{50});
        EXPECT_LT(since(start), milliseconds{200} + time_limit() / 2);
    }
}

// A timer that is not due does not come, however large its leeway is and whatever wakes the call.
TEST_F(TimerHints, S59_AWakeupOfOthersMakesNoneEarly) {
    ASSERT_EQ(add(1, EV_ONESHOT, NOTE_LEEWAY, kHour, UINT64_MAX), 0);
    ASSERT_EQ(add(2, EV_ONESHOT, NOTE_LEEWAY, kHour, static_cast<uint64_t>(kHour)), 0);
    ASSERT_EQ(add(3, EV_ONESHOT, NOTE_LEEWAY | NOTE_SECONDS, INT64_MAX, INT64_MAX), 0);
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(add(4, EV_ONESHOT, 0, 10), 0);
        expect_only(q.wait(), 4, EVFILT_TIMER, kOnce, 0, 1);
        expect_none(q.collect());
    }
}

// A period begins when the last one was due, not when it was reported.
TEST_F(TimerHints, S59_APeriodWithLeewayDoesNotDrift) {
    const auto start = now();
    ASSERT_EQ(add(1, 0, NOTE_LEEWAY, 20, 15), 0);
    intptr_t ticks = 0;
    while (ticks < 20) {
        const auto events = q.wait();
        ASSERT_EQ(events.size(), 1u);
        expect_event(events[0], 1, EVFILT_TIMER, kPeriodic, 0, events[0].data);
        ticks += events[0].data;
        EXPECT_GE(since(start), milliseconds{20} * ticks);
    }
}

// ext[1] is a leeway only with the flag, and comes back as always. kevent() has none.
TEST_F(TimerHints, S59_TheLeewayIsThatOfTheChange) {
    const auto start = now();
    ASSERT_EQ(add(1, EV_ONESHOT, 0, 30, static_cast<uint64_t>(kHour)), 0);
    struct kevent64_s event {};
    const timespec limit = to_timespec(time_limit());
    ASSERT_EQ(::kevent64(q.fd(), nullptr, 0, &event, 1, 0, &limit), 1);
    EXPECT_EQ(event.ident, 1u);
    EXPECT_EQ(event.ext[1], static_cast<uint64_t>(kHour));
    ASSERT_EQ(add_plainly(2, EV_ONESHOT, NOTE_LEEWAY, 30), 0);
    expect_only(q.wait(), 2, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_GE(since(start), milliseconds{60});
    // A second EV_ADD replaces it: R-250.
    ASSERT_EQ(add(3, EV_ONESHOT, NOTE_LEEWAY, 30, static_cast<uint64_t>(kHour)), 0);
    ASSERT_EQ(add(3, 0, 0, 30), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    // Nothing else is going to wake this queue.
    ASSERT_EQ(add(3, 0, NOTE_LEEWAY, 1, static_cast<uint64_t>(kHour)), 0);
    expect_none(q.collect(4, milliseconds{100}));
    EXPECT_FALSE(q.readable());
}

TEST_F(TimerHints, S59_DisabledAndDeletedTheyAreSilent) {
    ASSERT_EQ(add(1, 0, NOTE_LEEWAY, 10, 10), 0);
    std::this_thread::sleep_for(milliseconds{30});  // until it has expired
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DISABLE)), 0);
    expect_silent(q);
    const auto start = now();
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ENABLE)), 0);  // D-15
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_GE(since(start), milliseconds{10});
    std::this_thread::sleep_for(milliseconds{30});
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
    expect_silent(q);
}

// ---- classes ----

TEST_F(TimerHints, S59_BackgroundHasALeewayAndCriticalHasNone) {
    // How long it is: sim/timer_hints_test.cc. The other one comes within.
    Clock::time_point start;
    do {
        start = now();
        ASSERT_EQ(add_plainly(1, EV_ONESHOT, NOTE_BACKGROUND, 300), 0);
        ASSERT_EQ(add_plainly(2, EV_ONESHOT, NOTE_CRITICAL, 350), 0);
    } while (since(start) >= milliseconds{25});  // else the second one may be too late for that
    EXPECT_EQ(idents(q.wait()), (std::vector<uintptr_t>{2, 1}));
    EXPECT_GE(since(start), milliseconds{350});
    // Critical goes before background, and has the leeway that it is given.
    ASSERT_EQ(add_plainly(1, EV_ONESHOT, NOTE_BACKGROUND | NOTE_CRITICAL, 5), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    ASSERT_EQ(add(1, 0, NOTE_LEEWAY | NOTE_CRITICAL, 5, static_cast<uint64_t>(kHour)), 0);
    expect_none(q.collect(4, milliseconds{50}));
}

TEST_F(TimerHints, S59_AMomentOfTheWallMayHaveALeeway) {
    const Absolute moment = absolute(std::chrono::system_clock::now() + milliseconds{100});
    for (const unsigned hint :
         {unsigned{NOTE_LEEWAY}, unsigned{NOTE_BACKGROUND}, unsigned{NOTE_CRITICAL}, kContinuous}) {
        SCOPED_TRACE(hint);
        ASSERT_EQ(add(1, 0, moment.fflags | hint, moment.data, 1), 0);
        expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
        EXPECT_GE(std::chrono::system_clock::now(), moment.at);
    }
}

// ---- clocks ----

TEST_F(TimerHints, S59_MachTimeIsInNanoseconds) {
    for (const unsigned clock : clocks()) {
        SCOPED_TRACE(clock);
        const auto start = now();
        ASSERT_EQ(add(1, EV_ONESHOT, NOTE_MACHTIME | clock, 50'000'000), 0);
        expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
        EXPECT_GE(since(start), milliseconds{50});
        EXPECT_LT(since(start), milliseconds{50} + time_limit() / 2);
        ASSERT_EQ(add(1, 0, NOTE_MACHTIME | clock, 0), 0);
        EXPECT_EQ(q.wait().size(), 1u);
        ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
    }
}

TEST_F(TimerHints, S59_AMomentOfMachTimeComesOnce) {
    if (!kWideData) GTEST_SKIP() << "does not fit: L-DATA-32";
    for (const unsigned clock : clocks()) {
        SCOPED_TRACE(clock);
        const unsigned fflags = NOTE_MACHTIME | NOTE_ABSOLUTE | clock;
        const int64_t moment = machtime(clock) + 100'000'000;
        ASSERT_EQ(add(1, 0, fflags, moment), 0);
        expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);  // D-16
        EXPECT_GE(machtime(clock), moment);
        EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), ENOENT);
        for (const int64_t past : {machtime(clock) - 1000, int64_t{1}, int64_t{-5}}) {
            ASSERT_EQ(add(1, 0, fflags, past), 0);
            expect_only(q.collect(), 1, EVFILT_TIMER, kOnce, 0, 1);
        }
        // One that passed while it was disabled.
        ASSERT_EQ(add(1, EV_DISABLE, fflags, machtime(clock) + 1'000'000), 0);
        expect_none(q.collect(4, milliseconds{20}));
        ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ENABLE)), 0);
        expect_only(q.collect(), 1, EVFILT_TIMER, kOnce, 0, 1);
        // Relative again: as it was made.
        ASSERT_EQ(add(1, 0, fflags, machtime(clock) + 60'000'000'000), 0);
        ASSERT_EQ(add(1, 0, clock, 5), 0);
        for (int i = 0; i < 2; i++)
            EXPECT_EQ(q.wait().size(), 1u);
        ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
    }
}

TEST_F(TimerHints, S59_TheContinuousClockIsAClockOfItsOwn) {
    KQ_OF(linux);
    const auto start = now();
    ASSERT_EQ(add_plainly(1, 0, kContinuous, 100), 0);
    ASSERT_EQ(add_plainly(2, EV_ONESHOT, kContinuous | NOTE_SECONDS, 3600), 0);
    ASSERT_EQ(add_plainly(3, EV_ONESHOT, kContinuous, 250), 0);
    const bool early = q.readable();
    EXPECT_TRUE(!early || since(start) >= milliseconds{100});
    intptr_t ticks = 0;
    bool once = false;
    while (ticks < 4 || !once) {
        ASSERT_TRUE(q.wait_until_readable());
        for (const Event& e : q.collect()) {
            ASSERT_NE(e.ident, 2u);
            once = once || e.ident == 3;
            if (e.ident == 1) ticks += e.data;
        }
        EXPECT_GE(since(start), milliseconds{100} * ticks);
    }
    // From clock to clock, and an earlier one after a later one.
    ASSERT_EQ(add_plainly(1, 0, 0, kHour), 0);
    ASSERT_EQ(add_plainly(2, 0, kContinuous, 10), 0);
    expect_only(q.wait(), 2, EVFILT_TIMER, kOnce, 0, 1);
    ASSERT_EQ(add_plainly(1, 0, kContinuous, 10), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
    expect_silent(q);
}

// That it says so: missing_test.cc.
TEST_F(TimerHints, S59_WithoutAContinuousClockItIsRefused) {
    if (on_linux()) GTEST_SKIP() << "there is one";
    for (const unsigned fflags :
         {kContinuous, kContinuous | NOTE_SECONDS, kContinuous | NOTE_MACHTIME | NOTE_ABSOLUTE})
        EXPECT_EQ(add_plainly(1, 0, fflags, 1), ENOTSUP);
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), ENOENT);
    ASSERT_EQ(add_plainly(1, 0, 0, kHour), 0);
    EXPECT_EQ(add_plainly(1, 0, kContinuous, 1), ENOTSUP);
    expect_none(q.collect(4, milliseconds{20}));
}

TEST_F(TimerHints, R66_R67_R68_WhatMakesNoSenseIsRefused) {
    ASSERT_EQ(add(1, 0, NOTE_LEEWAY, kHour), 0);
    for (const int ident : {1, 2}) {
        for (const unsigned unit :
             {unsigned{NOTE_SECONDS}, unsigned{NOTE_USECONDS}, unsigned{NOTE_NSECONDS}})
            EXPECT_EQ(add(ident, 0, NOTE_MACHTIME | unit, 1), EINVAL);
        EXPECT_EQ(add(ident, 0, NOTE_LEEWAY | NOTE_SECONDS | NOTE_USECONDS, 1), EINVAL);
        EXPECT_EQ(add(ident, 0, NOTE_LEEWAY | 0x200, 1), EINVAL);
        EXPECT_EQ(add(ident, 0, NOTE_BACKGROUND, -1), EINVAL);
        EXPECT_EQ(add(ident, 0, NOTE_MACHTIME, -1), EINVAL);
    }
    EXPECT_TRUE(has_knote(q, 1, EVFILT_TIMER));
    EXPECT_FALSE(has_knote(q, 2, EVFILT_TIMER));
}

}  // namespace
}  // namespace kqtest
