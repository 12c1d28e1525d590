// SPDX-License-Identifier: BSD-2-Clause
// Changes: registrations that come and go, interest switched on and off, queues made and kept.
#include "pairs.h"

namespace kqbench {
namespace {

constexpr int kChangesInACall = 64;

template <class Queue>
Measurement churn(Use<Queue>, long rounds) {
    const Pairs pairs(1, Pairs::sockets);
    const int fd = pairs.read_end(0);
    Queue queue;
    const int64_t start = now_ns();
    for (long i = 0; i < rounds; i++) {
        queue.watch_read(fd);
        queue.forget_read(fd);
    }
    return per_op(now_ns() - start, rounds);
}

// Interest in writing is switched on and off again beside interest in reading; nothing is
// collected in between. What a server does that has its answer written before it waits.
Measurement toggle(Use<KqQueue>, long rounds) {
    const Pairs pairs(1, Pairs::sockets);
    const int fd = pairs.read_end(0);
    KqQueue queue;
    queue.watch_read(fd);
    queue.change(fd, EVFILT_WRITE, EV_ADD | EV_DISABLE);
    const int64_t start = now_ns();
    for (long i = 0; i < rounds; i++) {
        queue.change(fd, EVFILT_WRITE, EV_ENABLE);
        queue.change(fd, EVFILT_WRITE, EV_DISABLE);
    }
    return per_op(now_ns() - start, rounds);
}

Measurement toggle(Use<RawQueue>, long rounds) {
    const Pairs pairs(1, Pairs::sockets);
    const int fd = pairs.read_end(0);
    RawQueue queue;
    queue.watch_read(fd);
    const int64_t start = now_ns();
    for (long i = 0; i < rounds; i++) {
        queue.control(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
        queue.control(EPOLL_CTL_MOD, fd, EPOLLIN);
    }
    return per_op(now_ns() - start, rounds);
}

void add_all(KqQueue& queue, const Pairs& pairs) {
    struct kevent changes[kChangesInACall];
    for (int done = 0; done < pairs.size();) {
        int n = 0;
        for (; n < kChangesInACall && done < pairs.size(); n++, done++)
            EV_SET(&changes[n], pairs.read_end(done), EVFILT_READ, EV_ADD, 0, 0, nullptr);
        must(::kevent(queue.fd(), changes, n, nullptr, 0, nullptr) == 0, "kevent, many changes");
    }
}

void add_all(RawQueue& queue, const Pairs& pairs) {
    for (int i = 0; i < pairs.size(); i++)
        queue.watch_read(pairs.read_end(i));
}

template <class Queue>
Measurement addmany(Use<Queue>, long count) {
    const Pairs pairs(static_cast<int>(count), Pairs::pipes);
    Queue queue;
    const Held before;
    const int64_t start = now_ns();
    add_all(queue, pairs);
    Measurement found = per_op(now_ns() - start, count);
    found.add_held(before, count);
    return found;
}

template <class Queue>
Measurement create(Use<Queue>, long count) {
    const int64_t start = now_ns();
    for (long i = 0; i < count; i++)
        const Queue queue;
    return per_op(now_ns() - start, count);
}

template <class Queue>
Measurement hold_queues(Use<Queue>, long count) {
    std::vector<Queue> queues;
    queues.reserve(static_cast<size_t>(count));
    const Held before;
    const int64_t start = now_ns();
    for (long i = 0; i < count; i++)
        queues.emplace_back();
    Measurement found = per_op(now_ns() - start, count);
    found.add_held(before, count);
    return found;
}

constexpr Workload kWorkloads[] = {
    {"toggle", "EV_ENABLE, EV_DISABLE of WRITE beside READ", 200'000, 1'000, "raw", 0.15,
     kq_and_raw([](auto use, long n) { return toggle(use, n); })},
    {"churn", "EV_ADD, EV_DELETE of a socket", 200'000, 1'000, "raw", 1.15,
     kq_and_raw([](auto use, long n) { return churn(use, n); })},
    {"addmany",
     "EV_ADD of 9,000 pipes, 64 changes a call",
     9'000,
     500,
     "raw",
     1.15,
     kq_and_raw([](auto use, long n) { return addmany(use, n); }),
     {{"heap", 145, false}}},
    {"create", "a queue made and closed", 5'000, 200, "raw", 2.0,
     kq_and_raw([](auto use, long n) { return create(use, n); })},
    {"hold_queues",
     "1,000 queues made and kept",
     1'000,
     100,
     "raw",
     2.0,
     kq_and_raw([](auto use, long n) { return hold_queues(use, n); }),
     {{"fds", 2, false}, {"heap", 1024, false}}},
};

}  // namespace

std::span<const Workload> change_workloads() {
    return kWorkloads;
}

}  // namespace kqbench
