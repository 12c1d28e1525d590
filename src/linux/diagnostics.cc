// SPDX-License-Identifier: BSD-2-Clause
// See diagnostics.h.
#include "diagnostics.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sys.h"

#ifndef SO_BINDTOIFINDEX  // headers before Linux 5.0
    #define SO_BINDTOIFINDEX 62
#endif

namespace kq::diagnostics {
namespace {

template <class Body>
struct Question {
    nlmsghdr header;
    Body body;
};

struct Answer {
    alignas(nlmsghdr) char bytes[512];

    [[nodiscard]] const nlmsghdr& header() const {
        return *reinterpret_cast<const nlmsghdr*>(bytes);
    }
    template <class Body>
    [[nodiscard]] const Body& body() const {
        return *reinterpret_cast<const Body*>(bytes + sizeof(nlmsghdr));
    }
};

// True if the answer is about a socket.
template <class Body>
bool ask(Question<Body>& question, Answer& answer) {
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    const int netlink =
        sys::above_stdio(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (netlink < 0) return false;
    ssize_t size = -1;
    if (sys::send(netlink, &question, sizeof question, 0) == sizeof question)
        // The kernel has answered before send() returned.
        size = sys::recv(netlink, answer.bytes, sizeof answer.bytes, MSG_DONTWAIT);
    sys::close(netlink);
    const auto length = static_cast<unsigned>(size < 0 ? 0 : size);
    return NLMSG_OK(&answer.header(), length) && answer.header().nlmsg_type == SOCK_DIAG_BY_FAMILY;
}

// The queue length in the answer to unix_backlog()'s question, or -1.
int64_t parse_unix_backlog(const Answer& answer) {
    const size_t skip = sizeof(nlmsghdr) + sizeof(unix_diag_msg);  // both multiples of 4
    for (size_t at = skip; at + sizeof(nlattr) <= answer.header().nlmsg_len;) {
        const auto* attribute = reinterpret_cast<const nlattr*>(answer.bytes + at);
        if (attribute->nla_len < sizeof *attribute) break;
        if (attribute->nla_type == UNIX_DIAG_RQLEN) {
            unix_diag_rqlen lengths{};
            memcpy(&lengths, answer.bytes + at + sizeof *attribute, sizeof lengths);
            return lengths.udiag_rqueue;
        }
        at += (size_t{attribute->nla_len} + 3) & ~size_t{3};  // padded to 4 bytes
    }
    return -1;
}

// Writes one end of a connection into the question. False: it is no internet address.
bool name_end(const sockaddr_storage& end, __be16& port, __be32 (&address)[4]) {
    if (end.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(end);
        port = v4.sin_port;
        memcpy(address, &v4.sin_addr, sizeof v4.sin_addr);
        return true;
    }
    if (end.ss_family != AF_INET6) return false;
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(end);
    port = v6.sin6_port;
    memcpy(address, &v6.sin6_addr, sizeof v6.sin6_addr);
    return true;
}

// If a socket is bound to an interface, the kernel needs that to find it.
uint32_t interface_of(int fd) {
    int interface = 0;
    socklen_t size = sizeof interface;
    if (getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &interface, &size) != 0) return 0;
    return static_cast<uint32_t>(interface);
}

// Names a socket by its two ends: the kernel cannot look one up by descriptor.
bool name_socket(int fd, inet_diag_req_v2& request) {
    sockaddr_storage local{};
    sockaddr_storage peer{};
    socklen_t size = sizeof local;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) != 0) return false;
    size = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return false;
    request.sdiag_family = static_cast<uint8_t>(local.ss_family);
    request.id.idiag_if = interface_of(fd);
    request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = ~0u;
    return name_end(local, request.id.idiag_sport, request.id.idiag_src) &&
           name_end(peer, request.id.idiag_dport, request.id.idiag_dst);
}

// Whether the peer's FIN has come. A FIN counts as one of the bytes.
bool has_fin(unsigned state) {
    return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING ||
           state == TCP_TIME_WAIT;
}

}  // namespace

int64_t unix_backlog(int fd) {
    struct stat st {};
    if (fstat(fd, &st) != 0) return -1;
    Question<unix_diag_req> question{};
    question.body.sdiag_family = AF_UNIX;
    question.body.udiag_states = ~0u;
    question.body.udiag_ino = static_cast<uint32_t>(st.st_ino);
    question.body.udiag_show = UDIAG_SHOW_RQLEN;
    question.body.udiag_cookie[0] = question.body.udiag_cookie[1] = ~0u;
    Answer answer;
    return ask(question, answer) ? parse_unix_backlog(answer) : -1;
}

int64_t tcp_behind_mark(int fd) {
    Question<inet_diag_req_v2> question{};
    question.body.sdiag_protocol = IPPROTO_TCP;
    question.body.idiag_states = ~0u;
    Answer answer;
    struct stat st {};
    if (!name_socket(fd, question.body) || !ask(question, answer) || sys::fstat(fd, &st) != 0)
        return -1;
    if (answer.header().nlmsg_len < sizeof(nlmsghdr) + sizeof(inet_diag_msg)) return -1;
    const auto& found = answer.body<inet_diag_msg>();
    // A socket of another network namespace may have the same two ends.
    if (found.idiag_inode != static_cast<uint32_t>(st.st_ino)) return -1;
    // The unread bytes begin with the urgent byte itself.
    const int64_t bytes = int64_t{found.idiag_rqueue} - 1 - (has_fin(found.idiag_state) ? 1 : 0);
    return bytes < 0 ? 0 : bytes;
}

}  // namespace kq::diagnostics
