// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC: NOTE_FORK, NOTE_EXEC, NOTE_TRACK. These tests are skipped where
// EV_ADD refuses these fflags (L-PROC-NEWS).
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>

#include "support/kq.h"
#include "support/process.h"
#include "support/thread.h"

namespace kqtest {
namespace {

constexpr int kExitFlags = EV_ADD | EV_ONESHOT | EV_CLEAR | EV_EOF;
constexpr unsigned kAll = NOTE_EXIT | NOTE_FORK | NOTE_EXEC;

Event watch(pid_t pid, unsigned fflags, void* udata = nullptr) {
    return change(pid, EVFILT_PROC, EV_ADD, fflags, 0, udata);
}

// Bodies for children.
int forks_once() {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(5);
    ::waitpid(pid, nullptr, 0);
    return 0;
}
int runs(const char* command) {
    ::execl("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr));
    return 127;
}

// What was told of each process: all fflags together, how often, and the exit.
struct History {
    unsigned fflags = 0;
    int forks = 0;
    int exits = 0;
    int births = 0;
    intptr_t parent = 0;
    intptr_t status = -1;
};
using Histories = std::map<pid_t, History>;

class ProcTrack : public KqTest {
  protected:
    void SetUp() override {
        const int error = q.apply(watch(::getpid(), NOTE_FORK));
        if (error == ENOTSUP) GTEST_SKIP() << "see L-PROC-NEWS";
        ASSERT_EQ(error, 0);
        ASSERT_EQ(q.apply(change(::getpid(), EVFILT_PROC, EV_DELETE)), 0);
    }

    static void note(Histories& all, const Event& event) {
        EXPECT_EQ(event.filter, EVFILT_PROC);
        History& history = all[static_cast<pid_t>(event.ident)];
        history.fflags |= event.fflags;
        if ((event.fflags & NOTE_FORK) != 0) history.forks++;
        if ((event.fflags & NOTE_CHILD) != 0) {
            EXPECT_EQ(event.fflags, unsigned{NOTE_CHILD}) << "R-215: by itself";
            EXPECT_NE(event.flags & EV_ONESHOT, 0);
            EXPECT_EQ(history.exits, 0) << "born after its exit";
            history.births++;
            history.parent = event.data;
        }
        if ((event.fflags & NOTE_EXIT) != 0) {
            EXPECT_EQ(event.flags & ~EV_ADD, kExitFlags & ~EV_ADD);
            history.exits++;
            history.status = event.data;
        }
    }
    // Until as many processes have exited.
    Histories collect_exits(size_t wanted, const Queue& queue) const {
        Histories all;
        size_t exits = 0;
        while (exits < wanted) {
            const auto events = queue.wait(4);
            if (events.empty()) {
                ADD_FAILURE() << "only " << exits << " exits";
                break;
            }
            for (const Event& event : events) {
                note(all, event);
                exits += (event.fflags & NOTE_EXIT) != 0;
            }
        }
        return all;
    }

    Queue q;
};

TEST_F(ProcTrack, R213_ForkOfOurselves) {
    ASSERT_EQ(q.apply(watch(::getpid(), NOTE_FORK)), 0);
    expect_none(q.collect());
    Sleeper child;
    expect_only(q.wait(), ::getpid(), EVFILT_PROC, EV_ADD | EV_CLEAR, NOTE_FORK);
    expect_silent(q);
}

TEST_F(ProcTrack, R213_WhatWasBeforeIsNotTold) {
    const Queue other;
    ASSERT_EQ(other.apply(watch(::getpid(), NOTE_FORK)), 0);  // another kqueue listens
    Sleeper child;
    ASSERT_EQ(q.apply(watch(::getpid(), NOTE_FORK)), 0);
    expect_none(q.collect());
    EXPECT_EQ(other.wait().size(), 1u);
}

// The kernel reports a new thread as if the parent of this process had forked.
TEST_F(ProcTrack, R213_AThreadIsNoFork) {
    Sleeper child([] {
        in_threads(3, [](int) {});
        return 0;
    });
    ASSERT_EQ(q.apply(watch(::getpid(), NOTE_FORK), watch(child.pid(), NOTE_FORK)), 0);
    child.go_and_exit();
    expect_none(q.collect());
}

TEST_F(ProcTrack, R214_ExecOfAChild) {
    Sleeper child([] { return runs("kill -STOP $$"); });
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_EXEC)), 0);
    expect_none(q.collect());
    child.go();
    expect_only(q.wait(), child.pid(), EVFILT_PROC, EV_ADD | EV_CLEAR, NOTE_EXEC);
}

// What a process did before it exited is reported before its exit or together with it, and is never
// lost.
TEST_F(ProcTrack, R214_NothingIsMissedAtTheEnd) {
    for (int i = 0; i < 20; i++) {
        Sleeper child([] { return runs("true & wait; exit 3"); });
        ASSERT_EQ(q.apply(watch(child.pid(), kAll)), 0);
        child.go_and_exit();
        const Histories all = collect_exits(1, q);
        ASSERT_EQ(all.size(), 1u);
        const History& history = all.begin()->second;
        EXPECT_EQ(history.fflags, kAll);
        EXPECT_EQ(history.status, 3 << 8);
        EXPECT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_DELETE)), ENOENT);
    }
}

TEST_F(ProcTrack, R214_TheyMergeUntilCollected) {
    Sleeper child([] { return runs("true & wait; true & wait; exit 3"); });
    ASSERT_EQ(q.apply(watch(child.pid(), kAll)), 0);
    child.go_and_exit();
    expect_only(q.wait(), child.pid(), EVFILT_PROC, kExitFlags, kAll, 3 << 8);
}

TEST_F(ProcTrack, OnlyWhatIsAskedFor) {
    Sleeper child([] { return runs("true & kill -STOP $$"); });
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_FORK)), 0);
    child.go();
    expect_only(q.wait(), child.pid(), EVFILT_PROC, EV_ADD | EV_CLEAR, NOTE_FORK);
    ::kill(child.pid(), SIGKILL);
    child.wait_until_exited();
    ASSERT_TRUE(q.wait_until_readable());
    expect_none(q.collect());
    EXPECT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_DELETE)), ENOENT);  // D-19
}

TEST_F(ProcTrack, DisabledItIsKept) {
    Sleeper child(forks_once);
    ASSERT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_ADD | EV_DISABLE, kAll)), 0);
    child.go_and_exit();
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_ENABLE)), 0);
    expect_only(q.collect(), child.pid(), EVFILT_PROC, kExitFlags, NOTE_FORK | NOTE_EXIT);
}

TEST_F(ProcTrack, R215_AChildIsBornAndExits) {
    Sleeper child(forks_once);
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_TRACK | NOTE_EXIT, tag(7))), 0);
    child.go();
    const Histories all = collect_exits(2, q);
    ASSERT_EQ(all.size(), 2u);
    for (const auto& [pid, history] : all) {
        if (pid == child.pid()) {
            EXPECT_EQ(history.births, 0);
            EXPECT_EQ(history.fflags, unsigned{NOTE_EXIT});
            continue;
        }
        EXPECT_EQ(history.births, 1);
        EXPECT_EQ(history.parent, child.pid());
        EXPECT_EQ(history.exits, 1);
        EXPECT_EQ(history.status, 5 << 8);
    }
    expect_silent(q);
}

// A queue that has knotes and a duplicate goes on when its descriptor is closed. The library must
// not take it for empty after tracked children have ended.
TEST_F(ProcTrack, R11_ADuplicateGoesOnWithWhatIsLeft) {
    Queue original;
    Sleeper child(forks_once);
    ASSERT_EQ(original.apply(watch(child.pid(), NOTE_TRACK | NOTE_EXIT),
                             change(1, EVFILT_USER, EV_ADD | EV_CLEAR)),
              0);
    child.go();
    (void)collect_exits(2, original);
    const Queue copy(::dup(original.fd()));
    original.close();
    libkqueue_drain_pending_close();
    ASSERT_EQ(copy.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    expect_only(copy.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(ProcTrack, R215_TheChildHasTheUdataOfItsParent) {
    Sleeper child(forks_once);
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_TRACK, tag(7))), 0);
    child.go();
    const auto events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].udata, tag(7));
    EXPECT_EQ(events[0].flags, EV_ADD | EV_CLEAR | EV_ONESHOT);
    EXPECT_EQ(events[0].fflags, unsigned{NOTE_CHILD});
    EXPECT_EQ(events[0].data, child.pid());
}

// Children are tracked even if they were gone, and reaped, before the library looked.
TEST_F(ProcTrack, R215_APipelineAfterItsEnd) {
    Sleeper shell([] { return runs("true | cat | wc >/dev/null; exit 4"); });
    ASSERT_EQ(q.apply(watch(shell.pid(), NOTE_TRACK | kAll)), 0);
    shell.go_and_exit();
    const Histories all = collect_exits(4, q);
    ASSERT_EQ(all.size(), 4u);
    for (const auto& [pid, history] : all) {
        EXPECT_EQ(history.exits, 1);
        EXPECT_EQ(history.births, pid == shell.pid() ? 0 : 1);
        EXPECT_EQ(history.status, pid == shell.pid() ? 4 << 8 : 0);
    }
    EXPECT_EQ(all.at(shell.pid()).fflags, kAll);
    expect_silent(q);
}

TEST_F(ProcTrack, R215_AcrossGenerations) {
    Sleeper child([] {
        const pid_t pid = ::fork();
        if (pid == 0) ::_exit(forks_once() + 6);
        ::waitpid(pid, nullptr, 0);
        return 7;
    });
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_TRACK | NOTE_EXIT)), 0);
    child.go();
    const Histories all = collect_exits(3, q);
    std::multiset<intptr_t> statuses;
    for (const auto& [pid, history] : all)
        statuses.insert(history.status);
    EXPECT_EQ(statuses, (std::multiset<intptr_t>{5 << 8, 6 << 8, 7 << 8}));
}

TEST_F(ProcTrack, EachQueueHearsOfItsOwn) {
    const Queue other;
    Sleeper first(forks_once);
    Sleeper second([] { return runs("exit 2"); });
    ASSERT_EQ(q.apply(watch(first.pid(), NOTE_TRACK | kAll)), 0);
    ASSERT_EQ(other.apply(watch(second.pid(), NOTE_TRACK | kAll), watch(first.pid(), NOTE_FORK)),
              0);
    first.go_and_exit();
    second.go_and_exit();
    const Histories of_first = collect_exits(2, q);  // takes the news of both
    EXPECT_EQ(of_first.count(second.pid()), 0u);
    const Histories of_both = collect_exits(1, other);
    EXPECT_EQ(of_both.at(second.pid()).fflags, NOTE_EXIT | NOTE_EXEC);
    EXPECT_EQ(of_both.at(first.pid()).fflags & NOTE_FORK, unsigned{NOTE_FORK});
    EXPECT_EQ(of_both.size(), 2u);
}

TEST_F(ProcTrack, WhatAnotherQueueTookIsThereForPoll) {
    const Queue other;
    Sleeper child([] { return runs("true & kill -STOP $$"); });
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_FORK)), 0);
    ASSERT_EQ(other.apply(watch(child.pid(), NOTE_FORK)), 0);
    child.go();
    EXPECT_EQ(q.wait().size(), 1u);  // for both
    EXPECT_TRUE(other.readable());
    expect_only(other.collect(), child.pid(), EVFILT_PROC, EV_ADD | EV_CLEAR, NOTE_FORK);
}

TEST_F(ProcTrack, ASleeperIsWokenByWhatAnotherQueueTook) {
    const Queue other;
    Sleeper child(forks_once);
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_FORK)), 0);
    ASSERT_EQ(other.apply(watch(child.pid(), NOTE_FORK)), 0);
    std::vector<Event> events;
    Thread sleeper([&] { events = other.wait(); });
    sleeper.wait_until_asleep();
    child.go();
    EXPECT_EQ(q.wait().size(), 1u);
    sleeper.join();
    EXPECT_EQ(events.size(), 1u);
}

TEST_F(ProcTrack, SeveralThreadsHearOfEachChildOnce) {
    constexpr int kChildren = 100;
    Sleeper parent([] {
        for (int i = 0; i < kChildren; i++) {
            const pid_t pid = ::fork();
            if (pid == 0) ::_exit(5);
            ::waitpid(pid, nullptr, 0);
        }
        return 0;
    });
    ASSERT_EQ(q.apply(watch(parent.pid(), NOTE_TRACK | NOTE_EXIT)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD)), 0);
    std::atomic<int> births{0};
    std::atomic<int> exits{0};
    std::atomic<int> lost{0};
    std::vector<Thread> threads;
    for (int i = 0; i < 3; i++)
        threads.emplace_back([&] {
            for (;;)
                for (const Event& event : q.wait(2)) {
                    if (event.filter == EVFILT_USER) return;
                    births += (event.fflags & NOTE_CHILD) != 0;
                    lost += (event.fflags & NOTE_TRACKERR) != 0;
                    if ((event.fflags & NOTE_EXIT) == 0) continue;
                    if (++exits == kChildren + 1) q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER));
                }
        });
    parent.go();
    for (Thread& thread : threads)
        thread.join();
    EXPECT_EQ(births.load(), kChildren);
    EXPECT_EQ(exits.load(), kChildren + 1);
    EXPECT_EQ(lost.load(), 0);
}

// There are more reports than the kernel keeps until they are read. The library says so.
TEST_F(ProcTrack, LostNewsAreTold) {
    Sleeper parent([] { return runs("i=0; while [ $i -lt 2500 ]; do (:); i=$((i + 1)); done"); });
    ASSERT_EQ(q.apply(watch(parent.pid(), NOTE_TRACK | NOTE_EXIT)), 0);
    parent.go_and_exit();
    unsigned fflags = 0;
    Histories all;
    while ((fflags & NOTE_EXIT) == 0) {
        const auto events = q.wait(64);
        ASSERT_FALSE(events.empty());
        for (const Event& event : events)
            if (event.ident == static_cast<uintptr_t>(parent.pid())) fflags |= event.fflags;
    }
    EXPECT_EQ(fflags, NOTE_EXIT | NOTE_TRACKERR);
    while (!q.collect(64).empty()) {
    }
    expect_silent(q);
}

TEST_F(ProcTrack, TheListenerGoesWithTheLastThatAsks) {
    Sleeper child;
    const int idle = count_descriptors();
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_FORK)), 0);
    EXPECT_EQ(count_descriptors(), idle + 2);  // one for the process, one that listens
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_EXIT)), 0);
    EXPECT_EQ(count_descriptors(), idle + 1);
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_EXIT | NOTE_TRACK)), 0);
    EXPECT_EQ(count_descriptors(), idle + 2);
    {
        const Queue other;
        ASSERT_EQ(other.apply(watch(child.pid(), NOTE_FORK)), 0);
        ASSERT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_DELETE)), 0);
    }
    for (int i = 0; i < 3; i++)
        const Queue looks_for_a_closed_one;
    EXPECT_EQ(count_descriptors(), idle);
}

}  // namespace
}  // namespace kqtest
