// Sockets: readiness bits of Linux turned into filter results of BSD
// (semantics 5.1.1, 5.1.2, 5.2). Stateless but for FdFacts; the lock is the
// kqueue's.
//
// Hangups: a connection that was alive reports EPOLLRDHUP with EPOLLHUP, a
// stream socket that never was connected EPOLLHUP alone, and that is not an
// event on BSD. Errors: the kernel gives a pending one once, so it is fetched
// only from a dead connection and kept in FdFacts::so_error.
#include "sockets.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sys.h"

namespace kq::sockets {
namespace {

// An int socket option, or `otherwise`.
int option(int fd, int level, int name, int otherwise) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, level, name, &value, &size) == 0 ? value : otherwise;
}

bool is_connected_kind(FdKind kind) {
    return kind != FdKind::datagram;
}

// ---- listeners: how many connections wait ----

int64_t tcp_backlog(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    constexpr size_t kNeeded = offsetof(tcp_info, tcpi_unacked) + sizeof info.tcpi_unacked;
    const int failed = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    if (failed != 0 || size < kNeeded) return 1;  // emulators answer with less
    return info.tcpi_unacked;                     // on a listener: the length of the accept queue
}

// The queue length in the answer to unix_backlog()'s question, or -1.
int64_t parse_unix_backlog(const char* answer, ssize_t size) {
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
    const auto length = static_cast<unsigned>(size < 0 ? 0 : size);
    if (!NLMSG_OK(header, length) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return -1;
    const size_t skip = sizeof *header + sizeof(unix_diag_msg);  // both multiples of 4
    for (size_t at = skip; at + sizeof(nlattr) <= header->nlmsg_len;) {
        const auto* attribute = reinterpret_cast<const nlattr*>(answer + at);
        if (attribute->nla_len < sizeof *attribute) break;
        if (attribute->nla_type == UNIX_DIAG_RQLEN) {
            unix_diag_rqlen lengths{};
            memcpy(&lengths, answer + at + sizeof *attribute, sizeof lengths);
            return lengths.udiag_rqueue;
        }
        at += (size_t{attribute->nla_len} + 3) & ~size_t{3};  // padded to 4 bytes
    }
    return -1;
}

// Only the socket diagnostics of netlink know it. 1 where they are not allowed.
int64_t unix_backlog(int fd) {
    struct stat st {};
    if (fstat(fd, &st) != 0) return 1;
    const int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0) return 1;
    struct {
        nlmsghdr header;
        unix_diag_req request;
    } question{};
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.request.sdiag_family = AF_UNIX;
    question.request.udiag_states = ~0u;
    question.request.udiag_ino = static_cast<uint32_t>(st.st_ino);
    question.request.udiag_show = UDIAG_SHOW_RQLEN;
    question.request.udiag_cookie[0] = question.request.udiag_cookie[1] = ~0u;
    int64_t length = -1;
    if (sys::send(netlink, &question, sizeof question, 0) == sizeof question) {
        alignas(nlmsghdr) char answer[512];
        // The kernel has answered before send() returned.
        const ssize_t size = sys::recv(netlink, answer, sizeof answer, MSG_DONTWAIT);
        length = parse_unix_backlog(answer, size);
    }
    sys::close(netlink);
    return length < 0 ? 1 : length;
}

int64_t backlog(int fd, FdKind kind) {
    switch (kind) {
        case FdKind::tcp:
            return tcp_backlog(fd);
        case FdKind::unix_stream:
        case FdKind::seqpacket:
            return unix_backlog(fd);
        default:
            return 1;
    }
}

// A listener. Others may have accepted what the kernel told us of.
Sample accepting(int fd, FdKind kind, uint16_t ready) {
    Sample sample;
    sample.data = backlog(fd, kind);
    sample.unmarked = true;
    sample.active = (ready & kReadable) != 0 && sample.data > 0;
    return sample;
}

// ---- connections ----

// The end of a connection, and what it died of.
void note_end(int fd, FdFacts& facts, bool eof, bool error, Sample& sample) {
    sample.eof = eof;
    sample.unmarked = error && !eof;  // left for the next call on the socket to return
    if (eof && error) {
        const int fetched = option(fd, SOL_SOCKET, SO_ERROR, 0);
        if (fetched != 0) facts.so_error = static_cast<uint8_t>(fetched);
    } else if (!eof) {
        facts.so_error = 0;  // connected again since
    }
    if (eof) sample.error = facts.so_error;
}

// Not active. TCP tells when it gets connected, the others do not.
Sample never_connected(const FdFacts& facts) {
    Sample sample;
    sample.untold = facts.kind != FdKind::tcp;
    return sample;
}

// Whether the sending side was shut, here or by the peer's leaving: the kernel
// calls such a socket writable, and says why only to those who ask.
bool send_side_shut(int fd, FdKind kind, bool& unconnected) {
    if (kind == FdKind::tcp) {
        uint8_t state = TCP_ESTABLISHED;  // the first byte of a tcp_info
        socklen_t size = sizeof state;
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size) != 0) return false;
        return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
               state == TCP_LAST_ACK || state == TCP_TIME_WAIT || state == TCP_CLOSE;
    }
    // Packet sockets have no attempt that neither sends nor allocates: allocating
    // would free again, and that makes an edge. A gap: see BUGS.md.
    if (kind != FdKind::unix_stream) return false;
    // On a stream nothing is sent, and nobody can tell it was tried.
    if (sys::send(fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) == 0) return false;
    unconnected = errno == ENOTCONN;
    return errno == EPIPE;
}

// Free space in the send buffer, by the kernel's own measure (semantics 5.2).
int64_t free_space(int fd, bool& closed) {
    uint32_t info[SK_MEMINFO_VARS] = {};
    socklen_t size = sizeof info;
    constexpr size_t kNeeded = sizeof *info * (SK_MEMINFO_WMEM_QUEUED + 1);
    const int failed = getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size);
    if (failed == 0 && size >= kNeeded) {
        const uint32_t queued = info[SK_MEMINFO_WMEM_QUEUED];
        const uint32_t allocated = info[SK_MEMINFO_WMEM_ALLOC];
        return int64_t{info[SK_MEMINFO_SNDBUF]} - (queued > allocated ? queued : allocated);
    }
    closed = failed != 0 && errno == EBADF;
    int unsent = 0;  // before Linux 4.12, and on emulators
    if (ioctl(fd, SIOCOUTQ, &unsent) != 0) unsent = 0;
    return int64_t{option(fd, SOL_SOCKET, SO_SNDBUF, 1)} - unsent;
}

}  // namespace

Result<FdKind> classify(int fd) {
    errno = 0;
    const int type = option(fd, SOL_SOCKET, SO_TYPE, -1);
    const bool stream = type == SOCK_STREAM;
    const int domain = stream ? option(fd, SOL_SOCKET, SO_DOMAIN, -1) : AF_UNIX;
    const int protocol = domain == AF_UNIX ? 0 : option(fd, SOL_SOCKET, SO_PROTOCOL, -1);
    // Asked through a program of a control group, which may have been short of it. What else
    // it may answer, it answers always.
    if (errno == ENOMEM) return Errno::no_memory;
    if (!stream) return type == SOCK_SEQPACKET ? FdKind::seqpacket : FdKind::datagram;
    if (domain == AF_UNIX) return FdKind::unix_stream;
    return protocol == IPPROTO_TCP ? FdKind::tcp : FdKind::stream;
}

Sample readable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (ready == 0) return sample;
    int bytes = 0;
    if (sys::ioctl(fd, FIONREAD, &bytes) != 0) {
        sample.closed = errno == EBADF;
        if (sample.closed) return sample;
        if (errno == EINVAL) return accepting(fd, facts.kind, ready);
        // A protocol that cannot count, as netlink.
        bytes = (ready & kReadable) != 0 && (ready & kReadHangup) == 0 ? 1 : 0;
    }
    const bool error = (ready & kFailed) != 0;
    const bool eof = (ready & kReadHangup) != 0;
    if (is_connected_kind(facts.kind) && (ready & kHangup) != 0 && !eof && !error)
        return never_connected(facts);
    note_end(fd, facts, eof, error, sample);
    sample.data = bytes;
    // Packets may be empty, and carry only what is beside the data.
    const bool packets = facts.kind == FdKind::datagram || facts.kind == FdKind::seqpacket;
    sample.active = bytes > 0 || sample.unmarked || (packets && (ready & kReadable) != 0);
    return sample;
}

Sample writable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (ready == 0) return sample;
    bool eof = false;
    if ((ready & kHangup) != 0 && is_connected_kind(facts.kind)) {
        const short now = sys::poll_now(fd, POLLIN | POLLOUT | POLLRDHUP);
        sample.closed = (now & POLLNVAL) != 0;
        // Without either it is connected again, or select() answered: what follows finds out.
        if ((now & (POLLHUP | POLLRDHUP)) == POLLHUP) return never_connected(facts);
        eof = (now & POLLHUP) != 0;
        if ((now & POLLERR) != 0) ready |= kFailed;
    }
    bool unconnected = false;
    if (!eof && (ready & kWritable) != 0) eof = send_side_shut(fd, facts.kind, unconnected);
    if (unconnected) return never_connected(facts);
    note_end(fd, facts, eof, (ready & kFailed) != 0, sample);
    sample.data = free_space(fd, sample.closed);
    if (sample.data < 1) sample.data = (ready & kWritable) != 0 ? 1 : 0;
    sample.active = (ready & kWritable) != 0 || sample.unmarked;
    return sample;
}

}  // namespace kq::sockets
