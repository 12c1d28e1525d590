// SPDX-License-Identifier: BSD-2-Clause
// Many threads at once. The model must not hang, lose an event, or keep closed objects.
#include <pthread.h>

#include "rules.h"

namespace {

using namespace rules;

constexpr int kThreads = 4;
constexpr int kRounds = 300;

void in_threads(const std::function<void(int)>& body) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; t++)
        threads.emplace_back(body, t);
    for (auto& thread : threads)
        thread.join();
}

TEST_F(Rule, Storm_OfPortsThatAreClosedInUse) {
    in_threads([](int) {
        for (int i = 0; i < kRounds; i++) {
            Port port;
            const Pipe pipe;
            ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
            Getter getter(*port);
            if (i % 3 == 0) pipe.put();
            if (i % 3 == 1) std::this_thread::yield();
            port.close();
            const Got& got = getter.result();
            EXPECT_TRUE(got.error == EBADF || got.error == EBADFD || got.events.size() == 1)
                << got.error;
        }
    });
}

TEST_F(Rule, Storm_OfTokensThatGoRound) {
    const Port port;
    std::vector<Pipe> pipes(16);
    std::atomic<int> taken{0};
    for (const Pipe& pipe : pipes) {
        ASSERT_EQ(port.watch(*pipe.read, POLLIN, cookie(&pipe - pipes.data())), 0);
        pipe.put();
    }
    // A thread that gets the event of a pipe owns the pipe until the pipe is associated again.
    in_threads([&](int) {
        while (taken < kThreads * kRounds) {
            for (const port_event_t& e : getn(*port, 1, 2, 100).events) {
                const auto index = reinterpret_cast<intptr_t>(e.portev_user);
                const Pipe& pipe = pipes[static_cast<size_t>(index)];
                char byte;
                EXPECT_EQ(::read(*pipe.read, &byte, 1), 1) << "an event that was another's, too";
                taken++;
                if (taken % 2 == 0) pipe.put();
                EXPECT_EQ(port.watch(*pipe.read, POLLIN, e.portev_user), 0);
                if (taken % 2 != 0) pipe.put();
            }
        }
    });
    EXPECT_GE(taken, kThreads * kRounds);
}

TEST_F(Rule, Storm_OfDescriptorsThatAreClosedWhileWatched) {
    const Port port;
    in_threads([&](int) {
        for (int i = 0; i < kRounds; i++) {
            Pipe pipe;
            ASSERT_EQ(port.watch(*pipe.read, POLLIN), 0);
            pipe.put();
            if (i % 2 == 0) (void)getn(*port, 1, 4, 0);
        }
    });
    EXPECT_EQ(port.now().size(), 0u) << "all are closed";
}

// A thread that is cancelled in port_getn() leaves the port as it was.
TEST_F(Rule, Storm_OfCancelledGetters) {
    Port port;
    for (int i = 0; i < kRounds; i++) {
        pthread_t thread;
        const auto body = [](void* p) -> void* {
            for (;;)
                (void)getn(**static_cast<Port*>(p), 1, 1, -1);
        };
        ASSERT_EQ(::pthread_create(&thread, nullptr, body, &port), 0);
        if (i % 2 == 0) std::this_thread::yield();
        ASSERT_EQ(::pthread_cancel(thread), 0);
        void* result = nullptr;
        ASSERT_EQ(::pthread_join(thread, &result), 0);
        EXPECT_EQ(result, PTHREAD_CANCELED);
    }
    ASSERT_EQ(port.send(1), 0);
    EXPECT_EQ(port.now().size(), 1u);
}

}  // namespace
