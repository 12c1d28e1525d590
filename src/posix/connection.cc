// SPDX-License-Identifier: BSD-2-Clause
// See connection.h. POSIX has no call that tells; many systems have TCP_INFO.
#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace kq::connection {
namespace {

// Whether TCP has ever measured how long the peer takes to answer: then there was a connection.
// False, too, where the system has no such call.
bool had_handshake(int fd) {
#if defined(TCP_INFO) && \
    defined(TCPI_OPT_TIMESTAMPS)  // and the struct, which has no name to ask for
    tcp_info info{};
    socklen_t size = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_rtt != 0;
#else
    (void)fd;
    return false;
#endif
}

}  // namespace

uint32_t cause_of_end(int fd, const FdFacts& facts) {
    // On AF_UNIX connect() itself fails; a socket that was connected dies only if its peer left
    // without reading all. After the death of other sockets their peer has no name, whether there
    // was one or not.
    const bool local = facts.kind == FdKind::unix_stream || facts.kind == FdKind::seqpacket;
    return local || facts.was_alive || had_handshake(fd) ? ECONNRESET : ECONNREFUSED;
}

}  // namespace kq::connection
