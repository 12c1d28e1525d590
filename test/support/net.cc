// SPDX-License-Identifier: BSD-2-Clause
#include "support/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace kqtest {
namespace {

#define KQTEST_FAIL_AT(file, line) \
    GTEST_MESSAGE_AT_(file, line, "", ::testing::TestPartResult::kNonFatalFailure)

bool must(bool good, const char* what) {
    if (!good) ADD_FAILURE() << what << ": " << ::strerror(errno);
    return good;
}

template <class T>
sockaddr* generic(T* address) {
    return reinterpret_cast<sockaddr*>(address);
}

template <class T>
const sockaddr* generic(const T* address) {
    return reinterpret_cast<const sockaddr*>(address);
}

sockaddr_in bind_somewhere(int fd) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(::bind(fd, generic(&address), sizeof address) == 0, "bind");
    return address_of(fd);
}

template <class T>
int connect_any(int fd, const T& address) {
    return ::connect(fd, generic(&address), sizeof address) == 0 ? 0 : errno;
}

}  // namespace

Fd tcp_socket() {
    Fd fd{::socket(AF_INET, SOCK_STREAM, 0)};
    if (must(bool(fd), "socket")) set_nonblock(*fd);
    return fd;
}

Fd unix_socket(int type) {
    Fd fd{::socket(AF_UNIX, type, 0)};
    if (must(bool(fd), "socket")) set_nonblock(*fd);
    return fd;
}

DeadPort::DeadPort() : fd(tcp_socket()), address(bind_somewhere(*fd)) {}

void DeadPort::listen() const {
    must(::listen(*fd, 16) == 0, "listen");
}

Fd udp_to_nobody() {
    sockaddr_in address{};
    {
        const Fd gone{::socket(AF_INET, SOCK_DGRAM, 0)};
        must(bool(gone), "socket");
        address = bind_somewhere(*gone);
    }
    Fd fd{::socket(AF_INET, SOCK_DGRAM, 0)};
    must(bool(fd), "socket");
    must(connect_to(*fd, address) == 0, "connect");
    return fd;
}

UnixListener::UnixListener(int backlog) : fd(unix_socket(SOCK_STREAM)) {
    const char* directory = ::getenv("TMPDIR");
    std::string path = std::string(directory && *directory ? directory : "/tmp") + "/kqtest.XXXXXX";
    const Fd name{::mkstemp(path.data())};
    must(bool(name), "mkstemp");
    must(::unlink(path.c_str()) == 0, "unlink");
    address.sun_family = AF_UNIX;
    if (path.size() < sizeof address.sun_path)
        ::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    must(::bind(*fd, generic(&address), sizeof address) == 0, "bind");
    if (backlog >= 0) listen(backlog);
}

UnixListener::~UnixListener() {
    ::unlink(address.sun_path);
}

void UnixListener::listen(int backlog) const {
    must(::listen(*fd, backlog) == 0, "listen");
}

Fd UnixListener::connect() const {
    Fd client = unix_socket(SOCK_STREAM);
    must(connect_to(*client, address) == 0, "connect");
    return client;
}

Fd UnixListener::accept() const {
    Fd server{::accept(*fd, nullptr, nullptr)};
    must(bool(server), "accept");
    return server;
}

int connect_to(int fd, const sockaddr_in& address) {
    return connect_any(fd, address);
}

int connect_to(int fd, const sockaddr_un& address) {
    return connect_any(fd, address);
}

sockaddr_in address_of(int fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    must(::getsockname(fd, generic(&address), &size) == 0, "getsockname");
    return address;
}

int get_option(int fd, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    must(::getsockopt(fd, level, name, &value, &size) == 0, "getsockopt");
    return value;
}

void set_option(int fd, int level, int name, int value) {
    must(::setsockopt(fd, level, name, &value, sizeof value) == 0, "setsockopt");
}

int take_error(int fd) {
    return get_option(fd, SOL_SOCKET, SO_ERROR);
}

void reset_on_close(int fd) {
    const linger at_once{1, 0};
    must(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0, "SO_LINGER");
}

void shut(int fd, int how) {
    must(::shutdown(fd, how) == 0, "shutdown");
}

ssize_t send_bytes(int fd, size_t count) {
    const std::string bytes(count, 'x');
    return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

Pair make_small_tcp_pair() {
    const auto shrink = [](int fd) {
        set_option(fd, SOL_SOCKET, SO_SNDBUF, 32768);
        set_option(fd, SOL_SOCKET, SO_RCVBUF, 32768);
        set_option(fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
    };
    const DeadPort port;
    shrink(*port.fd);  // accepted sockets inherit it
    port.listen();
    Fd client{::socket(AF_INET, SOCK_STREAM, 0)};
    must(bool(client), "socket");
    shrink(*client);
    must(connect_to(*client, port.address) == 0, "connect");
    must(wait_readable(*port.fd), "no connection");
    Fd server{::accept(*port.fd, nullptr, nullptr)};
    must(bool(server), "accept");
    return {std::move(client), std::move(server)};
}

int bytes_to_read(int fd) {
    int bytes = -1;
    must(::ioctl(fd, FIONREAD, &bytes) == 0, "FIONREAD");
    return bytes;
}

int send_buffer(int fd) {
    return get_option(fd, SOL_SOCKET, SO_SNDBUF);
}

short look(int fd, short events) {
    pollfd p{fd, events, 0};
    must(::poll(&p, 1, 0) >= 0, "poll");
    return p.revents;
}

bool wait_for(int fd, short events, milliseconds limit) {
    pollfd p{fd, events, 0};
    int n;
    do
        n = ::poll(&p, 1, static_cast<int>(limit.count()));
    while (n < 0 && errno == EINTR);
    return n == 1;
}

bool eventually(const std::function<bool()>& condition) {
    const auto start = now();
    while (!condition()) {
        if (since(start) > time_limit()) {
            ADD_FAILURE() << "it did not happen";
            return false;
        }
        const timespec pause{0, 1'000'000};
        ::nanosleep(&pause, nullptr);
    }
    return true;
}

void expect_sleeps(const Queue& queue, milliseconds time, const char* file, int line) {
    const timespec timeout = to_timespec(time);
    const auto cpu = cpu_time();
    const auto start = now();
    const Result result = queue.call({}, 16, &timeout);
    const auto elapsed = since(start);
    const auto used = cpu_time() - cpu;
    if (skipped_edges_told_again(result.events)) return;
    if (result.ret != 0)
        KQTEST_FAIL_AT(file, line)
            << "expected no event, but kevent() returned " << result.ret
            << (result.ret > 0 ? ": " + to_string(result.events[0]) : ::strerror(result.error));
    else if (elapsed < time)
        KQTEST_FAIL_AT(file, line)
            << "kevent() returned 0 after " << elapsed.count() << " of " << time.count() << " ms";
    // A machine shared with others still gives a busy loop more than a fifth.
    if (used > time / 5)
        KQTEST_FAIL_AT(file, line)
            << "kevent() burnt " << used.count() << " us of CPU in " << elapsed.count() << " ms";
}

void expect_between(const std::vector<Event>& events, Ident ident, int filter, int flags,
                    intptr_t low, intptr_t high, const char* file, int line) {
    intptr_t data = events.size() == 1 ? events[0].data : low;
    const bool good = low <= data && data <= high;
    if (!good) {
        KQTEST_FAIL_AT(file, line)
            << "data must be between " << low << " and " << high << " in " << to_string(events[0]);
        data = low;
    }
    std::vector<Event> copy = events;
    if (copy.size() == 1) copy[0].data = data;
    expect_only(copy, ident, filter, flags, 0, data, nullptr, file, line);
}

void expect_expiries(const Queue& queue, Ident ident, int flags, milliseconds period,
                     Clock::time_point start, const char* file, int line) {
    const std::vector<Event> events = queue.wait();
    expect_between(events, ident, EVFILT_TIMER, flags, 1, since(start) / period, file, line);
}

Event pick(const std::vector<Event>& events, int filter, const char* file, int line) {
    const auto matches = [&](const Event& e) { return e.filter == filter; };
    const auto found = std::find_if(events.begin(), events.end(), matches);
    if (std::count_if(events.begin(), events.end(), matches) == 1) return *found;
    KQTEST_FAIL_AT(file, line) << "expected one event of filter " << filter << ", got "
                               << filters(events);
    return {};
}

std::string filters(const std::vector<Event>& events) {
    std::vector<std::string> names;
    for (const Event& e : events)
        names.push_back(e.filter == EVFILT_READ    ? "READ"
                        : e.filter == EVFILT_WRITE ? "WRITE"
                                                   : std::to_string(e.filter));
    std::sort(names.begin(), names.end());
    std::string text;
    for (const std::string& name : names)
        text += (text.empty() ? "" : " ") + name;
    return text;
}

}  // namespace kqtest
