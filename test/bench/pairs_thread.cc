// SPDX-License-Identifier: BSD-2-Clause
// Threads that share one queue and take work from it.
#include <atomic>
#include <thread>

#include "pairs.h"

namespace kqbench {
namespace {

// `once`: EV_ONESHOT, which adds a knote for each item; else EV_DISPATCH, which enables it again.
// Takes one readable socket at a time, of which no other thread may hear until it is armed again:
// a byte that is not there would end the program.
template <class Queue>
void work(Queue& queue, bool once, std::atomic<long>& left) {
    typename Queue::template Events<1> events;
    while (left.load(std::memory_order_relaxed) > 0) {
        if (queue.wait(events, 50) == 0) continue;
        const int fd = Queue::readable(events[0]);
        take_byte(fd);
        put_byte(fd);  // to its peer, which is watched as well
        left.fetch_sub(1, std::memory_order_relaxed);
        if (once)
            queue.watch_once(fd);
        else
            queue.rearm(fd);
    }
}

template <class Queue>
Measurement share(Use<Queue>, int threads, bool once, long items) {
    const Pairs pairs(32, Pairs::sockets);
    Queue queue;
    for (int i = 0; i < pairs.size(); i++) {
        for (const int fd : {pairs.read_end(i), pairs.write_end(i)}) {
            // What is armed again must be there; for EV_ONESHOT that is the raw side only.
            if (once && kIsKq<Queue>)
                queue.watch_once(fd);
            else
                queue.watch_read(fd, Mode::dispatch);
        }
    }
    std::atomic<long> left{items};
    std::vector<std::thread> workers;
    const int64_t start = now_ns();
    for (int i = 0; i < pairs.size(); i++)
        put_byte(pairs.write_end(i));
    for (int i = 0; i < threads; i++)
        workers.emplace_back([&queue, once, &left] { work(queue, once, left); });
    for (std::thread& worker : workers)
        worker.join();
    return per_op(now_ns() - start, items);
}

constexpr Workload kWorkloads[] = {
    {"share1", "EV_DISPATCH work items of 64 sockets, 1 thread", 200'000, 1'000, "fair", 1.10,
     kq_raw_and_fair([](auto use, long n) { return share(use, 1, false, n); })},
    {"share2", "the same, 2 threads on one queue", 200'000, 1'000, "fair", 1.10,
     kq_raw_and_fair([](auto use, long n) { return share(use, 2, false, n); })},
    {"share4", "the same, 4 threads on one queue", 200'000, 1'000, "fair", 1.20,
     kq_raw_and_fair([](auto use, long n) { return share(use, 4, false, n); })},
    {"share8", "the same, 8 threads on one queue", 200'000, 1'000, "fair", 1.20,
     kq_raw_and_fair([](auto use, long n) { return share(use, 8, false, n); })},
    {"once4", "share4 with EV_ONESHOT", 200'000, 1'000, "fair", 1.20,
     kq_raw_and_fair([](auto use, long n) { return share(use, 4, true, n); })},
    {"once8", "share8 with EV_ONESHOT", 200'000, 1'000, "fair", 1.20,
     kq_raw_and_fair([](auto use, long n) { return share(use, 8, true, n); })},
};

}  // namespace

std::span<const Workload> thread_workloads() {
    return kWorkloads;
}

}  // namespace kqbench
