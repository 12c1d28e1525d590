// SPDX-License-Identifier: BSD-2-Clause
// FutexMutex, the mutex of the Linux backend: futex_mutex.h.
#include <gtest/gtest.h>

#if __has_include("futex_mutex.h")

    #include <sys/syscall.h>
    #include <sys/wait.h>
    #include <unistd.h>

    #include <atomic>
    #include <cerrno>
    #include <fstream>
    #include <string>
    #include <thread>
    #include <vector>

    #include "futex_mutex.h"

namespace kq {
namespace {

// Waits until a thread of this process sleeps in the kernel.
void wait_until_asleep(const std::atomic<pid_t>& thread) {
    for (;;) {
        std::string line;
        std::ifstream stat("/proc/self/task/" + std::to_string(thread.load()) + "/stat");
        std::getline(stat, line);
        const size_t end = line.rfind(')');
        if (end != std::string::npos && line.compare(end, 3, ") S") == 0) return;
        std::this_thread::yield();
    }
}

// The mutex works as without a race detector, even if this program is built with one.
class FutexMutexTest : public testing::Test {
  protected:
    void SetUp() override { race_detector = Detector::none; }
    void TearDown() override { race_detector = before_; }

  private:
    const Detector before_ = race_detector;
};

TEST_F(FutexMutexTest, OneThreadAtATime) {
    FutexMutex mutex;
    constexpr int kThreads = 4;
    constexpr int kRounds = 50'000;
    long count = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; i++)
        threads.emplace_back([&] {
            for (int round = 0; round < kRounds; round++) {
                EXPECT_TRUE(mutex.lock());
                count = count + 1;
                if (round % 1024 == 0) std::this_thread::yield();  // so that others fall asleep
                EXPECT_TRUE(mutex.unlock());
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(count, long{kThreads} * kRounds);
}

TEST_F(FutexMutexTest, EachSleeperIsWoken) {
    FutexMutex mutex;
    ASSERT_TRUE(mutex.lock());
    constexpr int kThreads = 3;
    std::atomic<pid_t> ids[kThreads] = {};
    std::atomic<int> had{0};
    std::vector<std::thread> threads;
    for (std::atomic<pid_t>& id : ids) {
        threads.emplace_back([&mutex, &had, &id] {
            id = static_cast<pid_t>(syscall(SYS_gettid));
            EXPECT_TRUE(mutex.lock());
            had++;
            EXPECT_TRUE(mutex.unlock());
        });
        wait_until_asleep(id);
    }
    EXPECT_EQ(had, 0);
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_TRUE(mutex.unlock());
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(had, kThreads);
    EXPECT_TRUE(mutex.try_lock());
    EXPECT_TRUE(mutex.unlock());
}

TEST_F(FutexMutexTest, WhatIsNotLockedIsNotUnlocked) {
    FutexMutex mutex;
    EXPECT_FALSE(mutex.unlock());
    ASSERT_TRUE(mutex.lock());
    EXPECT_TRUE(mutex.unlock());
    EXPECT_FALSE(mutex.unlock());
    EXPECT_TRUE(mutex.try_lock());
}

// In the parent, other threads may wait for the mutex. The child does not have these threads.
TEST_F(FutexMutexTest, AForkedChildUnlocksIt) {
    FutexMutex mutex;
    ASSERT_TRUE(mutex.lock());
    std::atomic<pid_t> id{0};
    std::thread waiter([&] {
        id = static_cast<pid_t>(syscall(SYS_gettid));
        EXPECT_TRUE(mutex.lock());
        EXPECT_TRUE(mutex.unlock());
    });
    wait_until_asleep(id);
    const pid_t child = fork();
    if (child == 0) _exit(mutex.unlock() && mutex.lock() && mutex.unlock() ? 0 : 1);
    ASSERT_GT(child, 0);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(mutex.unlock());
    waiter.join();
}

TEST_F(FutexMutexTest, ErrnoStaysAsItWas) {
    FutexMutex mutex;
    ASSERT_TRUE(mutex.lock());
    std::atomic<pid_t> id{0};
    std::thread waiter([&] {
        id = static_cast<pid_t>(syscall(SYS_gettid));
        errno = EXDEV;
        EXPECT_TRUE(mutex.lock());
        EXPECT_TRUE(mutex.unlock());
        EXPECT_EQ(errno, EXDEV);
    });
    wait_until_asleep(id);
    errno = EXDEV;
    EXPECT_TRUE(mutex.unlock());
    EXPECT_EQ(errno, EXDEV);
    waiter.join();
}

// With a race detector FutexMutex uses a mutex of the C library, and its word does not change.
TEST_F(FutexMutexTest, WithARaceDetectorItIsOneOfTheCLibrary) {
    FutexMutex mutex;
    ASSERT_TRUE(mutex.lock());
    race_detector = Detector::some;
    EXPECT_TRUE(mutex.try_lock());
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_TRUE(mutex.unlock());
    EXPECT_TRUE(mutex.lock());
    EXPECT_TRUE(mutex.unlock());
    race_detector = Detector::none;
    EXPECT_FALSE(mutex.try_lock());
    EXPECT_TRUE(mutex.unlock());
}

}  // namespace
}  // namespace kq

#endif
