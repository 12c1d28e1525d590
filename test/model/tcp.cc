// SPDX-License-Identifier: BSD-2-Clause
// See tcp.h.
#include "model/tcp.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/tcp.h>  // for tcpi_bytes_received, which <netinet/tcp.h> lacks
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

namespace kqmodel::tcp {
namespace {

constexpr int kType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

template <class Condition>
void await(Condition condition) {
    using Clock = std::chrono::steady_clock;
    for (const auto begin = Clock::now(); !condition();) {
        if (Clock::now() - begin > std::chrono::seconds(2)) {
            ADD_FAILURE() << "the network brings nothing";
            return;
        }
        ::poll(nullptr, 0, 1);
    }
}

bool send_at_once(int fd) {
    const int on = 1;
    return ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
}

bool address_of(int fd, sockaddr_in& address) {
    socklen_t size = sizeof address;
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
}

}  // namespace

Listener::~Listener() {
    if (fd_ >= 0) ::close(fd_);
}

bool Listener::open() {
    if (fd_ >= 0) return true;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd_ = ::socket(AF_INET, kType, 0);
    return fd_ >= 0 && ::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
           ::listen(fd_, 16) == 0;
}

bool Listener::connect(int ends[2]) {
    sockaddr_in address{};
    if (!open() || !address_of(fd_, address)) return false;
    ends[0] = ::socket(AF_INET, kType, 0);
    if (ends[0] < 0) return false;
    (void)::connect(ends[0], reinterpret_cast<sockaddr*>(&address), sizeof address);
    await([this, &ends] {
        ends[1] = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        return ends[1] >= 0;
    });
    pollfd pfd{ends[0], POLLOUT, 0};
    await([&pfd] { return ::poll(&pfd, 1, 0) == 1; });
    return send_at_once(ends[0]) && send_at_once(ends[1]);
}

uint64_t received(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received
                                                                      : 0;
}

void await_bytes(int fd, uint64_t count) {
    await([fd, count] { return received(fd) >= count; });
}

void await_end(int fd) {
    pollfd pfd{fd, POLLRDHUP, 0};
    await([&pfd] { return ::poll(&pfd, 1, 0) == 1; });
}

}  // namespace kqmodel::tcp
