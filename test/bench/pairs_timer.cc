// SPDX-License-Identifier: BSD-2-Clause
// Timers: EVFILT_TIMER against a timerfd for each timer in an epoll set.
#include <sys/timerfd.h>

#include <algorithm>

#include "pairs.h"

namespace kqbench {
namespace {

constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kMicrosecond = 1'000;

// One-shot timers, numbered from 0.
template <class Queue>
class Timers;

template <>
class Timers<KqQueue> {
  public:
    explicit Timers(long) {}

    // Makes the timer, or gives it another delay.
    void set(long number, int64_t delay_ns) {
        queue_.change(number, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_NSECONDS, delay_ns);
    }
    void reset(long number, int64_t delay_ns) { set(number, delay_ns); }

    // Waits, and says which expired: up to 64.
    template <class Sink>
    void expired(Sink sink) {
        KqQueue::Events<64> events;
        const int n = queue_.wait(events);
        const int64_t now = now_ns();
        for (int i = 0; i < n; i++)
            sink(static_cast<long>(events[i].ident), now);
    }

  private:
    KqQueue queue_;
};

template <>
class Timers<RawQueue> {
  public:
    explicit Timers(long count) : fds_(static_cast<size_t>(count), -1) {}
    Timers(const Timers&) = delete;
    ~Timers() {
        for (const int fd : fds_)
            if (fd >= 0) ::close(fd);
    }

    void set(long number, int64_t delay_ns) {
        const int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        must(fd >= 0, "timerfd_create");
        fds_[static_cast<size_t>(number)] = fd;
        if (numbers_.size() <= static_cast<size_t>(fd))
            numbers_.resize(static_cast<size_t>(fd) * 2);
        numbers_[static_cast<size_t>(fd)] = number;
        reset(number, delay_ns);
        queue_.watch_read(fd);
    }
    void reset(long number, int64_t delay_ns) {
        itimerspec time{};
        time.it_value.tv_sec = delay_ns / 1'000'000'000;
        time.it_value.tv_nsec = delay_ns % 1'000'000'000;
        must(::timerfd_settime(fds_[static_cast<size_t>(number)], 0, &time, nullptr) == 0,
             "timerfd_settime");
    }

    // As above; a one-shot timer is gone when it has been reported.
    template <class Sink>
    void expired(Sink sink) {
        RawQueue::Events<64> events;
        const int n = queue_.wait(events);
        const int64_t now = now_ns();
        for (int i = 0; i < n; i++) {
            const int fd = events[i].data.fd;
            uint64_t times;
            must(::read(fd, &times, sizeof times) == sizeof times, "timerfd, read");
            const long number = numbers_[static_cast<size_t>(fd)];
            ::close(std::exchange(fds_[static_cast<size_t>(number)], -1));
            sink(number, now);
        }
    }

  private:
    RawQueue queue_;
    std::vector<int> fds_;       // by number
    std::vector<long> numbers_;  // by descriptor
};

// Each new timer is the earliest: the dear case.
template <class Queue>
Measurement timer_add(Use<Queue>, long count) {
    Timers<Queue> timers(count);
    const Held before;
    const int64_t start = now_ns();
    for (long i = 0; i < count; i++)
        timers.set(i, (1'000'000 - i) * kMillisecond);
    Measurement found = per_op(now_ns() - start, count);
    found.add_held(before, count);
    return found;
}

// A timeout that is pushed back with each request: the commonest use of a timer in a server.
template <class Queue>
Measurement timer_reset(Use<Queue>, long resets) {
    Timers<Queue> timers(1);
    timers.set(0, 60'000 * kMillisecond);
    const int64_t start = now_ns();
    for (long i = 0; i < resets; i++)
        timers.reset(0, (60'000 + i % 7) * kMillisecond);
    return per_op(now_ns() - start, resets);
}

// Timers that expire one after the other within 100 ms: the CPU time of each, and how late it was.
template <class Queue>
Measurement timer_fire(Use<Queue>, long count) {
    constexpr int64_t kBegin = 300 * kMillisecond;  // all are set by then
    constexpr int64_t kSpan = 100 * kMillisecond;
    Timers<Queue> timers(count);
    std::vector<int64_t> due(static_cast<size_t>(count));
    std::vector<int64_t> late;
    late.reserve(due.size());
    for (long i = 0; i < count; i++) {
        const int64_t delay = kBegin + i * kSpan / count;
        due[static_cast<size_t>(i)] = now_ns() + delay;
        timers.set(i, delay);
    }
    const int64_t start = cpu_ns();
    while (late.size() < due.size())
        timers.expired([&due, &late](long number, int64_t now) {
            late.push_back(now - due[static_cast<size_t>(number)]);
        });
    Measurement found = per_op(cpu_ns() - start, count);
    std::sort(late.begin(), late.end());
    const auto percentile = [&late](size_t percent) {
        return static_cast<double>(late[late.size() * percent / 100]) / kMicrosecond;
    };
    found.also.emplace_back("late_us_p50", percentile(50));
    found.also.emplace_back("late_us_p99", percentile(99));
    return found;
}

constexpr Workload kWorkloads[] = {
    {"timer_add",
     "EV_ADD of 10,000 timers, each the earliest",
     10'000,
     500,
     "raw",
     0.20,
     kq_and_raw([](auto use, long n) { return timer_add(use, n); }),
     {{"heap", 128, false}}},
    {"timer_reset", "EV_ADD of a timer that exists, a little later", 200'000, 1'000, "raw", 0.50,
     kq_and_raw([](auto use, long n) { return timer_reset(use, n); })},
    {"timer_fire",
     "5,000 one-shot timers expire within 100 ms: CPU time of each",
     5'000,
     200,
     "raw",
     0.70,
     kq_and_raw([](auto use, long n) { return timer_fire(use, n); }),
     {{"late_us_p50", 70, false}}},
};

}  // namespace

std::span<const Workload> timer_workloads() {
    return kWorkloads;
}

}  // namespace kqbench
