// SPDX-License-Identifier: BSD-2-Clause
// A timer that is added while there are others is made and started in one pass (src/at_once.h,
// add_plain() in src/filter_timer.cc). These tests check what such a pass must not do, and what it
// must leave to the usual way. No test makes a thread: with several threads there is no such pass.
#include <cerrno>
#include <set>
#include <thread>
#include <vector>

#include "support/gaps.h"
#include "support/kq.h"

namespace kqtest {
namespace {

constexpr int kPeriodic = EV_ADD | EV_CLEAR;  // the flags reported
constexpr int kOnce = EV_ADD | EV_CLEAR | EV_ONESHOT;
constexpr intptr_t kLong = 60'000;  // ms

class TimerAdd : public KqTest {
  protected:
    // Only the second timer is added in one pass. For the first one memory must be allocated.
    TimerAdd() { EXPECT_EQ(add(1, EV_ONESHOT, 0, kLong), 0); }

    int add(uintptr_t ident, int flags, unsigned unit, intptr_t data, void* udata = nullptr) const {
        return q.apply(change(ident, EVFILT_TIMER, EV_ADD | flags, unit, data, udata));
    }
    // `data` depends on the clock. It is at least 1.
    void expect_ticks(const std::vector<Event>& events, uintptr_t ident, int flags,
                      void* udata = nullptr) const {
        ASSERT_EQ(events.size(), 1U);
        EXPECT_GE(events[0].data, 1);
        expect_only(events, ident, EVFILT_TIMER, flags, 0, events[0].data, udata);
    }

    Queue q;
};

TEST_F(TimerAdd, R236_APeriodIsReportedAgainAndAgain) {
    ASSERT_EQ(add(2, EV_ENABLE, NOTE_USECONDS, 1000, tag(5)), 0);
    for (int i = 0; i < 3; i++)
        expect_ticks(q.wait(), 2, kPeriodic, tag(5));
    ASSERT_EQ(q.apply(change(2, EVFILT_TIMER, EV_DELETE)), 0);
    EXPECT_EQ(q.apply(change(2, EVFILT_TIMER, EV_DELETE)), ENOENT);
    expect_none(q.collect(1, milliseconds{20}));
}

TEST_F(TimerAdd, R238_AOneShotEndsWithItsEvent) {
    ASSERT_EQ(add(2, EV_ONESHOT, NOTE_USECONDS, 1000, tag(5)), 0);
    expect_only(q.wait(), 2, EVFILT_TIMER, kOnce, 0, 1, tag(5));
    EXPECT_EQ(q.apply(change(2, EVFILT_TIMER, EV_DELETE)), ENOENT);
    expect_none(q.collect(1, milliseconds{20}));
}

// A timer stays periodic or one-shot, as its first EV_ADD said.
TEST_F(TimerAdd, R78_AOneShotStaysOne) {
    for (const bool waits : {true, false}) {
        const auto change_kind = [&](uintptr_t ident, int flags) {
            if (!waits) {
                EXPECT_EQ(q.apply(change(ident, EVFILT_TIMER, EV_DISABLE)), 0);
            }
            EXPECT_EQ(add(ident, flags, NOTE_USECONDS, 1000), 0);
            if (!waits) {
                EXPECT_EQ(q.apply(change(ident, EVFILT_TIMER, EV_ENABLE)), 0);
            }
        };
        ASSERT_EQ(add(2, EV_ONESHOT, 0, kLong), 0);
        change_kind(2, 0);
        expect_only(q.wait(), 2, EVFILT_TIMER, kOnce, 0, 1);
        expect_none(q.collect(1, milliseconds{20}));
        ASSERT_EQ(add(3, 0, 0, kLong), 0);
        change_kind(3, EV_ONESHOT);
        for (int i = 0; i < 2; i++)
            expect_ticks(q.wait(), 3, kPeriodic);
        ASSERT_EQ(q.apply(change(3, EVFILT_TIMER, EV_DELETE)), 0);
    }
}

TEST_F(TimerAdd, R255_DispatchSilencesItAfterTheEvent) {
    ASSERT_EQ(add(2, EV_DISPATCH, NOTE_USECONDS, 1000), 0);
    expect_ticks(q.wait(), 2, kPeriodic | EV_DISPATCH);
    expect_none(q.collect(1, milliseconds{20}));
    ASSERT_EQ(q.apply(change(2, EVFILT_TIMER, EV_ENABLE)), 0);
    expect_ticks(q.wait(), 2, kPeriodic | EV_DISPATCH);
}

TEST_F(TimerAdd, R242_UnitsAreWhatTheySay) {
    const struct {
        unsigned unit;
        intptr_t count;
        milliseconds time;
    } cases[] = {{NOTE_SECONDS, 1, milliseconds{1000}},
                 {0, 15, milliseconds{15}},
                 {NOTE_USECONDS, 15'000, milliseconds{15}},
                 {NOTE_NSECONDS, 15'000'000, milliseconds{15}}};
    for (const auto& one : cases) {
        const Clock::time_point start = now();
        ASSERT_EQ(add(2, EV_ONESHOT, one.unit, one.count), 0);
        expect_only(q.wait(), 2, EVFILT_TIMER, kOnce, 0, 1);
        EXPECT_GE(since(start), one.time);
    }
}

// the sum saturates, and does not become a time in the past.
TEST_F(TimerAdd, R244_AHugePeriodDoesNotFire) {
    ASSERT_EQ(add(2, 0, NOTE_SECONDS, INTPTR_MAX), 0);
    ASSERT_EQ(add(3, 0, NOTE_NSECONDS, INTPTR_MAX), 0);
    expect_none(q.collect(1, milliseconds{20}));
    ASSERT_EQ(add(4, EV_ONESHOT, NOTE_USECONDS, 1000), 0);
    expect_only(q.wait(), 4, EVFILT_TIMER, kOnce, 0, 1);
}

// No thread calls kevent() between the changes and poll().
TEST_F(TimerAdd, R6_PollHearsOfAnEarlierOne) {
    if (!on_linux()) GTEST_SKIP() << "P-POLL";
    ASSERT_EQ(add(2, EV_ONESHOT, 0, kLong / 2), 0);
    ASSERT_EQ(add(3, EV_ONESHOT, 0, 5), 0);
    ASSERT_EQ(add(4, EV_ONESHOT, 0, 2 * kLong), 0);
    EXPECT_TRUE(q.wait_until_readable());
    expect_only(q.wait(), 3, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_FALSE(q.readable());
    ASSERT_EQ(add(3, EV_ONESHOT, 0, 5), 0);
    EXPECT_TRUE(q.wait_until_readable());
    expect_only(q.wait(), 3, EVFILT_TIMER, kOnce, 0, 1);
}

// A second EV_ADD, EV_DISABLE and EV_DELETE find the timer.
TEST_F(TimerAdd, R247_ItIsFoundByLaterChanges) {
    ASSERT_EQ(add(2, EV_ONESHOT, NOTE_USECONDS, 1000), 0);
    ASSERT_EQ(add(2, 0, 0, kLong), 0);
    expect_none(q.collect(1, milliseconds{20}));
    ASSERT_EQ(add(3, 0, NOTE_USECONDS, 1000), 0);
    ASSERT_EQ(q.apply(change(3, EVFILT_TIMER, EV_DISABLE)), 0);
    expect_none(q.collect(1, milliseconds{20}));
    ASSERT_EQ(q.apply(change(3, EVFILT_TIMER, EV_DELETE)), 0);
    EXPECT_EQ(q.apply(change(3, EVFILT_TIMER, EV_ENABLE)), ENOENT);
}

// More timers than the tables had room for. Each is due before the one that was added before it.
// Some idents could be descriptors, others could not.
TEST_F(TimerAdd, R257_ManyOfAnyIdent) {
    constexpr intptr_t kCount = 700;
    const auto ident_of = [](intptr_t i) { return static_cast<uintptr_t>(i % 2 == 0 ? i : -i); };
    for (intptr_t i = 2; i < kCount; i++)
        ASSERT_EQ(add(ident_of(i), EV_ONESHOT, NOTE_USECONDS, 30'000 - 20 * i), 0);
    std::vector<bool> came(static_cast<size_t>(kCount));
    for (intptr_t left = kCount - 2; left > 0;) {
        const std::vector<Event> events = q.wait(64);
        ASSERT_FALSE(events.empty()) << left;
        for (const Event& event : events) {
            const auto number = static_cast<intptr_t>(event.ident);
            const auto at = static_cast<size_t>(number < 0 ? -number : number);
            ASSERT_LT(at, came.size());
            EXPECT_FALSE(came[at]);
            came[at] = true;
            left--;
        }
    }
    for (intptr_t i = 2; i < kCount; i++)
        EXPECT_EQ(q.apply(change(ident_of(i), EVFILT_TIMER, EV_DELETE)), ENOENT);
    expect_none(q.collect());
}

// ---- what is left to the usual way ----

TEST_F(TimerAdd, R66_R67_R68_BadValuesMakeNoTimer) {
    EXPECT_EQ(add(2, 0, 0, -1), EINVAL);
    EXPECT_EQ(add(2, EV_ONESHOT, NOTE_NSECONDS, INTPTR_MIN), EINVAL);
    EXPECT_EQ(add(2, 0, NOTE_SECONDS | NOTE_USECONDS, 1), EINVAL);
    EXPECT_EQ(add(2, 0, 0x8000, 1), EINVAL);
    EXPECT_EQ(add(2, EV_ENABLE | EV_DISABLE, 0, 1), EINVAL);
    EXPECT_EQ(add(2, EV_KEEPUDATA, 0, 1), EINVAL);
    EXPECT_EQ(q.apply(change(2, EVFILT_TIMER, EV_ENABLE, NOTE_USECONDS, 1)), ENOENT);
    EXPECT_EQ(q.apply(change(2, EVFILT_TIMER, 0, NOTE_USECONDS, 1)), ENOENT);
    EXPECT_EQ(q.apply(change(2, EVFILT_TIMER, EV_DELETE)), ENOENT);
    expect_none(q.collect());
}

TEST_F(TimerAdd, R243_Zero) {
    ASSERT_EQ(add(2, EV_ONESHOT, 0, 0), 0);
    expect_only(q.collect(), 2, EVFILT_TIMER, kOnce, 0, 1);
    ASSERT_EQ(add(3, 0, 0, 0), 0);
    expect_ticks(q.wait(), 3, kPeriodic);
}

TEST_F(TimerAdd, R245_AMomentThatIsOver) {
    ASSERT_EQ(add(2, 0, NOTE_ABSOLUTE | NOTE_SECONDS, 1), 0);
    expect_only(q.collect(), 2, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_EQ(q.apply(change(2, EVFILT_TIMER, EV_DELETE)), ENOENT);
}

TEST_F(TimerAdd, R82_ADisabledOneIsSilent) {
    ASSERT_EQ(add(2, EV_DISABLE, NOTE_USECONDS, 1), 0);
    expect_none(q.collect(1, milliseconds{20}));
    ASSERT_EQ(q.apply(change(2, EVFILT_TIMER, EV_ENABLE)), 0);
    expect_ticks(q.wait(), 2, kPeriodic);
}

TEST_F(TimerAdd, R100_AReceiptIsGivenAndStaysInTheFlags) {
    const Event one = change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_RECEIPT, NOTE_USECONDS, 1);
    expect_answers(q.call({one}, 1, kForever), {{one, 0}});
    expect_only(q.wait(), 2, EVFILT_TIMER, kOnce | EV_RECEIPT, 0, 1);
    // There is no room for the receipt: the change is still applied.
    ASSERT_EQ(q.apply(one), 0);
    expect_only(q.wait(), 2, EVFILT_TIMER, kOnce | EV_RECEIPT, 0, 1);
}

TEST_F(TimerAdd, R337_SeveralOfOneIdentByUdata) {
    for (const uintptr_t udata : {1U, 2U})
        ASSERT_EQ(add(2, EV_ONESHOT | EV_UDATA_SPECIFIC, NOTE_USECONDS, 1000, tag(udata)), 0);
    ASSERT_EQ(add(2, EV_ONESHOT, NOTE_USECONDS, 1000, tag(3)), 0);
    size_t count = 0;
    for (std::vector<Event> events; count < 3; count += events.size()) {
        events = q.wait();
        ASSERT_FALSE(events.empty());
    }
    EXPECT_EQ(count, 3U);
    expect_none(q.collect(1, milliseconds{20}));
}

// the number belongs to another file, and then to another kqueue.
TEST_F(TimerAdd, R10_InAClosedQueueItIsRefused) {
    const Pipe pipe = make_pipe();
    const int number = q.fd();
    ASSERT_EQ(q.close(), 0);
    const Event another = change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, 1);
    EXPECT_EQ(::kevent(number, &another, 1, nullptr, 0, nullptr), -1);
    EXPECT_EQ(errno, EBADF);
    {
        const Fd other(::dup(*pipe.read));
        ASSERT_EQ(*other, number);
        EXPECT_EQ(::kevent(number, &another, 1, nullptr, 0, nullptr), -1);
        EXPECT_EQ(errno, EBADF);
    }
    const Queue next;
    ASSERT_EQ(next.fd(), number);
    ASSERT_EQ(next.apply(another), 0);
    expect_only(next.wait(), 2, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_EQ(next.apply(change(1, EVFILT_TIMER, EV_DELETE)), ENOENT);
}

// The list has one place, and the program takes longer than the period for each event.
TEST_F(TimerAdd, R47_ATimerThatIsAlwaysDueLetsOthersThrough) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(add(2, 0, 0, 1), 0);
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(q.wait(1).size(), 1U);
    write_bytes(*pipe.write, 1);
    bool came = false;
    for (int i = 0; i < 20 && !came; i++) {
        // Each event takes longer than 20 ms: Solaris then looks at its own reports first.
        std::this_thread::sleep_for(milliseconds{25});
        const std::vector<Event> events = q.wait(1);
        ASSERT_EQ(events.size(), 1U);
        came = events[0].filter == EVFILT_READ;
    }
    EXPECT_TRUE(came);
}

// Likewise. One report of the kernel may be two events, and the second one must wait.
TEST_F(TimerAdd, R47_BothDirectionsComeBesideATimerThatIsAlwaysDue) {
    const Pair pair = make_tcp_pair();
    write_bytes(*pair.second, 1);
    ASSERT_EQ(add(2, 0, 0, 1), 0);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_READ, EV_ADD | EV_ONESHOT),
                      change(*pair.first, EVFILT_WRITE, EV_ADD | EV_ONESHOT)),
              0);
    std::set<int> found;
    for (int i = 0; i < 20 && found.size() < 3; i++) {
        std::this_thread::sleep_for(milliseconds{25});
        const std::vector<Event> events = q.wait(1);
        ASSERT_EQ(events.size(), 1U);
        found.insert(events[0].filter);
    }
    EXPECT_EQ(found, (std::set<int>{EVFILT_READ, EVFILT_WRITE, EVFILT_TIMER}));
}

}  // namespace
}  // namespace kqtest
