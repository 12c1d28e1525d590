// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_SIGNAL, threads and other processes.
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <string>

#include "support/signals.h"
#include "support/thread.h"

extern "C" char** environ;

namespace kqtest {
namespace {

using signals::add;
using signals::kReported;

class SignalThreads : public SignalTest {
  protected:
    Queue q;
};

// A thread that does nothing but be there, without blocking any signal.
class Bystander {
  public:
    Bystander()
        : thread_([this] {
              Gate& gate = started_;
              gate.pass();
              while (!ended_)
                  ::usleep(1000);
          }) {
        started_.pass();
    }
    ~Bystander() { ended_ = true; }
    const Thread& thread() const { return thread_; }

  private:
    Gate started_{2};
    std::atomic<bool> ended_{false};
    Thread thread_;
};

// These threads existed before the EV_ADD and block nothing. The program has a handler, or has
// none.
TEST_F(SignalThreads, R232_SignalsToAThreadThatWasThereBeforeAreCounted) {
    for (const SignalFunction function : {SIG_DFL, SIG_IGN, SignalFunction{count_signal}}) {
        set_disposition(SIGUSR1, function);
        const Bystander bystander;
        const Queue mine;
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        bystander.thread().signal(SIGUSR1);
        const auto events = mine.wait();
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].data, 1);
    }
    EXPECT_EQ(signals_counted(), 1);
}

TEST_F(SignalThreads, R232_PthreadKillToItself) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    EXPECT_EQ(::pthread_kill(::pthread_self(), SIGUSR1), 0);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    EXPECT_EQ(::raise(SIGUSR1), 0);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
}

TEST_F(SignalThreads, ASignalToTheProcessThatABystanderTakesIsCounted) {
    const Bystander bystander;
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
    block(SIGUSR1);  // so it goes to the other
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
}

TEST_F(SignalThreads, ASignalEndsAWaitWithAnEventAndNotWithEintr) {
    for (const SignalFunction function : {SIG_DFL, SIG_IGN, SignalFunction{count_signal}}) {
        set_disposition(SIGUSR1, function);
        const Queue mine;
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        expect_none(mine.collect());
        Result result;
        Thread waiter([&] { result = mine.call({}, 1, kForever); });
        waiter.wait_until_asleep();
        waiter.signal(SIGUSR1);
        waiter.join();
        EXPECT_EQ(result.ret, 1) << result;
        expect_only(result.events, SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    }
}

// Without a handler of the program nothing interrupts: neither this queue nor any other.
TEST_F(SignalThreads, R50_AnIgnoredSignalDoesNotInterruptTheWaitOnAnotherQueue) {
    for (const SignalFunction function : {SIG_DFL, SIG_IGN}) {
        set_disposition(SIGUSR1, function);
        const Queue watcher;
        ASSERT_EQ(watcher.apply(add(SIGUSR1)), 0);
        expect_none(watcher.collect());
        Result result;
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
        Thread waiter([&] { result = q.call({}, 1, kForever); });
        for (int i = 0; i < 10; i++) {
            waiter.wait_until_asleep();
            waiter.signal(SIGUSR1);
            EXPECT_EQ(watcher.wait().size(), 1U);
        }
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        waiter.join();
        EXPECT_EQ(result.ret, 1) << result;
    }
}

TEST_F(SignalThreads, R50_AHandlerOfTheProgramInterruptsTheWaitOnAnotherQueue) {
    set_disposition(SIGUSR1, count_signal, SA_RESTART);
    const Queue watcher;
    ASSERT_EQ(watcher.apply(add(SIGUSR1)), 0);
    Result result;
    Thread waiter([&] { result = q.call({}, 1, kForever); });
    waiter.wait_until_asleep();
    waiter.signal_until_ended(SIGUSR1);
    waiter.join();
    expect_failed(result, EINTR);
    EXPECT_EQ(watcher.wait().size(), 1U);
}

TEST_F(SignalThreads, R301_EachSignalGoesToOneWaiter) {
    set_disposition(SIGRTMIN + 3, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGRTMIN + 3)), 0);
    expect_none(q.collect());
    constexpr int kSignals = 2000;
    std::atomic<intptr_t> total{0};
    std::vector<Thread> waiters;
    for (int i = 0; i < 4; i++)
        waiters.emplace_back([&] {
            while (total < kSignals)
                for (const Event& event : q.collect(1, milliseconds{50}))
                    total += event.data;
        });
    for (int i = 0; i < kSignals; i++) {
        while (::sigqueue(::getpid(), SIGRTMIN + 3, sigval{}) != 0)
            ::sched_yield();  // EAGAIN: too many are queued
#if defined(__SANITIZE_THREAD__)
        // ThreadSanitizer delays handlers, and calls them once for several signals.
        while (total <= i)
            ::sched_yield();
#endif
    }
    waiters.clear();
    EXPECT_EQ(total, kSignals);
}

TEST_F(SignalThreads, R302_DeleteRacesWithDelivery) {
    set_disposition(SIGUSR1, SIG_IGN);
    std::atomic<bool> done{false};
    Thread sender([&] {
        while (!done)
            send(SIGUSR1);
    });
    // A signal of a knote that is deleted in that very moment may end the call: L-SIGNAL-EINTR.
    Thread waiter([&] {
        const timespec moment = to_timespec(milliseconds{10});
        while (!done) {
            const Result result = q.call({}, 1, &moment);
            EXPECT_TRUE(result.ret >= 0 || result.error == EINTR) << result;
        }
    });
    const Queue mine;
    for (int i = 0; i < 3000; i++) {
        EXPECT_EQ(q.apply(add(SIGUSR1)), 0);
        EXPECT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_DELETE)), 0);
        expect_none(mine.collect());
    }
    done = true;
}

// The signal is sent to one of several sleeping threads. That thread wakes at once, not only when
// its time slice is over.
TEST_F(SignalThreads, R299_ASignalToOneOfManyThatSleepWakesItAtOnce) {
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
    std::atomic<bool> done{false};
    std::vector<Thread> waiters;
    for (int i = 0; i < 3; i++)
        waiters.emplace_back([&] {
            const Queue own;
            own.apply(change(1, EVFILT_USER, EV_ADD));
            while (!done)
                own.collect(1, milliseconds{300});
        });
    std::vector<milliseconds> took;
    for (int round = 0; round < 30; round++) {
        for (const Thread& waiter : waiters)
            waiter.wait_until_asleep();
        const auto start = now();
        waiters[static_cast<size_t>(round % 3)].signal(SIGUSR1);
        EXPECT_EQ(q.wait().size(), 1U);
        took.push_back(since(start));
    }
    done = true;
    waiters.clear();
    std::sort(took.begin(), took.end());
    EXPECT_LT(took[took.size() / 2].count(), 20) << "the median; in slices it would be 50";
}

// ---- processes ----

TEST_F(SignalThreads, R234_AForkedChildHasTheProgramsMaskAndDispositions) {
    set_disposition(SIGUSR1, SIG_IGN);
    set_disposition(SIGUSR2, count_signal);
    for (const bool collected : {false, true}) {
        ASSERT_EQ(q.apply(add(SIGUSR1), add(SIGUSR2), add(SIGTERM)), 0);
        if (collected) expect_none(q.collect());
        Child child([&] {
            if (disposition(SIGUSR1) != SIG_IGN) return 1;
            if (disposition(SIGUSR2) != count_signal) return 2;
            if (disposition(SIGTERM) != SIG_DFL) return 3;
            for (const int number : {SIGUSR1, SIGUSR2, SIGTERM})
                if (is_blocked(number)) return 4;
            send(SIGUSR1);
            send(SIGUSR2);
            if (signals_counted() != 1) return 5;
            // And it can watch signals of its own.
            const Queue own;
            if (own.apply(add(SIGUSR1)) != 0) return 6;
            send(SIGUSR1);
            return own.wait().size() == 1 ? 0 : 7;
        });
        EXPECT_EQ(child.wait(), 0) << child.errors();
        expect_none(q.collect());
    }
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
}

TEST_F(SignalThreads, R234_ASignalToAChildWithoutForkHandlersIsNotOurs) {
    ASSERT_EQ(q.apply(add(SIGTERM)), 0);
    expect_none(q.collect());
    const pid_t pid = ::_Fork();
    if (pid == 0) {
        ::raise(SIGTERM);
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
    expect_none(q.collect());
}

// The signals that a program started with posix_spawn() blocks, as /proc says.
uint64_t blocked_in_spawned() {
    TempFile output;
    posix_spawn_file_actions_t actions;
    EXPECT_EQ(::posix_spawn_file_actions_init(&actions), 0);
    EXPECT_EQ(::posix_spawn_file_actions_adddup2(&actions, *output.fd, 1), 0);
    char name[] = "sh";
    char option[] = "-c";
    char script[] =
        "while read key value; do [ $key = SigBlk: ] && echo $value; done < /proc/$$/status";
    char* arguments[] = {name, option, script, nullptr};
    pid_t pid = -1;
    EXPECT_EQ(::posix_spawnp(&pid, "sh", &actions, nullptr, arguments, environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
    std::ifstream in(output.path);
    std::string text;
    in >> text;
    EXPECT_EQ(text.size(), 16U) << text;
    return text.empty() ? 0 : std::stoull(text, nullptr, 16);
}

TEST_F(SignalThreads, ASpawnedProgramInheritsNoMaskOfOurs) {
    const uint64_t before = blocked_in_spawned();
    ASSERT_EQ(q.apply(add(SIGUSR1), add(SIGTERM), add(SIGCHLD)), 0);
    EXPECT_EQ(blocked_in_spawned(), before);
}

}  // namespace
}  // namespace kqtest
