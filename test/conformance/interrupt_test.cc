// SPDX-License-Identifier: BSD-2-Clause
// Signals, stops, cancellation and close() while kevent() waits.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>

#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {
namespace {

// Catches SIGUSR1, with SA_RESTART: a plain read() would go on.
class Interrupt : public SignalTest {
  public:
    Interrupt() { set_disposition(SIGUSR1, count_signal, SA_RESTART); }
};

TEST_F(Interrupt, R50_ACaughtSignalEndsTheWaitWithEintrInSpiteOfSaRestart) {
    const Queue q;
    Result result;
    Thread waiter([&] { result = q.call({}, 1, kForever); });
    waiter.wait_until_asleep();
    waiter.signal_until_ended(SIGUSR1);
    waiter.join();
    expect_failed(result, EINTR);
    EXPECT_GE(signals_counted(), 1);
}

TEST_F(Interrupt, R50_ACaughtSignalEndsATimedWaitWithEintr) {
    const Queue q;
    const timespec minute{60, 0};
    Result result;
    Thread waiter([&] { result = q.call({}, 1, &minute); });
    waiter.wait_until_asleep();
    waiter.signal_until_ended(SIGUSR1);
    waiter.join();
    expect_failed(result, EINTR);
}

TEST_F(Interrupt, R50_TheQueueWorksAfterEintr) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    for (int round = 0; round < 3; round++) {
        Result result;
        Thread waiter([&] { result = q.call({}, 1, kForever); });
        waiter.wait_until_asleep();
        waiter.signal_until_ended(SIGUSR1);
        waiter.join();
        expect_failed(result, EINTR);
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    }
}

TEST_F(Interrupt, R51_TheChangesOfAnInterruptedCallAreInEffect) {
    const Queue q;
    Result result;
    Thread waiter([&] {
        result = q.call(
            {change(1, EVFILT_USER, EV_ADD | EV_CLEAR), change(2, EVFILT_TIMER, EV_ADD, 0, 60'000)},
            1, kForever);
    });
    waiter.wait_until_asleep();
    waiter.signal_until_ended(SIGUSR1);
    waiter.join();
    expect_failed(result, EINTR);
    EXPECT_EQ(q.apply(change(2, EVFILT_TIMER, EV_DELETE)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

// The waiter runs in a process of its own, which is stopped and continued as a whole.
TEST_F(Interrupt, R52_StopAndContinueDoNotEndTheWait) {
    Child child([] {
        const Queue q;
        const timespec two_seconds{2, 0};
        const auto start = now();
        const Result result = q.call({}, 1, &two_seconds);
        if (result.ret != 0) return 1;
        return now() - start >= std::chrono::seconds{2} ? 0 : 2;
    });
    ASSERT_TRUE(wait_until_asleep(child.pid()));
    for (int i = 0; i < 3; i++) {
        int status = 0;
        ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
        ASSERT_EQ(::waitpid(child.pid(), &status, WUNTRACED), child.pid());
        ASSERT_TRUE(WIFSTOPPED(status)) << status;
        ASSERT_EQ(::kill(child.pid(), SIGCONT), 0);
        ASSERT_EQ(::waitpid(child.pid(), &status, WCONTINUED), child.pid());
        ASSERT_TRUE(WIFCONTINUED(status)) << status << " " << child.errors();
    }
    const int status = child.wait();
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 0) << "1: the call failed; 2: it ended too early";
}

TEST_F(Interrupt, R52_AnEndlessWaitSurvivesStopAndContinue) {
    const Pipe p = make_pipe();
    Child child([&] {
        const Queue q;
        const Result result = q.call({change(*p.read, EVFILT_READ, EV_ADD)}, 1, kForever);
        return result.ret == 1 && result.events[0].data == 1 ? 0 : 1;
    });
    ASSERT_TRUE(wait_until_asleep(child.pid()));
    int status = 0;
    ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
    ASSERT_EQ(::waitpid(child.pid(), &status, WUNTRACED), child.pid());
    ASSERT_EQ(::kill(child.pid(), SIGCONT), 0);
    ASSERT_EQ(::waitpid(child.pid(), &status, WCONTINUED), child.pid());
    ASSERT_TRUE(WIFCONTINUED(status)) << status;
    ASSERT_TRUE(wait_until_asleep(child.pid()));
    write_bytes(*p.write, 1);
    status = child.wait();
    ASSERT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 0) << child.errors();
}

// A signal that is ignored, or blocked, interrupts nothing.
TEST_F(Interrupt, R50_OnlyACaughtSignalInterrupts) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    Result result;
    Thread waiter([&] {
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGUSR1);
        ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
        result = q.call({}, 1, kForever);
    });
    waiter.wait_until_asleep();
    waiter.signal(SIGUSR1);
    waiter.wait_until_asleep();
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    waiter.join();
    expect_only(result.events, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    EXPECT_EQ(signals_counted(), 0);
}

// The program has no handler. A backend may have one, which the program must not notice.
TEST_F(Interrupt, R50_ASignalThatOnlyAnotherQueueWatchesDoesNotInterrupt) {
    set_disposition(SIGUSR2, SIG_DFL);
    const Queue watcher;
    ASSERT_EQ(watcher.apply(signals::add(SIGUSR2)), 0);
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    Result result;
    Thread waiter([&] { result = q.call({}, 1, kForever); });
    for (int i = 0; i < 3; i++) {
        waiter.wait_until_asleep();
        waiter.signal(SIGUSR2);
        EXPECT_EQ(watcher.wait().size(), 1u);
    }
    waiter.wait_until_asleep();
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    waiter.join();
    EXPECT_EQ(result.ret, 1) << result.error;
}

TEST_F(Interrupt, R53_AReadyEventIsReturnedInSpiteOfAPendingSignal) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    for (int round = 0; round < 100; round++) {
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        Thread sender([self = ::pthread_self()] { ::pthread_kill(self, SIGUSR1); });
        const Result result = q.call({}, 1, kForever);
        sender.join();
        ASSERT_EQ(result.ret, 1) << result;
    }
    EXPECT_GE(signals_counted(), 1);
}

TEST_F(Interrupt, R54_ABlockedThreadCanBeCanceled) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    Thread waiter([kq = q.fd()] {
        Event event{};
        ::kevent(kq, nullptr, 0, &event, 1, nullptr);
    });
    waiter.wait_until_asleep();
    waiter.cancel();
    waiter.join();
    EXPECT_TRUE(waiter.was_canceled());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER),
                      change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1)),
              0);
    EXPECT_EQ(q.collect(1).size(), 1u);
    expect_only(q.wait(), 2, EVFILT_TIMER, EV_ADD | EV_CLEAR | EV_ONESHOT, 0, 1);
}

TEST_F(Interrupt, R54_OneOfTwoWaitersIsCanceled) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    Result result;
    Thread stays([&] { result = q.call({}, 1, kForever); });
    Thread goes([kq = q.fd()] {
        Event event{};
        ::kevent(kq, nullptr, 0, &event, 1, nullptr);
    });
    stays.wait_until_asleep();
    goes.wait_until_asleep();
    goes.cancel();
    goes.join();
    EXPECT_TRUE(goes.was_canceled());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    stays.join();
    expect_only(result.events, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

// The fixture sees what a canceled call would leave behind when its queue is closed afterwards.
TEST_F(Interrupt, R54_AQueueOfCanceledWaitersIsReclaimed) {
    const auto before = open_descriptors();
    for (int round = 0; round < 10; round++) {
        const Queue q;
        ASSERT_EQ(
            q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 60'000), change(1, EVFILT_USER, EV_ADD)), 0);
        Thread waiter([kq = q.fd()] {
            Event event{};
            ::kevent(kq, nullptr, 0, &event, 1, nullptr);
        });
        waiter.wait_until_asleep();
        waiter.cancel();
        waiter.join();
        EXPECT_TRUE(waiter.was_canceled());
    }
    libkqueue_drain_pending_close();
    EXPECT_EQ(open_descriptors(), before);
}

// A request is already pending when the call begins. It acts before the wait, and no event is lost.
TEST_F(Interrupt, R54_APendingRequestActsInACallThatWouldWait) {
    const Queue q;
    std::atomic<bool> returned{false};
    std::atomic<bool> requested{false};
    Gate ready(2);
    Thread waiter([&] {
        int old = 0;
        ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
        ready.pass();
        while (!requested)
            ::sched_yield();  // until the request has been made
        ::pthread_setcancelstate(old, nullptr);
        Event event{};
        ::kevent(q.fd(), nullptr, 0, &event, 1, nullptr);
        returned = true;
    });
    ready.pass();
    waiter.cancel();
    requested = true;
    waiter.join();
    EXPECT_TRUE(waiter.was_canceled());
    EXPECT_FALSE(returned);
}

// Reports that a cancelled thread may have taken are reported again. The list has room for one
// event.
TEST_F(Interrupt, R54_ASignalThatComesAfterItIsToldBehindAnotherEvent) {
    const Queue q;
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD), signals::add(SIGUSR2)), 0);
    Thread waiter([kq = q.fd()] {
        Event event{};
        ::kevent(kq, nullptr, 0, &event, 1, nullptr);
    });
    waiter.wait_until_asleep();
    waiter.cancel();
    waiter.join();
    write_bytes(*pipe.write, 1);
    send(SIGUSR2);
    size_t told = 0;
    for (int calls = 0; calls < 2 && told == 0; calls++) {
        for (const Event& event : q.wait(1)) {
            if (event.filter == EVFILT_SIGNAL)
                told++;
            else
                read_bytes(*pipe.read, 1);
        }
    }
    EXPECT_EQ(told, 1u);
}

// A signal comes to a thread that is about to be cancelled, which may be unwound out of the
// handler. The signal must still be reported. ThreadSanitizer itself loses signals of cancelled
// threads.
#if !defined(__SANITIZE_THREAD__)
TEST_F(Interrupt, R54_ASignalOfAThreadThatIsCanceledIsTold) {
    const Queue q;
    ASSERT_EQ(q.apply(signals::add(SIGUSR2)), 0);
    for (int round = 0; round < 1000; round++) {
        std::atomic<int> told{0};
        Thread waiter([&] {
            int old = 0;
            for (;;) {
                Event event{};
                const int n = ::kevent(q.fd(), nullptr, 0, &event, 1, nullptr);
                ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
                if (n == 1) told += static_cast<int>(event.data);
                ::pthread_setcancelstate(old, nullptr);
            }
        });
        for (int i = round % 8; i > 0; i--)
            ::sched_yield();  // so that it is at another place each time
        waiter.signal(SIGUSR2);
        for (int i = round % 3; i > 0; i--)
            ::sched_yield();
        waiter.cancel();
        waiter.join();
        EXPECT_TRUE(waiter.was_canceled());
        if (told == 0) expect_only(q.wait(), SIGUSR2, EVFILT_SIGNAL, signals::kReported, 0, 1);
        ASSERT_FALSE(HasFailure()) << "round " << round;
    }
}
#endif

TEST_F(Interrupt, R55_WithoutEventlistItIsNoCancellationPoint) {
    const Queue q;
    std::atomic<int> calls{0};
    std::atomic<bool> requested{false};
    Gate ready(2);
    Thread worker([&] {
        int old = 0;
        ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
        ready.pass();
        while (!requested)
            ::sched_yield();
        ::pthread_setcancelstate(old, nullptr);
        const timespec minute{60, 0};
        for (int i = 0; i < 10; i++) {
            const Event add = change(i, EVFILT_USER, EV_ADD);
            const Event timer = change(i, EVFILT_TIMER, EV_ADD, 0, 60'000);
            if (::kevent(q.fd(), &add, 1, nullptr, 0, nullptr) == 0 &&
                ::kevent(q.fd(), &timer, 1, nullptr, 0, &minute) == 0)
                calls++;
        }
        ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    });
    ready.pass();
    worker.cancel();
    requested = true;
    worker.join();
    EXPECT_FALSE(worker.was_canceled());
    EXPECT_EQ(calls, 10);
    for (int i = 0; i < 10; i++)
        EXPECT_TRUE(has_knote(q, i, EVFILT_USER)) << i;
}

// Cancellation never acts between the changes of one call: all of them are in effect, or none.
TEST_F(Interrupt, R55_ChangesAreNotCutInHalfByCancellation) {
    constexpr int kChanges = 200;
    for (int round = 0; round < 20; round++) {
        const Queue q;
        std::vector<Event> changes;
        for (int i = 0; i < kChanges; i++)
            changes.push_back(change(i, EVFILT_USER, EV_ADD));
        Gate ready(2);
        Thread worker([&] {
            ready.pass();
            Event event{};
            const timespec short_while{0, 10'000'000};
            ::kevent(q.fd(), changes.data(), kChanges, &event, 1, &short_while);
        });
        ready.pass();
        worker.cancel();
        worker.join();
        const bool first = has_knote(q, 0, EVFILT_USER);
        EXPECT_EQ(has_knote(q, kChanges - 1, EVFILT_USER), first) << "round " << round;
    }
}

// D-37: as on the other BSDs, not as on FreeBSD. At once, or as soon as the platform can tell.
TEST_F(Interrupt, R298_CloseEndsEveryWaitWithEbadf) {
    for (const int waiters : {1, 8}) {
        for (const bool knotes : {false, true}) {
            SCOPED_TRACE(testing::Message() << waiters << " " << knotes);
            const int kq = ::kqueue();
            ASSERT_GE(kq, 0);
            const Event timer = change(1, EVFILT_TIMER, EV_ADD, 0, 60'000);
            if (knotes) {
                ASSERT_EQ(::kevent(kq, &timer, 1, nullptr, 0, nullptr), 0);
            }
            std::atomic<int> right{0};
            std::vector<Thread> threads;
            for (int i = 0; i < waiters; i++) {
                threads.emplace_back([&] {
                    Event event{};
                    if (::kevent(kq, nullptr, 0, &event, 1, nullptr) == -1 && errno == EBADF)
                        right++;
                });
            }
            for (const Thread& thread : threads)
                thread.wait_until_asleep();
            EXPECT_EQ(close_in_use(kq), 0);
            for (Thread& thread : threads)
                thread.join();
            EXPECT_EQ(right, waiters);
        }
    }
}

}  // namespace
}  // namespace kqtest
