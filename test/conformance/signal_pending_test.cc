// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_SIGNAL observes: a signal that the program blocks is reported once, and stays pending, so
// that the program can take it.
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "support/gaps.h"
#include "support/signals.h"
#include "support/thread.h"

#if defined(__linux__)
    #include <sys/signalfd.h>
#endif

namespace kqtest {
namespace {

using signals::add;
using signals::kReported;
using signals::remove;

const int kRealTime = SIGRTMIN + 3;

class SignalPending : public SignalTest {
  protected:
    SignalPending() { block(SIGUSR1); }
    // Takes one that is pending; 0: none.
    static int take(int number, siginfo_t* info = nullptr) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, number);
        const timespec at_once{};
        const int taken = ::sigtimedwait(&set, info, &at_once);
        return taken < 0 ? 0 : taken;
    }
    static void queue_value(int number, int value) {
        sigval v{};
        v.sival_int = value;
        EXPECT_EQ(::sigqueue(::getpid(), number, v), 0);
    }
    static void expect_one(const std::vector<Event>& events, int number = SIGUSR1, int data = 1) {
        expect_only(events, number, EVFILT_SIGNAL, kReported, 0, data);
    }
    static intptr_t total(const Queue& q) {
        intptr_t sum = 0;
        for (const Event& event : q.collect())
            sum += event.data;
        return sum;
    }
    Queue q;
};

// This is FreeBSD's test kqueue_peek_signal. The second signal comes before the library could see
// that the first one was taken.
TEST_F(SignalPending, R223_WhatWasReportedIsTakenBySigtimedwait) {
    for (const SignalFunction function : {SIG_DFL, SIG_IGN, SignalFunction{count_signal}}) {
        set_disposition(SIGUSR1, function);
        const Queue mine;
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        for (int round = 0; round < 100; round++) {
            send(SIGUSR1);
            expect_one(mine.collect());
            ASSERT_EQ(take(SIGUSR1), SIGUSR1) << round;
        }
        EXPECT_EQ(take(SIGUSR1), 0);
        expect_none(mine.collect());
    }
    EXPECT_EQ(signals_counted(), 0);
}

TEST_F(SignalPending, R223_ItIsReportedOnceAndKeepsNobodyAwake) {
    for (const SignalFunction function : {SIG_DFL, SignalFunction{count_signal}}) {
        set_disposition(SIGUSR1, function);
        const Queue mine;
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        send(SIGUSR1);
        expect_one(mine.wait());
        expect_none(mine.collect());
        EXPECT_FALSE(mine.readable());
        timespec before{};
        timespec after{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
        const auto start = now();
        for (int round = 0; round < 4; round++)
            expect_none(mine.collect(1, milliseconds{100}));
        EXPECT_GE(since(start).count(), 400);
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
        const auto used =
            (after.tv_sec - before.tv_sec) * 1'000'000'000L + after.tv_nsec - before.tv_nsec;
        EXPECT_LT(used, 200'000'000L) << "it does not sleep";
        EXPECT_FALSE(mine.readable());
        EXPECT_TRUE(is_pending(SIGUSR1));
        EXPECT_EQ(take(SIGUSR1), SIGUSR1);
    }
}

TEST_F(SignalPending, R223_OtherSignalsAreNoNewsOfIt) {
    set_disposition(SIGUSR2, count_signal);
    ASSERT_EQ(q.apply(add(SIGUSR1), add(kRealTime)), 0);
    block(kRealTime);
    send(SIGUSR1);
    queue_value(kRealTime, 1);
    EXPECT_EQ(q.wait().size(), 2U);
    for (int round = 1; round <= 5; round++) {
        send(SIGUSR2);  // no kqueue watches it, and it has a handler
        EXPECT_EQ(signals_counted(), round);
        expect_none(q.collect());
        queue_value(kRealTime, 2);
        expect_one(q.wait(), kRealTime);
    }
    EXPECT_EQ(take(SIGUSR1), SIGUSR1);
    EXPECT_EQ(take(SIGUSR1), 0);
}

TEST_F(SignalPending, R223_TwoQueuesReportItOnceEach) {
    const Queue other;
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    ASSERT_EQ(other.apply(add(SIGUSR1)), 0);
    for (int round = 0; round < 10; round++) {
        send(SIGUSR1);
        expect_one(q.wait());
        expect_none(q.collect());
        expect_one(other.wait());
        for (int i = 0; i < 3; i++) {
            expect_none(q.collect());
            expect_none(other.collect());
        }
        EXPECT_EQ(take(SIGUSR1), SIGUSR1);
    }
}

#if defined(__linux__)
TEST_F(SignalPending, R223_ASignalfdOfTheProgramGetsIt) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    const Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    for (int round = 0; round < 10; round++) {
        send(SIGUSR1);
        expect_one(q.wait());
        expect_none(q.collect());
        signalfd_siginfo info{};
        ASSERT_EQ(::read(*fd, &info, sizeof info), static_cast<ssize_t>(sizeof info));
        EXPECT_EQ(info.ssi_signo, static_cast<uint32_t>(SIGUSR1));
    }
}

// The sender of the signal, the way of sending, and the value.
TEST_F(SignalPending, R223_WhatIsKnownOfTheSignalStays) {
    KQ_GAP("P-SIGNAL-INFO");
    ASSERT_EQ(q.apply(add(SIGUSR1), add(kRealTime)), 0);
    block(kRealTime);
    siginfo_t info{};
    send(SIGUSR1);
    expect_one(q.wait());
    ASSERT_EQ(take(SIGUSR1, &info), SIGUSR1);
    // A thread that is not the first cannot send as kill() does: L-SIGNAL-INFO.
    EXPECT_EQ(info.si_code, ::getpid() == ::gettid() ? SI_USER : SI_QUEUE);
    EXPECT_EQ(info.si_pid, ::getpid());
    queue_value(SIGUSR1, 42);
    expect_one(q.wait());
    ASSERT_EQ(take(SIGUSR1, &info), SIGUSR1);
    EXPECT_EQ(info.si_code, SI_QUEUE);
    EXPECT_EQ(info.si_value.sival_int, 42);
}
#endif

siginfo_t handled{};

extern "C" void keep_info(int, siginfo_t* info, void*) {
    handled = *info;
}

TEST_F(SignalPending, R222_TheHandlerGetsWhatWasSent) {
    struct sigaction action {};
    action.sa_sigaction = keep_info;
    action.sa_flags = SA_SIGINFO;
    ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    for (const bool queued : {false, true, false}) {
        if (queued)
            queue_value(SIGUSR1, 7);
        else
            send(SIGUSR1);
        expect_one(q.wait());
        handled = {};
        unblock(SIGUSR1);
        EXPECT_EQ(handled.si_signo, SIGUSR1);
        EXPECT_EQ(handled.si_code, queued ? SI_QUEUE : SI_USER);
        EXPECT_EQ(handled.si_errno, 0);
        EXPECT_EQ(handled.si_pid, ::getpid());
        EXPECT_TRUE(!queued || handled.si_value.sival_int == 7);
        expect_none(q.collect());
        block(SIGUSR1);
    }
}

// In order, each with its value.
TEST_F(SignalPending, R229_RealTimeSignalsAreCountedAndLeft) {
    block(kRealTime);
    ASSERT_EQ(q.apply(add(kRealTime)), 0);
    siginfo_t info{};
    for (int round = 0; round < 3; round++) {
        for (int value = 1; value <= 5; value++)
            queue_value(kRealTime, value);
        EXPECT_EQ(total(q), 5);
        EXPECT_EQ(total(q), 0);
        queue_value(kRealTime, 6);
        queue_value(kRealTime, 7);
        EXPECT_EQ(total(q), 2);
        for (int value = 1; value <= 7; value++) {
            ASSERT_EQ(take(kRealTime, &info), kRealTime);
            EXPECT_EQ(info.si_value.sival_int, value);
        }
        EXPECT_EQ(take(kRealTime), 0);
    }
    queue_value(kRealTime, 8);
    EXPECT_EQ(total(q), 1);
}

TEST_F(SignalPending, R229_RealTimeSignalsAreCountedThoughSomeAreTaken) {
    KQ_GAP("P-SIGNAL-BLOCKED");
    block(kRealTime);
    ASSERT_EQ(q.apply(add(kRealTime)), 0);
    for (int value = 1; value <= 5; value++)
        queue_value(kRealTime, value);
    EXPECT_EQ(total(q), 5);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(take(kRealTime), kRealTime);
    EXPECT_EQ(total(q), 0);
    EXPECT_EQ(take(kRealTime), kRealTime);
    for (int value = 6; value <= 9; value++)
        queue_value(kRealTime, value);
    EXPECT_EQ(total(q), 4);
    // More signals than the library can put back. All are still counted.
    for (int value = 0; value < 1500; value++)
        queue_value(kRealTime, value);
    EXPECT_EQ(total(q), 1500);
}

TEST_F(SignalPending, R220_PendingBeforeTheAddItIsNoEventAndStays) {
    for (const SignalFunction function : {SIG_DFL, SignalFunction{count_signal}}) {
        set_disposition(SIGUSR1, function);
        const Queue mine;
        send(SIGUSR1);
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        EXPECT_FALSE(mine.readable());
        expect_none(mine.collect());
        EXPECT_EQ(take(SIGUSR1), SIGUSR1);
        send(SIGUSR1);
        expect_one(mine.wait());
        EXPECT_EQ(take(SIGUSR1), SIGUSR1);
    }
}

TEST_F(SignalPending, R233_AfterDeleteItIsStillPending) {
    for (const bool reported : {false, true}) {
        ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
        send(SIGUSR1);
        if (reported) expect_one(q.wait());
        ASSERT_EQ(q.apply(remove(SIGUSR1)), 0);
        EXPECT_EQ(disposition(SIGUSR1), SIG_DFL);
        expect_silent(q);
        EXPECT_EQ(take(SIGUSR1), SIGUSR1);
        EXPECT_EQ(take(SIGUSR1), 0);
    }
}

// The program never takes the signal. The kernel drops a signal that is already pending, so a
// sleeping thread must not leave it pending.
TEST_F(SignalPending, R221_NeverTakenTheNextEndsASleepAllTheSame) {
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    constexpr int kRounds = 5;
    std::atomic<int> reported{0};
    Thread waiter([&] {
        for (int round = 0; round < kRounds; round++) {
            expect_one(q.wait());
            reported++;
        }
    });
    for (int round = 0; round < kRounds; round++) {
        waiter.wait_until_asleep();
        while (is_pending(SIGUSR1))  // what was put back is shown to others for a moment first
            ::sched_yield();
        send(SIGUSR1);
        // The kernel drops it if this thread has not run since it asked, and the other one has put
        // the signal back once more.
        for (auto sent = now(); reported == round; ::sched_yield()) {
            if (since(sent) < milliseconds{500}) continue;
            send(SIGUSR1);
            sent = now();
        }
    }
    waiter.join();
    EXPECT_EQ(take(SIGUSR1), SIGUSR1) << "back, after each sleep";
}

// A process with one thread loses none, whether it sleeps or not.
TEST_F(SignalPending, R221_AloneEachIsSeenThoughNoneIsTaken) {
    KQ_GAP("P-SIGNAL-BLOCKED");
    Child child([] {
        unblock(SIGUSR1);
        const char* const self = "/proc/self/exe";
        ::setenv("KQTEST_ALONE", "1", 1);
        ::unsetenv("GTEST_SHARD_INDEX");
        ::unsetenv("GTEST_TOTAL_SHARDS");
        ::execl(self, self, "--gtest_filter=SignalPending.R221_Alone_TheProcessItself", nullptr);
        return 99;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

TEST_F(SignalPending, R221_Alone_TheProcessItself) {
    if (::getenv("KQTEST_ALONE") == nullptr) GTEST_SKIP() << "for the test above to start";
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    for (int round = 0; round < 5; round++) {
        send(SIGUSR1);
        expect_one(q.collect());
        expect_none(q.collect());
        expect_none(q.collect(1, milliseconds{20}));
    }
    EXPECT_EQ(take(SIGUSR1), SIGUSR1);
    EXPECT_EQ(take(SIGUSR1), 0);
}

// While one thread sleeps in kevent() another thread takes a signal that the first one has
// reported.
TEST_F(SignalPending, R223_AnotherThreadTakesItWhileThisOneSleeps) {
    ASSERT_EQ(q.apply(add(SIGUSR1), change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    std::atomic<bool> reported{false};
    Thread waiter([&] {
        expect_one(q.wait());
        reported = true;
        EXPECT_EQ(q.wait().size(), 1U);  // the USER event
    });
    waiter.wait_until_asleep();
    send(SIGUSR1);
    while (!reported)
        ::sched_yield();
    waiter.wait_until_asleep();
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    const timespec limit{10, 0};
    int taken = -1;
    do  // EINTR: the library had it in its hand
        taken = ::sigtimedwait(&set, nullptr, &limit);
    while (taken < 0 && errno == EINTR);
    EXPECT_EQ(taken, SIGUSR1);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    waiter.join();
}

TEST_F(SignalPending, R223_AThreadThatIsCancelledInItsSleepLeavesIt) {
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    send(SIGUSR1);
    expect_one(q.wait());
    Thread waiter([&] { q.wait(); });
    waiter.wait_until_asleep();
    waiter.cancel();
    waiter.join();
    EXPECT_TRUE(waiter.was_canceled());
    EXPECT_EQ(take(SIGUSR1), SIGUSR1);
}

}  // namespace
}  // namespace kqtest
