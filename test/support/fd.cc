// SPDX-License-Identifier: BSD-2-Clause
#include "support/fd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace kqtest {

namespace {
milliseconds limit_now = kUsualLimit;
}

milliseconds time_limit() {
    return limit_now;
}

void set_time_limit(milliseconds limit) {
    limit_now = limit;
}
namespace {

template <class T>
sockaddr* generic(T* address) {
    return reinterpret_cast<sockaddr*>(address);
}

template <class T>
const sockaddr* generic(const T* address) {
    return reinterpret_cast<const sockaddr*>(address);
}

void must(bool good, const char* what) {
    if (!good) ADD_FAILURE() << what << ": " << std::strerror(errno);
}

int retry_poll(pollfd* p, milliseconds limit) {
    int n;
    do
        n = ::poll(p, 1, static_cast<int>(limit.count()));
    while (n < 0 && errno == EINTR);
    return n;
}

// A socket of `type` bound to a port of the kernel's choice on 127.0.0.1, and its address.
std::pair<Fd, sockaddr_in> bound_socket(int type) {
    Fd fd{::socket(AF_INET, type, 0)};
    must(bool(fd), "socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(::bind(*fd, generic(&address), sizeof address) == 0, "bind");
    socklen_t size = sizeof address;
    must(::getsockname(*fd, generic(&address), &size) == 0, "getsockname");
    return {std::move(fd), address};
}

class NonBlocking {
  public:
    explicit NonBlocking(int fd) : fd_(fd), flags_(::fcntl(fd, F_GETFL)) {
        must(flags_ >= 0 && ::fcntl(fd, F_SETFL, flags_ | O_NONBLOCK) == 0, "O_NONBLOCK");
    }
    NonBlocking(const NonBlocking&) = delete;
    ~NonBlocking() { ::fcntl(fd_, F_SETFL, flags_); }

  private:
    int fd_;
    int flags_;
};

}  // namespace

void Fd::reset(int fd) {
    if (fd_ >= 0 && fd_ != fd) ::close(fd_);
    fd_ = fd;
}

Fd Listener::connect() const {
    Fd client{::socket(AF_INET, SOCK_STREAM, 0)};
    must(bool(client), "socket");
    must(::connect(*client, generic(&address), sizeof address) == 0, "connect");
    return client;
}

Fd Listener::accept() const {
    Fd server{::accept(*fd, nullptr, nullptr)};
    must(bool(server), "accept");
    return server;
}

TempFile::TempFile(std::string_view content) {
    const char* directory = std::getenv("TMPDIR");
    path = std::string(directory && *directory ? directory : "/tmp") + "/kqtest.XXXXXX";
    fd.reset(::mkstemp(path.data()));
    must(bool(fd), "mkstemp");
    write_bytes(*fd, content);
    must(::lseek(*fd, 0, SEEK_SET) == 0, "lseek");
}

TempFile::~TempFile() {
    ::unlink(path.c_str());
}

Pipe make_pipe() {
    int ends[2] = {-1, -1};
    must(::pipe(ends) == 0, "pipe");
    return {Fd{ends[0]}, Fd{ends[1]}};
}

Pair make_socketpair(int type) {
    int ends[2] = {-1, -1};
    must(::socketpair(AF_UNIX, type, 0, ends) == 0, "socketpair");
    return {Fd{ends[0]}, Fd{ends[1]}};
}

Pair make_tcp_pair() {
    const Listener listener = make_listener();
    Fd client = listener.connect();
    Fd server = listener.accept();
    return {std::move(client), std::move(server)};
}

Pair make_udp_pair() {
    auto [a, a_address] = bound_socket(SOCK_DGRAM);
    auto [b, b_address] = bound_socket(SOCK_DGRAM);
    must(::connect(*a, generic(&b_address), sizeof b_address) == 0, "connect");
    must(::connect(*b, generic(&a_address), sizeof a_address) == 0, "connect");
    return {std::move(a), std::move(b)};
}

Listener make_listener(int backlog) {
    auto [fd, address] = bound_socket(SOCK_STREAM);
    must(::listen(*fd, backlog) == 0, "listen");
    return {std::move(fd), address};
}

Fd open_file(const std::string& path, int flags) {
    Fd fd{::open(path.c_str(), flags | O_CLOEXEC, 0600)};
    must(bool(fd), path.c_str());
    return fd;
}

void set_nonblock(int fd, bool on) {
    const int flags = ::fcntl(fd, F_GETFL);
    must(flags >= 0, "F_GETFL");
    must(::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == 0, "F_SETFL");
}

void write_bytes(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return must(false, "write");
        bytes.remove_prefix(static_cast<size_t>(n));
    }
}

void write_bytes(int fd, size_t count) {
    write_bytes(fd, std::string(count, 'x'));
}

std::string read_bytes(int fd, size_t count) {
    std::string bytes(count, '\0');
    size_t have = 0;
    while (have < count) {
        pollfd p{fd, POLLIN, 0};
        if (retry_poll(&p, time_limit()) != 1) {
            ADD_FAILURE() << "nothing to read; have " << have << " of " << count << " bytes";
            break;
        }
        const ssize_t n = ::read(fd, bytes.data() + have, count - have);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n <= 0) {
            ADD_FAILURE() << "read: " << (n == 0 ? "end of file" : std::strerror(errno));
            break;
        }
        have += static_cast<size_t>(n);
    }
    bytes.resize(have);
    return bytes;
}

size_t fill(int fd) {
    const NonBlocking guard(fd);
    const std::string block(4096, 'x');
    size_t total = 0;
    size_t size = block.size();  // ends with single bytes: full means full
    while (size > 0) {
        const ssize_t n = ::write(fd, block.data(), size);
        if (n > 0)
            total += static_cast<size_t>(n);
        else if (errno == EAGAIN)
            size /= 2;
        else if (errno != EINTR)
            return must(false, "write"), total;
    }
    return total;
}

size_t drain(int fd) {
    const NonBlocking guard(fd);
    char block[65536];
    size_t total = 0;
    for (;;) {
        const ssize_t n = ::read(fd, block, sizeof block);
        if (n > 0)
            total += static_cast<size_t>(n);
        else if (n == 0 || errno == EAGAIN)
            return total;
        else if (errno != EINTR)
            return must(false, "read"), total;
    }
}

int lowest_free_number() {
    const Fd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    must(bool(fd), "/dev/null");
    return *fd;
}

bool wait_readable(int fd, milliseconds limit) {
    pollfd p{fd, POLLIN, 0};
    return retry_poll(&p, limit) == 1 && (p.revents & POLLIN) != 0;
}

}  // namespace kqtest
