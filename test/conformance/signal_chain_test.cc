// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_SIGNAL, and handlers that the program sets while the signal is watched. The tests check
// which handler they may call, what the program may put back, and what the handlers get.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "support/gaps.h"
#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {
namespace {

using signals::add;
using signals::kReported;
using signals::remove;

struct sigaction found {};  // by the handler that was set last
volatile sig_atomic_t chained = 0;
volatile sig_atomic_t depth = 0;

// Does its work, and then calls what was there before, as many do.
extern "C" void call_the_one_before(int number, siginfo_t* info, void* context) {
    chained = chained + 1;
    if (depth >= 10) return;
    depth = depth + 1;
    if ((found.sa_flags & SA_SIGINFO) != 0)
        found.sa_sigaction(number, info, context);
    else if (found.sa_handler != SIG_DFL && found.sa_handler != SIG_IGN)
        found.sa_handler(number);
    depth = depth - 1;
}

class SignalChain : public SignalTest {
  protected:
    SignalChain() { chained = 0; }
    static void chain() {
        struct sigaction action {};
        action.sa_sigaction = call_the_one_before;
        action.sa_flags = SA_SIGINFO;
        ASSERT_EQ(::sigaction(SIGUSR1, &action, &found), 0);
    }
    Queue q;
};

TEST_F(SignalChain, R222_AHandlerSetAfterTheAddMayCallTheOneBefore) {
    set_disposition(SIGUSR1, count_signal);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
    chain();
    expect_none(q.collect());
    send(SIGUSR1);
    EXPECT_EQ(chained, 1);
    EXPECT_EQ(signals_counted(), 1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
}

TEST_F(SignalChain, R222_ASignalWhoseHandlerCallsTheDefaultIsCountedOnce) {
    for (const SignalFunction before : {SIG_DFL, SIG_IGN}) {
        set_disposition(SIGUSR1, before);
        const Queue mine;
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        expect_none(mine.collect());
        chain();
        expect_none(mine.collect());
        send(SIGUSR1);
        expect_only(mine.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
        ASSERT_EQ(mine.apply(remove(SIGUSR1)), 0);
    }
    EXPECT_EQ(chained, 2);
}

// readline() does this while it reads a line.
TEST_F(SignalChain, R222_AHandlerThatWasReplacedForAWhileIsPutBack) {
    set_disposition(SIGUSR1, count_signal);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    for (int round = 1; round <= 10; round++) {
        expect_none(q.collect());
        chain();
        expect_none(q.collect());
        ASSERT_EQ(::sigaction(SIGUSR1, &found, nullptr), 0);
        expect_none(q.collect());
        send(SIGUSR1);
        EXPECT_EQ(signals_counted(), round);
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    }
    EXPECT_EQ(chained, 0);
    ASSERT_EQ(q.apply(remove(SIGUSR1)), 0);
    EXPECT_EQ(disposition(SIGUSR1), count_signal);
}

// A blocked signal is pending. The library must not take it away from a handler that was set later.
TEST_F(SignalChain, R222_AHandlerSetAfterTheAddGetsWhatWasBlocked) {
    for (const bool deleted : {false, true}) {
        set_disposition(SIGUSR1, SIG_DFL);
        const Queue mine;
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        expect_none(mine.collect());
        set_disposition(SIGUSR1, count_signal);
        block(SIGUSR1);
        send(SIGUSR1);
        if (deleted)
            ASSERT_EQ(mine.apply(remove(SIGUSR1)), 0);
        else
            expect_only(mine.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
        EXPECT_TRUE(is_pending(SIGUSR1));
        unblock(SIGUSR1);
        EXPECT_EQ(signals_counted(), deleted ? 2 : 1);
        expect_none(mine.collect());
    }
}

// As a second event loop of libevent would.
TEST_F(SignalChain, D24_ASecondQueueAddsASignalThatIsIgnoredAfterwards) {
    KQ_GAP("L-SIGNAL-REPLACED");
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
    const Queue second;
    ASSERT_EQ(second.apply(add(SIGUSR1)), 0);
    set_disposition(SIGUSR1, SIG_IGN);
    EXPECT_EQ(::raise(SIGUSR1), 0);
    expect_only(second.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    EXPECT_FALSE(is_blocked(SIGUSR1));
}

// All numbers that the library has are those of files of the program by then.
TEST_F(SignalChain, NoFileIsClosedAfterTheProgramClosedAllOfOurs) {
    Child child([] {
        Queue lost;
        if (lost.apply(add(SIGUSR1)) != 0) return 1;
        ::closefrom(3);
        int files[8];
        for (int& fd : files)
            fd = ::open("/dev/null", O_RDONLY);
        {
            const Queue fresh;
            libkqueue_drain_pending_close();
            if (fresh.apply(add(SIGUSR1)) != 0 || fresh.apply(remove(SIGUSR1)) != 0) return 2;
        }
        for (const int fd : files)
            if (::fcntl(fd, F_GETFD) < 0) return 3;
        return 0;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

volatile int errno_seen = 0;
extern "C" void look_at_errno(int) {
    errno_seen = errno;
}

TEST_F(SignalChain, TheHandlerFindsErrnoAsItWas) {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer calls handlers with an errno of its own";
#endif
    set_disposition(SIGUSR1, look_at_errno);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    {
        Queue closed;
        ASSERT_EQ(closed.apply(add(SIGUSR1)), 0);
        closed.close();  // telling it fails
    }
    errno = E2BIG;
    send(SIGUSR1);
    EXPECT_EQ(errno_seen, E2BIG);
}

}  // namespace
}  // namespace kqtest
