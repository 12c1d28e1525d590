// SPDX-License-Identifier: BSD-2-Clause
// The parts of net.h that depend on the system: bytes that were sent and have not arrived, and
// descriptors that are sent in messages.
#include "support/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#ifdef __linux__
    #include <linux/sock_diag.h>
    #include <linux/sockios.h>
#endif

namespace kqtest {
namespace {

void must(bool good, const char* what) {
    if (!good) ADD_FAILURE() << what << ": " << ::strerror(errno);
}

bool is_tcp(int fd) {
    return address_of(fd).sin_family == AF_INET &&
           get_option(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM;
}

}  // namespace

void send_descriptor(int socket, int fd) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    char nothing = 0;
    iovec vector{&nothing, 0};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    ::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    must(::sendmsg(socket, &message, MSG_NOSIGNAL) == 0, "sendmsg");
}

int bytes_unsent(int fd) {
    int bytes = -1;
#ifdef SIOCOUTQ
    must(::ioctl(fd, SIOCOUTQ, &bytes) == 0, "SIOCOUTQ");
#else
    must(::ioctl(fd, FIONWRITE, &bytes) == 0, "FIONWRITE");
#endif
    return bytes;
}

#ifdef __linux__
bool has_tcp_connections(int listener, size_t count) {
    tcp_info info{};
    socklen_t size = sizeof info;
    must(::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) == 0, "TCP_INFO");
    if (size >= sizeof info) return info.tcpi_unacked >= count;
    return count == 0 || look(listener, POLLIN) != 0;
}

unsigned tcp_state(int fd) {
    uint8_t state = 0;  // the first byte of a tcp_info
    socklen_t size = sizeof state;
    must(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size) == 0, "TCP_INFO");
    return state;
}

int64_t memory_of_datagrams(int fd) {
    int domain = AF_UNIX;  // there the memory counts as the sender's
    socklen_t size = sizeof domain;
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain == AF_UNIX)
        return -1;
    uint32_t info[SK_MEMINFO_VARS] = {};
    size = sizeof info;
    const bool known = ::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) == 0;
    return known ? int64_t{info[SK_MEMINFO_RMEM_ALLOC]} : -1;
}
#endif

void fill_up(int fd, int peer) {
    if (!is_tcp(fd)) {
        fill(fd);
        return;
    }
    int total = bytes_unsent(fd) + bytes_to_read(peer);
    for (int added = -1; added != 0 || look(fd, POLLOUT) != 0;) {
        added = static_cast<int>(fill(fd));
        total += added;
        const bool settled = eventually([&] {
#ifdef TCP_QUICKACK
            set_option(peer, IPPROTO_TCP, TCP_QUICKACK, 1);
#endif
            return bytes_unsent(fd) + bytes_to_read(peer) == total;
        });
        if (!settled) return;
    }
}

void drain_from(int fd, int peer) {
    eventually([&] {
        drain(peer);
        return bytes_unsent(fd) == 0;
    });
    drain(peer);
}

std::chrono::microseconds cpu_time() {
    rusage usage{};
    must(::getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    const auto micros = [](const timeval& t) {
        return std::chrono::seconds{t.tv_sec} + std::chrono::microseconds{t.tv_usec};
    };
    return micros(usage.ru_utime) + micros(usage.ru_stime);
}

}  // namespace kqtest
