// SPDX-License-Identifier: BSD-2-Clause
// How long kevent() waits.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>

#include "support/kq.h"
#include "support/thread.h"

namespace kqtest {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

class Timeout : public KqTest {};

constexpr timespec kInvalid[] = {
    {-1, 0},
    {0, -1},
    {0, 1'000'000'000},
    {std::numeric_limits<time_t>::min(), 0},
    {5, std::numeric_limits<long>::max()},
    {-1, 999'999'999},
};

TEST_F(Timeout, R19_AnInvalidTimeoutIsEinval) {
    const Queue q;
    for (const timespec& timeout : kInvalid)
        expect_failed(q.call({}, 1, &timeout), EINVAL);
}

TEST_F(Timeout, R19_AnInvalidTimeoutIsEinvalEvenIfAnEventIsReady) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    for (const timespec& timeout : kInvalid)
        expect_failed(q.call({}, 1, &timeout), EINVAL);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(Timeout, R20_ChangesAreAppliedBeforeTheTimeoutIsValidated) {
    for (const timespec& timeout : kInvalid) {
        const Queue q;
        expect_failed(q.call({change(1, EVFILT_USER, EV_ADD | EV_CLEAR)}, 1, &timeout), EINVAL);
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    }
}

TEST_F(Timeout, R20_TheTimeoutIsNotValidatedWhenAChangeWasAnswered) {
    const Queue q;
    for (const timespec& timeout : kInvalid) {
        const Event receipt = change(1, EVFILT_USER, EV_ADD | EV_RECEIPT);
        expect_answers(q.call({receipt}, 2, &timeout), {{receipt, 0}});
        const Event wrong = change(2, EVFILT_USER, EV_DELETE);
        expect_answers(q.call({wrong}, 2, &timeout), {{wrong, ENOENT}});
    }
}

TEST_F(Timeout, R21_ZeroNeverWaits) {
    const Queue q;
    const auto start = now();
    for (int i = 0; i < 1000; i++)
        ASSERT_EQ(q.call({}, 1, &kAtOnce).ret, 0);
    EXPECT_LT(since(start), milliseconds{5000});
}

TEST_F(Timeout, R21_ZeroStillCollects) {
    const Queue q;
    const Pipe p = make_pipe();
    write_bytes(*p.write, 1);
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    for (int i = 0; i < 1000; i++)
        ASSERT_EQ(q.call({}, 1, &kAtOnce).ret, 1) << i;
}

TEST_F(Timeout, R22_ShortTimeoutsAreNotRoundedDown) {
    const Queue q;
    for (const nanoseconds wanted :
         {nanoseconds{1}, nanoseconds{999}, nanoseconds{500'000}, nanoseconds{999'999},
          nanoseconds{1'500'000}, nanoseconds{30'000'001}}) {
        SCOPED_TRACE(wanted.count());
        const timespec timeout = to_timespec(wanted);
        const auto start = now();
        EXPECT_EQ(q.call({}, 1, &timeout).ret, 0);
        EXPECT_GE(now() - start, wanted);
        EXPECT_LT(since(start), milliseconds{2000});
    }
}

TEST_F(Timeout, R22_ATimeoutOfMoreThanASecond) {
    const Queue q;
    const timespec timeout{1, 100'000'000};
    const auto start = now();
    EXPECT_EQ(q.call({}, 1, &timeout).ret, 0);
    EXPECT_GE(since(start), milliseconds{1100});
    EXPECT_LT(since(start), milliseconds{5000});
}

TEST_F(Timeout, R22_KnotesThatStaySilentDoNotShortenTheWait) {
    const Queue q;
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD),
                      change(1, EVFILT_USER, EV_ADD | EV_DISABLE, NOTE_TRIGGER),
                      change(1, EVFILT_TIMER, EV_ADD, 0, 60'000)),
              0);
    const auto start = now();
    expect_none(q.collect(1, milliseconds{200}));
    EXPECT_GE(since(start), milliseconds{200});
}

TEST_F(Timeout, R23_EnormousTimeoutsWait) {
    constexpr int64_t kLargest = std::numeric_limits<time_t>::max();
    const auto seconds = [=](int64_t count, long more = 0) {
        return timespec{static_cast<time_t>(std::min(count, kLargest)), more};
    };
    const timespec enormous[] = {
        seconds(INT32_MAX),
        seconds(int64_t{INT32_MAX} + 1),
        seconds(INT32_MAX / 1000 + 1),  // as milliseconds: too many
        seconds(int64_t{UINT32_MAX} + 1),
        seconds(INT64_MAX / 1'000'000'000 + 1),
        seconds(kLargest),
        seconds(kLargest, 999'999'999),
    };
    for (const timespec& timeout : enormous) {
        SCOPED_TRACE(timeout.tv_sec);
        const Queue q;
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
        Result result;
        Thread waiter([&] { result = q.call({}, 1, &timeout); });
        waiter.wait_until_asleep();
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        waiter.join();
        EXPECT_EQ(result.ret, 1) << result;
        expect_only(result.events, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    }
}

TEST_F(Timeout, NoTimeoutWaitsForEver) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    Result result;
    Thread waiter([&] { result = q.call({}, 1, kForever); });
    waiter.wait_until_asleep();
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    waiter.join();
    EXPECT_EQ(result.ret, 1) << result;
    expect_only(result.events, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(Timeout, AnEventEndsTheWaitEarly) {
    const Queue q;
    const auto start = now();
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 100)), 0);
    EXPECT_EQ(q.collect(1, milliseconds{60'000}).size(), 1u);
    EXPECT_GE(since(start), milliseconds{100});
    EXPECT_LT(since(start), milliseconds{30'000});
}

TEST_F(Timeout, R24_AKnoteThatBecameFalseDoesNotEndTheWait) {
    const Queue q;
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    write_bytes(*p.write, 1);
    ASSERT_TRUE(q.wait_until_readable());
    read_bytes(*p.read, 1);
    const auto start = now();
    expect_none(q.collect(1, milliseconds{1000}));
    EXPECT_GE(since(start), milliseconds{1000});
}

TEST_F(Timeout, R24_WakeupsWithoutAnEventDoNotEndTheWait) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    Result result;
    Clock::duration lasted{};
    Thread waiter([&] {
        const timespec timeout = to_timespec(milliseconds{1000});
        const auto start = now();
        result = q.call({}, 1, &timeout);
        lasted = now() - start;
    });
    waiter.wait_until_asleep();
    for (int i = 0; i < 50; i++) {
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER),
                          change(1, EVFILT_USER, EV_CLEAR)),  // takes it back
                  0);
        const timespec pause = to_timespec(milliseconds{5});
        ::nanosleep(&pause, nullptr);
    }
    waiter.join();
    // The waiter may have come in between the two changes; then it has an event. Otherwise:
    if (result.ret == 0) {
        EXPECT_GE(lasted, milliseconds{1000});
    } else {
        expect_only(result.events, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    }
}

}  // namespace
}  // namespace kqtest
