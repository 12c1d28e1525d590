// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC: many processes, many threads, and what watching them costs.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "support/gaps.h"
#include "support/kq.h"
#include "support/process.h"
#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {
namespace {

Event watch(pid_t pid) {
    return change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT);
}

// Children that wait until all of them are let go. Each exits with its own number (modulo 200).
class Crowd {
  public:
    explicit Crowd(int count) : gate_(make_pipe()) {
        for (int i = 0; i < count; i++) {
            const pid_t pid = start_at_gate(gate_, i % 200);
            if (pid < 0) break;
            number_[pid] = i;
        }
    }
    ~Crowd() {
        go();
        reap();
    }
    void go() { gate_.write.reset(); }
    void wait_until_all_exited() {
        for (const auto& [pid, number] : number_) {
            siginfo_t info;
            while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 &&
                   errno == EINTR) {
            }
        }
    }
    void reap() {
        for (const auto& [pid, number] : number_)
            ::waitpid(pid, nullptr, 0);
    }
    const std::map<pid_t, int>& members() const { return number_; }
    // Whether this is the right event of one of them.
    bool is_true(const Event& event) const {
        const auto at = number_.find(static_cast<pid_t>(event.ident));
        return at != number_.end() && event.fflags == NOTE_EXIT &&
               event.data == (at->second % 200) << 8;
    }

  private:
    Pipe gate_;
    std::map<pid_t, int> number_;
};

class ProcMany : public KqTest {
  protected:
    ProcMany() {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        before_ = limit;
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    ~ProcMany() override { ::setrlimit(RLIMIT_NOFILE, &before_); }

    void add(const Crowd& crowd) const {
        for (const auto& [pid, number] : crowd.members())
            ASSERT_EQ(q.apply(watch(pid)), 0);
    }
    // Collects the event of each child. Each must come once and be right.
    void collect_all(const Crowd& crowd, int room) const {
        std::map<uintptr_t, int> times;
        while (times.size() < crowd.members().size()) {
            const auto events = q.wait(room);
            ASSERT_FALSE(events.empty()) << times.size();
            for (const Event& event : events) {
                EXPECT_TRUE(crowd.is_true(event)) << to_string(event);
                EXPECT_EQ(++times[event.ident], 1);
            }
        }
        expect_silent(q);
    }

    Queue q;

  private:
    rlimit before_{};
};

TEST_F(ProcMany, R211_FiftyAtOnce) {
    Crowd crowd(60);
    ASSERT_EQ(crowd.members().size(), 60u);
    add(crowd);
    expect_none(q.collect());
    crowd.go();
    collect_all(crowd, 16);
}

TEST_F(ProcMany, R211_OneAtATime) {
    Crowd crowd(60);
    add(crowd);
    crowd.go();
    collect_all(crowd, 1);
}

#if defined(LIBKQUEUE_HAS_KEVENT64)
// The sizes of the library's buffers must not show (2.3 as amended). Where the library hears of
// exits by SIGCHLD, several signals become one, and the other exits are found a little later.
TEST_F(ProcMany, S23_EachExitInOneCall) {
    KQ_OF(linux);
    constexpr int kCount = 100;
    Crowd crowd(kCount);
    add(crowd);
    crowd.go();
    crowd.wait_until_all_exited();
    struct kevent64_s events[kCount];
    const timespec limit = to_timespec(kUsualLimit);
    ASSERT_EQ(::kevent64(q.fd(), nullptr, 0, events, kCount, 0, &limit), kCount);
    std::set<uint64_t> pids;
    for (const auto& event : events)
        pids.insert(event.ident);
    EXPECT_EQ(pids.size(), static_cast<size_t>(kCount));
    expect_silent(q);
}
#endif

TEST_F(ProcMany, R211_AThousand) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    constexpr int kCount = 300;  // each fork() takes its time there
#else
    constexpr int kCount = 1000;
#endif
    const int before = count_descriptors();
    Crowd crowd(kCount);
    if (crowd.members().size() < kCount) GTEST_SKIP() << "cannot have a thousand processes";
    add(crowd);
    EXPECT_LE(count_descriptors(), before + kCount + 8);
    crowd.go();
    collect_all(crowd, 64);
    EXPECT_LE(count_descriptors(), before + 8);
}

TEST_F(ProcMany, R211_ReapedMeanwhile) {
    Crowd crowd(100);
    add(crowd);
    crowd.go();
    crowd.reap();
    std::map<uintptr_t, int> times;
    while (times.size() < 100) {
        const auto events = q.wait(16);
        ASSERT_FALSE(events.empty());
        for (const Event& event : events) {
            EXPECT_EQ(event.fflags, unsigned{NOTE_EXIT});
            EXPECT_EQ(++times[event.ident], 1);
        }
    }
    expect_silent(q);
}

TEST_F(ProcMany, R6_ReadableUntilTheLastExitIsTaken) {
    Crowd crowd(150);
    crowd.go();
    crowd.wait_until_all_exited();
    for (const int room : {1, 2, 63, 64, 100}) {
        add(crowd);
        for (size_t told = 0; told < crowd.members().size();) {
            ASSERT_TRUE(q.readable()) << told << " told, room for " << room;
            const auto events = q.collect(room);
            ASSERT_FALSE(events.empty());
            told += events.size();
        }
        EXPECT_FALSE(q.readable());
    }
}

TEST_F(ProcMany, SeveralThreadsEachExitOnce) {
    Crowd crowd(200);
    add(crowd);
    std::mutex mutex;
    std::map<uintptr_t, int> times;
    std::atomic<int> wrong{0};
    std::atomic<size_t> seen{0};
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD)), 0);
    std::vector<Thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&] {
            for (;;) {
                for (const Event& event : q.wait(3)) {
                    if (event.filter == EVFILT_USER) return;
                    if (!crowd.is_true(event)) wrong++;
                    const std::lock_guard guard(mutex);
                    times[event.ident]++;
                    if (++seen == crowd.members().size())
                        q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER));
                }
            }
        });
    crowd.go();
    for (Thread& thread : threads)
        thread.join();
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_EQ(times.size(), crowd.members().size());
    for (const auto& [pid, count] : times)
        EXPECT_EQ(count, 1) << pid;
}

TEST_F(ProcMany, ASleepingThreadIsWokenByEach) {
    for (int i = 0; i < 10; i++) {
        Sleeper child(exits_with(i));
        ASSERT_EQ(q.apply(watch(child.pid())), 0);
        std::vector<Event> events;
        Thread sleeper([&] { events = q.wait(); });
        sleeper.wait_until_asleep();
        child.go();
        sleeper.join();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].data, i << 8);
    }
}

// EV_ADD of any signal takes what is pending. A bug: the SIGCHLD that told of the exit was taken
// too, and the library did not look at the child any more.
TEST_F(ProcMany, R211_TheSignalOfTheExitIsTakenElsewhere) {
    Sleeper child(exits_with(7));
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    block(SIGCHLD);
    child.go_and_exit();
    const Queue other;
    EXPECT_EQ(other.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD)), 0);
    unblock(SIGCHLD);
    const auto events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].data, 7 << 8);
}

TEST_F(ProcMany, WithoutDescriptorsTheReasonIsTold) {
    KQ_OF(linux);
    Sleeper child;
    Sleeper last;
    ASSERT_EQ(q.apply(watch(last.pid())), 0);
    ASSERT_EQ(q.apply(change(last.pid(), EVFILT_PROC, EV_DELETE)), 0);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    rlimit low = limit;
    low.rlim_cur = static_cast<rlim_t>(lowest_free_number());
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    const int error = q.apply(watch(child.pid()));
    ::setrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_EQ(error, EMFILE);
    EXPECT_FALSE(has_knote(q, child.pid(), EVFILT_PROC));
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    child.go();
    EXPECT_EQ(q.wait().size(), 1u);
}

}  // namespace
}  // namespace kqtest
