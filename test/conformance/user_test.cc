// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_USER; D-11 to D-14, D-46.
#include <atomic>
#include <cerrno>

#include "support/kq.h"
#include "support/thread.h"

namespace kqtest {
namespace {

constexpr unsigned kTrigger = NOTE_TRIGGER;

class User : public KqTest {
  protected:
    int add(int flags, unsigned fflags = 0, intptr_t data = 0, void* udata = nullptr) const {
        return q.apply(change(1, EVFILT_USER, EV_ADD | flags, fflags, data, udata));
    }
    // A change without an action.
    int touch(unsigned fflags, intptr_t data = 0, int flags = 0, void* udata = nullptr) const {
        return q.apply(change(1, EVFILT_USER, flags, fflags, data, udata));
    }
    void expect_report(int flags, unsigned fflags = 0, intptr_t data = 0, void* udata = nullptr,
                       const char* file = __builtin_FILE(), int line = __builtin_LINE()) const {
        expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | flags, fflags, data, udata, file, line);
    }

    Queue q;
};

TEST_F(User, R261_OnlyATriggerMakesAnEvent) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    expect_silent(q);
    ASSERT_EQ(add(EV_CLEAR, NOTE_FFCOPY | 3u, 5), 0);
    expect_silent(q);
    ASSERT_EQ(touch(0), 0);
    expect_silent(q);
    ASSERT_EQ(touch(kTrigger), 0);
    EXPECT_EQ(q.collect().size(), 1u);
}

TEST_F(User, R262_AClearKnoteReportsATriggerOnce) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(touch(kTrigger), 0);
        expect_report(EV_CLEAR);
        expect_silent(q);
    }
}

TEST_F(User, R263_ALevelKnoteReportsATriggerByEveryCallUntilDeleted) {
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    for (int i = 0; i < 5; i++)
        expect_report(0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    expect_silent(q);
}

TEST_F(User, R263_ALevelKnoteReportsATriggerUntilAChangeWithEvClear) {
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(0);
    expect_report(0);
    ASSERT_EQ(touch(0, 0, EV_CLEAR), 0);
    expect_silent(q);
    EXPECT_FALSE(q.readable());
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(0);
    expect_report(0);
}

TEST_F(User, R264_TriggersCoalesce) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    for (int i = 0; i < 10; i++)
        ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_CLEAR);
    expect_silent(q);
}

TEST_F(User, R265_AOneshotKnoteIsGoneAfterItsEvent) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_ONESHOT);
    EXPECT_EQ(touch(kTrigger), ENOENT);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), ENOENT);
    expect_silent(q);
}

// D-46
TEST_F(User, R265_AOneshotKnoteReportsWhatIsStored) {
    ASSERT_EQ(add(EV_ONESHOT, 0x10), 0);
    ASSERT_EQ(touch(NOTE_FFOR | 0x01u | kTrigger, 42, 0, tag(7)), 0);
    expect_report(EV_ONESHOT, 0x11, 42, tag(7));
}

TEST_F(User, R266_FfcopyReplaces) {
    ASSERT_EQ(add(EV_CLEAR, 0xAA), 0);
    ASSERT_EQ(touch(NOTE_FFCOPY | 0xBBu | kTrigger), 0);
    expect_report(EV_CLEAR, 0xBB);
}

TEST_F(User, R266_TheFflagsOfTheAddAreReported) {
    ASSERT_EQ(add(EV_CLEAR, 0xAA), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_CLEAR, 0xAA);
}

TEST_F(User, R267_FfandFforFfnop) {
    ASSERT_EQ(add(EV_CLEAR, 0x0F), 0);
    ASSERT_EQ(touch(NOTE_FFAND | 0x0Cu | kTrigger), 0);
    expect_report(EV_CLEAR, 0x0C);

    ASSERT_EQ(touch(NOTE_FFCOPY | 0x01u), 0);
    ASSERT_EQ(touch(NOTE_FFOR | 0x06u | kTrigger), 0);
    expect_report(EV_CLEAR, 0x07);

    ASSERT_EQ(touch(NOTE_FFCOPY | 0x42u), 0);
    ASSERT_EQ(touch(NOTE_FFNOP | 0xFFu | kTrigger), 0);
    expect_report(EV_CLEAR, 0x42);

    ASSERT_EQ(touch(NOTE_FFAND | 0u | kTrigger), 0);
    expect_report(EV_CLEAR, 0);
}

// The control bits of the creating EV_ADD say nothing: there is nothing to combine with.
TEST_F(User, R267_TheCreatingAddStoresItsLow24Bits) {
    for (const unsigned control :
         {unsigned{NOTE_FFNOP}, unsigned{NOTE_FFAND}, unsigned{NOTE_FFOR}, unsigned{NOTE_FFCOPY}}) {
        SCOPED_TRACE(control);
        ASSERT_EQ(add(EV_ONESHOT, control | 0x123456u), 0);
        ASSERT_EQ(touch(kTrigger), 0);
        expect_report(EV_ONESHOT, 0x123456);
    }
}

TEST_F(User, R267_ASecondAddCombinesToo) {
    ASSERT_EQ(add(EV_CLEAR, 0x0F), 0);
    ASSERT_EQ(add(EV_CLEAR, NOTE_FFOR | 0xF0u), 0);
    ASSERT_EQ(add(EV_CLEAR, NOTE_FFNOP | 0xF00u | kTrigger), 0);
    expect_report(EV_CLEAR, 0xFF);
}

TEST_F(User, R268_ControlBitsAndTheTriggerAreNotReported) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(touch(NOTE_FFCOPY | 0x01ffffffu), 0);  // NOTE_TRIGGER is in it
    expect_report(EV_CLEAR, 0x00ffffff);
    ASSERT_EQ(touch(0xffffffffu), 0);
    expect_report(EV_CLEAR, 0x00ffffff);
    ASSERT_EQ(touch(NOTE_FFOR | 0x3e000000u | kTrigger), 0);
    expect_report(EV_CLEAR, 0x00ffffff);
}

TEST_F(User, R269_FforAccumulatesBetweenEvents) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    for (const unsigned bit : {1u, 2u, 4u})
        ASSERT_EQ(touch(NOTE_FFOR | bit | kTrigger), 0);
    expect_report(EV_CLEAR, 7);
    expect_silent(q);
}

TEST_F(User, R270_FflagsSurviveTheEvent) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(touch(NOTE_FFOR | 7u | kTrigger), 0);
    expect_report(EV_CLEAR, 7);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_CLEAR, 7);
    ASSERT_EQ(touch(NOTE_FFOR | 8u | kTrigger), 0);
    expect_report(EV_CLEAR, 15);
}

TEST_F(User, R271_DataIsThatOfTheLastChange) {
    ASSERT_EQ(add(EV_CLEAR, 0, 41), 0);
    ASSERT_EQ(touch(kTrigger, 42), 0);
    expect_report(EV_CLEAR, 0, 42);
    ASSERT_EQ(touch(kTrigger, 43), 0);
    ASSERT_EQ(touch(0, 44), 0);
    expect_report(EV_CLEAR, 0, 44);
    ASSERT_EQ(touch(kTrigger, 0), 0);
    expect_report(EV_CLEAR, 0, 0);
    ASSERT_EQ(touch(kTrigger, INTPTR_MIN), 0);
    expect_report(EV_CLEAR, 0, INTPTR_MIN);
}

TEST_F(User, R77_UdataIsThatOfTheLastChange) {
    ASSERT_EQ(add(EV_CLEAR, 0, 0, tag(0xDEADBEEF)), 0);
    ASSERT_EQ(touch(kTrigger, 0, 0, tag(1)), 0);
    expect_report(EV_CLEAR, 0, 0, tag(1));
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_CLEAR, 0, 0, nullptr);
}

TEST_F(User, R272_ATriggerWhileDisabledIsRemembered) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DISABLE)), 0);
    ASSERT_EQ(touch(NOTE_FFOR | 2u | kTrigger, 9), 0);
    expect_silent(q);
    EXPECT_FALSE(q.readable());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ENABLE)), 0);
    EXPECT_TRUE(q.readable());
    expect_report(EV_CLEAR, 2, 9);
    expect_silent(q);
}

TEST_F(User, R272_ATriggerBeforeDisableIsRemembered) {
    for (const int flags : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        SCOPED_TRACE(flags);
        ASSERT_EQ(add(flags, kTrigger), 0);
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DISABLE)), 0);
        expect_silent(q);
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ENABLE)), 0);
        expect_report(flags);
        q.apply(change(1, EVFILT_USER, EV_DELETE));
    }
}

TEST_F(User, R82_AddAndDisableThenTrigger) {
    ASSERT_EQ(add(EV_CLEAR | EV_DISABLE), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_silent(q);
    ASSERT_EQ(add(EV_ENABLE), 0);
    expect_report(EV_CLEAR);
}

// D-11
TEST_F(User, R86_EnableAndDisableLeaveFflagsAndDataAlone) {
    ASSERT_EQ(add(EV_CLEAR, 0x21, 77), 0);
    ASSERT_EQ(
        q.apply(change(1, EVFILT_USER, EV_DISABLE, 0, 1), change(1, EVFILT_USER, EV_ENABLE, 0, 2)),
        0);
    expect_silent(q);
    ASSERT_EQ(touch(kTrigger, 77), 0);
    ASSERT_EQ(
        q.apply(change(1, EVFILT_USER, EV_DISABLE, 0, 1), change(1, EVFILT_USER, EV_ENABLE, 0, 2)),
        0);
    expect_report(EV_CLEAR, 0x21, 77);
}

TEST_F(User, R273_DispatchAndClear) {
    ASSERT_EQ(add(EV_DISPATCH | EV_CLEAR), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_DISPATCH | EV_CLEAR);
    expect_silent(q);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ENABLE)), 0);
    expect_silent(q);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_DISPATCH | EV_CLEAR);
    expect_silent(q);
}

TEST_F(User, R273_DispatchWithoutClearReportsAgainWhenEnabled) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    for (int i = 0; i < 3; i++) {
        expect_report(EV_DISPATCH);
        expect_silent(q);
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ENABLE)), 0);
    }
}

TEST_F(User, R273_ATriggerOfADispatchedKnoteWaitsForEnable) {
    ASSERT_EQ(add(EV_DISPATCH | EV_CLEAR), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_DISPATCH | EV_CLEAR);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_silent(q);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ENABLE)), 0);
    expect_report(EV_DISPATCH | EV_CLEAR);
}

TEST_F(User, R274_EnableAndTriggerInOneChange) {
    ASSERT_EQ(add(EV_DISPATCH | EV_CLEAR), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    for (int i = 1; i <= 3; i++) {
        expect_report(EV_DISPATCH | EV_CLEAR, 0, i - 1, tag(static_cast<uintptr_t>(i - 1)));
        expect_silent(q);
        ASSERT_EQ(touch(kTrigger, i, EV_ENABLE, tag(static_cast<uintptr_t>(i))), 0);
    }
}

TEST_F(User, R275_ATriggerFromAnotherThreadWakesAWaiter) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    for (int round = 0; round < 5; round++) {
        std::vector<Event> events;
        Thread waiter([&] { events = q.call({}, 1, kForever).events; });
        waiter.wait_until_asleep();
        const auto start = now();
        ASSERT_EQ(touch(kTrigger), 0);
        waiter.join();
        EXPECT_LT(since(start), milliseconds{10'000});
        expect_only(events, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    }
}

TEST_F(User, R275_AddOrEnableFromAnotherThreadWakesAWaiter) {
    for (const bool enable : {false, true}) {
        SCOPED_TRACE(enable);
        if (enable) {
            ASSERT_EQ(add(EV_ONESHOT | EV_DISABLE, kTrigger), 0);
        }
        std::vector<Event> events;
        Thread waiter([&] { events = q.call({}, 1, kForever).events; });
        waiter.wait_until_asleep();
        ASSERT_EQ(enable ? q.apply(change(1, EVFILT_USER, EV_ENABLE)) : add(EV_ONESHOT, kTrigger),
                  0);
        waiter.join();
        expect_only(events, 1, EVFILT_USER, EV_ADD | EV_ONESHOT);
    }
}

// Two threads trigger each other in turn, through two queues. No trigger may be lost.
TEST_F(User, R275_NoTriggerIsLostBetweenThreads) {
    constexpr int kRounds = 5000;
    const Queue back;
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(back.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    const Event hit = change(1, EVFILT_USER, 0, NOTE_TRIGGER);
    std::atomic<int> returned{0};
    Thread other([&] {
        for (int i = 0; i < kRounds; i++) {
            if (q.call({}, 1, kForever).ret != 1) return;
            if (back.apply(hit) != 0) return;
            returned++;
        }
    });
    for (int i = 0; i < kRounds; i++) {
        ASSERT_EQ(q.apply(hit), 0);
        ASSERT_EQ(back.collect(1, time_limit()).size(), 1u) << "round " << i;
    }
    other.join();
    EXPECT_EQ(returned, kRounds);
}

// D-13
TEST_F(User, R276_ATriggerInTheCreatingAddCounts) {
    ASSERT_EQ(add(EV_CLEAR, NOTE_FFCOPY | 0x33u | kTrigger, 5, tag(6)), 0);
    EXPECT_TRUE(q.readable());
    expect_report(EV_CLEAR, 0x33, 5, tag(6));
    expect_silent(q);
}

TEST_F(User, R277_AChangeWithEvClearCancelsATrigger) {
    for (const int flags : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        SCOPED_TRACE(flags);
        ASSERT_EQ(add(flags), 0);
        ASSERT_EQ(touch(kTrigger), 0);
        ASSERT_EQ(touch(0, 0, EV_CLEAR), 0);
        expect_silent(q);
        EXPECT_FALSE(q.readable());
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    }
}

TEST_F(User, R277_ASecondAddWithEvClearCancelsATrigger) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    ASSERT_EQ(add(EV_CLEAR), 0);
    expect_silent(q);
    ASSERT_EQ(touch(kTrigger), 0);
    ASSERT_EQ(add(0), 0);  // without EV_CLEAR: nothing is cancelled
    expect_report(EV_CLEAR);
}

// D-14: a wakeup is never lost.
TEST_F(User, R277_ATriggerWithEvClearIsNotCancelled) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(touch(kTrigger, 0, EV_CLEAR), 0);
    expect_report(EV_CLEAR);
    ASSERT_EQ(add(EV_CLEAR, kTrigger), 0);
    expect_report(EV_CLEAR);
    expect_silent(q);
}

TEST_F(User, R278_DeleteDropsATrigger) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    expect_silent(q);
    ASSERT_EQ(add(EV_CLEAR), 0);  // a new knote, not triggered
    expect_silent(q);
}

TEST_F(User, R72_R278_DeleteForgetsEverything) {
    ASSERT_EQ(add(EV_DISPATCH | EV_DISABLE, NOTE_FFCOPY | 0xffu | kTrigger, 5, tag(5)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_DELETE)), 0);
    ASSERT_EQ(add(EV_CLEAR), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_CLEAR);
}

TEST_F(User, R279_QueuesAreIndependent) {
    const Queue other;
    ASSERT_EQ(add(EV_CLEAR, 1), 0);
    ASSERT_EQ(other.apply(change(1, EVFILT_USER, EV_ADD, 2, 0, tag(2))), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_silent(other);
    expect_report(EV_CLEAR, 1);
    ASSERT_EQ(other.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, tag(3))), 0);
    expect_silent(q);
    expect_only(other.collect(), 1, EVFILT_USER, EV_ADD, 2, 0, tag(3));
}

TEST_F(User, R257_EveryIdentIsValid) {
    for (const uintptr_t ident :
         {uintptr_t{0}, uintptr_t{1}, uintptr_t{1} << 31, UINTPTR_MAX - 1, UINTPTR_MAX}) {
        ASSERT_EQ(q.apply(change(ident, EVFILT_USER, EV_ADD | EV_ONESHOT)), 0);
        ASSERT_EQ(q.apply(change(ident, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        expect_only(q.collect(), ident, EVFILT_USER, EV_ADD | EV_ONESHOT);
    }
}

TEST_F(User, R100_EvReceiptStaysInTheFlags) {
    const Event receipt = change(1, EVFILT_USER, EV_ADD | EV_CLEAR | EV_RECEIPT);
    expect_answers(q.call({receipt}, 1, kForever), {{receipt, 0}});
    ASSERT_EQ(add(0), 0);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_CLEAR | EV_RECEIPT);
    ASSERT_EQ(touch(kTrigger), 0);
    expect_report(EV_CLEAR | EV_RECEIPT);
}

}  // namespace
}  // namespace kqtest
