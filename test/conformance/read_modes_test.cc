// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ: what EV_ADD, EV_ENABLE, EV_CLEAR, EV_ONESHOT, ... do, on every kind of descriptor.
#include <errno.h>

#include <memory>

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class ReadModes : public KqTest, public testing::WithParamInterface<ReadEndKind> {
  protected:
    int add(int flags, void* udata = nullptr) const {
        return q_.apply(change(end_->fd(), EVFILT_READ, EV_ADD | flags, 0, 0, udata));
    }
    int apply(int flags) const { return q_.apply(change(end_->fd(), EVFILT_READ, flags)); }
    void feed() const { end_->feed(); }
    void drain() const { end_->drain(); }
    bool exists() const { return has_knote(q_, end_->fd(), EVFILT_READ); }

    // Exactly one event, with these flags beside EV_ADD, for so many units.
    void expect(const std::vector<Event>& events, int flags, int units, void* udata = nullptr,
                int line = __builtin_LINE()) const {
        intptr_t data = end_->data(units);
        if (data == kAnyData && events.size() == 1) {
            data = events[0].data;
            EXPECT_GE(data, 0);
        }
        if (end_->may_be_more() && events.size() == 1) {
            EXPECT_GE(events[0].data, data);
            data = events[0].data;
        }
        expect_only(events, end_->fd(), EVFILT_READ, EV_ADD | flags, 0, data, udata, __FILE__,
                    line);
    }

    std::unique_ptr<ReadEnd> end_ = GetParam().make();
    Queue q_;
};

TEST_P(ReadModes, R106_NothingToReadIsSilentAndSleeps) {
    ASSERT_EQ(add(0), 0);
    expect_sleeps(q_);
}

TEST_P(ReadModes, R108_AddOfAReadyDescriptorReportsIt) {
    feed();
    ASSERT_EQ(add(0), 0);
    expect(q_.collect(), 0, 1);
}

TEST_P(ReadModes, R105_LevelIsReportedUntilDrained) {
    ASSERT_EQ(add(0), 0);
    feed();
    expect(q_.wait(), 0, 1);
    expect(q_.collect(), 0, 1);
    feed();
    expect(q_.collect(), 0, 2);
    drain();
    expect_none(q_.collect());
    feed();
    expect(q_.wait(), 0, 1);
}

TEST_P(ReadModes, R106_ASleepingCallIsWoken) {
    ASSERT_EQ(add(0), 0);
    expect_none(q_.collect());
    std::vector<Event> events;
    Thread waiter([&] { events = q_.wait(); });
    waiter.wait_until_asleep();
    feed();
    waiter.join();
    expect(events, 0, 1);
}

TEST_P(ReadModes, R6_TheQueueIsReadableWhenAnEventIsPending) {
    ASSERT_EQ(add(0), 0);
    expect_none(q_.collect());
    EXPECT_FALSE(q_.readable());
    feed();
    EXPECT_TRUE(q_.wait_until_readable());
    expect(q_.collect(), 0, 1);
    EXPECT_TRUE(q_.readable());  // level: still pending
    drain();
    expect_none(q_.collect());
    EXPECT_FALSE(q_.readable());
}

// ---- EV_CLEAR ----

TEST_P(ReadModes, R95_ClearReportsOnceAndThenSleeps) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    feed();
    expect(q_.wait(), EV_CLEAR, 1);
    expect_none(q_.collect());
    EXPECT_FALSE(q_.readable());
    expect_sleeps(q_);
}

TEST_P(ReadModes, R96_ClearReportsEachArrivalWithTheWholeCount) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    feed();
    expect(q_.wait(), EV_CLEAR, 1);
    feed();
    expect(q_.wait(), EV_CLEAR, 2);
    expect_none(q_.collect());
}

TEST_P(ReadModes, R96_ClearReportsAgainAfterDraining) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    for (int i = 0; i < 5; i++) {
        feed();
        expect(q_.wait(), EV_CLEAR, 1);
        drain();
        expect_none(q_.collect());
    }
}

TEST_P(ReadModes, R97_ClearDoesNotReportWhatAPartialReadLeft) {
    if (!GetParam().divisible) GTEST_SKIP() << "cannot be read in part";
    ASSERT_EQ(add(EV_CLEAR), 0);
    feed();
    feed();
    expect(q_.wait(), EV_CLEAR, 2);
    end_->take();
    expect_none(q_.collect());
}

TEST_P(ReadModes, R98_ClearReAddReportsAgain) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    feed();
    expect(q_.wait(), EV_CLEAR, 1);
    ASSERT_EQ(add(EV_CLEAR), 0);
    expect(q_.collect(), EV_CLEAR, 1);
    expect_none(q_.collect());
}

TEST_P(ReadModes, R99_ClearDisableEnableReportsAgain) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    feed();
    expect(q_.wait(), EV_CLEAR, 1);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), EV_CLEAR, 1);
    expect_none(q_.collect());
}

TEST_P(ReadModes, R95_ClearDrainedBeforeCollectingIsSilent) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    feed();
    drain();
    expect_none(q_.collect());
    feed();
    expect(q_.wait(), EV_CLEAR, 1);
}

// ---- EV_ONESHOT ----

TEST_P(ReadModes, R88_OneshotIsReportedOnceAndGone) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    feed();
    expect(q_.wait(), EV_ONESHOT, 1);
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
    feed();
    expect_sleeps(q_);
}

TEST_P(ReadModes, R88_OneshotCanBeAddedAgain) {
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(add(EV_ONESHOT), 0);
        expect_none(q_.collect());
        feed();
        expect(q_.wait(), EV_ONESHOT, 1);
        drain();
    }
    EXPECT_FALSE(exists());
}

TEST_P(ReadModes, R89_OneshotWaitsWhileDisabled) {
    ASSERT_EQ(add(EV_ONESHOT | EV_DISABLE), 0);
    feed();
    expect_none(q_.collect());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), EV_ONESHOT, 1);
    EXPECT_FALSE(exists());
}

TEST_P(ReadModes, R90_OneshotDrainedBeforeCollectingStaysArmed) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    feed();
    EXPECT_TRUE(q_.wait_until_readable());
    drain();
    expect_none(q_.collect());
    feed();
    expect(q_.wait(), EV_ONESHOT, 1);
    EXPECT_FALSE(exists());
}

TEST_P(ReadModes, R94_OneshotDispatchIsOneshot) {
    ASSERT_EQ(add(EV_ONESHOT | EV_DISPATCH), 0);
    feed();
    expect(q_.wait(), EV_ONESHOT | EV_DISPATCH, 1);
    EXPECT_EQ(apply(EV_ENABLE), ENOENT);
}

TEST_P(ReadModes, R78_ReAddDoesNotTakeOneshotAway) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    ASSERT_EQ(add(0), 0);
    feed();
    expect(q_.wait(), EV_ONESHOT, 1);
    EXPECT_FALSE(exists());
}

// ---- EV_DISPATCH ----

TEST_P(ReadModes, R91_DispatchReportsOnceUntilEnabled) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    feed();
    expect(q_.wait(), EV_DISPATCH, 1);
    expect_sleeps(q_);
    feed();
    expect_none(q_.collect());
    EXPECT_FALSE(q_.readable());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), EV_DISPATCH, 2);
}

TEST_P(ReadModes, R92_DispatchIsKept) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    feed();
    for (int i = 0; i < 4; i++) {
        expect(q_.wait(), EV_DISPATCH, 1);
        expect_none(q_.collect());
        ASSERT_EQ(apply(i % 2 == 0 ? EV_ENABLE : EV_ENABLE | EV_DISPATCH), 0);
    }
}

TEST_P(ReadModes, R91_DispatchEnabledWithNothingToReadWaits) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    feed();
    expect(q_.wait(), EV_DISPATCH, 1);
    drain();
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_none(q_.collect());
    feed();
    expect(q_.wait(), EV_DISPATCH, 1);
}

TEST_P(ReadModes, R93_DispatchClearKeepsWhatCameWhileDisabled) {
    ASSERT_EQ(add(EV_DISPATCH | EV_CLEAR), 0);
    feed();
    expect(q_.wait(), EV_DISPATCH | EV_CLEAR, 1);
    feed();
    expect_none(q_.collect());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), EV_DISPATCH | EV_CLEAR, 2);
    expect_none(q_.collect());
}

// ---- EV_DISABLE, EV_ENABLE ----

TEST_P(ReadModes, R82_AddDisabledIsSilentUntilEnabled) {
    feed();
    ASSERT_EQ(add(EV_DISABLE), 0);
    expect_sleeps(q_);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), 0, 1);
}

TEST_P(ReadModes, R80_ReAddDoesNotEnable) {
    ASSERT_EQ(add(EV_DISABLE), 0);
    feed();
    ASSERT_EQ(add(0), 0);
    expect_none(q_.collect());
    ASSERT_EQ(add(EV_ENABLE), 0);
    expect(q_.collect(), 0, 1);
}

TEST_P(ReadModes, R83_DisableHidesAPendingEvent) {
    ASSERT_EQ(add(0), 0);
    feed();
    EXPECT_TRUE(q_.wait_until_readable());
    ASSERT_EQ(apply(EV_DISABLE), 0);
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
}

TEST_P(ReadModes, R84_EnableReportsWhatIsStillTrue) {
    ASSERT_EQ(add(0), 0);
    feed();
    ASSERT_EQ(apply(EV_DISABLE), 0);
    expect_none(q_.collect());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), 0, 1);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    drain();
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_none(q_.collect());
}

TEST_P(ReadModes, R84_EnableReportsWhatCameWhileDisabled) {
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    expect_none(q_.collect());
    feed();
    expect_none(q_.collect());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), 0, 1);
}

TEST_P(ReadModes, R85_DisableAndEnableAreIdempotent) {
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    feed();
    expect_none(q_.collect());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), 0, 1);
}

// ---- identity, EV_ADD again, EV_DELETE ----

TEST_P(ReadModes, R72_ReAddMakesNoSecondKnote) {
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(add(0), 0);
    feed();
    expect(q_.wait(), 0, 1);
    ASSERT_EQ(apply(EV_DELETE), 0);
    expect_none(q_.collect());
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
}

TEST_P(ReadModes, R74_TwoQueuesAreIndependent) {
    const Queue other;
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(other.apply(change(end_->fd(), EVFILT_READ, EV_ADD | EV_ONESHOT)), 0);
    feed();
    expect(q_.wait(), EV_CLEAR, 1);
    expect(other.wait(), EV_ONESHOT, 1);
    expect_none(q_.collect());
    expect_none(other.collect());
}

TEST_P(ReadModes, R76_ReAddReplacesUdata) {
    ASSERT_EQ(add(0, tag(0xDEADBEEF)), 0);
    feed();
    expect(q_.wait(), 0, 1, tag(0xDEADBEEF));
    ASSERT_EQ(add(0, tag(UINTPTR_MAX)), 0);
    expect(q_.collect(), 0, 1, tag(UINTPTR_MAX));
    ASSERT_EQ(add(0, nullptr), 0);
    expect(q_.collect(), 0, 1, nullptr);
}

TEST_P(ReadModes, R79_ReAddWithClearStaysLevel) {
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(add(EV_CLEAR), 0);
    feed();
    expect(q_.wait(), 0, 1);
    expect(q_.collect(), 0, 1);
}

TEST_P(ReadModes, R79_ReAddWithoutClearStaysClear) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(add(0), 0);
    feed();
    expect(q_.wait(), EV_CLEAR, 1);
    expect_none(q_.collect());
}

TEST_P(ReadModes, R87_DeleteTakesThePendingEventAlong) {
    ASSERT_EQ(add(0), 0);
    feed();
    EXPECT_TRUE(q_.wait_until_readable());
    ASSERT_EQ(apply(EV_DELETE), 0);
    expect_sleeps(q_);
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
    ASSERT_EQ(add(EV_CLEAR), 0);  // and nothing of the old one is left
    expect(q_.collect(), EV_CLEAR, 1);
    expect_none(q_.collect());
}

TEST_P(ReadModes, R87_DeleteOfADisabledKnote) {
    ASSERT_EQ(add(EV_DISABLE), 0);
    feed();
    ASSERT_EQ(apply(EV_DELETE), 0);
    expect_none(q_.collect());
    ASSERT_EQ(add(0), 0);
    expect(q_.collect(), 0, 1);
}

TEST_P(ReadModes, R100_ReceiptIsKeptInTheFlags) {
    ASSERT_EQ(add(EV_RECEIPT), 0);
    ASSERT_EQ(add(0), 0);
    feed();
    expect(q_.wait(), EV_RECEIPT, 1);
}

TEST_P(ReadModes, R101_EnableIsNotInTheFlags) {
    feed();
    ASSERT_EQ(add(EV_ENABLE), 0);
    expect(q_.collect(), 0, 1);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), 0, 1);
}

TEST_P(ReadModes, R104_AddDeleteDeletesOrElseAdds) {
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(add(EV_DELETE), 0);
    EXPECT_EQ(apply(EV_ENABLE), ENOENT);
    ASSERT_EQ(add(EV_DELETE), 0);
    feed();
    expect(q_.wait(), 0, 1);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ReadModes, testing::ValuesIn(read_ends()), kind_name);

}  // namespace
}  // namespace kqtest
