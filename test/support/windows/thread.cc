// SPDX-License-Identifier: BSD-2-Clause
// Threads of winpthreads. A thread cannot get a signal, and cannot be cancelled. A test that needs
// this fails, and has a row in gaps_windows.inc.
#include "support/thread.h"

#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace kqtest {
namespace {

// The system does not say whether a thread sleeps. A test that looks too early sees another order
// of events than it wants to see, and passes all the same.
constexpr milliseconds kSurelyAsleep{50};

void fail(const char* what) {
    ADD_FAILURE() << "there is no " << what << " on Windows";
}

}  // namespace

struct Thread::State {
    std::function<void()> body;
    std::mutex mutex;
    std::condition_variable changed;
    bool begun = false;
    bool ended = false;
    bool joined = false;
    std::thread thread;

    void tell(bool State::*what) {
        const std::lock_guard lock(mutex);
        this->*what = true;
        changed.notify_all();
    }
    bool wait_for(bool State::*what, milliseconds limit) {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, limit, [&] { return this->*what; });
    }
    void run() {
        tell(&State::begun);
        body();
        tell(&State::ended);
    }
};

Thread::Thread(std::function<void()> body) : state_(std::make_unique<State>()) {
    state_->body = std::move(body);
    state_->thread = std::thread([state = state_.get()] { state->run(); });
}

Thread::Thread(Thread&&) noexcept = default;

Thread::~Thread() {
    if (state_) join();
}

void Thread::join(milliseconds limit) {
    if (state_->joined) return;
    if (!state_->wait_for(&State::ended, limit)) {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        ::fprintf(stderr, "%s.%s: a thread does not end\n", test ? test->test_suite_name() : "?",
                  test ? test->name() : "?");
        ::abort();
    }
    state_->thread.join();
    state_->joined = true;
}

bool Thread::joined() const {
    return state_->joined;
}

bool Thread::was_canceled() const {
    return false;
}

void Thread::wait_until_asleep() const {
    EXPECT_TRUE(state_->wait_for(&State::begun, time_limit()));
    std::this_thread::sleep_for(kSurelyAsleep);
}

void Thread::wait_until_asleep_or_ended() const {
    wait_until_asleep();
}

void Thread::wait_until_gone() const {}

pthread_t Thread::handle() const {
    return state_->thread.native_handle();
}

void Thread::cancel() const {
    fail("cancellation of threads that wait");
}

void Thread::signal(int /*number*/) const {
    fail("signal of a thread");
}

bool wait_until_asleep(pid_t /*tid*/, milliseconds /*limit*/) {
    std::this_thread::sleep_for(kSurelyAsleep);
    return true;
}

}  // namespace kqtest
