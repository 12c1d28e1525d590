// SPDX-License-Identifier: BSD-2-Clause
// kq_connections: an echo server with many connections of which a part is active, over kevent() or
// over bare epoll.
//
//     kq_connections kq|raw [-n CONNECTIONS] [-a ACTIVE] [-s SECONDS] [-t]
//
// The server is one thread; the clients are another, always over epoll: each active connection
// sends 64 bytes, waits until they have come back, and sends again. The others are idle. -t: TCP
// over the loopback interface instead of AF_UNIX. One line of JSON: requests a second, the latency
// of requests, bytes of heap the server's queue took for each connection.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

#include "queues.h"

namespace kqbench {
namespace {

constexpr size_t kMessage = 64;

struct Options {
    bool kq = true;
    bool tcp = false;
    int connections = 1'000;
    int active = 100;
    double seconds = 2;
};

struct Connections {
    std::vector<int> clients;
    std::vector<int> servers;

    void close() const {
        for (const auto* ends : {&clients, &servers})
            for (const int fd : *ends)
                ::close(fd);
    }
};

sockaddr* generic(sockaddr_in& address) {
    return reinterpret_cast<sockaddr*>(&address);
}

void no_delay(int fd) {
    const int on = 1;
    must(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
    // The port is not needed afterwards, so TIME_WAIT is avoided.
    const linger reset{1, 0};
    must(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0, "SO_LINGER");
}

Connections connect_tcp(int count) {
    Connections made;
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(::bind(listener, generic(address), size) == 0 && ::listen(listener, 16) == 0 &&
             ::getsockname(listener, generic(address), &size) == 0,
         "listener");
    for (int i = 0; i < count; i++) {
        const int client = ::socket(AF_INET, SOCK_STREAM, 0);
        must(client >= 0 && ::connect(client, generic(address), size) == 0, "connect");
        const int server = ::accept(listener, nullptr, nullptr);
        must(server >= 0, "accept");
        no_delay(client);
        no_delay(server);
        made.clients.push_back(client);
        made.servers.push_back(server);
    }
    ::close(listener);
    return made;
}

Connections connect_unix(int count) {
    Connections made;
    for (int i = 0; i < count; i++) {
        int pair[2];
        must(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
        made.clients.push_back(pair[0]);
        made.servers.push_back(pair[1]);
    }
    return made;
}

void receive(int fd) {
    char message[kMessage];
    must(::recv(fd, message, sizeof message, MSG_WAITALL) == ssize_t{kMessage}, "recv");
}

void send(int fd) {
    static constexpr char kText[kMessage] = {};
    must(::send(fd, kText, sizeof kText, MSG_NOSIGNAL) == ssize_t{kMessage}, "send");
}

// Echoes until `stop`, an eventfd, is readable.
template <class Queue>
void serve(Queue& queue, int stop) {
    typename Queue::template Events<64> events;
    for (;;) {
        const int n = queue.wait(events);
        for (int i = 0; i < n; i++) {
            const int fd = Queue::readable(events[i]);
            if (fd == stop) return;
            receive(fd);
            send(fd);
        }
    }
}

struct Load {
    long requests = 0;
    double seconds = 0;
    std::vector<int64_t> latencies;  // ns

    double percentile(size_t percent) {
        std::sort(latencies.begin(), latencies.end());
        return static_cast<double>(latencies[latencies.size() * percent / 100]) / 1e3;
    }
};

// The active connections are spread over all.
Load make_load(const std::vector<int>& clients, int active, double seconds) {
    RawQueue queue;
    std::vector<int64_t> sent(
        static_cast<size_t>(*std::max_element(clients.begin(), clients.end())) + 1);
    Load load;
    load.latencies.reserve(1 << 20);
    const int64_t start = now_ns();
    for (int i = 0; i < active; i++) {
        const int fd =
            clients[clients.size() * static_cast<size_t>(i) / static_cast<size_t>(active)];
        queue.watch_read(fd);
        sent[static_cast<size_t>(fd)] = now_ns();
        send(fd);
    }
    const int64_t end = start + static_cast<int64_t>(seconds * 1e9);
    RawQueue::Events<64> events;
    int outstanding = active;
    while (outstanding > 0) {
        const int n = queue.wait(events);
        const int64_t now = now_ns();
        for (int i = 0; i < n; i++) {
            const int fd = events[i].data.fd;
            receive(fd);
            load.latencies.push_back(now - sent[static_cast<size_t>(fd)]);
            if (now >= end) {
                outstanding--;
                continue;
            }
            sent[static_cast<size_t>(fd)] = now;
            send(fd);
        }
        load.requests += n;
    }
    load.seconds = static_cast<double>(now_ns() - start) / 1e9;
    return load;
}

template <class Queue>
void run(const Options& options) {
    const Connections made =
        options.tcp ? connect_tcp(options.connections) : connect_unix(options.connections);
    const QueueDescriptor stop(::eventfd(0, EFD_CLOEXEC));
    Queue queue;
    const size_t before = heap_in_use();
    for (const int fd : made.servers)
        queue.watch_read(fd);
    const double heap = static_cast<double>(heap_in_use() - before) / options.connections;
    queue.watch_read(stop.fd());
    std::thread server([&queue, &stop] { serve(queue, stop.fd()); });
    const int64_t cpu = cpu_ns();
    Load load = make_load(made.clients, options.active, options.seconds);
    const double cpu_each =
        static_cast<double>(cpu_ns() - cpu) / static_cast<double>(load.requests);
    const uint64_t one = 1;
    must(::write(stop.fd(), &one, sizeof one) == sizeof one, "eventfd");
    server.join();
    (void)std::printf(
        "{\"variant\": \"%s\", \"family\": \"%s\", \"connections\": %d, \"active\": %d, "
        "\"requests_per_s\": %.0f, \"cpu_ns\": %.0f, \"latency_us_p50\": %.1f, "
        "\"latency_us_p99\": %.1f, \"heap\": %.1f, \"rss_kib\": %ld}\n",
        options.kq ? "kq" : "raw", options.tcp ? "tcp" : "unix", options.connections,
        options.active, static_cast<double>(load.requests) / load.seconds, cpu_each,
        load.percentile(50), load.percentile(99), heap, resident_kib());
    made.close();
}

// False if the command line makes no sense.
bool parse(int argc, char** argv, Options& options) {
    if (argc < 2) return false;
    const std::string_view variant = argv[1];
    options.kq = variant == "kq";
    if (!options.kq && variant != "raw") return false;
    int letter;
    while ((letter = ::getopt(argc - 1, argv + 1, "n:a:s:t")) != -1) {
        if (letter == 'n')
            options.connections = std::atoi(optarg);
        else if (letter == 'a')
            options.active = std::atoi(optarg);
        else if (letter == 's')
            options.seconds = std::atof(optarg);
        else if (letter == 't')
            options.tcp = true;
        else
            return false;
    }
    return options.active > 0 && options.active <= options.connections && options.seconds > 0;
}

}  // namespace
}  // namespace kqbench

int main(int argc, char** argv) {
    kqbench::Options options;
    if (!kqbench::parse(argc, argv, options)) {
        (void)std::fprintf(
            stderr,
            "usage: kq_connections kq|raw [-n connections] [-a active] [-s seconds] [-t]\n");
        return 2;
    }
    const size_t wanted = static_cast<size_t>(options.connections) * 2 + 64;
    if (kqbench::raise_file_limit(wanted) < wanted) {
        (void)std::fprintf(stderr, "%zu descriptors needed: RLIMIT_NOFILE\n", wanted);
        return 1;
    }
    if (options.kq)
        kqbench::run<kqbench::KqQueue>(options);
    else
        kqbench::run<kqbench::RawQueue>(options);
    return 0;
}
