// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_TIMER: what a second EV_ADD, EV_DISABLE, EV_ENABLE and EV_DISPATCH do to a running timer.
// D-15, D-17.
#include <cerrno>
#include <chrono>
#include <thread>

#include "support/absolute.h"
#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

constexpr int kPeriodic = EV_ADD | EV_CLEAR;  // the flags reported
constexpr int kOnce = EV_ADD | EV_CLEAR | EV_ONESHOT;
constexpr intptr_t kHour = 3'600'000;

class TimerChange : public KqTest {
  protected:
    int add(int flags, intptr_t data, unsigned fflags = 0, void* udata = nullptr) const {
        return q.apply(change(1, EVFILT_TIMER, EV_ADD | flags, fflags, data, udata));
    }
    int apply(int flags, intptr_t data = 0) const {
        return q.apply(change(1, EVFILT_TIMER, flags, 0, data));
    }
    // Returns when a tick has happened. The tick stays in the kqueue.
    void wait_for_expiry() const { ASSERT_TRUE(q.wait_until_readable()); }
    Queue q;
};

Absolute from_now(milliseconds period) {
    return absolute(std::chrono::system_clock::now() + period);
}

TEST_F(TimerChange, R247_ASecondAddBeforeExpiryReplacesThePeriod) {
    ASSERT_EQ(add(EV_ONESHOT, kHour), 0);
    const auto start = now();
    ASSERT_EQ(add(EV_ONESHOT, 50, 0, tag(2)), 0);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1, tag(2));
    EXPECT_GE(since(start), milliseconds{50});
    EXPECT_LT(since(start), milliseconds{10'000});
}

TEST_F(TimerChange, R247_TheOldExpiryIsNeverSeen) {
    ASSERT_EQ(add(EV_ONESHOT, 300), 0);
    const auto start = now();
    ASSERT_EQ(add(EV_ONESHOT, 1000), 0);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_GE(since(start), milliseconds{1000});
    expect_none(q.collect(4, milliseconds{100}));
}

TEST_F(TimerChange, R248_ASecondAddAfterExpiryDiscardsTheTick) {
    for (const int flags : {0, EV_ONESHOT}) {
        SCOPED_TRACE(flags);
        ASSERT_EQ(add(flags, 1), 0);
        wait_for_expiry();
        const auto start = now();
        ASSERT_EQ(add(flags, 1000), 0);
        expect_silent(q);
        EXPECT_FALSE(q.readable());
        expect_expiries(q, 1, kPeriodic | flags, milliseconds{1000}, start);
        EXPECT_GE(since(start), milliseconds{1000});
        apply(EV_DELETE);
    }
}

TEST_F(TimerChange, R249_ASecondAddWithTheSameParametersRestartsThePeriod) {
    ASSERT_EQ(add(0, 400), 0);
    std::this_thread::sleep_for(milliseconds{200});
    const auto start = now();
    ASSERT_EQ(add(0, 400), 0);
    expect_expiries(q, 1, kPeriodic, milliseconds{400}, start);
    EXPECT_GE(since(start), milliseconds{400});
}

// When a timer is put off the library does not set the clock. It sets it only for an earlier time.
TEST_F(TimerChange, R249_PushedBackAndThenForwardItComesInTime) {
    ASSERT_EQ(add(EV_ONESHOT, kHour), 0);
    ASSERT_EQ(add(EV_ONESHOT, 2 * kHour), 0);
    const auto start = now();
    ASSERT_EQ(add(EV_ONESHOT, 60), 0);
    wait_for_expiry();
    EXPECT_GE(since(start), milliseconds{60});
    expect_only(q.collect(), 1, EVFILT_TIMER, kOnce, 0, 1);
}

// poll() may return at the first deadline, although there is no event; then at the second one.
TEST_F(TimerChange, R249_PushedBackItIsSeenByPollAtTheLaterDeadline) {
    ASSERT_EQ(add(EV_ONESHOT, 50), 0);
    const auto start = now();
    ASSERT_EQ(add(EV_ONESHOT, 300), 0);
    std::vector<Event> events;
    for (int i = 0; i < 10 && events.empty(); i++) {
        wait_for_expiry();
        events = q.collect();
    }
    expect_only(events, 1, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_GE(since(start), milliseconds{300});
}

// Another timer is the earliest: this one moves behind it, and it is not forgotten.
TEST_F(TimerChange, R249_PushedBackBehindAnotherBothComeInTime) {
    ASSERT_EQ(q.apply(change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 100)), 0);
    ASSERT_EQ(add(EV_ONESHOT, 50), 0);
    const auto start = now();
    ASSERT_EQ(add(EV_ONESHOT, 200), 0);
    // If the process does not run for a while, one call may report both.
    const std::vector<Event> events = collect_all(q, 2);
    EXPECT_GE(since(start), milliseconds{200});
    EXPECT_EQ(idents(events), (std::vector<uintptr_t>{2, 1}));
    for (const Event& e : events)
        expect_only({e}, static_cast<Ident>(e.ident), EVFILT_TIMER, kOnce, 0, 1);
}

TEST_F(TimerChange, R250_ASecondAddReplacesTheUnit) {
    ASSERT_EQ(add(EV_ONESHOT, intptr_t{2'000'000'000}, NOTE_USECONDS), 0);
    const auto start = now();
    ASSERT_EQ(add(EV_ONESHOT, 100), 0);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_GE(since(start), milliseconds{100});
    EXPECT_LT(since(start), milliseconds{10'000});
}

TEST_F(TimerChange, R251_FromAPeriodToAMoment) {
    ASSERT_EQ(add(0, kHour), 0);
    const auto start = now();
    const Absolute moment = from_now(milliseconds{100});
    ASSERT_EQ(add(0, moment.data, moment.fflags), 0);
    const auto events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    // Whether the flags of an existing knote gain EV_ONESHOT is not decided.
    expect_event(events[0], 1, EVFILT_TIMER, kPeriodic | (events[0].flags & EV_ONESHOT), 0, 1);
    EXPECT_GE(since(start), milliseconds{100 - 20});  // two clocks: one may be slewed
    EXPECT_LT(since(start), milliseconds{10'000});
    expect_none(q.collect(4, milliseconds{200}));
}

TEST_F(TimerChange, R251_FromAMomentToAPeriod) {
    const Absolute moment = from_now(milliseconds{kHour});
    ASSERT_EQ(add(0, moment.data, moment.fflags), 0);
    const auto start = now();
    ASSERT_EQ(add(0, 100), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_GE(since(start), milliseconds{100});
    EXPECT_LT(since(start), milliseconds{10'000});
}

// D-17
TEST_F(TimerChange, R252_AnInvalidSecondAddLeavesTheTimerAlone) {
    const auto start = now();
    ASSERT_EQ(add(0, 500, 0, tag(1)), 0);
    EXPECT_EQ(add(0, -1, 0, tag(2)), EINVAL);
    EXPECT_EQ(add(0, 1, NOTE_SECONDS | NOTE_USECONDS, tag(2)), EINVAL);
    EXPECT_EQ(add(0, 1, 0x8000, tag(2)), EINVAL);
    EXPECT_EQ(add(EV_ONESHOT | EV_DISABLE, -1, 0, tag(2)), EINVAL);
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    expect_event(events[0], 1, EVFILT_TIMER, kPeriodic, 0, events[0].data, tag(1));
    EXPECT_GE(events[0].data, 1);
    EXPECT_GE(since(start), milliseconds{500} * events[0].data);
    EXPECT_EQ(q.wait().size(), 1u);
}

TEST_F(TimerChange, R252_AnInvalidSecondAddKeepsATickThatIsPending) {
    ASSERT_EQ(add(EV_ONESHOT, 1, 0, tag(1)), 0);
    wait_for_expiry();
    EXPECT_EQ(add(EV_ONESHOT, -1, 0, tag(2)), EINVAL);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1, tag(1));
}

TEST_F(TimerChange, R76_ASecondAddReplacesUdata) {
    ASSERT_EQ(add(0, 1, 0, tag(1)), 0);
    auto events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].udata, tag(1));
    ASSERT_EQ(add(0, 1, 0, tag(2)), 0);
    events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].udata, tag(2));
}

TEST_F(TimerChange, R78_ASecondAddWithoutOneshotOfAOneshotTimer) {
    ASSERT_EQ(add(EV_ONESHOT, kHour), 0);
    ASSERT_EQ(add(0, 10), 0);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
}

TEST_F(TimerChange, R253_AOneshotTimerThatWasDisabledFiresOnce) {
    ASSERT_EQ(add(EV_ONESHOT, 1000), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_silent(q);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
    expect_none(q.collect(4, milliseconds{1200}));
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
}

TEST_F(TimerChange, R253_NothingIsReportedWhileDisabled) {
    for (const int flags : {0, EV_ONESHOT}) {
        ASSERT_EQ(add(flags, 20), 0);
        ASSERT_EQ(apply(EV_DISABLE), 0);
        expect_none(q.collect(4, milliseconds{100}));
        EXPECT_FALSE(q.readable());
        ASSERT_EQ(apply(EV_ENABLE), 0);
        EXPECT_EQ(q.wait().size(), 1u);
        apply(EV_DELETE);
    }
}

TEST_F(TimerChange, R82_AddAndDisableIsSilentUntilEnabled) {
    ASSERT_EQ(add(EV_ONESHOT | EV_DISABLE, 50), 0);
    expect_none(q.collect(4, milliseconds{150}));
    const auto start = now();
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_GE(since(start), milliseconds{50});  // D-15: the period begins now
}

TEST_F(TimerChange, R254_DisableSilencesATickThatIsPending) {
    for (const int flags : {0, EV_ONESHOT}) {
        ASSERT_EQ(add(flags, 1), 0);
        wait_for_expiry();
        ASSERT_EQ(apply(EV_DISABLE), 0);
        expect_silent(q);
        EXPECT_FALSE(q.readable());
        EXPECT_EQ(apply(EV_DELETE), 0);
    }
}

// D-15: the period restarts, and what was pending is gone.
TEST_F(TimerChange, R254_EnableRestartsThePeriod) {
    for (const int flags : {0, EV_ONESHOT}) {
        SCOPED_TRACE(flags);
        ASSERT_EQ(add(flags, 1000), 0);
        wait_for_expiry();
        ASSERT_EQ(apply(EV_DISABLE), 0);
        const auto start = now();
        ASSERT_EQ(apply(EV_ENABLE), 0);
        expect_silent(q);
        expect_expiries(q, 1, kPeriodic | flags, milliseconds{1000}, start);
        EXPECT_GE(since(start), milliseconds{1000});
        apply(EV_DELETE);
    }
}

TEST_F(TimerChange, R85_EnableOfAnEnabledTimerDoesNotRestartIt) {
    const auto start = now();
    ASSERT_EQ(add(EV_ONESHOT, 1000), 0);
    int enabled = 0;
    std::vector<Event> events;
    while (events.empty() && since(start) < time_limit()) {
        ASSERT_EQ(apply(EV_ENABLE), 0);
        enabled++;
        events = q.collect(4, milliseconds{10});
    }
    EXPECT_GE(enabled, 2);
    expect_only(events, 1, EVFILT_TIMER, kOnce, 0, 1);
}

// D-11: the data of EV_ENABLE and EV_DISABLE is not a new period.
TEST_F(TimerChange, R86_EnableAndDisableLeaveThePeriodAlone) {
    ASSERT_EQ(add(0, 300), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DISABLE, NOTE_NSECONDS, 1)), 0);
    const auto start = now();
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ENABLE, NOTE_NSECONDS, 1)), 0);
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    expect_only(events, 1, EVFILT_TIMER, kPeriodic, 0, events[0].data);
    EXPECT_GE(events[0].data, 1);
    EXPECT_GE(since(start), milliseconds{300} * events[0].data);  // more than one if it was late
    EXPECT_EQ(apply(EV_DISABLE, -1), 0);                          // nor is it validated as one
}

TEST_F(TimerChange, AMomentThatPassedWhileDisabledIsReportedWhenEnabled) {
    const Absolute moment = from_now(milliseconds{50});
    ASSERT_EQ(add(0, moment.data, moment.fflags), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    expect_none(q.collect(4, milliseconds{kWideData ? 150 : 1150}));
    const auto start = now();
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_LT(since(start), milliseconds{5000});
}

// D-15
TEST_F(TimerChange, R255_Dispatch) {
    constexpr milliseconds kPeriod{500};
    const auto added = now();
    ASSERT_EQ(add(EV_DISPATCH, kPeriod.count()), 0);
    expect_expiries(q, 1, kPeriodic | EV_DISPATCH, kPeriod, added);
    expect_none(q.collect(4, milliseconds{700}));

    const auto before_enable = now();
    ASSERT_EQ(apply(EV_ENABLE | EV_DISPATCH, kPeriod.count()), 0);
    const auto after_enable = now();
    expect_silent(q);
    std::this_thread::sleep_for(milliseconds{1600});
    const auto before_collect = now();
    const auto events = q.collect();
    ASSERT_EQ(events.size(), 1u);
    expect_event(events[0], 1, EVFILT_TIMER, kPeriodic | EV_DISPATCH, 0, events[0].data);
    EXPECT_GE(events[0].data, (before_collect - after_enable) / kPeriod);
    EXPECT_LE(events[0].data, (now() - before_enable) / kPeriod);
    expect_none(q.collect(4, milliseconds{600}));  // disabled again
}

TEST_F(TimerChange, R80_ASecondAddDoesNotEnable) {
    ASSERT_EQ(add(0, 10), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    ASSERT_EQ(add(0, 10), 0);
    expect_none(q.collect(4, milliseconds{100}));
    ASSERT_EQ(add(EV_ENABLE, 10), 0);
    EXPECT_EQ(q.wait().size(), 1u);
}

TEST_F(TimerChange, R87_DeleteThenAddIsANewTimer) {
    ASSERT_EQ(add(EV_ONESHOT, 1), 0);
    wait_for_expiry();
    const auto start = now();
    ASSERT_EQ(apply(EV_DELETE), 0);
    ASSERT_EQ(add(0, 1000), 0);
    expect_silent(q);
    expect_expiries(q, 1, kPeriodic, milliseconds{1000}, start);
    EXPECT_GE(since(start), milliseconds{1000});
}

TEST_F(TimerChange, R100_EvReceiptStaysInTheFlags) {
    const Event receipt = change(1, EVFILT_TIMER, EV_ADD | EV_RECEIPT, 0, kHour);
    expect_answers(q.call({receipt}, 1, kForever), {{receipt, 0}});
    const auto start = now();
    ASSERT_EQ(add(0, 300), 0);
    expect_expiries(q, 1, kPeriodic | EV_RECEIPT, milliseconds{300}, start);
}

}  // namespace
}  // namespace kqtest
