// SPDX-License-Identifier: BSD-2-Clause
// Inbox: order, reserved slots, threads that leave without a report.
#include "inbox.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace kq {
namespace {

std::vector<int> take(Inbox<int>& inbox, size_t most) {
    std::vector<int> out(most);
    out.resize(inbox.take(out));
    return out;
}

TEST(Inbox, ReportsLeaveInTheOrderInWhichTheyCame) {
    Inbox<int> inbox;
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(inbox.enter(), Errno::ok);
        inbox.leave(i);
    }
    EXPECT_EQ(take(inbox, 2), (std::vector<int>{0, 1}));
    ASSERT_EQ(inbox.enter(), Errno::ok);
    inbox.leave(3);
    EXPECT_EQ(take(inbox, 8), (std::vector<int>{2, 3}));
    EXPECT_TRUE(take(inbox, 8).empty());
}

TEST(Inbox, WhoSleepsHasASlot) {
    Inbox<int> inbox;
    constexpr int kSleepers = 50;
    for (int i = 0; i < kSleepers; i++)
        ASSERT_EQ(inbox.enter(), Errno::ok);
    EXPECT_EQ(inbox.sleepers(), static_cast<size_t>(kSleepers));
    // Some come back with nothing, more go to sleep, and what came in between is not taken out.
    for (int i = 0; i < 10; i++)
        inbox.leave();
    for (int i = 0; i < 40; i++)
        inbox.leave(i);
    for (int i = 40; i < 60; i++) {
        ASSERT_EQ(inbox.enter(), Errno::ok);
        inbox.leave(i);
    }
    EXPECT_EQ(inbox.sleepers(), 0u);
    const std::vector<int> all = take(inbox, 100);
    ASSERT_EQ(all.size(), 60u);
    for (int i = 0; i < 60; i++)
        EXPECT_EQ(all[static_cast<size_t>(i)], i);
}

TEST(InboxDeathTest, ALeaveWithoutAnEnterIsABrokenInvariant) {
    Inbox<int> inbox;
    EXPECT_DEATH(inbox.leave(), "broken invariant");
}

TEST(Inbox, ThreadsLoseNothing) {
    Inbox<int> inbox;
    constexpr int kThreads = 4;
    constexpr int kEach = 2000;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; t++)
        threads.emplace_back([&inbox, t] {
            for (int i = 0; i < kEach; i++) {
                ASSERT_EQ(inbox.enter(), Errno::ok);
                inbox.leave(t * kEach + i);
            }
        });
    std::vector<int> next(kThreads, 0);
    for (int taken = 0; taken < kThreads * kEach;)
        for (const int report : take(inbox, 16)) {
            EXPECT_EQ(report % kEach, next[static_cast<size_t>(report / kEach)]++);
            taken++;
        }
    for (std::thread& thread : threads)
        thread.join();
}

}  // namespace
}  // namespace kq
