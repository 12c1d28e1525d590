// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_SIGNAL together with handlers of the program, and what is put back at the end: R-222,
//
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "support/signals.h"
#include "support/thread.h"

extern "C" char** environ;

namespace kqtest {
namespace {

using signals::add;
using signals::kReported;
using signals::remove;

class SignalHandler : public SignalTest {
  protected:
    Queue q;
};

TEST_F(SignalHandler, R222_TheHandlerRunsBesideTheEvent) {
    set_disposition(SIGUSR1, count_signal);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    for (int round = 1; round <= 3; round++) {
        send(SIGUSR1);
        EXPECT_EQ(signals_counted(), round);
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
        expect_none(q.collect());
    }
    EXPECT_EQ(q.apply(remove(SIGUSR1)), 0);
    EXPECT_EQ(disposition(SIGUSR1), count_signal);
    send(SIGUSR1);
    EXPECT_EQ(signals_counted(), 4);
}

TEST_F(SignalHandler, R222_AHandlerSetAfterTheAddRunsToo) {
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
    set_disposition(SIGUSR1, count_signal);
    expect_none(q.collect());  // from here on both
    send(SIGUSR1);
    EXPECT_EQ(signals_counted(), 1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    EXPECT_EQ(q.apply(remove(SIGUSR1)), 0);
    EXPECT_EQ(disposition(SIGUSR1), count_signal);
}

std::atomic<int> seen_value{0};
std::atomic<bool> usr2_blocked{false};

extern "C" void take_value(int, siginfo_t* info, void* context) {
    seen_value = context == nullptr ? -1 : info->si_value.sival_int;
    usr2_blocked = is_blocked(SIGUSR2);
}

TEST_F(SignalHandler, R222_TheHandlerIsCalledAsItWasInstalled) {
    struct sigaction action {};
    action.sa_sigaction = take_value;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    sigval value{};
    value.sival_int = 42;
    ASSERT_EQ(::sigqueue(::getpid(), SIGUSR1, value), 0);
    EXPECT_EQ(seen_value, 42);
    EXPECT_TRUE(usr2_blocked);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    EXPECT_EQ(q.apply(remove(SIGUSR1)), 0);
    struct sigaction now {};
    ASSERT_EQ(::sigaction(SIGUSR1, nullptr, &now), 0);
    EXPECT_EQ(now.sa_sigaction, take_value);
    EXPECT_EQ(now.sa_flags & SA_SIGINFO, SA_SIGINFO);
    EXPECT_EQ(sigismember(&now.sa_mask, SIGUSR2), 1);
}

TEST_F(SignalHandler, R222_AHandlerToBeUsedOnceRunsOnce) {
    set_disposition(SIGUSR1, count_signal, static_cast<int>(SA_RESETHAND));
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    send(SIGUSR1, 2);
    EXPECT_EQ(signals_counted(), 1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 2);
    EXPECT_EQ(q.apply(remove(SIGUSR1)), 0);
    EXPECT_EQ(disposition(SIGUSR1), SIG_DFL);
}

// The signal is blocked. The event comes at once. The handler runs when the signal is unblocked,
// and that is no second event.
TEST_F(SignalHandler, R221_BlockedByTheProgramTheSignalIsLeftForTheHandler) {
    set_disposition(SIGUSR1, count_signal);
    block(SIGUSR1);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    for (int round = 1; round <= 3; round++) {
        send(SIGUSR1);
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
        EXPECT_TRUE(is_pending(SIGUSR1));
        EXPECT_EQ(signals_counted(), round - 1);
        unblock(SIGUSR1);
        EXPECT_EQ(signals_counted(), round);
        expect_none(q.collect());
        block(SIGUSR1);
    }
}

TEST_F(SignalHandler, R220_PendingBeforeTheAddTheHandlerRunsWithoutAnEvent) {
    set_disposition(SIGUSR1, count_signal);
    block(SIGUSR1);
    send(SIGUSR1);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    unblock(SIGUSR1);
    EXPECT_EQ(signals_counted(), 1);
    expect_none(q.collect());
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
}

// ---- putting back ----

TEST_F(SignalHandler, R233_DeleteAndClosePutBackMaskAndDisposition) {
    for (const bool collected : {false, true}) {
        for (const SignalFunction before : {SIG_DFL, SIG_IGN, SignalFunction{count_signal}}) {
            set_disposition(SIGUSR1, before);
            {
                const Queue other;
                ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
                ASSERT_EQ(other.apply(add(SIGUSR1)), 0);
                if (collected) expect_none(q.collect());
                EXPECT_EQ(q.apply(remove(SIGUSR1)), 0);
                EXPECT_NE(disposition(SIGUSR1), before) << "another kqueue still watches";
            }
            libkqueue_drain_pending_close();
            EXPECT_EQ(disposition(SIGUSR1), before);
            EXPECT_FALSE(is_blocked(SIGUSR1));
        }
    }
}

// As libevent does it: the handler that it has saved is that of the library.
TEST_F(SignalHandler, R233_AHandlerOfOursThatIsPutBackByTheProgramDoesWhatWasThereBefore) {
    for (const SignalFunction before : {SIG_IGN, SignalFunction{count_signal}}) {
        set_disposition(SIGUSR1, before);
        ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
        struct sigaction saved {};
        struct sigaction ignore {};
        ignore.sa_handler = before == SIG_IGN ? SIG_DFL : SIG_IGN;
        ASSERT_EQ(::sigaction(SIGUSR1, &ignore, &saved), 0);
        expect_none(q.collect());
        ASSERT_EQ(q.apply(remove(SIGUSR1)), 0);
        EXPECT_EQ(disposition(SIGUSR1), ignore.sa_handler);
        ASSERT_EQ(::sigaction(SIGUSR1, &saved, nullptr), 0);
        const int counted = signals_counted();
        send(SIGUSR1);  // must not end us
        EXPECT_EQ(signals_counted() - counted, before == SIG_IGN ? 0 : 1);
        // The signal is watched again: the library knows what its own handler stands for.
        ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
        expect_none(q.collect());
        send(SIGUSR1);
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
        ASSERT_EQ(q.apply(remove(SIGUSR1)), 0);
        EXPECT_EQ(disposition(SIGUSR1), before);
    }
}

// ---- the default action, which ends the program ----

// Runs `body` in a child that is expected to be ended by SIGTERM.
void expect_terminated(const std::function<void()>& body) {
    Child child([&] {
        body();
        return 0;
    });
    const int status = child.wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)
        << status << " " << child.errors();
}

TEST_F(SignalHandler, R233_AfterDeleteTheDefaultActionIsTaken) {
    expect_terminated([] {
        const Queue mine;
        mine.apply(add(SIGTERM));
        mine.collect();
        mine.apply(remove(SIGTERM));
        send(SIGTERM);
    });
}

TEST_F(SignalHandler, R233_AfterCloseTheDefaultActionIsTakenThoughNobodyToldUs) {
    expect_terminated([] {
        Queue mine;
        mine.apply(add(SIGTERM));
        mine.collect();
        mine.close();
        send(SIGTERM);
    });
}

TEST_F(SignalHandler, R233_AfterCloseWithADisabledKnoteTheDefaultActionIsTaken) {
    expect_terminated([] {
        Queue mine;
        mine.apply(add(SIGTERM));
        mine.collect();
        mine.apply(change(SIGTERM, EVFILT_SIGNAL, EV_DISABLE));
        mine.close();
        send(SIGTERM);
    });
}

TEST_F(SignalHandler, R233_AHandlerOfOursThatIsPutBackTakesTheDefaultAction) {
    expect_terminated([] {
        const Queue mine;
        mine.apply(add(SIGTERM));
        struct sigaction saved {};
        struct sigaction ignore {};
        ignore.sa_handler = SIG_IGN;
        ::sigaction(SIGTERM, &ignore, &saved);
        mine.collect();
        mine.apply(remove(SIGTERM));
        ::sigaction(SIGTERM, &saved, nullptr);
        send(SIGTERM);
    });
}

// With a disabled knote the signal is counted, and does not end the program.
TEST_F(SignalHandler, R224_DisabledTheDefaultActionIsNotTaken) {
    ASSERT_EQ(q.apply(add(SIGTERM), change(SIGTERM, EVFILT_SIGNAL, EV_DISABLE)), 0);
    expect_none(q.collect());
    send(SIGTERM);
    ASSERT_EQ(q.apply(change(SIGTERM, EVFILT_SIGNAL, EV_ENABLE)), 0);
    expect_only(q.wait(), SIGTERM, EVFILT_SIGNAL, kReported, 0, 1);
}

// A real fault must end the program, although its signal is watched.
TEST_F(SignalHandler, AFaultStillEndsTheProgram) {
    Child child([] {
        const Queue mine;
        mine.apply(add(SIGSEGV));
        mine.collect();
        void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *static_cast<volatile int*>(page) = 1;
        return 0;
    });
    const int status = child.wait();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    EXPECT_NE(status, 0);  // the sanitizer's own handler ends it in its own way
#else
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
#endif
}

}  // namespace
}  // namespace kqtest
