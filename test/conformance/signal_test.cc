// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_SIGNAL: what is counted, and when it is reported.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "support/gaps.h"
#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {
namespace {

constexpr int kReported = EV_ADD | EV_CLEAR;

class Signal : public SignalTest {
  protected:
    static Event add(int number, int flags = 0) {
        return change(number, EVFILT_SIGNAL, EV_ADD | flags);
    }
    static Event bare(int number, int flags) { return change(number, EVFILT_SIGNAL, flags); }
    // All that are reported until nothing is left.
    static intptr_t total(const Queue& q) {
        intptr_t sum = 0;
        for (const Event& event : q.collect())
            sum += event.data;
        return sum;
    }

    Queue q;
};

TEST_F(Signal, R217_AnIgnoredSignalIsReported) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    expect_none(q.collect());
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
}

// libevent registers first and ignores afterwards.
TEST_F(Signal, D24_ASignalThatIsIgnoredAfterTheAddIsReported) {
    KQ_GAP("L-SIGNAL-REPLACED");
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    set_disposition(SIGUSR1, SIG_IGN);
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    send(SIGUSR1, 3);
    EXPECT_EQ(total(q), 3);
    EXPECT_EQ(q.apply(bare(SIGUSR1, EV_DELETE)), 0);
    EXPECT_EQ(disposition(SIGUSR1), SIG_IGN);
}

TEST_F(Signal, D24_IgnoredLaterItIsCountedFromTheNextCallOn) {
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
    set_disposition(SIGUSR1, SIG_IGN);
    expect_none(q.collect());
    send(SIGUSR1, 2);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 2);
}

TEST_F(Signal, TheDefaultActionIsNotTakenWhileItIsWatched) {
    ASSERT_EQ(q.apply(add(SIGTERM), add(SIGUSR1)), 0);
    send(SIGTERM);
    expect_only(q.wait(), SIGTERM, EVFILT_SIGNAL, kReported, 0, 1);
    send(SIGTERM);
    send(SIGUSR1);
    EXPECT_EQ(q.wait().size(), 2U);
}

TEST_F(Signal, R219_EachSignalIsCounted) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
    send(SIGUSR1, 5);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 5);
}

// In front of it are descriptors that have two events each: more than are taken at a time.
TEST_F(Signal, R219_BehindManyDescriptorsWithBothDirections) {
    std::vector<Pair> pairs;
    for (int i = 0; i < 40; i++) {
        pairs.push_back(make_socketpair(SOCK_STREAM));
        write_bytes(*pairs.back().second, 1);
        ASSERT_EQ(q.apply(change(*pairs.back().first, EVFILT_READ, EV_ADD),
                          change(*pairs.back().first, EVFILT_WRITE, EV_ADD)),
                  0);
    }
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    send(SIGUSR1);
    size_t told = 0;
    for (int calls = 0; calls < 3 && told == 0; calls++)
        for (const Event& event : q.collect(200))
            if (event.filter == EVFILT_SIGNAL) told++;
    EXPECT_EQ(told, 1u);
}

TEST_F(Signal, R220_SentBeforeTheAddItIsNoEvent) {
    set_disposition(SIGUSR1, SIG_IGN);
    send(SIGUSR1);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
}

TEST_F(Signal, R221_BlockedByTheProgramItIsReported) {
    block(SIGUSR1);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    expect_none(q.collect());
    EXPECT_TRUE(is_blocked(SIGUSR1));
    EXPECT_EQ(q.apply(bare(SIGUSR1, EV_DELETE)), 0);
    EXPECT_TRUE(is_blocked(SIGUSR1)) << "the program's own mask is none of ours";
}

TEST_F(Signal, R221_BlockedByTheProgramItEndsAWait) {
    block(SIGUSR1);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    std::vector<Event> events;
    Thread waiter([&] { events = q.wait(); });
    waiter.wait_until_asleep();
    send(SIGUSR1);
    waiter.join();
    expect_only(events, SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
}

TEST_F(Signal, R224_WhileDisabledItIsCounted) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1), bare(SIGUSR1, EV_DISABLE)), 0);
    expect_none(q.collect());
    send(SIGUSR1, 3);
    EXPECT_FALSE(q.readable());
    expect_none(q.collect());
    ASSERT_EQ(q.apply(bare(SIGUSR1, EV_ENABLE)), 0);
    EXPECT_TRUE(q.readable());
    expect_only(q.collect(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 3);
}

TEST_F(Signal, R82_AddedDisabledItIsCounted) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1, EV_DISABLE)), 0);
    expect_none(q.collect());
    send(SIGUSR1, 2);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(bare(SIGUSR1, EV_ENABLE)), 0);
    expect_only(q.collect(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 2);
}

TEST_F(Signal, R83_DisabledWithAnEventPending) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
    send(SIGUSR1);
    ASSERT_EQ(q.apply(bare(SIGUSR1, EV_DISABLE)), 0);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(bare(SIGUSR1, EV_ENABLE)), 0);
    expect_only(q.collect(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
}

TEST_F(Signal, R225_Oneshot) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1, EV_ONESHOT)), 0);
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported | EV_ONESHOT, 0, 1);
    send(SIGUSR1);
    expect_none(q.collect());
    EXPECT_EQ(q.apply(bare(SIGUSR1, EV_DELETE)), ENOENT);
    EXPECT_EQ(disposition(SIGUSR1), SIG_IGN);
}

TEST_F(Signal, R226_Dispatch) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1, EV_DISPATCH)), 0);
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported | EV_DISPATCH, 0, 1);
    send(SIGUSR1);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(bare(SIGUSR1, EV_ENABLE | EV_DISPATCH)), 0);
    expect_only(q.collect(), SIGUSR1, EVFILT_SIGNAL, kReported | EV_DISPATCH, 0, 1);
}

TEST_F(Signal, R227_TwoQueuesSeeEachSignalAndStayReadableUntilTheyCollected) {
    set_disposition(SIGUSR1, SIG_IGN);
    const Queue other;
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    ASSERT_EQ(other.apply(add(SIGUSR1)), 0);
    for (int round = 0; round < 3; round++) {
        send(SIGUSR1);
        EXPECT_TRUE(q.readable());
        EXPECT_TRUE(other.readable());
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
        EXPECT_FALSE(q.readable());
        EXPECT_TRUE(other.readable());
        expect_only(other.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
        EXPECT_FALSE(other.readable());
    }
}

TEST_F(Signal, R227_TwoQueuesSeeASignalThatIsBlocked) {
    block(SIGUSR1);
    const Queue other;
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    ASSERT_EQ(other.apply(add(SIGUSR1)), 0);
    send(SIGUSR1);
    EXPECT_TRUE(q.readable());
    EXPECT_TRUE(other.readable());
    expect_only(other.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    EXPECT_TRUE(q.readable());
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    EXPECT_FALSE(q.readable());
    EXPECT_FALSE(other.readable());
}

TEST_F(Signal, R228_OnlyTheSignalThatCame) {
    set_disposition(SIGUSR1, SIG_IGN);
    set_disposition(SIGUSR2, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1), add(SIGUSR2)), 0);
    send(SIGUSR2);
    expect_only(q.wait(), SIGUSR2, EVFILT_SIGNAL, kReported, 0, 1);
}

void queue_signals(int number, int times) {
    for (int i = 0; i < times; i++)
        EXPECT_EQ(::sigqueue(::getpid(), number, sigval{}), 0);
}

TEST_F(Signal, R229_RealTimeSignalsAreCountedExactly) {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer delays handlers, and calls them once for several signals";
#endif
    ASSERT_EQ(q.apply(add(SIGRTMIN + 3)), 0);
    queue_signals(SIGRTMIN + 3, 5);
    EXPECT_EQ(total(q), 5);
    queue_signals(SIGRTMIN + 3, 7);
    EXPECT_EQ(total(q), 7);
}

TEST_F(Signal, R230_ALateQueueDoesNotSeeEarlierSignals) {
#if defined(__SANITIZE_THREAD__)
    constexpr int kEarlier = 1;  // it delays handlers, and calls them once for several signals
#else
    constexpr int kEarlier = 2;
#endif
    for (const bool blocked : {false, true}) {
        const Queue first;
        const Queue late;
        if (blocked) block(SIGRTMIN + 3);
        ASSERT_EQ(first.apply(add(SIGRTMIN + 3)), 0);
        queue_signals(SIGRTMIN + 3, kEarlier);
        ASSERT_EQ(late.apply(add(SIGRTMIN + 3)), 0);
        expect_none(late.collect());
        EXPECT_EQ(total(first), kEarlier);
        queue_signals(SIGRTMIN + 3, 1);
        EXPECT_EQ(total(late), 1);
        EXPECT_EQ(total(first), 1);
    }
}

TEST_F(Signal, R231_Sigcont) {
    ASSERT_EQ(q.apply(add(SIGCONT)), 0);
    send(SIGCONT);
    expect_only(q.wait(), SIGCONT, EVFILT_SIGNAL, kReported, 0, 1);
}

TEST_F(Signal, R233_DeletedItIsSilent) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    send(SIGUSR1);
    ASSERT_EQ(q.apply(bare(SIGUSR1, EV_DELETE)), 0);
    send(SIGUSR1);
    expect_silent(q);
    EXPECT_EQ(disposition(SIGUSR1), SIG_IGN);
    EXPECT_FALSE(is_blocked(SIGUSR1));
}

// A signal that came while it was watched was for the kqueue. It must not hit the program later.
TEST_F(Signal, R87_DeletedWithAnEventPendingTheDefaultActionIsNotTaken) {
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    send(SIGUSR1);
    ASSERT_EQ(q.apply(bare(SIGUSR1, EV_DELETE)), 0);
    EXPECT_EQ(disposition(SIGUSR1), SIG_DFL);
    EXPECT_FALSE(is_blocked(SIGUSR1));
    EXPECT_FALSE(is_pending(SIGUSR1));
    expect_silent(q);
}

TEST_F(Signal, R235_SigchldIsCountedForEachChild) {
    ASSERT_EQ(q.apply(add(SIGCHLD)), 0);
    expect_none(q.collect());
    for (int i = 0; i < 3; i++) {
        Child child([] { return 0; });
        expect_only(q.wait(), SIGCHLD, EVFILT_SIGNAL, kReported, 0, 1);
        EXPECT_EQ(child.wait(), 0);
    }
}

// To ignore SIGCHLD says that children shall leave no zombies.
TEST_F(Signal, R235_IgnoredSigchldStillReapsByItself) {
    set_disposition(SIGCHLD, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGCHLD)), 0);
    expect_none(q.collect());
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    ASSERT_EQ(q.wait().size(), 1U);
    EXPECT_EQ(::waitpid(pid, nullptr, 0), -1);
    EXPECT_EQ(errno, ECHILD);
}

TEST_F(Signal, R65_NumbersThatAreNoSignal) {
    for (const int number : {0, 65, 9999})
        EXPECT_EQ(q.apply(add(number)), EINVAL) << number;
    EXPECT_EQ(q.apply(change(-1, EVFILT_SIGNAL, EV_ADD)), EINVAL);
    EXPECT_EQ(q.apply(bare(SIGUSR2, EV_DELETE)), ENOENT);
    EXPECT_EQ(q.apply(bare(0, EV_DELETE)), ENOENT);
    EXPECT_EQ(q.apply(add(SIGRTMAX)), 0);
    EXPECT_EQ(q.apply(add(SIGKILL), add(SIGSTOP)), 0);  // allowed, and they never come
    EXPECT_EQ(q.apply(bare(SIGKILL, EV_DELETE)), 0);
}

TEST_F(Signal, R76_UdataIsThatOfTheLastChange) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0, 0, tag(1))), 0);
    send(SIGUSR1);
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD, 7, 9, tag(2))), 0);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1, tag(2));
}

TEST_F(Signal, R46_WhatDoesNotFitStaysPending) {
    ASSERT_EQ(q.apply(add(SIGUSR1), add(SIGUSR2)), 0);
    expect_none(q.collect());
    send(SIGUSR2);
    send(SIGUSR1);
    EXPECT_EQ(q.wait(1).size(), 1U);
    EXPECT_TRUE(q.readable());
    EXPECT_EQ(q.wait(1).size(), 1U);
    EXPECT_FALSE(q.readable());
}

TEST_F(Signal, R310_AQueueThatWatchesAQueueThatWatchesASignal) {
    set_disposition(SIGUSR1, SIG_IGN);
    const Queue outer;
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    ASSERT_EQ(outer.apply(change(q.fd(), EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    for (int round = 0; round < 100; round++) {
        send(SIGUSR1);
        expect_only(outer.collect(), q.fd(), EVFILT_READ, kReported, 0, 1);
        expect_none(outer.collect());
        expect_only(q.collect(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    }
}

}  // namespace
}  // namespace kqtest
