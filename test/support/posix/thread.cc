// SPDX-License-Identifier: BSD-2-Clause
#include "support/thread.h"
#include "support/leave.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <utility>

#include "support/net.h"

namespace kqtest {
namespace {

using SteadyClock = std::chrono::steady_clock;

void nap() {
    const timespec pause{0, 2'000'000};
    ::nanosleep(&pause, nullptr);
}

// 'S' sleeping, 'R' running, 'T' stopped, ..., 0 if there is no such thread.
char state_of(pid_t tid) {
    const std::string path = "/proc/" + std::to_string(tid) + "/stat";
    const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    char text[512];
    const ssize_t n = fd ? ::read(*fd, text, sizeof text - 1) : -1;
    if (n <= 0) return 0;
    text[n] = '\0';
    const char* end = ::strrchr(text, ')');  // the name may contain anything
    return end != nullptr && end[1] == ' ' ? end[2] : '\0';
}

timespec deadline_in(milliseconds limit) {
    timespec ts{};
    ::clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec += static_cast<time_t>(limit.count() / 1000);
    ts.tv_nsec += static_cast<long>(limit.count() % 1000) * 1'000'000;
    if (ts.tv_nsec >= 1'000'000'000) ts.tv_sec++, ts.tv_nsec -= 1'000'000'000;
    return ts;
}

// GCC 12's ThreadSanitizer keeps a signal in a record of its thread, and calls the handler later.
// It loses the signal if the record is just being made (the handler makes one, too, and the second
// takes the place of the first), or if the thread ends first. Then no thread hears of the signal:
// of the exit of a child, for example, on POSIX. So threads get no signal while they begin and end,
// and make the record in between.
#if defined(__SANITIZE_THREAD__)
constexpr bool kLosesSignals = true;
#else
constexpr bool kLosesSignals = false;
#endif

// Blocks all signals. Those that ThreadSanitizer has kept for this thread are handled now. Returns
// what was blocked before.
sigset_t block_signals() {
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before);
    return before;
}

void make_record_of_signals() {
    (void)::pthread_kill(::pthread_self(), 0);  // any call that sends a signal
}

[[maybe_unused]] const bool main_has_record = [] {
    if (kLosesSignals) make_record_of_signals();
    return kLosesSignals;
}();

}  // namespace

struct Thread::State {
    std::function<void()> body;
    pthread_t handle{};
    std::atomic<pid_t> tid{0};
    std::atomic<bool> ended{false};
    sigset_t mask{};  // of the thread that made it
    bool joined = false;
    bool canceled = false;

    static void* run(void* self) {
        auto* state = static_cast<State*>(self);
        state->tid = static_cast<pid_t>(::syscall(SYS_gettid));
        if (kLosesSignals) {
            make_record_of_signals();
            ::pthread_sigmask(SIG_SETMASK, &state->mask, nullptr);
        }
        state->body();
        if (kLosesSignals) (void)block_signals();
        state->ended = true;
        return nullptr;
    }
};

void Thread::signal_until_ended(int number) const {
    const auto end = SteadyClock::now() + time_limit();
    while (!state_->ended && SteadyClock::now() < end) {
        signal(number);
        for (int naps = 0; naps < 25 && !state_->ended; naps++)
            nap();
    }
}

Thread::Thread(std::function<void()> body) : state_(std::make_unique<State>()) {
    state_->body = std::move(body);
    if (kLosesSignals) state_->mask = block_signals();
    const int error = ::pthread_create(&state_->handle, nullptr, State::run, state_.get());
    if (kLosesSignals) ::pthread_sigmask(SIG_SETMASK, &state_->mask, nullptr);
    if (error != 0) {
        ADD_FAILURE() << "pthread_create: " << ::strerror(error);
        state_->joined = true;
    }
}

Thread::Thread(Thread&&) noexcept = default;

Thread::~Thread() {
    if (state_) join();
}

void Thread::join(milliseconds limit) {
    if (state_->joined) return;
    const timespec deadline = deadline_in(limit);
    void* result = nullptr;
    if (::pthread_timedjoin_np(state_->handle, &result, &deadline) != 0) {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        ::fprintf(stderr, "%s.%s: a thread does not end\n", test ? test->test_suite_name() : "?",
                  test ? test->name() : "?");
        ::abort();
    }
    state_->joined = true;
    state_->canceled = result == PTHREAD_CANCELED;
}

bool Thread::joined() const {
    return state_->joined;
}

bool Thread::was_canceled() const {
    return state_->canceled;
}

void Thread::wait_until_asleep() const {
    while (state_->tid == 0)
        nap();
    EXPECT_TRUE(kqtest::wait_until_asleep(state_->tid)) << "the thread does not sleep";
}

void Thread::wait_until_asleep_or_ended() const {
    while (state_->tid == 0)
        nap();
    (void)kqtest::wait_until_asleep(state_->tid);
}

void Thread::wait_until_gone() const {
    eventually([&] { return ::syscall(SYS_tgkill, ::getpid(), state_->tid.load(), 0) != 0; });
}

pthread_t Thread::handle() const {
    return state_->handle;
}

void Thread::cancel() const {
    EXPECT_EQ(::pthread_cancel(state_->handle), 0);
}

void Thread::signal(int number) const {
    EXPECT_EQ(::pthread_kill(state_->handle, number), 0);
}

bool wait_until_asleep(pid_t tid, milliseconds limit) {
    const auto start = SteadyClock::now();
    int seen = 0;  // in a row: a short sleep before the call does not count
    while (seen < 5) {
        if (SteadyClock::now() - start > limit) return false;
        const char state = state_of(tid);
        if (state == 0 || state == 'Z' || state == 'X') return false;
        seen = state == 'S' ? seen + 1 : 0;
        nap();
    }
    return true;
}

Child::Child(std::function<int()> body) {
    Pipe err = make_pipe();
    ::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
        ::dup2(*err.write, STDERR_FILENO);
        err = Pipe{};
        const int status = body();
        ::fflush(nullptr);
        leave(status);
    }
    if (pid_ < 0) ADD_FAILURE() << "fork: " << ::strerror(errno);
    stderr_ = std::move(err.read);
}

Child::~Child() {
    if (pid_ < 0 || waited_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

int Child::wait(milliseconds limit) {
    // The child ends when its standard error does. Its output is read, so that it cannot block.
    const auto end = SteadyClock::now() + limit;
    for (;;) {
        const auto left = std::chrono::ceil<milliseconds>(end - SteadyClock::now());
        if (left.count() <= 0 || !wait_readable(*stderr_, left)) {
            pollfd hung_up{*stderr_, POLLIN, 0};
            if (left.count() > 0 && ::poll(&hung_up, 1, 0) == 1) break;
            ADD_FAILURE() << "the child does not end; it said: " << errors_;
            ::kill(pid_, SIGKILL);
            break;
        }
        char text[4096];
        const ssize_t n = ::read(*stderr_, text, sizeof text);
        if (n <= 0) break;
        errors_.append(text, static_cast<size_t>(n));
    }
    int status = -1;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR)
        continue;
    waited_ = true;
    return status;
}

const std::string& Child::errors() {
    return errors_;
}

}  // namespace kqtest
