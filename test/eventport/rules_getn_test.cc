// SPDX-License-Identifier: BSD-2-Clause
// The rules of port_getn(): 4 to 9. For the sources see rules_test.cc.
#include "rules.h"

namespace {

using namespace rules;

// portfs/port.c portfs(), port_getn(): in this order; libc/event_port.c: nget.
TEST_F(Rule, P04_Errors) {
    const Port port;
    const Pipe pipe;
    port_event_t event;
    uint_t n = 1;
    EXPECT_ERRNO(EINVAL, ::port_getn(-1, &event, 1, nullptr, nullptr));
    EXPECT_ERRNO(EBADF, ::port_getn(-1, &event, 1, &n, nullptr));
    EXPECT_ERRNO(EBADF, ::port_getn(4000, &event, 1, &n, nullptr));
    EXPECT_ERRNO(EBADFD, ::port_getn(*pipe.read, &event, 1, &n, nullptr));
    n = 2;
    EXPECT_ERRNO(EINVAL, ::port_getn(*port, &event, 1, &n, nullptr));
    n = 1;
    EXPECT_ERRNO(EFAULT, ::port_getn(*port, nullptr, 1, &n, nullptr));
    EXPECT_ERRNO(EFAULT, ::port_get(*port, nullptr, nullptr));
    EXPECT_ERRNO(EBADFD, ::port_send(*pipe.read, 1, nullptr));
    EXPECT_ERRNO(EBADFD, ::port_alert(*pipe.read, PORT_ALERT_SET, 1, nullptr));
}

TEST_F(Rule, P04_WithoutAListItCountsAndTakesNothing) {
    const Port port;
    EXPECT_EQ(port.count(), 0u);
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(port.send(2), 0);
    EXPECT_EQ(port.count(), 2u);
    EXPECT_EQ(port.now().size(), 2u);
}

TEST_F(Rule, P04_NgetOfZeroTakesNothingNotEvenAnAlert) {
    const Port port;
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(::port_alert(*port, PORT_ALERT_SET, 1, nullptr), 0);
    const Got got = getn(*port, 0, 4, -1);
    EXPECT_EQ(got.ret, 0);
    EXPECT_EQ(got.events.size(), 0u);
    EXPECT_EQ(port.count(), 1u);
}

// man/port_get.3c: nget on entry is how many to wait for.
TEST_F(Rule, P05_NgetIsTheLeastAndMaxTheMost) {
    const Port port;
    Getter getter(*port, 3, 8);
    getter.wait_until_asleep();
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(port.send(2), 0);
    getter.wait_until_asleep();
    EXPECT_FALSE(getter.ended());
    ASSERT_EQ(port.send(3), 0);
    EXPECT_EQ(getter.result().events.size(), 3u);
    for (int i = 0; i < 6; i++)
        ASSERT_EQ(port.send(i), 0);
    EXPECT_EQ(getn(*port, 2, 4, -1).events.size(), 4u);
    EXPECT_EQ(port.count(), 2u);
}

TEST_F(Rule, P05_EventsOfSourcesAddUp) {
    const Port port;
    const Pipe a;
    const Pipe b;
    ASSERT_EQ(port.watch(*a.read, POLLIN), 0);
    ASSERT_EQ(port.watch(*b.read, POLLIN), 0);
    Getter getter(*port, 2);
    getter.wait_until_asleep();
    a.put();
    getter.wait_until_asleep();
    b.put();
    EXPECT_EQ(getter.result().events.size(), 2u);
}

// portfs/port.c port_getn(): blocking == 0. Sun bug 6456558 for port_get().
TEST_F(Rule, P06_ATimeoutOfZeroGivesWhatThereIs) {
    const Port port;
    Got got = getn(*port, 1, 8, 0);
    EXPECT_EQ(got.ret, 0);
    EXPECT_EQ(got.nget, 0u);
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(port.send(2), 0);
    got = getn(*port, 3, 8, 0);
    EXPECT_EQ(got.ret, 0);
    EXPECT_EQ(got.nget, 2u);
    port_event_t event{};
    event.portev_source = 99;
    timespec zero{};
    EXPECT_EQ(::port_get(*port, &event, &zero), 0);
    EXPECT_EQ(event.portev_source, 99) << "nothing is written, and yet it is no error";
}

// portfs/port.c port_getn(), portfs(): ETIME with r_val1 set; libc/event_port.c sets nget first.
TEST_F(Rule, P07_WhenTimeIsOverThereMayBeEvents) {
    const Port port;
    Got got = getn(*port, 1, 8, 5);
    EXPECT_EQ(got.error, ETIME);
    EXPECT_EQ(got.nget, 0u);
    ASSERT_EQ(port.send(1), 0);
    ASSERT_EQ(port.send(2), 0);
    got = getn(*port, 3, 8, 5);
    EXPECT_EQ(got.ret, -1);
    EXPECT_EQ(got.error, ETIME);
    EXPECT_EQ(got.nget, 2u);
    EXPECT_EQ(port.count(), 0u);
    port_event_t event;
    timespec moment{0, 5'000'000};
    EXPECT_ERRNO(ETIME, ::port_get(*port, &event, &moment));
}

TEST_F(Rule, P07_ItDoesNotEndBeforeItsTime) {
    const Port port;
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(getn(*port, 1, 8, 30).error, ETIME);
    EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(30));
}

// portfs/port.c port_get_timeout(): checked only if there are too few events.
TEST_F(Rule, P07_TimeoutsThatAreNone) {
    const Port port;
    port_event_t event;
    for (timespec bad : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
        uint_t n = 1;
        EXPECT_ERRNO(EINVAL, ::port_getn(*port, &event, 1, &n, &bad));
        ASSERT_EQ(port.send(1), 0);
        EXPECT_EQ(::port_getn(*port, &event, 1, &n, &bad), 0);
    }
}

std::atomic<int> handled{0};

void install(int flags) {
    struct sigaction action {};
    action.sa_handler = [](int) { handled++; };
    action.sa_flags = flags;
    ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
}

// portfs/port.c portfs(): an error other than ETIME does not write nget.
TEST_F(Rule, P08_ASignalInterruptsAndNgetIsNotWritten) {
    install(0);
    const Port port;
    Getter getter(*port, 3);
    getter.wait_until_asleep();
    ASSERT_EQ(port.send(1), 0);
    getter.wait_until_asleep();
    ASSERT_EQ(::pthread_kill(getter.handle(), SIGUSR1), 0);
    EXPECT_EQ(getter.result().error, EINTR);
    EXPECT_EQ(getter.result().nget, 3u);
    EXPECT_EQ(port.count(), 1u);
    ::signal(SIGUSR1, SIG_DFL);
}

// The kernel says ERESTART (post_syscall()). But the C library's stub of the call does not call
// again (usr/src/lib/libc/common/sys/_portfs.s: SYSCALL2, not SYSCALL2_RESTART). Programs get EINTR
// for ERESTART.
TEST_F(Rule, P08_SA_RESTARTChangesNothing) {
    install(SA_RESTART);
    const Port port;
    Getter getter(*port);
    getter.wait_until_asleep();
    ASSERT_EQ(::pthread_kill(getter.handle(), SIGUSR1), 0);
    EXPECT_EQ(getter.result().error, EINTR);
    ::signal(SIGUSR1, SIG_DFL);
}

int port_of_handler;

TEST_F(Rule, P08_AHandlerMayCloseThePortThatItInterrupts) {
    Port port;
    port_of_handler = *port;
    struct sigaction action {};
    action.sa_handler = [](int) { (void)::close(port_of_handler); };
    ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
    Getter getter(*port);
    getter.wait_until_asleep();
    ASSERT_EQ(::pthread_kill(getter.handle(), SIGUSR1), 0);
    EXPECT_EQ(getter.result().error, EBADF);
    ::signal(SIGUSR1, SIG_DFL);
    EXPECT_ERRNO(EBADF, ::port_send(*port, 1, nullptr));
    (void)::dup2(0, *port);  // for the destructor
}

// portfs/port.c port_queue_thread(), port_send_event().
TEST_F(Rule, P09_WhoWantsFewestIsServedFirst) {
    const Port port;
    for (const bool few_first : {true, false}) {
        Getter one(*port, few_first ? 1 : 3);
        one.wait_until_asleep();
        Getter other(*port, few_first ? 3 : 1);
        other.wait_until_asleep();
        Getter& few = few_first ? one : other;
        Getter& many = few_first ? other : one;
        ASSERT_EQ(port.send(1), 0);
        EXPECT_EQ(few.result().events.size(), 1u);
        EXPECT_FALSE(many.ended());
        for (int i = 0; i < 3; i++)
            ASSERT_EQ(port.send(i), 0);
        EXPECT_EQ(many.result().events.size(), 3u);
    }
}

TEST_F(Rule, P09_WhenOneLeavesTheNextIsServed) {
    const Port port;
    const std::vector<Pipe> pipes(3);
    for (const Pipe& pipe : pipes)
        ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
    Getter one(*port, 1);
    one.wait_until_asleep();
    Getter next(*port, 2);
    next.wait_until_asleep();
    pipes[0].put();
    EXPECT_EQ(one.result().events.size(), 1u);
    pipes[1].put();
    pipes[2].put();
    EXPECT_EQ(next.result().events.size(), 2u);
}

TEST_F(Rule, P09_EachEventIsDeliveredOnce) {
    const Port port;
    constexpr int kThreads = 4;
    constexpr int kEvents = 2000;
    std::vector<std::atomic<int>> seen(kEvents + kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; t++)
        threads.emplace_back([&] {
            for (;;)
                for (const port_event_t& e : getn(*port, 1, 3, -1).events) {
                    seen[static_cast<size_t>(e.portev_events)]++;
                    if (e.portev_events >= kEvents) return;
                }
        });
    // A thread that reads a last event may have taken other events with it. So the last events are
    // sent one by one.
    for (int i = 0; i < kEvents; i++)
        ASSERT_EQ(port.send(i), 0);
    while (port.count() > 0)
        std::this_thread::yield();
    for (int i = 0; i < kThreads; i++) {
        ASSERT_EQ(port.send(kEvents + i), 0);
        while (port.count() > 0)
            std::this_thread::yield();
    }
    for (auto& thread : threads)
        thread.join();
    for (const auto& times : seen)
        EXPECT_EQ(times, 1);
}

}  // namespace
