// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_SIGNAL, and what the program does with the signal after EV_ADD, which is the order of
// libevent. The library never changes the signal mask of a thread. D-24, R-219, R-221, R-222.
#include <sys/time.h>
#include <sys/wait.h>
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

class SignalLater : public SignalTest {
  protected:
    static intptr_t data_of(const std::vector<Event>& events) {
        EXPECT_EQ(events.size(), 1U);
        return events.size() == 1 ? events[0].data : -1;
    }
    Queue q;
};

TEST_F(SignalLater, D24_IgnoredAfterTheAddEachIsCounted) {
    KQ_GAP("L-SIGNAL-REPLACED");
    for (const bool by_signal : {false, true}) {
        const Queue mine;
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        if (by_signal)
            EXPECT_NE(::signal(SIGUSR1, SIG_IGN), SIG_ERR);
        else
            set_disposition(SIGUSR1, SIG_IGN);
        send(SIGUSR1, 3);
        EXPECT_EQ(data_of(mine.wait()), 3);
        ASSERT_EQ(mine.apply(remove(SIGUSR1)), 0);
        EXPECT_EQ(disposition(SIGUSR1), SIG_IGN);
        set_disposition(SIGUSR1, SIG_DFL);
    }
}

TEST_F(SignalLater, R222_AHandlerSetAfterTheAddRunsFromThenOn) {
    KQ_GAP("L-SIGNAL-REPLACED");
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    EXPECT_NE(::signal(SIGUSR1, count_signal), SIG_ERR);
    send(SIGUSR1, 2);
    EXPECT_EQ(signals_counted(), 2);
    EXPECT_EQ(data_of(q.wait()), 2);
    ASSERT_EQ(q.apply(remove(SIGUSR1)), 0);
    EXPECT_EQ(disposition(SIGUSR1), count_signal);
}

// SIGCHLD has no default action, and libevent sets the default after EV_ADD.
TEST_F(SignalLater, R235_SigchldSetToItsDefaultAfterTheAddIsCounted) {
    KQ_GAP("L-SIGNAL-REPLACED");
    ASSERT_EQ(q.apply(add(SIGCHLD)), 0);
    set_disposition(SIGCHLD, SIG_DFL);
    Child child([] { return 0; });
    EXPECT_EQ(data_of(q.wait()), 1);
    EXPECT_EQ(child.wait(), 0);
}

// Shells and daemons end this way: they set the default action, and send the signal once more.
TEST_F(SignalLater, TheDefaultSetAfterTheAddIsTaken) {
    Child child([] {
        const Queue mine;
        mine.apply(add(SIGTERM));
        mine.collect();
        ::signal(SIGTERM, SIG_DFL);
        ::raise(SIGTERM);
        return 0;
    });
    const int status = child.wait();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
}

// The kqueue is closed, so the signal is watched no more. The library was not told of the close.
TEST_F(SignalLater, R233_IgnoredAfterCloseItIsIgnored) {
    {
        Queue mine;
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        mine.close();
    }
    set_disposition(SIGUSR1, SIG_IGN);
    EXPECT_EQ(disposition(SIGUSR1), SIG_IGN);
    send(SIGUSR1);
}

TEST_F(SignalLater, TheProgramsCallsAnswerAsTheSystemDoes) {
    errno = 0;
    EXPECT_EQ(::signal(SIGKILL, SIG_IGN), SIG_ERR);
    EXPECT_EQ(errno, EINVAL);
    struct sigaction action {};
    action.sa_handler = count_signal;
    errno = 0;
    EXPECT_EQ(::sigaction(9999, &action, nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(::signal(SIGUSR2, count_signal), SIG_DFL);
    EXPECT_EQ(::signal(SIGUSR2, SIG_IGN), count_signal);
    struct sigaction found {};
    ASSERT_EQ(::sigaction(SIGUSR2, nullptr, &found), 0);
    EXPECT_EQ(found.sa_handler, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    errno = E2BIG;
    set_disposition(SIGUSR1, SIG_IGN);
    EXPECT_EQ(errno, E2BIG);
}

// Between vfork() and exec() the child shares the memory of its parent, but not its handlers.
TEST_F(SignalLater, R287_AChildOfVforkIgnoresASignalForItself) {
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    const pid_t pid = ::vfork();
    if (pid == 0) {
        struct sigaction action {};
        action.sa_handler = SIG_IGN;
        (void)::sigaction(SIGUSR1, &action, nullptr);
        struct sigaction found {};
        (void)::sigaction(SIGUSR1, nullptr, &found);
        ::_exit(found.sa_handler == SIG_IGN ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    send(SIGUSR1, 2);
    EXPECT_EQ(data_of(q.wait()), 2);
}

extern "C" void ignore_usr1(int) {
    struct sigaction action {};
    action.sa_handler = SIG_IGN;
    (void)::sigaction(SIGUSR1, &action, nullptr);
}

// A handler may interrupt the library anywhere, and call sigaction() there.
TEST_F(SignalLater, AHandlerThatSetsAnotherNeverWaitsForUs) {
    set_disposition(SIGALRM, ignore_usr1);
    itimerval often{};
    often.it_interval.tv_usec = often.it_value.tv_usec = 200;
    ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
    const auto start = now();
    while (since(start) < milliseconds{500}) {
        EXPECT_EQ(q.apply(add(SIGUSR1)), 0);
        (void)q.call({}, 1, &kAtOnce);
        EXPECT_EQ(q.apply(remove(SIGUSR1)), 0);
    }
    const itimerval never{};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &never, nullptr), 0);
    set_disposition(SIGALRM, SIG_DFL);
    // The next calls find out which handler was set last.
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    expect_none(q.collect());
    send(SIGUSR1);
    EXPECT_EQ(data_of(q.wait()), 1);
}

// ---- masks ----

const SignalFunction kFunctions[] = {SIG_DFL, SIG_IGN, count_signal};

TEST_F(SignalLater, R219_EachIsCountedBeforeTheFirstCollection) {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer delays handlers, and calls them once for several signals";
#endif
    for (const SignalFunction function : kFunctions) {
        set_disposition(SIGUSR1, function);
        const Queue mine;
        ASSERT_EQ(mine.apply(add(SIGUSR1)), 0);
        EXPECT_FALSE(is_blocked(SIGUSR1));
        send(SIGUSR1, 3);
        EXPECT_EQ(data_of(mine.wait()), 3);
    }
}

const Queue* inside = nullptr;

extern "C" void collect_inside(int) {
    (void)inside->call({}, 1, &kAtOnce);
}
extern "C" void delete_inside(int) {
    (void)inside->apply(remove(SIGTERM));
}
extern "C" void close_inside(int) {
    (void)::close(inside->fd());
}

TEST_F(SignalLater, R221_AfterAHandlerThatCalledKeventTheMaskIsTheProgramsOwn) {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "to allocate in a handler of one's own raise() is what ThreadSanitizer reports";
#endif
    for (const SignalFunction function : kFunctions) {
        set_disposition(SIGTERM, function);
        for (const SignalFunction handler : {collect_inside, delete_inside, close_inside}) {
            Queue mine(::kqueue());
            inside = &mine;
            set_disposition(SIGUSR2, handler);
            ASSERT_EQ(mine.apply(add(SIGTERM)), 0);
            EXPECT_EQ(::raise(SIGUSR2), 0);
            EXPECT_FALSE(is_blocked(SIGTERM));
            if (handler == close_inside) {
                mine = Queue(::kqueue());  // the same number
            } else if (handler == collect_inside) {
                send(SIGTERM, 2);
                EXPECT_EQ(data_of(mine.wait()), 2);
            }
            EXPECT_FALSE(is_blocked(SIGTERM));
        }
    }
}

// A bug: after that neither the program nor its children ended by SIGTERM.
TEST_F(SignalLater, R233_DeletedInAHandlerTheDefaultActionIsTaken) {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "to allocate in a handler of one's own raise() is what ThreadSanitizer reports";
#endif
    for (const SignalFunction handler : {delete_inside, close_inside}) {
        Child child([handler] {
            Queue mine;
            inside = &mine;
            set_disposition(SIGUSR2, handler);
            mine.apply(add(SIGTERM));
            ::raise(SIGUSR2);
            send(SIGTERM);
            return 0;
        });
        const int status = child.wait();
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
    }
}

TEST_F(SignalLater, R221_AThreadMadeBeforeTheFirstCollectionHasTheProgramsMask) {
    for (const SignalFunction function : kFunctions) {
        set_disposition(SIGTERM, function);
        const Queue mine;
        ASSERT_EQ(mine.apply(add(SIGTERM)), 0);
        Thread worker([] {
            EXPECT_FALSE(is_blocked(SIGTERM));
            Child child([] { return is_blocked(SIGTERM) ? 1 : 0; });
            EXPECT_EQ(child.wait(), 0);
        });
        worker.join();
    }
}

}  // namespace
}  // namespace kqtest
