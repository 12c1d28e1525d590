// SPDX-License-Identifier: BSD-2-Clause
// See connection.h.
#include "connection.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "sys.h"

namespace kq::connection {
namespace {

enum : uint8_t { kTcpClose = 7 };  // the kernel's number for it in tcpi_state

int tcp_option(int fd, int name, int otherwise) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, IPPROTO_TCP, name, &value, &size) == 0 ? value : otherwise;
}

// For a connection that failed while it was being set up: was it answered at all?
uint32_t cause_of_refusal(int fd, const tcp_info& info, bool counts_segments) {
    if (counts_segments && info.tcpi_segs_in > 0) return ECONNREFUSED;  // the peer's RST
    const bool gave_up = tcp_option(fd, TCP_USER_TIMEOUT, 0) != 0
                             ? info.tcpi_retransmits > 0
                             : info.tcpi_retransmits >= tcp_option(fd, TCP_SYNCNT, 1);
    if (gave_up) return ETIMEDOUT;
    // Before that a router, or this machine, has reported the failure.
    return counts_segments ? EHOSTUNREACH : ECONNREFUSED;
}

// From so many retransmissions on, silence is likelier than a peer that was restarted and says so.
// The kernel gives up after 15, unless told otherwise.
constexpr int kManyRetransmissions = 8;

// For a connection that failed after it was set up: by the peer's RST, or by silence?
uint32_t cause_of_loss(int fd, const tcp_info& info) {
    if (info.tcpi_retransmits == 0 && info.tcpi_probes == 0) return ECONNRESET;
    const bool impatient = tcp_option(fd, TCP_USER_TIMEOUT, 0) != 0;
    const bool silent = info.tcpi_retransmits >= kManyRetransmissions ||
                        info.tcpi_probes >= tcp_option(fd, TCP_KEEPCNT, 9);
    return impatient || silent ? ETIMEDOUT : ECONNRESET;
}

bool had_handshake(const tcp_info& info) {
    // The last condition: a socket that never sent a SYN was accepted. The size of the window alone
    // says nothing, because it outlives a disconnection.
    return info.tcpi_rtt != 0 || info.tcpi_bytes_acked != 0 || info.tcpi_bytes_received != 0 ||
           (info.tcpi_rcv_space != 0 && info.tcpi_segs_out == 0);
}

// For protocols that tell nothing: was there a connection, as far as was seen?
uint32_t likeliest(int fd, const FdFacts& facts) {
    if (facts.was_alive) return ECONNRESET;
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const bool has_peer = getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
    return has_peer ? ECONNRESET : ECONNREFUSED;
}

}  // namespace

bool is_over(int fd) {
    uint8_t state = 0;  // the first byte of a tcp_info
    socklen_t size = sizeof state;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size) == 0 && state == kTcpClose;
}

uint32_t cause_of_end(int fd, const FdFacts& facts) {
    // On AF_UNIX connect() itself fails. A socket that was connected dies only if its peer closed
    // without reading everything.
    if (facts.kind == FdKind::unix_stream) return ECONNRESET;
    if (facts.kind == FdKind::seqpacket) return likeliest(fd, facts);
    if (facts.kind == FdKind::datagram) return 0;  // an ICMP answer ends nothing
    tcp_info info{};
    socklen_t size = sizeof info;
    constexpr size_t kOldest = offsetof(tcp_info, tcpi_rcv_space) + sizeof info.tcpi_rcv_space;
    constexpr size_t kCounting = offsetof(tcp_info, tcpi_segs_in) + sizeof info.tcpi_segs_in;
    // MPTCP answers, too: for its first subflow.
    const bool answers = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
    if (!answers || size < kOldest) return likeliest(fd, facts);
    if (info.tcpi_state != kTcpClose) return 0;  // alive: POLLERR is an error queue
    return had_handshake(info) ? cause_of_loss(fd, info)
                               : cause_of_refusal(fd, info, size >= kCounting);
}

}  // namespace kq::connection
