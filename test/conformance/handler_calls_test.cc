// SPDX-License-Identifier: BSD-2-Clause
// Signal handlers that call kevent(). A handler may trigger a user event of a
// kqueue if the thread that it interrupts is not in a call on that kqueue (L-REENTRY). Each test
// runs in a child, because a mistake ends or blocks the process.
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "support/cponfork.h"
#include "support/leave.h"
#include "support/library.h"

namespace kqtest {
namespace {

int target = -1;
volatile sig_atomic_t triggers = 0;
volatile sig_atomic_t refused = 0;
constexpr Event kTrigger = {1, EVFILT_USER, 0, NOTE_TRIGGER, 0, nullptr};

void trigger(int) {
    const int before = errno;
    if (::kevent(target, &kTrigger, 1, nullptr, 0, nullptr) != 0) refused = 1;
    triggers = triggers + 1;
    errno = before;
}

void repeat(suseconds_t period) {
    const itimerval value{{0, period}, {0, period}};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &value, nullptr), 0);
}

// The parameter: whether the process has had a second thread. The library takes other ways then.
class HandlerCalls : public SignalTest, public testing::WithParamInterface<bool> {
  protected:
    // Runs `body` in a child while a handler triggers a user event again and again.
    template <class Body>
    void while_triggered(Body body) {
        in_child([body] {
            if (GetParam()) Thread([] {}).join();
            const Queue q;
            target = q.fd();
            ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
            set_disposition(SIGALRM, trigger, SA_RESTART);
            repeat(100);
            body();
            repeat(0);
            EXPECT_GT(triggers, 0);
            EXPECT_EQ(refused, 0);
            (void)q.collect();
            trigger(0);
            expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
        });
    }
};

TEST_P(HandlerCalls, R282_WhileTheProcessForks) {
    while_triggered([] {
        // A fork() of a large process takes long, above all with AddressSanitizer.
        const auto start = now();
        for (int i = 0; i < 300 && since(start) < milliseconds{4000}; i++) {
            const pid_t child = ::fork();
            ASSERT_GE(child, 0);
            if (child == 0) leave(0);
            int status = -1;
            ASSERT_EQ(::waitpid(child, &status, 0), child);
            ASSERT_EQ(status, 0);
        }
    });
}

TEST_P(HandlerCalls, R298_WhileItsThreadMakesAndClosesOthers) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer reports locks in handlers: L-REENTRY";
#endif
    while_triggered([] {
        const auto start = now();
        const int rounds = on_linux() ? 4000 : 400;
        for (int i = 0; i < rounds && since(start) < milliseconds{4000}; i++) {
            const Queue other;
            ASSERT_EQ(other.apply(kTrigger), ENOENT);
        }
    });
}

volatile sig_atomic_t forks = 0;

void fork_and_wait(int) {
    const int before = errno;
    const pid_t child = ::fork();
    if (child == 0) leave(0);
    int status = -1;
    if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) refused = 1;
    forks = forks + 1;
    errno = before;
}

// A handler forks to run another program, whatever its thread is doing. The thread is in calls that
// take a lock of the whole process, and not in malloc(), where the C library does not allow it.
// Where the library cannot tell that there is one thread, fork() may wait for 20 s if the handler
// has interrupted the first instructions of a call (L-FORK-INSIDE).
TEST_P(HandlerCalls, R282_AHandlerForksInsideOfACall) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer does not let handlers fork";
#endif
    in_child(
        [] {
            if (GetParam()) Thread([] {}).join();
            const Queue q;
            ASSERT_EQ(q.apply(change(SIGUSR2, EVFILT_SIGNAL, EV_ADD)), 0);
            set_disposition(SIGALRM, fork_and_wait, SA_RESTART);
            const auto start = now();
            for (int round = 0; round < 200 && since(start) < milliseconds{2000}; round++) {
                const itimerval once{{0, 0}, {0, 20 + 13 * (round % 50)}};
                ASSERT_EQ(::setitimer(ITIMER_REAL, &once, nullptr), 0);
                while (forks == round) {
                    Event event{};
                    ASSERT_EQ(::kevent(q.fd(), nullptr, 0, &event, 1, &kAtOnce), 0);
                }
            }
            EXPECT_GT(forks, 0);
            EXPECT_EQ(refused, 0);
            send(SIGUSR2);
            expect_only(q.wait(), SIGUSR2, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1);
        },
        milliseconds{60000});
}

INSTANTIATE_TEST_SUITE_P(Threads, HandlerCalls, testing::Bool(),
                         [](const auto& test) { return test.param ? "Several" : "One"; });

// The call must not go on in another kqueue, and its changes must not be made there.
class ClosedByHandler : public SignalTest {};

int victim = -1;
int heir = -1;

void give_number_away(int) {
    if (::dup2(heir, victim) != victim) refused = 1;
}

TEST_F(ClosedByHandler, R13_R298_AnotherKqueueHasTheNumberAfterTheSleep) {
    in_child([] {
        const Queue q;
        const Queue other;
        victim = q.fd();
        heir = other.fd();
        ASSERT_EQ(other.apply(change(7, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
        set_disposition(SIGALRM, give_number_away);
        const itimerval once{{0, 0}, {1, 0}};
        ASSERT_EQ(::setitimer(ITIMER_REAL, &once, nullptr), 0);
        const timespec limit{15, 0};
        expect_failed(q.call({change(99, EVFILT_USER, EV_ADD)}, 1, &limit), EBADF);
        EXPECT_EQ(refused, 0);
        EXPECT_EQ(other.apply(change(99, EVFILT_USER, EV_DELETE)), ENOENT);
        expect_only(other.collect(), 7, EVFILT_USER, EV_ADD);
    });
}

}  // namespace
}  // namespace kqtest
