// SPDX-License-Identifier: BSD-2-Clause
// A program that runs for a long time: echo, timers, children and files, all in one kqueue. It must
// not need more memory or descriptors with time. KQ_SOAK_SECONDS says how long it runs; 4 seconds
// if it is not set.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "stress/storm.h"

namespace kqstress {
namespace {

struct Sample {
    long rounds = 0;
    size_t heap = 0;  // bytes; 0 where a sanitizer has replaced malloc()
    size_t descriptors = 0;
    long resident = 0;  // KiB; 0 if the system does not say
};

long resident_kib() {
    std::ifstream statm("/proc/self/statm");
    long size = 0;
    long pages = 0;
    statm >> size >> pages;
    return pages * (::sysconf(_SC_PAGESIZE) / 1024);
}

constexpr int kSamples = 10;
// The heap may grow by what malloc() needs for itself; about 600 bytes were seen. The resident
// memory may grow by some pages. A small leak is still found: one knote, 72 bytes, in a thousand
// changes and events is more than kHeapMargin after 2,000 rounds.
constexpr size_t kHeapMargin = 4 * 1024;
constexpr long kResidentMargin = 1024;

class Soak : public SignalTest {
  protected:
    // The next event, which must be an event of this knote.
    Event await(Ident ident, int filter) {
        const std::vector<Event> events = q_.wait(1);
        if (events.size() == 1 && events[0].ident == ident.value && events[0].filter == filter)
            return events[0];
        ADD_FAILURE() << "no event of " << ident.value << ", filter " << filter;
        return Event{};
    }

    void echo(const Pair& pair) {
        write_bytes(*pair.first, 3);
        EXPECT_EQ(await(*pair.second, EVFILT_READ).data, 3);
        write_bytes(*pair.second, read_bytes(*pair.second, 3));
        EXPECT_EQ(read_bytes(*pair.first, 3).size(), 3u);
    }

    // A connection is opened, is used, and ends. If `tidy`, its read knote is deleted before the
    // close.
    void connection(bool tcp, bool tidy) {
        const Pair pair = tcp ? make_tcp_pair() : make_socketpair(SOCK_STREAM);
        const int fd = *pair.second;
        EXPECT_EQ(q_.apply(change(fd, EVFILT_READ, EV_ADD),
                           change(fd, EVFILT_WRITE, EV_ADD | EV_ONESHOT)),
                  0);
        await(fd, EVFILT_WRITE);
        echo(pair);
        if (tidy) {
            EXPECT_EQ(q_.apply(change(fd, EVFILT_READ, EV_DELETE)), 0);
        }
    }

    void timers_and_triggers() {
        EXPECT_EQ(q_.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, 1),
                           change(2, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 1000)),
                  0);
        await(1, EVFILT_TIMER);
        EXPECT_EQ(q_.apply(change(2, EVFILT_TIMER, EV_DELETE),
                           change(3, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)),
                  0);
        await(3, EVFILT_USER);
        EXPECT_EQ(q_.apply(change(3, EVFILT_USER, EV_DELETE)), 0);
    }

    void child() {
        const pid_t pid = ::fork();
        if (pid == 0) ::_exit(7);
        ASSERT_GT(pid, 0);
        ASSERT_EQ(q_.apply(change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT | NOTE_EXITSTATUS)), 0);
        EXPECT_EQ(await(pid, EVFILT_PROC).data, 7 << 8);
        EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
    }

    void file() {
        const TempFile file;
        ASSERT_EQ(q_.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR,
                                  NOTE_WRITE | NOTE_EXTEND | NOTE_DELETE)),
                  0);
        write_bytes(*file.fd, 1);
        EXPECT_EQ(await(*file.fd, EVFILT_VNODE).fflags, 0u + (NOTE_WRITE | NOTE_EXTEND));
        EXPECT_EQ(::unlink(file.path.c_str()), 0);
        EXPECT_EQ(await(*file.fd, EVFILT_VNODE).fflags, 0u + NOTE_DELETE);
    }

    void another_queue() {
        const Queue inner;
        EXPECT_EQ(q_.apply(change(inner.fd(), EVFILT_READ, EV_ADD)), 0);
        EXPECT_EQ(inner.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
        await(inner.fd(), EVFILT_READ);
    }

    void round(long number) {
        for (const Pair& pair : served_)
            echo(pair);
        connection(number % 4 == 0, number % 2 == 0);
        timers_and_triggers();
        if (number % 16 == 0) child();
        if (number % 8 == 0) file();
        if (number % 8 == 4) another_queue();
    }

    Sample sample(long rounds) const {
        const Census census = Census::take();
        return {rounds, census.heap, census.descriptors.size(), resident_kib()};
    }

    Queue q_;
    std::array<Pair, 4> served_{make_socketpair(SOCK_STREAM), make_tcp_pair(),
                                make_socketpair(SOCK_DGRAM), make_tcp_pair()};
};

TEST_F(Soak, WhatItNeedsStaysTheSame) {
    for (const Pair& pair : served_)
        ASSERT_EQ(q_.apply(change(*pair.second, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    const auto step =
        wanted_time("KQ_SOAK_SECONDS", 4) / (kSamples + 2);  // the first two steps warm up
    const auto start = now();
    std::array<Sample, kSamples + 1> series;
    long rounds = 0;
    for (int i = 0; i <= kSamples; i++) {
        do {
            round(rounds++);
        } while (now() - start < step * (i + 2) && !HasFailure());
        series[static_cast<size_t>(i)] = sample(rounds);
    }
    for (const Sample& s : series)
        std::printf("    %8ld rounds: %7zu bytes of heap, %zu descriptors, %6ld KiB resident\n",
                    s.rounds, s.heap, s.descriptors, s.resident);
    for (const Sample& s : series) {
        EXPECT_EQ(s.descriptors, series[0].descriptors);
        EXPECT_LE(s.heap, series[0].heap + kHeapMargin);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep freed memory
        EXPECT_LE(s.resident, series[0].resident + kResidentMargin);
#endif
    }
}

}  // namespace
}  // namespace kqstress
