// SPDX-License-Identifier: BSD-2-Clause
// See connection.h. POSIX has no call that tells; many systems have TCP_INFO.
#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace kq::connection {
namespace {

// TCPI_OPT_TIMESTAMPS stands for the struct, whose name the preprocessor cannot ask for.
#if defined(TCP_INFO) && defined(TCPI_OPT_TIMESTAMPS)
    #define KQ_HAS_TCP_INFO 1
#else
    #define KQ_HAS_TCP_INFO 0
#endif

#if KQ_HAS_TCP_INFO
bool ask(int fd, tcp_info& info) {
    socklen_t size = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
}
#endif

// Whether TCP has ever measured how long the peer takes to answer: then there was a connection.
bool had_handshake([[maybe_unused]] int fd) {
#if KQ_HAS_TCP_INFO
    tcp_info info{};
    return ask(fd, info) && info.tcpi_rtt != 0;
#else
    return false;
#endif
}

}  // namespace

bool is_over([[maybe_unused]] int fd) {
#if KQ_HAS_TCP_INFO
    tcp_info info{};
    return ask(fd, info) && info.tcpi_state == TCP_CLOSE;
#else
    return false;
#endif
}

uint32_t cause_of_end(int fd, const FdFacts& facts) {
    // On AF_UNIX connect() itself fails; a socket that was connected dies only if its peer left
    // without reading all. After the death of other sockets their peer has no name, whether there
    // was one or not.
    const bool local = facts.kind == FdKind::unix_stream || facts.kind == FdKind::seqpacket;
    return local || facts.was_alive || had_handshake(fd) ? ECONNRESET : ECONNREFUSED;
}

}  // namespace kq::connection
