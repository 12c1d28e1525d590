// SPDX-License-Identifier: BSD-2-Clause
// How a change is answered: EV_ERROR entries and EV_RECEIPT.; D-1, D-4, D-43, D-44.
#include <cerrno>

#include "support/kq.h"

namespace kqtest {
namespace {

class Receipts : public KqTest {
  protected:
    // A change that cannot succeed, and its errno.
    static Event wrong(int ident, int flags = EV_DELETE) {
        return change(ident, EVFILT_USER, flags, 0, 0, tag(static_cast<uintptr_t>(ident)));
    }
    static Event add(int ident, int flags = 0) {
        return change(ident, EVFILT_USER, EV_ADD | EV_CLEAR | flags, 0, 0,
                      tag(static_cast<uintptr_t>(ident)));
    }
};

TEST_F(Receipts, R28_AFailureWithoutEventlistIsTheErrnoOfTheCall) {
    const Queue q;
    expect_failed(q.call({wrong(1)}, 0, kForever), ENOENT);
    expect_failed(q.call({change(1, 0x7f, EV_ADD)}, 0, kForever), EINVAL);
    expect_failed(q.call({change(free_number(), EVFILT_READ, EV_ADD)}, 0, kForever), EBADF);
}

TEST_F(Receipts, R28_ChangesBeforeTheFailureStayThoseAfterItAreNotApplied) {
    const Queue q;
    expect_failed(q.call({add(1), wrong(2), add(3)}, 0, kForever), ENOENT);
    EXPECT_TRUE(has_knote(q, 1, EVFILT_USER));
    EXPECT_FALSE(has_knote(q, 3, EVFILT_USER));
}

TEST_F(Receipts, R29_TheFirstFailureWithoutRoomEndsTheCall) {
    const Queue q;
    expect_failed(q.call({wrong(1), add(2), change(3, 0x7f, EV_ADD), add(4)}, 1, kForever), EINVAL);
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
    EXPECT_FALSE(has_knote(q, 4, EVFILT_USER));
}

TEST_F(Receipts, R29_TheEntryForTheFirstFailureIsWrittenAllTheSame) {
    const Queue q;
    const Event changes[] = {wrong(1), change(3, 0x7f, EV_ADD)};
    Event entry{};
    EXPECT_EQ(::kevent(q.fd(), changes, 2, &entry, 1, nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
    expect_event(entry, 1, EVFILT_USER, EV_DELETE | EV_ERROR, 0, ENOENT, tag(1));
}

TEST_F(Receipts, R30_AFailureWithRoomDoesNotStopTheOtherChanges) {
    const Queue q;
    const Result result = q.call({wrong(1), add(2), add(3)}, 3, kForever);
    expect_answers(result, {{wrong(1), ENOENT}});
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
    EXPECT_TRUE(has_knote(q, 3, EVFILT_USER));
}

TEST_F(Receipts, R30_EveryFailureHasItsEntryInTheOrderOfTheChanges) {
    const Queue q;
    const Event closed = change(free_number(), EVFILT_READ, EV_ADD, 0, 0, tag(5));
    const Event unknown = change(9, -100, EV_ADD, 3, 4, tag(6));
    const Result result =
        q.call({wrong(1), add(2), closed, wrong(3, EV_ENABLE), unknown}, 8, kForever);
    expect_answers(
        result,
        {{wrong(1), ENOENT}, {closed, EBADF}, {wrong(3, EV_ENABLE), ENOENT}, {unknown, EINVAL}});
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
}

// D-1: flags are those of the change and EV_ERROR.
TEST_F(Receipts, R31_AnErrorEntryIsTheChangeWithTheErrno) {
    const Queue q;
    const Event changes[] = {
        change(UINTPTR_MAX, EVFILT_USER, EV_DELETE, 0, 0, tag(0xDEADBEEF)),
        change(7, EVFILT_USER, EV_ENABLE | EV_DISPATCH, NOTE_TRIGGER | 3u, 42, nullptr),
        change(7, EVFILT_TIMER, EV_DISABLE, 0, -5, tag(1)),
        change(7, EVFILT_USER, 0, 0, 0, tag(2)),
    };
    for (const Event& c : changes) {
        const Result result = q.call({c}, 1, kForever);
        expect_answers(result, {{c, ENOENT}});
    }
    const Event timer = change(7, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, -5, tag(3));
    expect_answers(q.call({timer}, 1, kForever), {{timer, EINVAL}});
}

TEST_F(Receipts, R32_ErrorEntriesSuppressCollection) {
    const Queue q;
    ASSERT_EQ(q.apply(add(1), change(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, tag(1))), 0);
    expect_answers(q.call({wrong(2)}, 8, kForever), {{wrong(2), ENOENT}});
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(1));
}

// D-4. The limit of the test program, not of the call, would end this if it waited.
TEST_F(Receipts, R32_ErrorEntriesSuppressWaiting) {
    const Queue q;
    const timespec long_time{60, 0};
    const auto start = now();
    expect_answers(q.call({wrong(2)}, 8, &long_time), {{wrong(2), ENOENT}});
    expect_answers(q.call({wrong(2)}, 8, &kAtOnce), {{wrong(2), ENOENT}});
    EXPECT_LT(since(start), milliseconds{20'000});
}

TEST_F(Receipts, R33_AReceiptForASuccessfulChange) {
    const Queue q;
    const Event c = add(1, EV_RECEIPT);
    expect_answers(q.call({c}, 1, kForever), {{c, 0}});
    EXPECT_TRUE(has_knote(q, 1, EVFILT_USER));
}

TEST_F(Receipts, R33_AReceiptForEveryKindOfChange) {
    const Queue q;
    const Pipe p = make_pipe();
    for (const int flags : {EV_ADD, EV_ADD | EV_ENABLE, EV_DISABLE, EV_ENABLE, 0, EV_DELETE}) {
        SCOPED_TRACE(flags);
        const Event read = change(*p.read, EVFILT_READ, flags | EV_RECEIPT, 0, 0, tag(1));
        const Event timer = change(1, EVFILT_TIMER, flags | EV_RECEIPT, 0, 60'000, tag(2));
        const Event user = change(1, EVFILT_USER, flags | EV_RECEIPT, 0, 0, tag(3));
        expect_answers(q.call({read, timer, user}, 8, kForever),
                       {{read, 0}, {timer, 0}, {user, 0}});
    }
    EXPECT_FALSE(has_knote(q, *p.read, EVFILT_READ));
    EXPECT_FALSE(has_knote(q, 1, EVFILT_TIMER));
    EXPECT_FALSE(has_knote(q, 1, EVFILT_USER));
}

TEST_F(Receipts, R33_AReceiptForAFailureIsAnErrorEntry) {
    const Queue q;
    const Event c = wrong(1, EV_DELETE | EV_RECEIPT);
    expect_answers(q.call({c}, 1, kForever), {{c, ENOENT}});
    expect_failed(q.call({c}, 0, kForever), ENOENT);
}

TEST_F(Receipts, R34_ReceiptFlagsAreTheGivenFlagsAndEvError) {
    const Queue q;
    for (const int flags :
         {EV_ADD | EV_ONESHOT, EV_ADD | EV_DISPATCH | EV_DISABLE, EV_ADD | EV_CLEAR | EV_ENABLE}) {
        SCOPED_TRACE(flags);
        const Event c = change(1, EVFILT_USER, flags | EV_RECEIPT, NOTE_FFCOPY | 0x12u, 7, tag(3));
        const Result result = q.call({c}, 1, kForever);
        ASSERT_EQ(result.ret, 1) << result;
        expect_event(result.events[0], 1, EVFILT_USER, flags | EV_RECEIPT | EV_ERROR,
                     NOTE_FFCOPY | 0x12u, 0, tag(3));
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    }
}

TEST_F(Receipts, R35_ReceiptsSuppressCollectionAndWaiting) {
    const Queue q;
    ASSERT_EQ(q.apply(add(1), change(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, tag(1))), 0);
    const Event c = add(2, EV_RECEIPT);
    expect_answers(q.call({c}, 8, kForever), {{c, 0}});
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(1));
    expect_answers(q.call({c}, 8, kForever), {{c, 0}});  // nothing is ready now
}

TEST_F(Receipts, R35_AChangeThatTriggersIsAnsweredBeforeItIsReported) {
    const Queue q;
    const Event c = change(1, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT, NOTE_TRIGGER);
    expect_answers(q.call({c}, 8, kForever), {{c, 0}});
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT);
}

// D-43: this change is applied, no further one; what was written before is returned.
TEST_F(Receipts, R36_AReceiptWithoutRoomEndsTheCall) {
    const Queue q;
    const Result result = q.call({add(1), add(2, EV_RECEIPT), add(3)}, 0, kForever);
    EXPECT_EQ(result.ret, 0) << result;
    EXPECT_TRUE(has_knote(q, 1, EVFILT_USER));
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
    EXPECT_FALSE(has_knote(q, 3, EVFILT_USER));
}

TEST_F(Receipts, R36_ASecondReceiptWithoutRoomReturnsTheFirst) {
    const Queue q;
    const Event first = add(1, EV_RECEIPT);
    expect_answers(q.call({first, add(2, EV_RECEIPT), add(3)}, 1, kForever), {{first, 0}});
    EXPECT_TRUE(has_knote(q, 1, EVFILT_USER));
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
    EXPECT_FALSE(has_knote(q, 3, EVFILT_USER));
}

TEST_F(Receipts, R37_NReceiptsInTheOrderOfNChanges) {
    const Queue q;
    std::vector<Event> changes;
    std::vector<Answer> answers;
    for (int i = 0; i < 600; i++) {
        changes.push_back(add(600 - i, EV_RECEIPT));
        answers.push_back({changes.back(), 0});
    }
    expect_answers(q.call(changes, 600, kForever), answers);
}

TEST_F(Receipts, R37_ReceiptsAndErrorsMixed) {
    const Queue q;
    const Event changes[] = {add(1, EV_RECEIPT), wrong(9), add(2), add(3, EV_RECEIPT)};
    expect_answers(q.call({changes[0], changes[1], changes[2], changes[3]}, 3, kForever),
                   {{changes[0], 0}, {changes[1], ENOENT}, {changes[3], 0}});
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
}

// EV_RECEIPT given once stays in the flags of the knote, but only a change that has it is answered.
TEST_F(Receipts, R37_OnlyChangesWithEvReceiptAreAnswered) {
    const Queue q;
    const Event c = add(1, EV_RECEIPT);
    expect_answers(q.call({c}, 1, kForever), {{c, 0}});
    const Result result = q.call({change(1, EVFILT_USER, 0, NOTE_TRIGGER)}, 1, &kAtOnce);
    expect_only(result.events, 1, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT);
}

// D-44: stripped on input, present in the receipt.
TEST_F(Receipts, R38_SystemFlagsInAChangeAreIgnored) {
    const Queue q;
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_SYSFLAGS),
                      change(1, EVFILT_USER, EV_ADD | EV_CLEAR | EV_ERROR | EV_EOF)),
              0);
    expect_silent(q);
    write_bytes(*p.write, 1);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 1);
    read_bytes(*p.read, 1);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ERROR | EV_EOF, NOTE_TRIGGER)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(Receipts, R38_SystemFlagsDoNotTurnAnActionIntoAnother) {
    const Queue q;
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_SYSFLAGS)), ENOENT);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_SYSFLAGS)), 0);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE | EV_SYSFLAGS)), 0);
    EXPECT_FALSE(has_knote(q, 1, EVFILT_USER));
}

TEST_F(Receipts, R38_SystemFlagsAreEchoedInTheReceipt) {
    const Queue q;
    const Event c = change(1, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT | EV_ERROR);
    expect_answers(q.call({c}, 1, kForever), {{c, 0}});
    const Event eof = change(1, EVFILT_USER, EV_RECEIPT | EV_EOF, NOTE_TRIGGER);
    expect_answers(q.call({eof}, 1, kForever), {{eof, 0}});
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT);
}

}  // namespace
}  // namespace kqtest
