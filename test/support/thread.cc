// SPDX-License-Identifier: BSD-2-Clause
#include "support/thread.h"

#include <sched.h>

namespace kqtest {

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
