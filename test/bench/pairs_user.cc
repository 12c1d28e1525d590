// SPDX-License-Identifier: BSD-2-Clause
// Events that a program makes itself: EVFILT_USER against an eventfd in an epoll set.
#include <sys/eventfd.h>

#include <thread>

#include "pairs.h"

namespace kqbench {
namespace {

// One queue and one event that anybody can trigger and its owner waits for.
template <class Queue>
class UserEvent;

template <>
class UserEvent<KqQueue> {
  public:
    UserEvent() { queue_.change(1, EVFILT_USER, EV_ADD | EV_CLEAR); }
    void trigger() { queue_.change(1, EVFILT_USER, 0, NOTE_TRIGGER); }
    void wait() {
        KqQueue::Events<1> events;
        must(queue_.wait(events) == 1, "no user event");
    }

  private:
    KqQueue queue_;
};

template <>
class UserEvent<RawQueue> {
  public:
    UserEvent() { queue_.watch_read(counter_.fd()); }
    void trigger() {
        const uint64_t one = 1;
        must(::write(counter_.fd(), &one, sizeof one) == sizeof one, "eventfd, write");
    }
    void wait() {
        RawQueue::Events<1> events;
        uint64_t count;
        must(queue_.wait(events) == 1, "no user event");
        must(::read(counter_.fd(), &count, sizeof count) == sizeof count, "eventfd, read");
    }

  private:
    QueueDescriptor counter_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    RawQueue queue_;
};

template <class Queue>
Measurement user_self(Use<Queue>, long events) {
    UserEvent<Queue> event;
    const int64_t start = now_ns();
    for (long i = 0; i < events; i++) {
        event.trigger();
        event.wait();
    }
    return per_op(now_ns() - start, events);
}

// Two threads wake each other in turn, each by the other's queue.
template <class Queue>
Measurement user_pingpong(Use<Queue>, long rounds) {
    UserEvent<Queue> ping;
    UserEvent<Queue> pong;
    std::thread other([&ping, &pong, rounds] {
        for (long i = 0; i < rounds; i++) {
            ping.wait();
            pong.trigger();
        }
    });
    const int64_t start = now_ns();
    for (long i = 0; i < rounds; i++) {
        ping.trigger();
        pong.wait();
    }
    const int64_t end = now_ns();
    other.join();
    return per_op(end - start, rounds);
}

constexpr Workload kWorkloads[] = {
    {"user_self", "NOTE_TRIGGER and its event, one thread; raw: an eventfd", 200'000, 1'000, "raw",
     0.60, kq_and_raw([](auto use, long n) { return user_self(use, n); })},
    {"user_pingpong", "NOTE_TRIGGER to another thread and back", 40'000, 500, "raw", 1.05,
     kq_and_raw([](auto use, long n) { return user_pingpong(use, n); })},
};

}  // namespace

std::span<const Workload> user_workloads() {
    return kWorkloads;
}

}  // namespace kqbench
