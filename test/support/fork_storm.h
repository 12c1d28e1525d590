// SPDX-License-Identifier: BSD-2-Clause
// Forks a process while its threads use kqueues, so that the forks find every state of the locks.
#ifndef KQTEST_FORK_STORM_H
#define KQTEST_FORK_STORM_H

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <vector>

#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {

// With AddressSanitizer a fork takes a tenth of a second, because of the sanitizer's memory. Before
// LLVM's change 75290 of December 2023 the sanitizer does not take its own locks when a process
// forks: if another thread holds one, the child waits for this lock for ever.
#if defined(__SANITIZE_ADDRESS__)
constexpr int kForksOfAStorm = 50;
constexpr int kChildrenThatMayHang = 1;
#else
constexpr int kForksOfAStorm = 200;
constexpr int kChildrenThatMayHang = 0;
#endif

// Forks many times while three threads work: one collects from `q`, one changes `q`, and one calls
// `use_another`, which makes a queue and destroys it. Each child calls `in_child` and ends with its
// result, which must be 0. In the end `q` must still work. `q` needs no knotes; it gets a user
// event. `spinners`: the number of further threads, which only compute. Then there are fewer forks.
inline void fork_storm(const Queue& q, const std::function<void()>& use_another,
                       const std::function<int()>& in_child, int spinners = 0) {
    const int forks = spinners > 0 ? kForksOfAStorm / 10 : kForksOfAStorm;
    std::atomic<bool> done{false};
    Gate all_run(4 + spinners);  // a sanitizer has locks of its own while threads are made
    std::vector<Thread> threads;
    const auto again_and_again = [&](std::function<void()> body) {
        threads.emplace_back([&done, &all_run, body = std::move(body)] {
            all_run.pass();
            while (!done)
                body();
        });
    };
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    again_and_again([&] { q.collect(4, milliseconds{5}); });
    again_and_again([&] {
        EXPECT_EQ(
            q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER), change(2, EVFILT_TIMER, EV_ADD, 0, 1),
                    change(SIGUSR2, EVFILT_SIGNAL, EV_ADD),
                    change(SIGUSR2, EVFILT_SIGNAL, EV_DELETE), change(2, EVFILT_TIMER, EV_DELETE)),
            0);
    });
    again_and_again(use_another);
    for (int i = 0; i < spinners; i++)
        again_and_again([] {});
    int hung = 0;
    all_run.pass();
    for (int i = 0; i < forks && !testing::Test::HasFailure(); i++) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::alarm(20);
            ::_exit(in_child());
        }
        int status = -1;
        EXPECT_EQ(::waitpid(pid, &status, 0), pid);
        if (status == SIGALRM && hung++ < kChildrenThatMayHang) continue;
        EXPECT_EQ(status, 0) << "child " << i;
    }
    done = true;
    threads.clear();
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    EXPECT_FALSE(q.wait().empty());
}

}  // namespace kqtest

#endif
