// SPDX-License-Identifier: BSD-2-Clause
#include "stress/storm.h"

#include <malloc.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

namespace kqstress {
namespace {

long count_threads() {
    std::ifstream status("/proc/self/status");
    std::string line;
    while (std::getline(status, line))
        if (line.starts_with("Threads:")) return std::atol(line.c_str() + 8);
    return -1;
}

// A joined thread is still counted for a moment.
long count_threads_at_rest(long expected) {
    const auto start = now();
    long count = count_threads();
    while (count != expected && now() - start < std::chrono::seconds{2})
        count = count_threads();
    return count;
}

}  // namespace

milliseconds wanted_time(const char* variable, double usual) {
    const char* seconds = ::getenv(variable);
    const double wanted = seconds == nullptr ? usual : std::atof(seconds);
    return milliseconds{static_cast<long>(wanted * 1000)};
}

unsigned choose_seed() {
    const char* wanted = ::getenv("KQ_STRESS_SEED");
    return wanted != nullptr ? static_cast<unsigned>(std::strtoul(wanted, nullptr, 10))
                             : std::random_device()() % 1'000'000;
}

Census Census::take() {
    Census census;
    libkqueue_drain_pending_close();
    census.threads = count_threads();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    census.heap = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
#endif
    census.descriptors = open_descriptors();
    return census;
}

// Until one more short run makes nothing that is kept. One may not be enough: the process may not
// run for most of that time.
Census Storm::warm_up(const std::function<void()>& body) {
    constexpr int kMostRuns = 10;
    warming_up_ = true;
    Census last;
    for (int run = 0; run < kMostRuns; run++) {
        end_ = now() + milliseconds{100};
        body();
        const Census census = Census::take();
        const bool is_warm = run > 0 && census.descriptors == last.descriptors &&
                             census.heap <= last.heap + kHeapSlack / 4;
        last = census;
        if (is_warm) break;
    }
    warming_up_ = false;
    return last;
}

void Storm::rage(const std::function<void()>& body) {
    Census before = warm_up(body);
    end_ = now() + wanted_time("KQ_STRESS_SECONDS", 2);
    body();
    (void)count_threads_at_rest(before.threads);
    Census after = Census::take();
    // What is kept grows once, when more threads than before did something at one time. What is
    // lost grows each time.
    for (int again = 0; again < 2 && after.heap > before.heap + kHeapSlack; again++) {
        before.heap = after.heap;
        end_ = now() + wanted_time("KQ_STRESS_SECONDS", 2);
        body();
        (void)count_threads_at_rest(before.threads);
        after = Census::take();
    }
    note("seed", seed_);
    std::printf("    before: %3zu descriptors, %ld threads, %zu bytes of heap\n",
                before.descriptors.size(), before.threads, before.heap);
    std::printf("    after:  %3zu descriptors, %ld threads, %zu bytes of heap\n",
                after.descriptors.size(), after.threads, after.heap);
    EXPECT_EQ(after.descriptors, before.descriptors);
    EXPECT_EQ(after.threads, before.threads);
    EXPECT_LE(after.heap, before.heap + kHeapSlack);
}

void Storm::note(const char* what, long count) const {
    if (!warming_up_) std::printf("    %s: %ld\n", what, count);
}

bool Semaphore::wait(milliseconds limit) {
    timespec until{};
    ::clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += limit.count() / 1000;
    while (::sem_timedwait(&semaphore_, &until) != 0)
        if (errno != EINTR) return false;
    return true;
}

bool Lane::drive() {
    const long n = ++sent_;
    provoke_();
    if (!arrived_.wait()) {
        ADD_FAILURE() << name_ << ": activation " << n << " reached no thread";
        return false;
    }
    const long received = received_;
    if (received != n) ADD_FAILURE() << name_ << ": " << n << " sent, " << received << " received";
    return received == n;
}

void Lane::receive(const Event& event) {
    auto* lane = static_cast<Lane*>(event.udata);
    if (lane == nullptr || (event.flags & EV_ERROR) != 0) {
        ADD_FAILURE() << "a foreign event: " << to_string(event);
        return;
    }
    if (lane->take_ && !lane->take_()) return;
    lane->received_++;
    lane->arrived_.post();
}

void Lane::expect_all_delivered() const {
    EXPECT_EQ(received_, sent_) << name_;
}

}  // namespace kqstress
