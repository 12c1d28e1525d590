// SPDX-License-Identifier: BSD-2-Clause
// What is pending on descriptors: poll() finds the kqueue readable, events that do not fit in the
// eventlist are not lost, and every knote has its turn.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

class Pending : public KqTest {
  protected:
    int add(const Fd& fd, int filter, int flags = 0) const {
        return q_.apply(change(*fd, filter, EV_ADD | flags));
    }
    // Pipes with one byte each, watched.
    std::vector<Pipe> ready_pipes(size_t count, int flags = 0) const {
        std::vector<Pipe> pipes;
        for (size_t i = 0; i < count; i++) {
            pipes.push_back(make_pipe());
            write_bytes(*pipes.back().write, 1);
            EXPECT_EQ(add(pipes.back().read, EVFILT_READ, flags), 0);
        }
        return pipes;
    }
    // ident -> how often it was reported by `calls` calls
    std::map<uintptr_t, int> count(int calls, int nevents) const {
        std::map<uintptr_t, int> times;
        for (int i = 0; i < calls; i++) {
            const std::vector<Event> events = q_.collect(nevents);
            EXPECT_EQ(events.size(), static_cast<size_t>(nevents));
            std::set<uintptr_t> now;
            for (const Event& e : events) {
                EXPECT_TRUE(now.insert(e.ident).second) << "twice in one call: " << e.ident;
                times[e.ident]++;
            }
        }
        return times;
    }

    Queue q_;
};

TEST_F(Pending, R7_TheQueueIsNeverWritable) {
    const Pair s = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(add(s.first, EVFILT_WRITE), 0);
    EXPECT_EQ(look(q_.fd(), POLLOUT), 0);
    EXPECT_EQ(look(q_.fd(), POLLIN | POLLOUT | POLLPRI), POLLIN);
}

TEST_F(Pending, R6_PollWithoutKeventSeesALevelFile) {
    const TempFile file("hello");
    ASSERT_EQ(add(file.fd, EVFILT_READ), 0);
    EXPECT_TRUE(q_.readable());
    EXPECT_EQ(drain(*file.fd), 5u);
    expect_none(q_.collect());
    EXPECT_FALSE(q_.readable());
    ASSERT_EQ(::lseek(*file.fd, 0, SEEK_SET), 0);
    EXPECT_EQ(q_.collect().size(), 1u);
    EXPECT_TRUE(q_.readable());
}

TEST_F(Pending, R8_ReadAwayBeforeTheCallIsNoEvent) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(add(pipe.read, EVFILT_READ), 0);
    write_bytes(*pipe.write, 1);
    EXPECT_TRUE(q_.wait_until_readable());
    drain(*pipe.read);
    expect_none(q_.collect());
    EXPECT_FALSE(q_.readable());
}

TEST_F(Pending, R46_WhatDoesNotFitStaysPending) {
    const std::vector<Pipe> pipes = ready_pipes(5, EV_CLEAR);
    std::set<uintptr_t> seen;
    for (const size_t expected : {2u, 2u, 1u}) {
        EXPECT_TRUE(q_.readable());
        const std::vector<Event> events = q_.collect(2);
        if (events.size() > expected && skipped_edges_told_again(events)) return;
        EXPECT_EQ(events.size(), expected);
        for (const Event& e : events)
            seen.insert(e.ident);
    }
    EXPECT_EQ(seen.size(), 5u);
    EXPECT_FALSE(q_.readable());
    expect_sleeps(q_);
}

TEST_F(Pending, R46_LeftoversOfOneshotAndDispatchStayPending) {
    const std::vector<Pipe> once = ready_pipes(3, EV_ONESHOT);
    const std::vector<Pipe> dispatch = ready_pipes(3, EV_DISPATCH);
    std::set<uintptr_t> seen;
    for (int i = 0; i < 6; i++) {
        EXPECT_TRUE(q_.readable());
        const std::vector<Event> events = q_.collect(1);
        ASSERT_EQ(events.size(), 1u);
        seen.insert(events[0].ident);
    }
    EXPECT_EQ(seen.size(), 6u);
    EXPECT_FALSE(q_.readable());
    expect_silent(q_);
}

TEST_F(Pending, R46_ALeftoverThatBecameFalseIsNotReported) {
    std::vector<Pipe> pipes = ready_pipes(4, EV_CLEAR);
    EXPECT_EQ(q_.collect(1).size(), 1u);
    for (Pipe& pipe : pipes)
        drain(*pipe.read);
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
}

TEST_F(Pending, R83_ALeftoverThatIsDisabledOrDeletedIsNotReported) {
    const std::vector<Pipe> pipes = ready_pipes(6, EV_CLEAR);
    const std::vector<Event> first = q_.collect(2);
    ASSERT_EQ(first.size(), 2u);
    std::set<uintptr_t> left;
    for (const Pipe& pipe : pipes)
        left.insert(static_cast<uintptr_t>(*pipe.read));
    for (const Event& e : first) {
        left.erase(e.ident);
        drain(static_cast<int>(e.ident));  // P-EDGE
    }
    const uintptr_t disabled = *left.begin();
    const uintptr_t deleted = *left.rbegin();
    ASSERT_EQ(q_.apply(change(disabled, EVFILT_READ, EV_DISABLE)), 0);
    ASSERT_EQ(q_.apply(change(deleted, EVFILT_READ, EV_DELETE)), 0);
    const std::vector<Event> rest = q_.collect();
    EXPECT_EQ(rest.size(), 2u);
    for (const Event& e : rest) {
        EXPECT_NE(e.ident, disabled);
        EXPECT_NE(e.ident, deleted);
        drain(static_cast<int>(e.ident));
    }
    ASSERT_EQ(q_.apply(change(disabled, EVFILT_READ, EV_ENABLE)), 0);
    expect_only(q_.collect(), disabled, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 1);
}

TEST_F(Pending, R47_FivePipesTwoAtATime) {
    const std::vector<Pipe> pipes = ready_pipes(5);
    const auto times = count(5, 2);
    EXPECT_EQ(times.size(), 5u);
    for (const auto& [ident, n] : times)
        EXPECT_EQ(n, 2) << ident;
}

TEST_F(Pending, R47_FilesAndPipesShare) {
    const TempFile file("hello");
    ASSERT_EQ(add(file.fd, EVFILT_READ), 0);
    const Fd null = open_file("/dev/null", O_RDONLY);
    ASSERT_EQ(add(null, EVFILT_READ), 0);
    const std::vector<Pipe> pipes = ready_pipes(2);
    const auto times = count(12, 1);
    EXPECT_EQ(times.size(), 4u);
    for (const auto& [ident, n] : times)
        EXPECT_EQ(n, 3) << ident;
}

TEST_F(Pending, R48_NoKnoteTwiceInOneCall) {
    const std::vector<Pipe> pipes = ready_pipes(3);
    const TempFile file("hello");
    ASSERT_EQ(add(file.fd, EVFILT_READ), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(q_.collect(100).size(), 4u);
}

TEST_F(Pending, R47_AThousandPipesTakeTurns) {
    constexpr size_t kPipes = 1000;
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlimit before = limit;
    limit.rlim_cur = std::max<rlim_t>(limit.rlim_cur, 2 * kPipes + 100);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) GTEST_SKIP() << "too few descriptors";
    {
        const std::vector<Pipe> pipes = ready_pipes(kPipes);
        const auto times = count(125, 64);  // 8000 events
        EXPECT_EQ(times.size(), kPipes);
        for (const auto& [ident, n] : times)
            EXPECT_EQ(n, 8) << ident;
        EXPECT_EQ(q_.collect(2 * kPipes).size(), kPipes);
    }
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(Pending, R47_AReadyCrowdDoesNotHideALateComer) {
    const std::vector<Pipe> pipes = ready_pipes(20);
    const Pipe late = make_pipe();
    ASSERT_EQ(add(late.read, EVFILT_READ, EV_CLEAR), 0);
    EXPECT_EQ(q_.collect(2).size(), 2u);
    write_bytes(*late.write, 1);
    bool seen = false;
    for (int i = 0; i < 21 && !seen; i++)  // two rounds
        for (const Event& e : q_.collect(2))
            seen = seen || e.ident == static_cast<uintptr_t>(*late.read);
    EXPECT_TRUE(seen);
}

TEST_F(Pending, R105_ReadAndWriteOfOneSocketTakeTurns) {
    const Pair s = make_socketpair(SOCK_STREAM);
    write_bytes(*s.second, 1);
    ASSERT_EQ(add(s.first, EVFILT_READ), 0);
    ASSERT_EQ(add(s.first, EVFILT_WRITE), 0);
    int reads = 0;
    for (int i = 0; i < 10; i++) {
        const std::vector<Event> events = q_.collect(1);
        ASSERT_EQ(events.size(), 1u);
        reads += events[0].filter == EVFILT_READ;
    }
    EXPECT_EQ(reads, 5);
}

}  // namespace
}  // namespace kqtest
