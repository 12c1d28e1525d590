// SPDX-License-Identifier: BSD-2-Clause
// The life of a knote, for every filter: identity, udata, enabling, deleting, and the flags of its
// events.; D-2, D-10 to D-12. EV_ONESHOT, EV_CLEAR and
// EV_DISPATCH are in flags_report_test.cc.
#include <cerrno>

#include "support/source.h"

namespace kqtest {
namespace {

class Level : public KqTest, public testing::WithParamInterface<SourceKind> {
  protected:
    Queue q;
    std::unique_ptr<Source> source = GetParam().make();
};

INSTANTIATE_TEST_SUITE_P(Of, Level, testing::ValuesIn(level_sources()), SourceKind::name_of);

TEST_P(Level, NothingIsReportedWhileIdle) {
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);
    expect_silent(q);
    source->ready();
    source->expect_report(q.wait(), EV_ADD);
    source->idle();
    expect_silent(q);
}

TEST_P(Level, WhatIsReadyWhenAddedIsReportedAtOnce) {
    source->ready();
    const Result result = q.call({source->change(EV_ADD)}, 4, &kAtOnce);
    source->expect_report(result.events, EV_ADD);
}

TEST_P(Level, R105_WhatStaysReadyIsReportedByEveryCall) {
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);
    source->ready();
    for (int i = 0; i < 5; i++)
        source->expect_report(q.wait(), EV_ADD);
}

TEST_P(Level, R72_ASecondAddMakesNoSecondKnote) {
    ASSERT_EQ(q.apply(source->change(EV_ADD), source->change(EV_ADD)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD);
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);  // while it is pending, too
    source->expect_report(q.wait(), EV_ADD);
    ASSERT_EQ(q.apply(source->change(EV_DELETE)), 0);
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), ENOENT);
    expect_silent(q);
}

TEST_P(Level, R74_EveryQueueReportsForItself) {
    const Queue other;
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_ONESHOT, tag(1))), 0);
    ASSERT_EQ(other.apply(source->change(EV_ADD, tag(2))), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_ONESHOT, tag(1));
    expect_silent(q);
    source->expect_report(other.wait(), EV_ADD, tag(2));
    source->expect_report(other.wait(), EV_ADD, tag(2));
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), ENOENT);
    EXPECT_EQ(other.apply(source->change(EV_DELETE)), 0);
}

TEST_P(Level, R75_UdataComesBackAsGiven) {
    source->ready();
    for (const uintptr_t number : {uintptr_t{0xDEADBEEF}, uintptr_t{0}, UINTPTR_MAX}) {
        ASSERT_EQ(q.apply(source->change(EV_ADD, tag(number))), 0);
        source->expect_report(q.wait(), EV_ADD, tag(number));
        ASSERT_EQ(q.apply(source->change(EV_DELETE)), 0);
    }
}

TEST_P(Level, R76_ASecondAddReplacesUdata) {
    ASSERT_EQ(q.apply(source->change(EV_ADD, tag(1))), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD, tag(1));
    ASSERT_EQ(q.apply(source->change(EV_ADD, tag(2))), 0);  // pending already
    source->expect_report(q.wait(), EV_ADD, tag(2));
    source->idle();
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ADD, nullptr)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD, nullptr);
}

TEST_P(Level, R77_AChangeWithoutActionReplacesUdata) {
    ASSERT_EQ(q.apply(source->change(EV_ADD, tag(1)), source->change(0, tag(2))), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD, tag(2));
}

// D-12
TEST_P(Level, R77_EnableAndDisableReplaceUdata) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD, tag(1)), source->change(EV_DISABLE, tag(2)),
                      source->change(EV_ENABLE, tag(3))),
              0);
    source->expect_report(q.wait(), EV_ADD, tag(3));
}

TEST_P(Level, R79_ASecondAddWithEvClearChangesNoFlag) {
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD);
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR)), 0);
    for (int i = 0; i < 3; i++)
        source->expect_report(q.wait(), EV_ADD);
}

// D-10
TEST_P(Level, R80_ASecondAddDoesNotEnable) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD), source->change(EV_DISABLE), source->change(EV_ADD)),
              0);
    expect_silent(q);
    source->idle();
    source->ready();
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD);
}

TEST_P(Level, R81_AddAndEnableEnables) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD), source->change(EV_DISABLE)), 0);
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD);
}

TEST_P(Level, R82_AddAndDisableIsSilentUntilEnabled) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISABLE)), 0);
    expect_silent(q);
    EXPECT_FALSE(q.readable());
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD);
}

TEST_P(Level, R82_WhatBecomesReadyWhileDisabledIsReportedWhenEnabled) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISABLE)), 0);
    source->ready();
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD);
}

TEST_P(Level, R82_WithoutActionADisabledKnoteStaysDisabled) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISABLE), source->change(0)), 0);
    expect_silent(q);
}

TEST_P(Level, R83_DisableSilencesAPendingEvent) {
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);
    source->ready();
    ASSERT_TRUE(q.wait_until_readable());
    ASSERT_EQ(q.apply(source->change(EV_DISABLE)), 0);
    expect_silent(q);
    expect_none(q.collect(4, milliseconds{50}));
    EXPECT_FALSE(q.readable());
}

TEST_P(Level, R84_EnableReportsWhatIsStillTrue) {
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD);
    ASSERT_EQ(q.apply(source->change(EV_DISABLE)), 0);
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD);
    source->expect_report(q.wait(), EV_ADD);
}

TEST_P(Level, R84_EnableDoesNotReportWhatIsNoLongerTrue) {
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD);
    ASSERT_EQ(q.apply(source->change(EV_DISABLE)), 0);
    source->idle();
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    expect_silent(q);
    source->ready();
    source->expect_report(q.wait(), EV_ADD);
}

TEST_P(Level, R85_DisableAndEnableAreIdempotent) {
    source->ready();
    ASSERT_EQ(
        q.apply(source->change(EV_ADD), source->change(EV_DISABLE), source->change(EV_DISABLE)), 0);
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ENABLE), source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD);
    ASSERT_EQ(q.apply(source->change(EV_DISABLE)), 0);
    expect_silent(q);
}

TEST_P(Level, R87_DeleteDropsAPendingEvent) {
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);
    source->ready();
    ASSERT_TRUE(q.wait_until_readable());
    ASSERT_EQ(q.apply(source->change(EV_DELETE)), 0);
    expect_silent(q);
    EXPECT_FALSE(q.readable());
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), ENOENT);
}

TEST_P(Level, R87_ADeletedKnoteCanBeAddedAgain) {
    source->ready();
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISABLE), source->change(EV_DELETE)), 0);
        ASSERT_EQ(q.apply(source->change(EV_ADD, tag(7))), 0);
        source->expect_report(q.wait(), EV_ADD, tag(7));
        ASSERT_EQ(q.apply(source->change(EV_DELETE)), 0);
        expect_silent(q);
    }
}

TEST_P(Level, R100_EvReceiptStaysInTheFlags) {
    const Event add = source->change(EV_ADD | EV_RECEIPT);
    expect_answers(q.call({add}, 1, kForever), {{add, 0}});
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_RECEIPT);
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);
    source->expect_report(q.wait(), EV_ADD | EV_RECEIPT);
    ASSERT_EQ(q.apply(source->change(EV_DISABLE), source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD | EV_RECEIPT);
}

TEST_P(Level, R100_AKnoteWithoutEvReceiptDoesNotGainIt) {
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);
    const Event again = source->change(EV_ADD | EV_RECEIPT);
    expect_answers(q.call({again}, 1, kForever), {{again, 0}});
    source->ready();
    source->expect_report(q.wait(), EV_ADD);
}

// D-2: EV_ADD is in the flags; the actions that follow it are not.
TEST_P(Level, R101_R102_ActionsAreNotInTheFlags) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD);
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD);
    ASSERT_EQ(q.apply(source->change(EV_DISABLE), source->change(EV_ENABLE | EV_DISPATCH)), 0);
    const auto events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].flags & (EV_ENABLE | EV_DISABLE | EV_DELETE), 0);
    EXPECT_EQ(events[0].flags & EV_ADD, EV_ADD);
}

// D-45
TEST_P(Level, R103_InputFflagsAreNotEchoed) {
    source->ready();
    Event add = source->change(EV_ADD);
    add.fflags = NOTE_LOWAT;
    add.data = 1;
    ASSERT_EQ(q.apply(add), 0);
    source->expect_report(q.wait(), EV_ADD);
}

class Flags : public KqTest {};

TEST_F(Flags, R73_ReadAndWriteOfADescriptorAreTwoKnotes) {
    const Queue q;
    const Pair s = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_ADD, 0, 0, tag(1)),
                      change(*s.first, EVFILT_WRITE, EV_ADD | EV_DISABLE, 0, 0, tag(2))),
              0);
    write_bytes(*s.second, 1);
    expect_only(q.wait(), *s.first, EVFILT_READ, EV_ADD, 0, 1, tag(1));
    ASSERT_EQ(q.apply(change(*s.first, EVFILT_WRITE, EV_ENABLE, 0, 0, tag(2))), 0);
    EXPECT_EQ(q.collect().size(), 2u);
    ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_DELETE)), 0);
    const auto events = q.collect();
    ASSERT_EQ(events.size(), 1u);
    expect_event(events[0], *s.first, EVFILT_WRITE, EV_ADD, 0, events[0].data, tag(2));
    ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_ADD, 0, 0, tag(3)),
                      change(*s.first, EVFILT_WRITE, EV_DELETE)),
              0);
    expect_only(q.wait(), *s.first, EVFILT_READ, EV_ADD, 0, 1, tag(3));
}

TEST_F(Flags, R73_OneOfTwoKnotesOfADescriptorIsDisabled) {
    const Queue q;
    const Pair s = make_socketpair(SOCK_STREAM);
    write_bytes(*s.second, 1);
    ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_ADD), change(*s.first, EVFILT_WRITE, EV_ADD),
                      change(*s.first, EVFILT_WRITE, EV_DISABLE)),
              0);
    for (int i = 0; i < 3; i++)
        expect_only(q.collect(), *s.first, EVFILT_READ, EV_ADD, 0, 1);
}

// The same number may name a descriptor, a timer and a user event.
TEST_F(Flags, R73_FiltersDoNotShareIdents) {
    const Queue q;
    const Pipe p = make_pipe();
    write_bytes(*p.write, 1);
    const int n = *p.read;
    ASSERT_EQ(q.apply(change(n, EVFILT_READ, EV_ADD), change(n, EVFILT_USER, EV_ADD, NOTE_TRIGGER),
                      change(n, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 60'000)),
              0);
    EXPECT_EQ(q.collect().size(), 2u);
    ASSERT_EQ(q.apply(change(n, EVFILT_USER, EV_DELETE)), 0);
    expect_only(q.collect(), n, EVFILT_READ, EV_ADD, 0, 1);
    EXPECT_EQ(q.apply(change(n, EVFILT_TIMER, EV_DELETE)), 0);
    expect_only(q.collect(), n, EVFILT_READ, EV_ADD, 0, 1);
}

}  // namespace
}  // namespace kqtest
