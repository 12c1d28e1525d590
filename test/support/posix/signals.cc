// SPDX-License-Identifier: BSD-2-Clause
#include "support/signals.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>

namespace kqtest {
namespace {

std::atomic<int> counted{0};

const int kUsed[] = {SIGUSR1, SIGUSR2,  SIGTERM,      SIGINT,      SIGHUP,
                     SIGCHLD, SIGWINCH, SIGRTMIN + 3, SIGRTMIN + 4};

void change_mask(int how, int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    EXPECT_EQ(::pthread_sigmask(how, &set, nullptr), 0);
}

}  // namespace

void count_signal(int) {
    counted++;
}

int signals_counted() {
    return counted;
}

void set_disposition(int number, SignalFunction function, int flags) {
    struct sigaction action {};
    action.sa_handler = function;
    action.sa_flags = flags;
    EXPECT_EQ(::sigaction(number, &action, nullptr), 0);
}

SignalFunction disposition(int number) {
    struct sigaction action {};
    EXPECT_EQ(::sigaction(number, nullptr, &action), 0);
    return action.sa_handler;
}

void send(int number, int times) {
    for (int i = 0; i < times; i++)
        EXPECT_EQ(::kill(::getpid(), number), 0);
}

void block(int number) {
    change_mask(SIG_BLOCK, number);
}

void unblock(int number) {
    change_mask(SIG_UNBLOCK, number);
}

bool is_blocked(int number) {
    sigset_t mask;
    EXPECT_EQ(::pthread_sigmask(SIG_BLOCK, nullptr, &mask), 0);
    return sigismember(&mask, number) == 1;
}

bool is_pending(int number) {
    sigset_t set;
    EXPECT_EQ(::sigpending(&set), 0);
    return sigismember(&set, number) == 1;
}

SignalTest::SignalTest() {
    counted = 0;
    EXPECT_EQ(::pthread_sigmask(SIG_BLOCK, nullptr, &mask_), 0);
    for (const int number : kUsed) {
        struct sigaction standard {};
        standard.sa_handler = SIG_DFL;
        EXPECT_EQ(::sigaction(number, &standard, &saved_[number]), 0);
        EXPECT_FALSE(is_blocked(number)) << "left blocked by an earlier test: " << number;
    }
}

SignalTest::~SignalTest() {
    // Ignores the signals first: one that is still pending must not end the program.
    for (const auto& [number, action] : saved_)
        set_disposition(number, SIG_IGN);
    EXPECT_EQ(::pthread_sigmask(SIG_SETMASK, &mask_, nullptr), 0);
    for (const auto& [number, action] : saved_)
        EXPECT_EQ(::sigaction(number, &action, nullptr), 0);
}

}  // namespace kqtest
