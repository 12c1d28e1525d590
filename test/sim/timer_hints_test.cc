// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_TIMER with a leeway or another clock, on clocks that the tests move (semantics 5.9,
// Hints).
#include <limits>

#include "filter_numbers.h"
#include "sim_test.h"

namespace sim {
namespace {

constexpr int kTimer = EVFILT_TIMER;
constexpr intptr_t kHuge = std::numeric_limits<intptr_t>::max();

class TimerHints : public Sim {
  protected:
    Queue q;

    static Nanos mono() { return world().now(Clock::monotonic); }
    static void pass(Nanos ms) { world().advance(ms * kMillisecond); }
    // Uses kevent64(), with a leeway in the unit of data.
    Errno add(uint64_t ident, unsigned flags, unsigned fflags, int64_t data, uint64_t leeway) {
        struct kevent64_s change;
        EV_SET64(&change, ident, kTimer, static_cast<uint16_t>(EV_ADD | flags),
                 NOTE_LEEWAY | fflags, data, 0, 0, leeway);
        return q.kqueue().run_wide(&change, 1, nullptr, 0, 0, nullptr, nullptr).error();
    }
};

// A timer alone comes at the end of its leeway. With others it comes at the first wakeup at which
// it is due.
TEST_F(TimerHints, ALeewayLastsUntilSomebodyWakes) {
    const Nanos start = mono();
    ASSERT_EQ(add(1, 0, 0, 100, 50), Errno::ok);
    EXPECT_EQ(only_data(q.wait(4, kForever)), 1);
    EXPECT_EQ(mono(), start + 150 * kMillisecond);
    ASSERT_EQ(q.change(2, kTimer, EV_ADD | EV_ONESHOT, 0, 20), Errno::ok);  // before 1 is due
    EXPECT_EQ(idents(q.wait(4, kForever)), std::vector{2});
    EXPECT_EQ(mono(), start + 170 * kMillisecond);
    ASSERT_EQ(q.change(2, kTimer, EV_ADD | EV_ONESHOT, 0, 40), Errno::ok);
    EXPECT_EQ(idents(q.wait(4, kForever)), (std::vector{2, 1}));
    EXPECT_EQ(mono(), start + 210 * kMillisecond);
    // The period counts from the times when it was due: next at 300.
    EXPECT_EQ(only_data(q.wait(4, kForever)), 1);
    EXPECT_EQ(mono(), start + 350 * kMillisecond);
}

TEST_F(TimerHints, NeighboursShareAWakeup) {
    const Nanos start = mono();
    for (int i = 0; i < 50; i++)
        ASSERT_EQ(add(static_cast<uint64_t>(i), EV_ONESHOT, 0, 100 + i, 60), Errno::ok);
    EXPECT_EQ(q.wait(64, kForever).size(), 50u);
    EXPECT_EQ(mono(), start + 160 * kMillisecond);
}

TEST_F(TimerHints, NeverEarlyWhereTimeEnds) {
    ASSERT_EQ(add(1, EV_ONESHOT, 0, 3'600'000, UINT64_MAX), Errno::ok);
    ASSERT_EQ(add(2, 0, NOTE_SECONDS, kHuge, UINT64_MAX), Errno::ok);
    ASSERT_EQ(add(3, EV_ONESHOT, NOTE_NSECONDS, kHuge, 5), Errno::ok);
    ASSERT_EQ(q.change(4, kTimer, EV_ADD, 0, 1000), Errno::ok);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(idents(q.wait(4, kForever)), std::vector{4});
    pass(3'600'000);
    EXPECT_EQ(q.wait().size(), 2u);  // the first one is due now, and a call is awake
    EXPECT_TRUE(q.wait().empty());
}

// The leeway is a tenth of a second, but at most the period. With NOTE_CRITICAL there is none.
TEST_F(TimerHints, Classes) {
    const struct {
        unsigned fflags;
        intptr_t data;
        Nanos expected;
    } rows[] = {{NOTE_BACKGROUND, 1000, 1100},
                {NOTE_BACKGROUND, 30, 60},
                {NOTE_CRITICAL, 1000, 1000},
                {NOTE_BACKGROUND | NOTE_CRITICAL, 1000, 1000},
                {NOTE_MACHTIME, 5'000'000, 5}};
    for (const auto& row : rows) {
        const Nanos start = mono();
        ASSERT_EQ(q.change(1, kTimer, EV_ADD | EV_ONESHOT, row.fflags, row.data), Errno::ok);
        EXPECT_EQ(only_data(q.wait(4, kForever)), 1);
        EXPECT_EQ(mono(), start + row.expected * kMillisecond) << row.fflags;
    }
    const struct {
        unsigned fflags;
        uint64_t leeway;
        Nanos expected;
    } given[] = {
        {NOTE_BACKGROUND, 500, 1500}, {NOTE_BACKGROUND, 50, 1100}, {NOTE_CRITICAL, 50, 1050}};
    for (const auto& row : given) {
        const Nanos start = mono();
        ASSERT_EQ(add(1, EV_ONESHOT, row.fflags, 1000, row.leeway), Errno::ok);
        EXPECT_EQ(only_data(q.wait(4, kForever)), 1);
        EXPECT_EQ(mono(), start + row.expected * kMillisecond) << row.fflags;
    }
    const Nanos start = mono();
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, NOTE_ABSOLUTE | NOTE_BACKGROUND,
                       static_cast<intptr_t>(world().now(Clock::realtime) / kMillisecond) + 500),
              Errno::ok);
    EXPECT_EQ(only_data(q.wait(4, kForever)), 1);
    EXPECT_GT(mono(), start + 598 * kMillisecond);
    EXPECT_LE(mono(), start + 600 * kMillisecond);
}

// NOTE_MACHTIME means a time of the monotonic clock.
TEST_F(TimerHints, AMomentOfMachTime) {
    const Nanos moment = mono() + 12'345;
    ASSERT_EQ(
        q.change(1, kTimer, EV_ADD, NOTE_MACHTIME | NOTE_ABSOLUTE, static_cast<intptr_t>(moment)),
        Errno::ok);
    const Kevents events = q.wait(4, kForever);
    EXPECT_EQ(only_data(events), 1);
    EXPECT_EQ(events[0].flags, EV_ADD | EV_CLEAR | EV_ONESHOT);
    EXPECT_EQ(mono(), moment);
    EXPECT_EQ(q.change(1, kTimer, EV_ADD, kq::kNoteContinuous, 1), Errno::unsupported);
    EXPECT_EQ(q.change(1, kTimer, EV_DELETE), Errno::no_entry);
}

// A timer is changed while it waits for its leeway, or when it has expired.
TEST_F(TimerHints, ASecondAddCountsAnew) {
    ASSERT_EQ(add(1, 0, 0, 100, 900), Errno::ok);
    pass(500);  // due, but no call was awake
    EXPECT_TRUE(q.wait().empty());
    const Nanos start = mono();
    ASSERT_EQ(q.change(1, kTimer, EV_ADD, 0, 100), Errno::ok);
    EXPECT_EQ(only_data(q.wait(4, kForever)), 1);
    EXPECT_EQ(mono(), start + 100 * kMillisecond);
    ASSERT_EQ(add(1, 0, 0, 100, 200), Errno::ok);
    pass(300);
    EXPECT_TRUE(q.readable());
    ASSERT_EQ(add(1, 0, 0, 100, 100), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    pass(200);
    EXPECT_EQ(only_data(q.wait()), 2);
    pass(100);
    EXPECT_TRUE(q.wait().empty());  // due, but it may take a little longer
    ASSERT_EQ(q.change(1, kTimer, EV_DISABLE), Errno::ok);
    pass(1000);
    ASSERT_EQ(q.change(1, kTimer, EV_ENABLE), Errno::ok);  // D-15, with its leeway
    EXPECT_TRUE(q.wait().empty());                         // the kernel had the earlier deadline
    pass(199);
    EXPECT_TRUE(q.wait().empty());
    pass(1);
    EXPECT_EQ(only_data(q.wait()), 2);
}

}  // namespace
}  // namespace sim
