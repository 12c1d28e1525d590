// SPDX-License-Identifier: BSD-2-Clause
// If the last calls slept, a call sleeps before it looks (src/sleep_habit.h). The program must not
// see a difference. These tests check rules of all calls after such calls, with one thread and two.
#include <cerrno>
#include <set>
#include <thread>
#include <vector>

#include "support/kq.h"
#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {
namespace {

using std::chrono::steady_clock;

constexpr timespec kLong{30, 0};
constexpr intptr_t kHour = 3'600'000;  // ms

class SleepFirst : public KqTest, public testing::WithParamInterface<bool> {
  protected:
    // The library takes another way if the process has, or ever had, a second thread.
    void SetUp() override {
        if (GetParam()) Thread([] {}).join();
        get_used_to_sleeping();
    }
    // Enough calls that sleep. The timer keeps the kernel queue from being a special case.
    void get_used_to_sleeping() const {
        ASSERT_EQ(q.apply(change(77, EVFILT_TIMER, EV_ADD, 0, kHour)), 0);
        for (int i = 0; i < 12; i++)
            ASSERT_TRUE(q.collect(16, milliseconds{1}).empty());
    }
    // A call that would sleep for long. Its result, and errno.
    static int call(int number, int& error) {
        Event event;
        const int n = ::kevent(number, nullptr, 0, &event, 1, &kLong);
        error = errno;
        return n;
    }
    // An event that comes only when the time is over is found, too, but comes too late.
    std::vector<Event> wait_for_one() const {
        const auto begin = steady_clock::now();
        std::vector<Event> events = q.wait(1);
        EXPECT_LT(steady_clock::now() - begin, time_limit() / 2);
        return events;
    }
    Queue q;
};

TEST_P(SleepFirst, R14_AClosedNumber) {
    const int number = q.fd();
    q.close();
    int error = 0;
    EXPECT_EQ(call(number, error), -1);
    EXPECT_EQ(error, EBADF);
}

TEST_P(SleepFirst, R15_AnotherFileHasTheNumber) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(::dup2(*pipe.read, q.fd()), q.fd());
    const auto begin = steady_clock::now();
    int error = 0;
    EXPECT_EQ(call(q.fd(), error), -1);
    EXPECT_EQ(error, EBADF);
    EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds{10});
}

TEST_P(SleepFirst, R13_AnotherKqueueHasTheNumber) {
    const Queue other;
    ASSERT_EQ(other.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    const int number = q.fd();
    q.close();
    ASSERT_EQ(::dup2(other.fd(), number), number);
    const Queue renamed(number);
    const std::vector<Event> events = renamed.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].filter, EVFILT_USER);
}

TEST_P(SleepFirst, R49_WhatIsThereAlreadyComesAtOnce) {
    const Pipe pipe = make_pipe();
    write_bytes(*pipe.write, 3);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    for (int i = 0; i < 6; i++)
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, 3);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
    get_used_to_sleeping();
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    for (int i = 0; i < 6; i++) {
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        EXPECT_EQ(q.wait().size(), 1u);
    }
}

TEST_P(SleepFirst, R19_ChangesOfTheSameCallAreMadeFirst) {
    const Pipe pipe = make_pipe();
    write_bytes(*pipe.write, 1);
    for (int i = 0; i < 6; i++) {
        const Result result =
            q.call({change(*pipe.read, EVFILT_READ, EV_ADD | EV_ONESHOT)}, 4, &kLong);
        ASSERT_EQ(result.ret, 1);
        get_used_to_sleeping();
    }
}

TEST_P(SleepFirst, R42_ATimeoutIsKept) {
    for (int i = 0; i < 6; i++) {
        const auto begin = steady_clock::now();
        EXPECT_TRUE(q.collect(4, milliseconds{20}).empty());
        EXPECT_GE(steady_clock::now() - begin, milliseconds{20});
    }
}

TEST_P(SleepFirst, R6_EventsOfAnotherThreadEndTheSleep) {
    if (!GetParam()) GTEST_SKIP() << "needs a second thread";
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    for (int i = 0; i < 50; i++) {
        Thread other([this] { EXPECT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0); });
        EXPECT_EQ(q.wait().size(), 1u);
    }
}

// Bursts after pauses, with different numbers of events. A look that is left out must lose nothing.
TEST_P(SleepFirst, R47_Bursts) {
    const Pipe pipes[] = {make_pipe(), make_pipe(), make_pipe(), make_pipe(), make_pipe()};
    for (const Pipe& pipe : pipes)
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    for (size_t burst = 0; burst <= 5; burst++) {
        get_used_to_sleeping();
        for (size_t i = 0; i < burst; i++)
            write_bytes(*pipes[i].write, 1);
        std::set<uintptr_t> found;  // P-EDGE: an event may come twice
        while (found.size() < burst) {
            const std::vector<uintptr_t> now = idents(q.wait(2));
            ASSERT_FALSE(now.empty());
            found.insert(now.begin(), now.end());
        }
        expect_none(q.collect());
        for (size_t i = 0; i < burst; i++)
            read_bytes(*pipes[i].read, 1);
    }
}

// A question and its answer, again and again. Where an edge is armed again only if it was seen not
// ready, a call must look before it sleeps: otherwise the answer comes when spent edges are looked
// at, or when an edge is told again (P-EDGE).
TEST_P(SleepFirst, R97_AnAnswerIsHeardAtOnce) {
    constexpr int kRounds = 24;
    const Pair pair = make_tcp_pair();
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    Thread peer([&pair] {
        for (int i = 0; i < kRounds; i++) {
            read_bytes(*pair.second, 1);
            // Not before the other thread has looked. An answer that is as long as the last one,
            // and is there before, shows in nothing: P-EDGE.
            std::this_thread::sleep_for(milliseconds{5});
            write_bytes(*pair.second, 1);
        }
    });
    int slow = 0;
    for (int i = 0; i < kRounds; i++) {
        const auto begin = steady_clock::now();
        write_bytes(*pair.first, 1);
        ASSERT_EQ(q.wait(1).size(), 1u) << i;
        read_bytes(*pair.first, 1);
        if (steady_clock::now() - begin > milliseconds{200}) slow++;
    }
    EXPECT_LE(slow, kRounds / 3);  // a machine may stop now and then
}

// The list has one place, so the report that ended a sleep may have to wait. On Solaris, where it
// is out of the kernel by then, a later call slept over it, and no timer was set any more.
TEST_P(SleepFirst, R238_OneTimerAfterTheOther) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    for (int i = 0; i < 12; i++) {
        ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 25)), 0);
        ASSERT_EQ(wait_for_one().size(), 1u) << i;
    }
    // Both at about the same moment: each comes.
    for (int i = 0; i < 12; i++) {
        ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 25)), 0);
        Thread writer([&pipe] {
            std::this_thread::sleep_for(milliseconds{25});
            write_bytes(*pipe.write, 1);
        });
        for (std::set<int> found; found.size() < 2;) {
            const std::vector<Event> events = wait_for_one();
            ASSERT_EQ(events.size(), 1u) << i;
            found.insert(events[0].filter);
        }
        read_bytes(*pipe.read, 1);
    }
}

INSTANTIATE_TEST_SUITE_P(Threads, SleepFirst, testing::Values(false, true),
                         [](const auto& values) { return values.param ? "Two" : "One"; });

}  // namespace
}  // namespace kqtest
