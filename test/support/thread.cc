// SPDX-License-Identifier: BSD-2-Clause
#include "support/thread.h"

#include <sched.h>
#include <stdlib.h>

namespace kqtest {
namespace {

// With KQTEST_THREADS in the environment the process has a second thread before the first test.
// From then on the library works as in a process with several threads.
[[maybe_unused]] const bool had_threads = [] {
    if (::getenv("KQTEST_THREADS") == nullptr) return false;
    Thread([] {}).join();
    return true;
}();

}  // namespace

void in_threads(int count, const std::function<void(int)>& body) {
    std::vector<Thread> threads;
    threads.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; i++)
        threads.emplace_back([&body, i] { body(i); });
    for (Thread& thread : threads)
        thread.join();
}

void Gate::pass() {
    missing_--;
    while (missing_ > 0)
        ::sched_yield();
}

}  // namespace kqtest
