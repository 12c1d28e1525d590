// SPDX-License-Identifier: BSD-2-Clause
// What a report does to its knote: EV_ONESHOT, EV_CLEAR, EV_DISPATCH.; D-8,
// D-38, D-39.
#include <cerrno>
#include <map>

#include "support/source.h"

namespace kqtest {
namespace {

class Report : public KqTest, public testing::WithParamInterface<SourceKind> {
  protected:
    Queue q;
    std::unique_ptr<Source> source = GetParam().make();
};

INSTANTIATE_TEST_SUITE_P(Of, Report, testing::ValuesIn(level_sources()), SourceKind::name_of);

// ---- EV_ONESHOT ----

TEST_P(Report, R88_OneshotReportsOnceAndIsGone) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_ONESHOT, tag(5))), 0);
    expect_silent(q);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_ONESHOT, tag(5));
    expect_silent(q);
    EXPECT_FALSE(q.readable());
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), ENOENT);
    EXPECT_EQ(q.apply(source->change(EV_ENABLE)), ENOENT);
    source->idle();
    source->ready();
    expect_silent(q);
}

TEST_P(Report, R88_OneshotCanBeAddedAgain) {
    source->ready();
    for (uintptr_t i = 0; i < 4; i++) {
        ASSERT_EQ(q.apply(source->change(EV_ADD | EV_ONESHOT, tag(i))), 0);
        source->expect_report(q.wait(), EV_ADD | EV_ONESHOT, tag(i));
    }
    ASSERT_EQ(q.apply(source->change(EV_ADD)), 0);  // and as another kind of knote
    source->expect_report(q.wait(), EV_ADD);
    source->expect_report(q.wait(), EV_ADD);
}

TEST_P(Report, R78_ASecondAddWithoutOneshotChangesNoFlag) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_ONESHOT), source->change(EV_ADD)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_ONESHOT);
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), ENOENT);
}

TEST_P(Report, R78_ASecondAddWithOneshotChangesNoFlag) {
    ASSERT_EQ(q.apply(source->change(EV_ADD), source->change(EV_ADD | EV_ONESHOT)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD);
    source->expect_report(q.wait(), EV_ADD);
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), 0);
}

TEST_P(Report, R89_OneshotStaysWhileDisabled) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_ONESHOT), source->change(EV_DISABLE)), 0);
    source->ready();
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD | EV_ONESHOT);
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), ENOENT);
}

// D-38, as macOS does it: FreeBSD would report what was true before.
TEST_P(Report, R90_OneshotDoesNotReportWhatIsNoLongerTrue) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_ONESHOT)), 0);
    source->ready();
    ASSERT_TRUE(q.wait_until_readable());
    source->idle();
    expect_silent(q);
    source->ready();  // its one report is still to come
    source->expect_report(q.wait(), EV_ADD | EV_ONESHOT);
    expect_silent(q);
}

// ---- EV_DISPATCH ----

TEST_P(Report, R91_DispatchReportsOnceUntilEnabled) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISPATCH)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH);
    expect_silent(q);
    EXPECT_FALSE(q.readable());
    source->idle();
    source->ready();
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH);
    expect_silent(q);
}

TEST_P(Report, R92_DispatchLastsUntilDeleted) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISPATCH)), 0);
    for (int i = 0; i < 5; i++) {
        source->expect_report(q.wait(), EV_ADD | EV_DISPATCH);
        expect_silent(q);
        ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    }
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH);
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), 0);
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), ENOENT);
}

TEST_P(Report, R92_EnableOfADispatchedKnoteThatIsIdle) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISPATCH)), 0);
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH);
    source->idle();
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    expect_silent(q);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH);
    expect_silent(q);
}

TEST_P(Report, R80_ASecondAddDoesNotEnableADispatchedKnote) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISPATCH)), 0);
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH);
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISPATCH, tag(2))), 0);
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISPATCH | EV_ENABLE, tag(3))), 0);
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH, tag(3));
}

// D-39
TEST_P(Report, R93_DispatchAndClear) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISPATCH | EV_CLEAR)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH | EV_CLEAR);
    expect_silent(q);
    source->idle();
    source->ready();
    expect_silent(q);
    ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH | EV_CLEAR);
    expect_silent(q);
}

// D-8
TEST_P(Report, R94_OneshotWinsOverDispatchAndClear) {
    for (const int more : {EV_DISPATCH, EV_CLEAR, EV_DISPATCH | EV_CLEAR}) {
        SCOPED_TRACE(more);
        ASSERT_EQ(q.apply(source->change(EV_ADD | EV_ONESHOT | more)), 0);
        source->ready();
        source->expect_report(q.wait(), EV_ADD | EV_ONESHOT | more);
        EXPECT_EQ(q.apply(source->change(EV_ENABLE)), ENOENT);
        EXPECT_EQ(q.apply(source->change(EV_DELETE)), ENOENT);
        expect_silent(q);
        source->idle();
    }
}

// ---- EV_CLEAR ----

TEST_P(Report, R95_ClearReportsAChangeOnce) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR)), 0);
    expect_silent(q);
    for (int i = 0; i < 3; i++) {
        source->ready();
        source->expect_report(q.wait(), EV_ADD | EV_CLEAR);
        expect_silent(q);
        EXPECT_FALSE(q.readable());
        source->idle();
        expect_silent(q);
    }
}

TEST_P(Report, R95_ClearReportsWhatIsReadyWhenAdded) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR)), 0);
    source->expect_report(q.wait(), EV_ADD | EV_CLEAR);
    expect_silent(q);
}

TEST_P(Report, R95_ClearDoesNotReportWhatIsNoLongerTrue) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR)), 0);
    source->ready();
    ASSERT_TRUE(q.wait_until_readable());
    source->idle();
    expect_silent(q);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_CLEAR);
}

TEST_P(Report, R98_ASecondAddOfAClearKnoteReportsAgainWhatIsTrue) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_CLEAR);
    expect_silent(q);
    for (uintptr_t i = 0; i < 3 && !HasFailure(); i++) {
        ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR, tag(i))), 0);
        source->expect_report(q.wait(), EV_ADD | EV_CLEAR, tag(i));
        expect_silent(q);
    }
}

TEST_P(Report, R98_ASecondAddOfAnIdleClearKnoteReportsNothing) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_CLEAR);
    source->idle();
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR)), 0);
    expect_silent(q);
}

TEST_P(Report, R99_DisableAndEnableOfAClearKnoteReportAgainWhatIsTrue) {
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_CLEAR)), 0);
    source->ready();
    source->expect_report(q.wait(), EV_ADD | EV_CLEAR);
    for (int i = 0; i < 3 && !HasFailure(); i++) {
        ASSERT_EQ(q.apply(source->change(EV_DISABLE)), 0);
        expect_silent(q);
        ASSERT_EQ(q.apply(source->change(EV_ENABLE)), 0);
        source->expect_report(q.wait(), EV_ADD | EV_CLEAR);
        expect_silent(q);
    }
}

// ---- all three ----

// Events that do not fit into one eventlist come in the next one, whatever the mode of the knotes.
TEST_P(Report, WhatDoesNotFitComesWithTheNextCall) {
    for (const int flags : {EV_ONESHOT, EV_DISPATCH, EV_CLEAR}) {
        SCOPED_TRACE(flags);
        const Queue queue;
        std::vector<std::unique_ptr<Source>> sources;
        std::map<uintptr_t, int> seen;
        for (int i = 0; i < 5; i++) {
            sources.push_back(GetParam().make());
            ASSERT_EQ(queue.apply(sources.back()->change(EV_ADD | flags)), 0);
        }
        for (const auto& s : sources)
            s->ready();
        std::vector<Event> all;
        for (int call = 0; call < 3; call++)
            for (const Event& e : queue.collect(2)) {
                seen[e.ident]++;
                all.push_back(e);
            }
        const auto repeated = [](const auto& count) { return count.second > 1; };
        if (std::any_of(seen.begin(), seen.end(), repeated) && skipped_edges_told_again(all))
            return;
        expect_silent(queue);
        for (const auto& s : sources)
            EXPECT_EQ(seen[static_cast<uintptr_t>(s->ident())], 1);
    }
}

class Clear : public KqTest {};

TEST_F(Clear, R96_NewDataIsReportedWithAllThatIsThere) {
    const Queue q;
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    write_bytes(*p.write, 3);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 3);
    expect_silent(q);
    write_bytes(*p.write, 2);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 5);
    expect_silent(q);
}

TEST_F(Clear, R96_NewDataOnASocketIsReportedWithAllThatIsThere) {
    for (const bool tcp : {false, true}) {
        const Queue q;
        const Pair s = tcp ? make_tcp_pair() : make_socketpair(SOCK_STREAM);
        ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
        write_bytes(*s.second, 3);
        expect_only(q.wait(), *s.first, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 3);
        expect_silent(q);
        write_bytes(*s.second, 2);
        expect_only(q.wait(), *s.first, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 5);
        expect_silent(q);
    }
}

TEST_F(Clear, R97_ReadingPartOfTheDataIsNoEvent) {
    for (const bool socket : {false, true}) {
        const Queue q;
        Pipe p;
        if (socket) {
            Pair s = make_socketpair(SOCK_STREAM);
            p = {std::move(s.first), std::move(s.second)};
        } else {
            p = make_pipe();
        }
        ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
        write_bytes(*p.write, 5);
        expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 5);
        read_bytes(*p.read, 2);
        expect_silent(q);
        write_bytes(*p.write, 1);
        expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 4);
    }
}

// READ and WRITE of one descriptor may have different modes.
TEST_F(Clear, R95_ALevelAndAClearKnoteOnOneDescriptor) {
    const Queue q;
    const Pair s = make_socketpair(SOCK_STREAM);
    write_bytes(*s.second, 1);
    ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_ADD),
                      change(*s.first, EVFILT_WRITE, EV_ADD | EV_CLEAR)),
              0);
    EXPECT_EQ(q.collect().size(), 2u);
    for (int i = 0; i < 3; i++)
        expect_only(q.collect(), *s.first, EVFILT_READ, EV_ADD, 0, 1);
    write_bytes(*s.second, 1);
    for (int i = 0; i < 3; i++) {
        const auto events = q.collect();
        ASSERT_GE(events.size(), 1u);
        for (const Event& e : events)
            if (e.filter == EVFILT_READ) expect_event(e, *s.first, EVFILT_READ, EV_ADD, 0, 2);
    }
    read_bytes(*s.first, 2);
    q.collect();  // a writer may be told about an edge it did not ask for: no rule forbids it
    expect_silent(q);
}

TEST_F(Clear, R91_DispatchAndLevelOnOneDescriptor) {
    const Queue q;
    const Pair s = make_socketpair(SOCK_STREAM);
    write_bytes(*s.second, 1);
    ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_ADD | EV_DISPATCH),
                      change(*s.first, EVFILT_WRITE, EV_ADD)),
              0);
    EXPECT_EQ(q.collect().size(), 2u);
    for (int i = 0; i < 3; i++) {
        const auto events = q.collect();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].filter, EVFILT_WRITE);
    }
    ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_ENABLE)), 0);
    EXPECT_EQ(q.collect().size(), 2u);
    EXPECT_EQ(q.collect().size(), 1u);
}

TEST_F(Clear, R88_OneshotAndLevelOnOneDescriptor) {
    const Queue q;
    const Pair s = make_socketpair(SOCK_STREAM);
    write_bytes(*s.second, 1);
    ASSERT_EQ(q.apply(change(*s.first, EVFILT_WRITE, EV_ADD | EV_ONESHOT),
                      change(*s.first, EVFILT_READ, EV_ADD)),
              0);
    EXPECT_EQ(q.collect().size(), 2u);
    for (int i = 0; i < 3; i++)
        expect_only(q.collect(), *s.first, EVFILT_READ, EV_ADD, 0, 1);
    EXPECT_EQ(q.apply(change(*s.first, EVFILT_WRITE, EV_DELETE)), ENOENT);
    expect_only(q.collect(), *s.first, EVFILT_READ, EV_ADD, 0, 1);
}

// The knote of a closed descriptor is gone, even if it was disabled. The next file with the number
// has no knote.
TEST_F(Clear, R290_ADisabledKnoteDoesNotOutliveItsDescriptor) {
    for (const int flags : {EV_DISABLE, EV_DISPATCH, EV_CLEAR}) {
        for (const bool socket : {false, true}) {
            SCOPED_TRACE(testing::Message() << flags << " " << socket);
            const Queue q;
            const auto watched = [&] {
                if (!socket) return make_pipe();
                Pair s = make_socketpair(SOCK_STREAM);
                return Pipe{std::move(s.first), std::move(s.second)};
            };
            // Here the library opens its own descriptors, so that it does not take the free number.
            const Pipe first = watched();
            ASSERT_EQ(q.apply(change(*first.read, EVFILT_READ, EV_ADD | flags)), 0);
            expect_silent(q);
            int number = -1;
            {
                const Pipe old = watched();
                number = *old.read;
                write_bytes(*old.write, 1);
                ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | flags, 0, 0, tag(1))), 0);
                EXPECT_EQ(q.collect().size(), flags == EV_DISABLE ? 0u : 1u);
                ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_DISABLE)), 0);
            }
            const Pipe p = watched();
            ASSERT_EQ(*p.read, number) << "the system did not reuse the number";
            ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD, 0, 0, tag(2))), 0);
            write_bytes(*p.write, 2);
            expect_only(q.collect(), number, EVFILT_READ, EV_ADD, 0, 2, tag(2));
        }
    }
}

}  // namespace
}  // namespace kqtest
