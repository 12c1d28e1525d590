// SPDX-License-Identifier: BSD-2-Clause
// Requests and answers between two processes that both sleep until something comes: the time of a
// round trip. What counts here is how long it takes to fall asleep and to wake up.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/wait.h>

#include <thread>

#include "pairs.h"

namespace kqbench {
namespace {

enum class Link { unix_pair, tcp };

// Two connected stream sockets.
struct Ends {
    int here = -1;
    int there = -1;
};

Ends connect_pair() {
    int fds[2];
    must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
    return {fds[0], fds[1]};
}

Ends connect_tcp() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    must(::bind(listener, name, size) == 0 && ::listen(listener, 1) == 0, "listen");
    must(::getsockname(listener, name, &size) == 0, "getsockname");
    Ends ends;
    ends.here = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(::connect(ends.here, name, size) == 0, "connect");
    ends.there = ::accept(listener, nullptr, nullptr);
    must(ends.there >= 0, "accept");
    ::close(listener);
    const int on = 1;
    for (const int fd : {ends.here, ends.there})
        must(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
    return ends;
}

// The library takes another way in a process that has had a second thread.
void become_threaded() {
    std::thread([] {}).join();
}

// Answers each byte that comes, until the other end is closed.
template <class Queue>
void serve(int fd) {
    Queue queue;
    queue.watch_read(fd);
    typename Queue::template Events<4> events;
    for (;;) {
        must(queue.wait(events) == 1, "not one event");
        char byte;
        if (::read(fd, &byte, 1) != 1) return;
        put_byte(fd);
    }
}

template <class Queue>
Measurement answer(Use<Queue>, Link link, bool threads, long requests) {
    const Ends ends = link == Link::tcp ? connect_tcp() : connect_pair();
    const pid_t server = ::fork();
    must(server >= 0, "fork");
    if (server == 0) {
        ::close(ends.here);
        if (threads) become_threaded();
        serve<Queue>(ends.there);
        ::_exit(0);
    }
    ::close(ends.there);
    if (threads) become_threaded();
    Queue queue;
    queue.watch_read(ends.here);
    typename Queue::template Events<4> events;
    const int64_t start = now_ns();
    for (long i = 0; i < requests; i++) {
        put_byte(ends.here);
        must(queue.wait(events) == 1, "not one event");
        take_byte(Queue::readable(events[0]));
    }
    const Measurement found = per_op(now_ns() - start, requests);
    ::close(ends.here);
    must(::waitpid(server, nullptr, 0) == server, "waitpid");
    return found;
}

constexpr Workload kWorkloads[] = {
    {"answer_unix", "a byte to another process and back, a socket pair, each with one thread",
     50'000, 500, "fair", 1.03,
     kq_raw_and_fair([](auto use, long n) { return answer(use, Link::unix_pair, false, n); })},
    {"answer_tcp", "the same by loopback TCP", 50'000, 500, "fair", 1.03,
     kq_raw_and_fair([](auto use, long n) { return answer(use, Link::tcp, false, n); })},
    {"answer_unix_mt", "answer_unix in processes that have had more threads", 50'000, 500, "fair",
     1.03, kq_raw_and_fair([](auto use, long n) { return answer(use, Link::unix_pair, true, n); })},
    {"answer_tcp_mt", "answer_tcp in processes that have had more threads", 50'000, 500, "fair",
     1.03, kq_raw_and_fair([](auto use, long n) { return answer(use, Link::tcp, true, n); })},
};

}  // namespace

std::span<const Workload> answer_workloads() {
    return kWorkloads;
}

}  // namespace kqbench
