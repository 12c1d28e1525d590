// SPDX-License-Identifier: BSD-2-Clause
// Sockets: turns what poll() says of them into filter results of BSD (semantics 5.1.1, 5.1.2, 5.2).
// Stateless except for FdFacts; the lock is the kqueue's.
//
// The system gives a pending error once, to the first call that reads, looks (MSG_PEEK), sends or
// asks for SO_ERROR. That must be a call of the program. So this code makes no such call, not even
// if poll() says that there is no error: one may come at that moment. It uses only poll(),
// FIONREAD, the names of a socket, and earlier observations.
#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "amount.h"
#include "connection.h"
#include "poll_bits.h"
#include "sys.h"

namespace kq::sockets {
namespace {

// The value of an int option of the socket level, or `otherwise`.
int option(int fd, int name, int otherwise) {
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : otherwise;
}

bool is_connected_kind(FdKind kind) {
    return kind != FdKind::datagram;
}

void note_alive(FdFacts& facts) {
    facts.was_alive = true;
    facts.has_ended = false;
}

// What poll() says now of a connection, in full.
struct State {
    bool closed;    // the number is not open
    bool readable;  // or at its end
    bool writable;
    bool hangup;
    bool failed;
    bool peer_ended;  // never true where kPeerEnded is 0
    bool unconnected;
};

State look(int fd, const FdFacts& facts) {
    const short now = sys::poll_now(fd, static_cast<short>(POLLIN | POLLOUT | kPeerEnded));
    State state{};
    state.closed = (now & POLLNVAL) != 0;
    state.readable = (now & POLLIN) != 0;
    state.writable = (now & POLLOUT) != 0;
    state.hangup = (now & POLLHUP) != 0;
    state.failed = (now & POLLERR) != 0;
    state.peer_ended = (now & kPeerEnded) != 0;
    // A socket that has ended is readable: it is at its end. Some protocols only hang up.
    state.unconnected =
        state.hangup && !state.readable && !state.failed && !facts.was_alive && !facts.has_ended;
    return state;
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

Sample readable_listener(int fd, uint16_t ready) {
    Sample sample;
    // Others may have accepted what poll() told us of. There is no call that tells how many wait.
    const bool waits = (ready & kReadable) != 0 && (sys::poll_now(fd, POLLIN) & POLLIN) != 0;
    sample.data = waits ? 1 : 0;
    sample.unmarked = true;
    sample.active = waits;
    return sample;
}

// Whether a connection is at its end, or has only its end left to be read. Without kPeerEnded:
// FIONREAD stops at TCP's urgent mark, so 0 bytes there are no end.
bool has_end(int fd, const State& state, int64_t bytes, bool counted) {
    if (state.hangup || state.peer_ended) return true;
    if (kPeerEnded != 0 || !counted) return false;
    return state.readable && bytes == 0 && sockatmark(fd) != 1;
}

// Connections that do not simply have some bytes. `bytes`: -1 if they cannot be counted.
Sample readable_otherwise(int fd, FdFacts& facts, int64_t bytes) {
    Sample sample;
    const State state = look(fd, facts);
    sample.closed = state.closed;
    if (state.closed) return sample;
    if (state.unconnected) return never_connected(facts);
    sample.eof = has_end(fd, state, bytes, bytes >= 0);
    sample.data = bytes < 0 ? 0 : bytes;
    // If the system calls it readable, and it is not the end, something can be read: TCP behind its
    // urgent mark, protocols that decrypt or collect. On a packet socket it is an empty packet.
    const bool hidden = sample.data == 0 && state.readable &&
                        (sample.eof ? sockatmark(fd) == 1 : facts.kind != FdKind::seqpacket);
    if (hidden) sample.data = 1;
    sample.unmarked = hidden;  // the amount is unknown, so it must not wait for a mark
    sample.active = sample.data > 0 || (state.readable && !sample.eof);
    facts.has_ended = sample.eof && state.hangup;
    if (state.failed && sample.eof) sample.error = connection::cause_of_end(fd, facts);
    if (state.failed && !sample.eof)
        sample.active = sample.unmarked = true;  // left for the next call on the socket
    return sample;
}

Sample readable_datagrams(uint16_t ready, int64_t bytes) {
    Sample sample;
    sample.data = bytes < 0 ? 1 : bytes;
    sample.unmarked = (ready & kFailed) != 0;  // left for the next call on the socket
    sample.active = (ready & kReadable) != 0 || sample.unmarked;
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
    if (facts.kind == FdKind::datagram) return readable_datagrams(ready, bytes);
    if (bytes <= 0 || (ready & (kHangup | kFailed)) != 0)
        return readable_otherwise(fd, facts, bytes);
    note_alive(facts);
    sample.data = bytes;
    sample.active = true;
    return sample;
}

Sample writable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (ready == 0) return sample;
    const bool connected = is_connected_kind(facts.kind);
    bool failed = (ready & kFailed) != 0;
    if ((ready & (kHangup | kFailed)) != 0 && connected) {
        const State state = look(fd, facts);
        sample.closed = state.closed;
        if (state.unconnected) return never_connected(facts);
        sample.eof = state.hangup;
        failed = state.failed;
        if (state.writable) ready |= kWritable;
        facts.has_ended = sample.eof;
    }
    const bool writable = (ready & kWritable) != 0;
    if (connected && writable && !sample.eof && !facts.was_alive) {
        if (!has_peer(fd)) return never_connected(facts);
        note_alive(facts);
    }
    if (failed && sample.eof) sample.error = connection::cause_of_end(fd, facts);
    // On a connection that goes on it is a queue of errors, or nothing that prevents writing.
    sample.unmarked = failed && !sample.eof && !connected;
    const int64_t unsent = amount::unsent(fd);
    sample.closed = sample.closed || (unsent < 0 && errno == EBADF);
    sample.data = int64_t{option(fd, SO_SNDBUF, 1)} - (unsent < 0 ? 0 : unsent);
    if (sample.data < 1) sample.data = writable ? 1 : 0;
    sample.active = writable || sample.unmarked;
    return sample;
}

}  // namespace kq::sockets
