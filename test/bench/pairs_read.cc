// SPDX-License-Identifier: BSD-2-Clause
// Events of descriptors: bytes that travel, polls that find nothing, knotes armed again each time.
#include "pairs.h"

namespace kqbench {
namespace {

struct Ring {
    int pairs;
    int tokens;
    Pairs::Kind kind = Pairs::pipes;
    Mode mode = Mode::level;
};

// Single bytes go round a ring of pairs: each that arrives is read and written to the next.
template <class Queue>
Measurement ring(Use<Queue>, const Ring& shape, long hops) {
    const Pairs pairs(shape.pairs, shape.kind);
    std::vector<int> next(static_cast<size_t>(pairs.highest()) + 1);  // write end, by read end
    Queue queue;
    for (int i = 0; i < pairs.size(); i++) {
        next[static_cast<size_t>(pairs.read_end(i))] = pairs.write_end((i + 1) % pairs.size());
        queue.watch_read(pairs.read_end(i), shape.mode);
    }
    for (int i = 0; i < shape.tokens; i++)
        put_byte(pairs.write_end(i * (shape.pairs / shape.tokens)));
    long done = 0;
    typename Queue::template Events<64> events;
    const int64_t start = now_ns();
    while (done < hops) {
        const int n = queue.wait(events);
        for (int i = 0; i < n; i++) {
            const int fd = Queue::readable(events[i]);
            take_byte(fd);
            put_byte(next[static_cast<size_t>(fd)]);
        }
        done += n;
    }
    return per_op(now_ns() - start, done);
}

// What libevent's own benchmark does: 100 socket pairs with persistent READ events, whose `data` is
// not used; a loop that only polls; and one byte that makes 100 hops before the next one is sent.
template <class Queue>
Measurement event_loop(Use<Queue>, bool counts, long hops) {
    constexpr int kPairs = 100;
    const Pairs pairs(kPairs, Pairs::sockets);
    std::vector<int> place(static_cast<size_t>(pairs.highest()) + 1);  // in the ring, by read end
    Queue queue;
    if (!counts) queue.count_nothing();
    for (int i = 0; i < kPairs; i++) {
        place[static_cast<size_t>(pairs.read_end(i))] = i;
        queue.watch_read(pairs.read_end(i));
    }
    typename Queue::template Events<64> events;
    const int64_t start = now_ns();
    for (long done = 0, left = 0; done < hops;) {
        if (left == 0) {
            left = kPairs;
            put_byte(pairs.write_end(0));
        }
        const int n = queue.wait(events, 0);
        for (int i = 0; i < n; i++, done++) {
            const int fd = Queue::readable(events[i]);
            take_byte(fd);
            const int next = (place[static_cast<size_t>(fd)] + 1) % kPairs;
            if (--left > 0) put_byte(pairs.write_end(next));
        }
    }
    return per_op(now_ns() - start, hops);
}

template <class Queue>
Measurement poll_empty(Use<Queue>, long polls) {
    const Pairs pairs(64, Pairs::pipes);
    Queue queue;
    for (int i = 0; i < pairs.size(); i++)
        queue.watch_read(pairs.read_end(i));
    typename Queue::template Events<8> events;
    const int64_t start = now_ns();
    for (long i = 0; i < polls; i++)
        must(queue.wait(events, 0) == 0, "an event of nothing");
    return per_op(now_ns() - start, polls);
}

// Changes and collects in one kevent() call, as a program would that re-arms before it waits.
int change_and_wait(KqQueue& queue, int target, int flags) {
    struct kevent change;
    struct kevent event;
    EV_SET(&change, target, EVFILT_READ, flags, 0, 0, nullptr);
    must(::kevent(queue.fd(), &change, 1, &event, 1, nullptr) == 1, "kevent");
    return KqQueue::readable(event);
}

template <class Queue>
int rearm_and_wait(Queue& queue, int target, [[maybe_unused]] int flags) {
    if constexpr (kIsKq<Queue>) {
        return change_and_wait(queue, target, flags);
    } else {
        typename Queue::template Events<1> events;
        queue.rearm(target);
        must(queue.wait(events) == 1, "epoll_wait");
        return Queue::readable(events[0]);
    }
}

// A descriptor that stays readable is reported, armed again, reported again.
template <class Queue>
Measurement rearmed(Use<Queue>, int flags, bool kept, long reports) {
    const Pairs pairs(1, Pairs::sockets);
    Queue queue;
    put_byte(pairs.write_end(0));
    // What is armed again must be there; for EV_ONESHOT that is the raw side only.
    if (kept || !kIsKq<Queue>) queue.watch_read(pairs.read_end(0), Mode::dispatch);
    const int64_t start = now_ns();
    for (long i = 0; i < reports; i++)
        must(rearm_and_wait(queue, pairs.read_end(0), flags) == pairs.read_end(0), "ident");
    return per_op(now_ns() - start, reports);
}

template <class Queue>
Measurement write_ready(Use<Queue>, long reports) {
    const Pairs pairs(1, Pairs::sockets);
    Queue queue;
    queue.watch_write(pairs.write_end(0));
    typename Queue::template Events<1> events;
    const int64_t start = now_ns();
    for (long i = 0; i < reports; i++) {
        must(queue.wait(events) == 1, "not writable");
        (void)Queue::writable(events[0]);
    }
    return per_op(now_ns() - start, reports);
}

constexpr Workload kWorkloads[] = {
    {"ring1k", "100 bytes go round 1,000 pipes, level", 400'000, 2'000, "fair", 1.05,
     kq_raw_and_fair([](auto use, long n) {
         return ring(use, {1000, 100}, n);
     })},
    {"ring8k", "100 bytes go round 8,000 pipes, level", 400'000, 2'000, "fair", 1.05,
     kq_raw_and_fair([](auto use, long n) {
         return ring(use, {8000, 100}, n);
     })},
    {"ring1k_sock", "100 bytes go round 1,000 sockets, level", 400'000, 2'000, "fair", 1.05,
     kq_raw_and_fair([](auto use, long n) {
         return ring(use, {1000, 100, Pairs::sockets}, n);
     })},
    {"ring1k_et", "100 bytes go round 1,000 pipes, edge (EV_CLEAR)", 400'000, 2'000, "fair", 1.05,
     kq_raw_and_fair([](auto use, long n) {
         return ring(use, {1000, 100, Pairs::pipes, Mode::edge}, n);
     })},
    {"pingpong", "one byte goes round 2 sockets, level", 200'000, 1'000, "fair", 1.05,
     kq_raw_and_fair([](auto use, long n) {
         return ring(use, {2, 1, Pairs::sockets}, n);
     })},
    {"event_loop", "libevent's benchmark: one byte goes round 100 sockets, `data` is not looked at",
     400'000, 2'000, "raw", 1.10,
     kq_raw_and_fair([](auto use, long n) { return event_loop(use, true, n); })},
    {"event_loop_plain", "the same with NOTE_COUNT_DATA off", 400'000, 2'000, "raw", 1.00,
     kq_and_raw([](auto use, long n) { return event_loop(use, false, n); })},
    {"poll_empty", "64 pipes, nothing ready, timeout 0", 300'000, 1'000, "raw", 1.10,
     kq_and_raw([](auto use, long n) { return poll_empty(use, n); })},
    {"oneshot", "EV_ADD|EV_ONESHOT of a readable socket, reported, again", 200'000, 1'000, "fair",
     1.12,
     kq_raw_and_fair([](auto use, long n) { return rearmed(use, EV_ADD | EV_ONESHOT, false, n); })},
    {"dispatch", "EV_ENABLE|EV_DISPATCH of a readable socket, reported, again", 200'000, 1'000,
     "fair", 1.12, kq_raw_and_fair([](auto use, long n) {
         return rearmed(use, EV_ENABLE | EV_DISPATCH, true, n);
     })},
    {"write_ready", "a writable socket; fair: plus SO_MEMINFO and a send() of nothing", 300'000,
     1'000, "fair", 1.35, kq_raw_and_fair([](auto use, long n) { return write_ready(use, n); })},
};

}  // namespace

std::span<const Workload> read_workloads() {
    return kWorkloads;
}

}  // namespace kqbench
