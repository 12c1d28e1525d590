// Sockets: what poll() says of them turned into filter results of BSD (semantics 5.1.1,
// 5.1.2, 5.2). Stateless but for FdFacts; the lock is the kqueue's.
//
// poll() says neither that the peer will send no more, nor why a connection died, nor
// whether it ever lived: looking at the first byte (MSG_PEEK) says all three. It is done
// where there is none, or where poll() speaks of a hangup or an error; a pending error is
// given once, so it is kept in FdFacts::so_error.
#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "amount.h"
#include "sys.h"

// All systems have it, though POSIX has not. Without it a thread that reads the same
// socket at the same moment could make us wait for it.
#ifndef MSG_DONTWAIT
    #define MSG_DONTWAIT 0
#endif

namespace kq::sockets {
namespace {

// An int socket option of the socket level, or `otherwise`.
int option(int fd, int name, int otherwise) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : otherwise;
}

bool is_connected_kind(FdKind kind) {
    return kind != FdKind::datagram;
}

bool is_no_answer(int error) {
#if EAGAIN != EWOULDBLOCK
    if (error == EWOULDBLOCK) return true;
#endif
    return error == EAGAIN || error == EINTR;
}

// What looking at the first byte says.
enum class Peek : uint8_t {
    data,
    end,
    nothing,      // yet
    unconnected,  // and never was
    failed,       // FdFacts::so_error says why
    closed,
};

Peek peek(int fd, FdFacts& facts) {
    char byte = 0;
    const ssize_t n = sys::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) return Peek::data;
    if (n == 0) return Peek::end;
    if (is_no_answer(errno)) return Peek::nothing;
    switch (errno) {
        case EBADF:
            return Peek::closed;
        case ENOTCONN:
        case EINVAL:  // where an unconnected stream of AF_UNIX says so
            return facts.so_error != 0 ? Peek::end : Peek::unconnected;
        default:
            facts.so_error = static_cast<uint8_t>(errno);
            return Peek::failed;
    }
}

// What a dead connection died of, if that is not known yet.
void fetch_error(int fd, FdFacts& facts) {
    const int error = option(fd, SO_ERROR, 0);
    if (error != 0) facts.so_error = static_cast<uint8_t>(error);
}

// Not active. TCP tells when it gets connected, the others do not.
Sample never_connected(const FdFacts& facts) {
    Sample sample;
    sample.untold = facts.kind != FdKind::tcp;
    return sample;
}

bool has_peer(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    return getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
}

// Whether the sending side was shut, here or by the peer's leaving. On a stream nothing is
// sent by this, and nobody can tell that it was tried; packets have no such attempt.
bool send_side_shut(int fd, FdFacts& facts, bool& unconnected) {
    const bool stream = facts.kind == FdKind::tcp || facts.kind == FdKind::unix_stream;
    if (!stream || sys::send(fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) == 0) return false;
    const int error = errno;
    if (is_no_answer(error)) return false;
    unconnected = error == ENOTCONN || (error == EPIPE && facts.so_error == 0 && !has_peer(fd));
    if (unconnected) return false;
    if (error != EPIPE) facts.so_error = static_cast<uint8_t>(error);
    return true;
}

Sample readable_listener(int fd, uint16_t ready) {
    Sample sample;
    // Others may have accepted what poll() told us of. How many wait cannot be asked.
    const bool waits = (ready & kReadable) != 0 && (sys::poll_now(fd, POLLIN) & POLLIN) != 0;
    sample.data = waits ? 1 : 0;
    sample.unmarked = true;
    sample.active = waits;
    return sample;
}

Sample readable_packets(int fd, FdFacts& facts, uint16_t ready, int64_t bytes) {
    Sample sample;
    sample.data = bytes < 0 ? 1 : bytes;
    sample.unmarked = (ready & kFailed) != 0;  // left for the next call on the socket
    sample.active = (ready & kReadable) != 0 || sample.unmarked;
    if (facts.kind != FdKind::seqpacket) return sample;
    sample.eof = (ready & kHangup) != 0;
    if (bytes > 0) return sample;
    // An empty packet looks like the end, to those who read it, too.
    const Peek seen = peek(fd, facts);
    if (seen == Peek::unconnected) return never_connected(facts);
    sample.eof = sample.eof || seen == Peek::end || seen == Peek::failed;
    sample.active = sample.eof;
    if (sample.eof) sample.error = facts.so_error;
    return sample;
}

}  // namespace

FdKind classify(int fd) {
    switch (option(fd, SO_TYPE, -1)) {
        case SOCK_STREAM:
            break;
        case SOCK_SEQPACKET:
            return FdKind::seqpacket;
        default:
            return FdKind::datagram;
    }
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return FdKind::stream;
    if (address.ss_family == AF_UNIX) return FdKind::unix_stream;
    const bool internet = address.ss_family == AF_INET || address.ss_family == AF_INET6;
    return internet ? FdKind::tcp : FdKind::stream;
}

Sample readable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (ready == 0) return sample;
    if (option(fd, SO_ACCEPTCONN, 0) != 0) return readable_listener(fd, ready);
    const int64_t bytes = amount::readable(fd);
    sample.closed = bytes < 0 && errno == EBADF;
    if (sample.closed) return sample;
    if (facts.kind == FdKind::datagram || facts.kind == FdKind::seqpacket)
        return readable_packets(fd, facts, ready, bytes);
    if (bytes > 0 && (ready & (kHangup | kFailed)) == 0) {
        facts.so_error = 0;  // connected again since
        sample.data = bytes;
        sample.active = true;
        return sample;
    }
    switch (peek(fd, facts)) {
        case Peek::data:
            sample.data = bytes > 0 ? bytes : 1;
            sample.eof = (ready & kHangup) != 0;
            sample.active = true;
            break;
        case Peek::end:
        case Peek::failed:
            sample.eof = true;
            sample.data = bytes > 0 ? bytes : 0;
            break;
        case Peek::unconnected:
            return never_connected(facts);
        case Peek::closed:
            sample.closed = true;
            break;
        case Peek::nothing:
            break;
    }
    if (sample.eof && (ready & kFailed) != 0) fetch_error(fd, facts);
    if (sample.eof) sample.error = facts.so_error;
    return sample;
}

Sample writable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (ready == 0) return sample;
    bool eof = false;
    bool failed = false;
    if ((ready & (kHangup | kFailed)) != 0 && is_connected_kind(facts.kind)) {
        const short now = sys::poll_now(fd, POLLIN | POLLOUT);
        sample.closed = (now & POLLNVAL) != 0;
        const bool over = (now & (POLLHUP | POLLERR)) != 0;
        const Peek seen = sample.closed || !over ? Peek::nothing : peek(fd, facts);
        if (seen == Peek::unconnected) return never_connected(facts);
        eof = (now & POLLHUP) != 0 || seen == Peek::failed;
        failed = (now & POLLERR) != 0;
        if ((now & POLLOUT) != 0) ready |= kWritable;
    }
    bool unconnected = false;
    if (!eof && (ready & kWritable) != 0) eof = send_side_shut(fd, facts, unconnected);
    if (unconnected) return never_connected(facts);
    sample.eof = eof;
    sample.unmarked = (ready & kFailed) != 0 && !eof && facts.kind == FdKind::datagram;
    if (eof && failed) fetch_error(fd, facts);
    if (eof) sample.error = facts.so_error;
    const int64_t unsent = amount::unsent(fd);
    sample.closed = sample.closed || (unsent < 0 && errno == EBADF);
    sample.data = int64_t{option(fd, SO_SNDBUF, 1)} - (unsent < 0 ? 0 : unsent);
    if (sample.data < 1) sample.data = (ready & kWritable) != 0 ? 1 : 0;
    sample.active = (ready & kWritable) != 0 || sample.unmarked;
    return sample;
}

}  // namespace kq::sockets
