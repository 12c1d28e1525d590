// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_WRITE: what EV_ADD, EV_ENABLE, EV_CLEAR, EV_ONESHOT, ... do, on every kind of descriptor.
#include <errno.h>

#include <algorithm>
#include <memory>

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class WriteModes : public KqTest, public testing::WithParamInterface<WriteEndKind> {
  protected:
    int add(int flags) const { return apply(EV_ADD | flags); }
    int apply(int flags) const { return q_.apply(change(end_->fd(), EVFILT_WRITE, flags)); }
    bool exists() const { return has_knote(q_, end_->fd(), EVFILT_WRITE); }

    // Exactly one event, with these flags beside EV_ADD; there is some room.
    void expect(const std::vector<Event>& events, int flags, int line = __builtin_LINE()) const {
        expect_between(events, end_->fd(), EVFILT_WRITE, EV_ADD | flags,
                       std::min<intptr_t>(end_->least(), 1), end_->most(), __FILE__, line);
    }

    std::unique_ptr<WriteEnd> end_ = GetParam().make();
    Queue q_;
};

// Those that can be full.
class WriteBlocking : public WriteModes {};

TEST_P(WriteModes, R149_WritableIsReportedWithTheRoom) {
    ASSERT_EQ(add(0), 0);
    expect_between(q_.collect(), end_->fd(), EVFILT_WRITE, EV_ADD, end_->least(), end_->most());
}

TEST_P(WriteModes, R105_LevelIsReportedOnEveryCall) {
    ASSERT_EQ(add(0), 0);
    for (int i = 0; i < 4; i++)
        expect(q_.collect(), 0);
}

TEST_P(WriteModes, R6_TheQueueIsReadableWhenAnEventIsPending) {
    ASSERT_EQ(add(0), 0);
    EXPECT_TRUE(q_.wait_until_readable());
    expect(q_.collect(), 0);
    EXPECT_TRUE(q_.readable());
    ASSERT_EQ(apply(EV_DISABLE), 0);
    expect_none(q_.collect());
    EXPECT_FALSE(q_.readable());
}

TEST_P(WriteModes, R150_ClearReportsOnceAndThenSleeps) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    expect(q_.collect(), EV_CLEAR);
    expect_none(q_.collect());
    EXPECT_FALSE(q_.readable());
    expect_sleeps(q_);
}

TEST_P(WriteModes, R98_ClearReAddReportsAgain) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    for (int i = 0; i < 3; i++) {
        expect(q_.collect(), EV_CLEAR);
        expect_none(q_.collect());
        ASSERT_EQ(add(EV_CLEAR), 0);
    }
}

TEST_P(WriteModes, R99_ClearDisableEnableReportsAgain) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    expect(q_.collect(), EV_CLEAR);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), EV_CLEAR);
    expect_none(q_.collect());
}

TEST_P(WriteModes, R88_OneshotIsReportedOnceAndGone) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    expect(q_.collect(), EV_ONESHOT);
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
    expect_sleeps(q_);
    ASSERT_EQ(add(EV_ONESHOT), 0);
    expect(q_.collect(), EV_ONESHOT);
}

TEST_P(WriteModes, R166_DispatchReportsOnceUntilEnabled) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    for (int i = 0; i < 3; i++) {
        expect(q_.collect(), EV_DISPATCH);
        expect_none(q_.collect());
        ASSERT_EQ(apply(EV_ENABLE), 0);
    }
    expect(q_.collect(), EV_DISPATCH);
    EXPECT_FALSE(q_.readable());
    expect_sleeps(q_);
}

TEST_P(WriteModes, R94_OneshotDispatchIsOneshot) {
    ASSERT_EQ(add(EV_ONESHOT | EV_DISPATCH), 0);
    expect(q_.collect(), EV_ONESHOT | EV_DISPATCH);
    EXPECT_EQ(apply(EV_ENABLE), ENOENT);
}

TEST_P(WriteModes, R93_DispatchClearIsReportedAtEachEnable) {
    ASSERT_EQ(add(EV_DISPATCH | EV_CLEAR), 0);
    for (int i = 0; i < 3; i++) {
        expect(q_.collect(), EV_DISPATCH | EV_CLEAR);
        expect_none(q_.collect());
        ASSERT_EQ(apply(EV_ENABLE), 0);
    }
}

TEST_P(WriteModes, R82_AddDisabledIsSilentUntilEnabled) {
    ASSERT_EQ(add(EV_DISABLE), 0);
    expect_sleeps(q_);
    ASSERT_EQ(add(0), 0);  // does not enable
    expect_none(q_.collect());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.collect(), 0);
}

TEST_P(WriteModes, R89_OneshotWaitsWhileDisabled) {
    ASSERT_EQ(add(EV_ONESHOT | EV_DISABLE), 0);
    expect_none(q_.collect());
    ASSERT_EQ(add(EV_ENABLE), 0);
    expect(q_.collect(), EV_ONESHOT);
    EXPECT_FALSE(exists());
}

TEST_P(WriteModes, R83_DisableHidesAPendingEvent) {
    ASSERT_EQ(add(0), 0);
    EXPECT_TRUE(q_.wait_until_readable());
    ASSERT_EQ(apply(EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    expect_sleeps(q_);
}

TEST_P(WriteModes, R87_DeleteTakesThePendingEventAlong) {
    ASSERT_EQ(add(0), 0);
    EXPECT_TRUE(q_.wait_until_readable());
    ASSERT_EQ(apply(EV_DELETE), 0);
    expect_sleeps(q_);
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
    ASSERT_EQ(add(EV_CLEAR), 0);
    expect(q_.collect(), EV_CLEAR);
    expect_none(q_.collect());
}

TEST_P(WriteModes, R72_ReAddMakesNoSecondKnote) {
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(add(EV_CLEAR), 0);  // stays level
    expect(q_.collect(), 0);
    expect(q_.collect(), 0);
    ASSERT_EQ(apply(EV_DELETE), 0);
    expect_none(q_.collect());
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
}

TEST_P(WriteModes, R74_TwoQueuesAreIndependent) {
    const Queue other;
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(other.apply(change(end_->fd(), EVFILT_WRITE, EV_ADD | EV_ONESHOT)), 0);
    expect(q_.collect(), EV_CLEAR);
    expect(other.collect(), EV_ONESHOT);
    expect_none(q_.collect());
    expect_none(other.collect());
}

// ---- full, and writable again ----

TEST_P(WriteBlocking, R151_FullIsSilentAndSleeps) {
    end_->block();
    ASSERT_EQ(add(0), 0);
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
    end_->unblock();
    expect(q_.wait(), 0);
}

TEST_P(WriteBlocking, R151_LevelStopsWhenItGetsFull) {
    ASSERT_EQ(add(0), 0);
    expect(q_.collect(), 0);
    end_->block();
    expect_none(q_.collect());
    end_->unblock();
    expect(q_.wait(), 0);
    expect(q_.collect(), 0);
}

TEST_P(WriteBlocking, R151_ASleepingCallIsWoken) {
    end_->block();
    ASSERT_EQ(add(0), 0);
    std::vector<Event> events;
    Thread waiter([&] { events = q_.wait(); });
    waiter.wait_until_asleep();
    end_->unblock();
    waiter.join();
    expect(events, 0);
}

TEST_P(WriteBlocking, R150_ClearReportsRoomAgainAfterBlocking) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    expect(q_.collect(), EV_CLEAR);
    for (int i = 0; i < 3; i++) {
        end_->block();
        expect_none(q_.collect());
        end_->unblock();
        expect(q_.wait(), EV_CLEAR);
        expect_none(q_.collect());
    }
}

TEST_P(WriteBlocking, R90_OneshotFilledBeforeCollectingStaysArmed) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    EXPECT_TRUE(q_.wait_until_readable());
    end_->block();
    expect_none(q_.collect());
    end_->unblock();
    expect(q_.wait(), EV_ONESHOT);
    EXPECT_FALSE(exists());
}

TEST_P(WriteBlocking, R84_EnableReportsOnlyWhatIsStillTrue) {
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    end_->block();
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_none(q_.collect());
    ASSERT_EQ(apply(EV_DISABLE), 0);
    end_->unblock();
    expect_none(q_.collect());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect(q_.wait(), 0);
}

TEST_P(WriteBlocking, R91_DispatchEnabledWhileFullWaits) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    expect(q_.collect(), EV_DISPATCH);
    end_->block();
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_sleeps(q_);
    end_->unblock();
    expect(q_.wait(), EV_DISPATCH);
    expect_none(q_.collect());
}

std::vector<WriteEndKind> blockable_kinds() {
    std::vector<WriteEndKind> kinds;
    for (const WriteEndKind& kind : write_ends())
        if (kind.blockable) kinds.push_back(kind);
    return kinds;
}

INSTANTIATE_TEST_SUITE_P(Kinds, WriteModes, testing::ValuesIn(write_ends()), kind_name);
INSTANTIATE_TEST_SUITE_P(Kinds, WriteBlocking, testing::ValuesIn(blockable_kinds()), kind_name);

}  // namespace
}  // namespace kqtest
