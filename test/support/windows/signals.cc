// SPDX-License-Identifier: BSD-2-Clause
// There are the C library's handlers, and what kq_kill() sends. Nothing can be blocked.
#include "support/signals.h"

#include <atomic>

namespace kqtest {
namespace {

std::atomic<int> counted{0};

}  // namespace

void count_signal(int) {
    counted++;
}

int signals_counted() {
    return counted;
}

void set_disposition(int number, SignalFunction function, int /*flags*/) {
    EXPECT_NE(::signal(number, function), SIG_ERR);
}

SignalFunction disposition(int number) {
    const SignalFunction function = ::signal(number, SIG_DFL);
    ::signal(number, function);
    return function;
}

void send(int number, int times) {
    for (int i = 0; i < times; i++)
        EXPECT_EQ(::kq_raise(number), 0);
}

void block(int /*number*/) {
    ADD_FAILURE() << "signals cannot be blocked on Windows";
}

void unblock(int /*number*/) {
    ADD_FAILURE() << "signals cannot be blocked on Windows";
}

bool is_blocked(int /*number*/) {
    return false;
}

bool is_pending(int /*number*/) {
    return false;
}

SignalTest::SignalTest() {
    counted = 0;
}

SignalTest::~SignalTest() {
    for (const int number : {SIGINT, SIGTERM, SIGBREAK, SIGABRT})
        ::signal(number, SIG_DFL);
}

}  // namespace kqtest
