// SPDX-License-Identifier: BSD-2-Clause
// KQUEUE_CPONFORK in whole programs: daemons, threads, storms, limits. Also the filters that only
// some systems have..
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "support/cponfork.h"
#include "support/fork_storm.h"
#include "support/leave.h"
#include "support/library.h"
#include "support/limit.h"
#include "support/net.h"
#include "support/process.h"

#ifdef KQUEUE_CPONFORK

namespace kqtest {
namespace {

class CpOnForkProcess : public CpOnFork {};

// A knote of every kind that has a descriptor or memory of its own.
void fill_queue(const Queue& q, const Pipe& pipe, const Pair& pair, const TempFile& file) {
    EXPECT_EQ(
        q.apply(change(*pipe.read, EVFILT_READ, EV_ADD), change(*pair.first, EVFILT_READ, EV_ADD),
                change(*pair.first, EVFILT_WRITE, EV_ADD | EV_CLEAR),
                change(1, EVFILT_TIMER, EV_ADD, 0, 60'000),
                change(2, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE | NOTE_SECONDS, 2'000'000'000),
                change(SIGUSR1, EVFILT_SIGNAL, EV_ADD),
                change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE),
                change(3, EVFILT_USER, EV_ADD | EV_CLEAR)),
        0);
    (void)q.collect();
}

// Events of other knotes than the one of EVFILT_WRITE, which may be told again (P-EDGE).
std::vector<Event> next(const Queue& q) {
    std::vector<Event> events = q.wait();
    while (skipped_edges_told_again(events))
        events = q.wait();
    return events;
}

void expect_all_to_work(const Queue& q, const Pipe& pipe, const TempFile& file) {
    expect_none(q.collect());
    write_bytes(*pipe.write, 1);
    expect_only(next(q), *pipe.read, EVFILT_READ, EV_ADD, 0, 1);
    read_bytes(*pipe.read, 1);
    EXPECT_EQ(q.apply(change(4, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 10)), 0);
    expect_only(next(q), 4, EVFILT_TIMER, EV_ADD | EV_ONESHOT | EV_CLEAR, 0, 1);
    send(SIGUSR1);
    expect_only(next(q), SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1);
    write_bytes(*file.fd, 1);
    expect_only(next(q), *file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    EXPECT_EQ(q.apply(change(3, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    expect_only(next(q), 3, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(CpOnForkProcess, R322_NoMoreDescriptorsThanTheParentHas) {
    const Pipe pipe = make_pipe();
    const Pair pair = make_tcp_pair();
    const TempFile file("content");
    const Queue other(::kqueuex(KQUEUE_CPONFORK));
    fill_queue(other, pipe, pair, file);
    const auto parents = open_descriptors();
    const Queue lost;
    fill_queue(lost, pipe, pair, file);
    in_child([&] {
        EXPECT_EQ(open_descriptors().size(), parents.size());
        expect_all_to_work(other, pipe, file);
        const size_t before = open_descriptors().size();
        EXPECT_EQ(::close(other.fd()), 0);
        libkqueue_drain_pending_close();
        EXPECT_LT(open_descriptors().size(), before);
        EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
        EXPECT_EQ(q.wait().size(), 1U);
    });
    expect_event(pick(next(other), EVFILT_VNODE), *file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR,
                 NOTE_WRITE);
}

// The parent ends, and the child goes on with the kqueue that was opened before.
TEST_F(CpOnForkProcess, R332_Daemon) {
    const Pipe pipe = make_pipe();
    const Pair pair = make_tcp_pair();
    const TempFile file("content");
    const Pipe report = make_pipe();
    fill_queue(q, pipe, pair, file);
    ASSERT_EQ(q.apply(change(9, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER)), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (::daemon(1, 1) != 0) ::_exit(1);
        expect_only(q.wait(), 9, EVFILT_USER, EV_ADD | EV_ONESHOT);
        expect_all_to_work(q, pipe, file);
        (void)!::write(*report.write, HasFailure() ? "n" : "y", 1);
        leave(0);
    }
    EXPECT_EQ(read_bytes(*report.read, 1), "y");
    int status = -1;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
    expect_event(q.wait().at(0), 9, EVFILT_USER, EV_ADD | EV_ONESHOT);
}

TEST_F(CpOnForkProcess, R332_ChildrenOfChildren) {
    const Pipe pipe = make_pipe();
    const Pair pair = make_tcp_pair();
    const TempFile file("content");
    fill_queue(q, pipe, pair, file);
    in_child([&] {
        in_child([&] {
            in_child([&] { expect_all_to_work(q, pipe, file); });
            (void)pick(next(q), EVFILT_VNODE);
            expect_all_to_work(q, pipe, file);
        });
    });
}

TEST_F(CpOnForkProcess, R332_AnotherThreadWaits) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR),
                      change(1, EVFILT_TIMER, EV_ADD, 0, 60'000)),
              0);
    std::vector<Event> events;
    Thread waiter([&] { events = q.wait(); });
    waiter.wait_until_asleep();
    const size_t own = on_linux() ? 1 : backend() == "posix" ? 2 : 0;  // beside the kqueue itself
    in_child([this, own] {
        expect_none(q.collect());
        EXPECT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        EXPECT_TRUE(q.readable());
        EXPECT_EQ(q.wait().size(), 1U);
        const size_t before = open_descriptors().size();
        EXPECT_EQ(::close(q.fd()), 0);
        libkqueue_drain_pending_close();  // no thread has a reference
        EXPECT_LT(open_descriptors().size(), before - own);
    });
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    waiter.join();
    EXPECT_EQ(events.size(), 1U);
}

// While the process forks, its threads use `q`, and make other kqueues.
void fork_in_use(const Queue& q, int spinners) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    fork_storm(
        q,
        [&] {
            const Queue brief(::kqueuex(KQUEUE_CPONFORK));
            EXPECT_EQ(brief.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
        },
        [&] {
            (void)q.collect();
            if (q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)) != 0) return 1;
            if (q.wait().empty()) return 2;
            return testing::Test::HasFailure() ? 3 : 0;
        },
        spinners);
}

TEST_F(CpOnForkProcess, R332_WhileOtherThreadsUseIt) {
    fork_in_use(q, 0);
}

// The thread that forks runs seldom, and for a long time it finds the kqueue in use each time. A
// bug: after a time fork() gave this kqueue up, although it had been free again and again.
TEST_F(CpOnForkProcess, R332_WhileOtherThreadsUseItOnBusyProcessors) {
    fork_in_use(q, 10);
}

// Each kqueue is in use most of the time, by a thread of its own. A bug: fork() gave up after it
// had waited 0.2 s for all of them together.
TEST_F(CpOnForkProcess, R332_ManyThatAreInUse) {
    constexpr int kQueues = 16;
    std::atomic<bool> done{false};
    std::vector<Queue> queues;
    for (int i = 0; i < kQueues; i++)
        queues.emplace_back(::kqueuex(KQUEUE_CPONFORK));
    Gate all_run(kQueues + 1);
    std::vector<Thread> threads;
    for (const Queue& queue : queues)
        threads.emplace_back([&done, &all_run, &queue] {
            EXPECT_EQ(queue.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
            all_run.pass();
            while (!done) {
                EXPECT_EQ(queue.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
                queue.collect();
            }
        });
    all_run.pass();
    int hung = 0;
    for (int i = 0; i < 8 && !HasFailure(); i++) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::alarm(20);
            int lost = 0;
            for (const Queue& queue : queues)
                if (queue.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)) != 0) lost++;
            ::_exit(lost);
        }
        int status = -1;
        EXPECT_EQ(::waitpid(pid, &status, 0), pid);
        if (status == SIGALRM && hung++ < kChildrenThatMayHang) continue;
        EXPECT_EQ(status, 0) << "child " << i;
    }
    done = true;
}

// Another thread makes so many changes in one call that fork() has to wait for it longer than it
// waits for a kqueue that its own thread may be using.
TEST_F(CpOnForkProcess, R332_AnotherThreadIsInALongCall) {
    std::vector<Event> changes;
    for (int round = 0; round < 20; round++)
        for (int i = 0; i < 20'000; i++)
            changes.push_back(change(i, EVFILT_TIMER, EV_ADD, 0, 60'000 + i + round));
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    std::atomic<bool> begun{false};
    Gate child_has_ended(2);  // ThreadSanitizer calls a thread that has ended before a fork a leak
    Thread user([&] {
        begun = true;
        EXPECT_EQ(
            ::kevent(q.fd(), changes.data(), static_cast<int>(changes.size()), nullptr, 0, nullptr),
            0);
        child_has_ended.pass();
    });
    while (!begun)
        std::this_thread::yield();
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::alarm(20);
        ::_exit(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)) == 0 && q.wait().size() == 1 ? 0
                                                                                              : 1);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    if (kChildrenThatMayHang == 0 || status != SIGALRM) {
        EXPECT_EQ(status, 0);
    }
    child_has_ended.pass();
    user.join();
}

TEST_F(CpOnForkProcess, R332_ADuplicateIsClosedAndTheNumberGoesOn) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    const Queue other(::dup(q.fd()));
    ASSERT_EQ(other.wait().size(), 1U);
    in_child([&] { EXPECT_EQ(q.wait().size(), 1U); });
    EXPECT_EQ(q.wait().size(), 1U);
    EXPECT_EQ(other.wait().size(), 1U);
}

TEST_F(CpOnForkProcess, R332_TheDuplicateGoesOnIfTheNumberWasClosed) {
    Queue first(::kqueuex(KQUEUE_CPONFORK));
    const Queue second(::dup(first.fd()));
    ASSERT_EQ(first.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    first.close();
    ASSERT_EQ(second.wait().size(), 1U);
    in_both([&] { EXPECT_EQ(second.wait().size(), 1U); });
}

TEST_F(CpOnForkProcess, R332_AClosedOneIsNotInherited) {
    Queue closed(::kqueuex(KQUEUE_CPONFORK));
    ASSERT_EQ(closed.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    const int number = closed.fd();
    closed.close();
    const Pipe pipe = make_pipe();  // has the number
    ASSERT_EQ(std::min(*pipe.read, *pipe.write), number);
    in_child([&] {
        EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
        write_bytes(*pipe.write, 1);
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, 1);
    });
}

// A watched number that was closed and is another file now has no knote in the child.
TEST_F(CpOnForkProcess, R332_ANumberThatWasUsedAgain) {
    Pipe pipe = make_pipe();
    const int number = *pipe.read;
    ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD)), 0);
    const Pipe next = make_pipe();
    write_bytes(*next.write, 1);
    ASSERT_EQ(::dup2(*next.read, number), number);
    in_both([&] { expect_none(q.collect()); });
}

TEST_F(CpOnForkProcess, R332_WithoutDescriptorsItIsClosedInTheChild) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    const TempFile said;
    const int kq = q.fd();
    int status = -1;
    {
        const DescriptorLimit limit(static_cast<rlim_t>(kq));
        const pid_t pid = ::fork();
        if (pid == 0) {
            Event event{};
            const bool lost = ::kevent(kq, nullptr, 0, &event, 1, &kAtOnce) == -1 && errno == EBADF;
            ::_exit(lost && ::fcntl(kq, F_GETFD) == -1 ? 0 : 1);
        }
        EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    }
    EXPECT_EQ(status, 0);
    EXPECT_EQ(q.wait().size(), 1U);
}

TEST_F(CpOnForkProcess, R332_WithoutForkCleanupThereIsNoCopy) {
    const auto set = [this](int on) {
        return q.call({change(0, EVFILT_LIBKQUEUE, EV_ADD, NOTE_FORK_CLEANUP, on)}, 1, kForever);
    };
    ASSERT_GE(set(0).ret, 0);
    in_child([this] { EXPECT_GE(::fcntl(q.fd(), F_GETFD), 0); });
    ASSERT_GE(set(1).ret, 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    in_both([this] { EXPECT_EQ(q.wait().size(), 1U); });
}

TEST_F(CpOnForkProcess, R326_ValuesOfKevent64) {
    kevent64_s in{};
    EV_SET64(&in, 7, EVFILT_USER, EV_ADD, NOTE_TRIGGER, 0, 0x1122334455667788, 11, 12);
    ASSERT_EQ(::kevent64(q.fd(), &in, 1, nullptr, 0, 0, nullptr), 0);
    in_both([this] {
        kevent64_s out{};
        ASSERT_EQ(::kevent64(q.fd(), nullptr, 0, &out, 1, 0, &kAtOnce), 1);
        EXPECT_EQ(out.udata, 0x1122334455667788U);
        EXPECT_EQ(out.ext[0], 11U);
        EXPECT_EQ(out.ext[1], 12U);
    });
}

// ---- filters that few systems serve ----

    #ifdef EVFILT_EXCEPT
        #ifdef EV_UDATA_SPECIFIC
TEST_F(CpOnForkProcess, R328_SeveralKnotesOfASignal) {
    constexpr int kKnote = EV_ADD | EV_UDATA_SPECIFIC;
    set_disposition(SIGUSR1, SIG_IGN);
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, kKnote | EV_DISABLE, 0, 0, tag(1)),
                      change(SIGUSR1, EVFILT_SIGNAL, kKnote, 0, 0, tag(2)),
                      change(SIGUSR1, EVFILT_SIGNAL, kKnote | EV_DISABLE, 0, 0, tag(3))),
              0);
    in_both([&] {
        send(SIGUSR1);
        EXPECT_TRUE(q.readable());
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kKnote | EV_CLEAR, 0, 1, tag(2));
        for (const uintptr_t udata : {1, 2, 3}) {
            EXPECT_NE(disposition(SIGUSR1), SIG_IGN);
            EXPECT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_DELETE | EV_UDATA_SPECIFIC, 0, 0,
                                     tag(udata))),
                      0);
        }
        EXPECT_EQ(disposition(SIGUSR1), SIG_IGN);
    });
}
        #endif

TEST_F(CpOnForkProcess, R324_Except) {
    const Pair tcp = make_tcp_pair();
    ASSERT_EQ(q.apply(change(*tcp.first, EVFILT_EXCEPT, EV_ADD | EV_CLEAR, NOTE_OOB)), 0);
    in_child([&] { expect_none(q.collect()); });
    ASSERT_EQ(::send(*tcp.second, "!", 1, MSG_OOB), 1);
    in_both([&] {
        expect_only(q.wait(), *tcp.first, EVFILT_EXCEPT, EV_ADD | EV_CLEAR, NOTE_OOB);
        expect_none(q.collect());
    });
    in_child([&] { expect_none(q.collect()); });  // it was reported before
}
    #endif

    #ifdef EVFILT_EMPTY
TEST_F(CpOnForkProcess, R324_Empty) {
    if (backend() == "solaris") GTEST_SKIP() << "EVFILT_EMPTY is refused there";
    const Pair pair = make_socketpair(SOCK_STREAM);
    write_bytes(*pair.first, 1);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_EMPTY, EV_ADD)), 0);
    in_child([&] {
        expect_none(q.collect());
        read_bytes(*pair.second, 1);
        expect_only(q.wait(), *pair.first, EVFILT_EMPTY, EV_ADD);
    });
    expect_only(q.wait(), *pair.first, EVFILT_EMPTY, EV_ADD);
}
    #endif

    #if defined(EVFILT_PROCDESC) && defined(SYS_pidfd_open)
TEST_F(CpOnForkProcess, R324_ProcDesc) {
    KQ_OF(linux);
    Sleeper sleeper(exits_with(7));
    const Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, sleeper.pid(), 0)));
    if (!fd) GTEST_SKIP() << "no pidfds";
    ASSERT_EQ(q.apply(change(*fd, EVFILT_PROCDESC, EV_ADD, NOTE_EXIT)), 0);
    in_child([&] {
        expect_none(q.collect());
        sleeper.go();
        const std::vector<Event> events = q.wait();
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].fflags, NOTE_EXIT);
    });
    EXPECT_EQ(q.wait().size(), 1U);
}
    #endif

}  // namespace
}  // namespace kqtest

#endif
