// SPDX-License-Identifier: BSD-2-Clause
// Sockets: readiness bits of Linux turned into filter results of BSD (semantics 5.1.1, 5.1.2, 5.2).
// No state except FdFacts. Lock: the kqueue's mutex.
//
// Hangups: a connection that was alive reports EPOLLRDHUP with EPOLLHUP, a stream socket that was
// never connected reports EPOLLHUP alone, and that is not an event on BSD. Errors: the kernel gives
// a pending error once, and that is for the program. Nothing here asks for it, and nothing here
// reads or sends where one could be pending.
#include "sockets.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "connection.h"
#include "diagnostics.h"
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

int64_t unix_backlog(int fd) {
    const int64_t length = diagnostics::unix_backlog(fd);
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

// A listener. Another thread may have accepted what the kernel reported.
[[gnu::noinline]] Sample accepting(int fd, FdKind kind, uint16_t ready) {
    Sample sample;
    sample.data = backlog(fd, kind);
    sample.unmarked = true;
    sample.active = (ready & kReadable) != 0 && sample.data > 0;
    return sample;
}

// ---- memory ----

using MemoryInfo = uint32_t[SK_MEMINFO_VARS];

// Asks for a socket's memory. False before Linux 4.12, and on emulators.
KQ_INLINE bool ask_memory(int fd, MemoryInfo& info) {
    socklen_t size = sizeof info;
    constexpr size_t kNeeded = sizeof *info * (SK_MEMINFO_WMEM_QUEUED + 1);
    return sys::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) == 0 && size >= kNeeded;
}

// The memory that received data and the queue of errors take, with the kernel's overhead. 0 where
// it is charged to the sender (AF_UNIX); -1: unknown.
int64_t received_memory(int fd) {
    MemoryInfo info = {};
    return ask_memory(fd, info) ? int64_t{info[SK_MEMINFO_RMEM_ALLOC]} : -1;
}

// ---- errors ----

// How long a queue of errors is not reported again, in ticks of 1/60 s: two seconds.
constexpr uint8_t kErrorsPeriod = 120;

// Whether the program wants the errors of this socket queued (IP_RECVERR).
bool queues_errors(int fd) {
    return option(fd, IPPROTO_IP, IP_RECVERR, 0) > 0 ||
           option(fd, IPPROTO_IPV6, IPV6_RECVERR, 0) > 0;
}

// poll() reports POLLERR for a living socket from which nothing can be read. It means an error that
// the next call returns, or the queue that MSG_ERRQUEUE reads, or both; the kernel does not say
// which. If nothing is queued, it is the error. Time stamps and completions do not concern readers.
// Where the program wants errors queued, the queue may have been reported already, and stays until
// the program reads it. So that is an event now and then, and not a busy loop.
bool has_error(int fd, FdFacts& facts) {
    if (received_memory(fd) <= 0) return true;
    if (!queues_errors(fd)) return false;
    const auto now = static_cast<uint8_t>(coarse_tick() | 1);
    const auto age = static_cast<uint8_t>(now - facts.errors_told);
    if (facts.errors_told != 0 && age < kErrorsPeriod) return false;
    facts.errors_told = now;
    return true;
}

// ---- connections ----

void note_alive(FdFacts& facts) {
    facts.was_alive = true;
    facts.has_ended = false;
}

// A connection reports a hangup, but not that the peer has ended. TCP and AF_UNIX are in this state
// before they are connected. Other sockets may also be in it after a connection: then there is, or
// was, an error.
bool has_hung_up(const FdFacts& facts, bool failed) {
    const bool known = facts.kind == FdKind::tcp || facts.kind == FdKind::unix_stream;
    return !known && (failed || facts.has_ended);
}

// Such a socket is not active. The kernel reports when TCP gets connected. For other sockets it
// does not report that.
Sample never_connected(const FdFacts& facts) {
    Sample sample;
    sample.untold = facts.kind != FdKind::tcp;
    return sample;
}

// Whether the sending side was shut, here or because the peer has left. The kernel calls such a
// socket writable, and only a query shows the reason.
KQ_INLINE bool send_side_shut(int fd, FdKind kind, bool failed, bool& unconnected) {
    if (kind == FdKind::tcp) {
        uint8_t state = TCP_ESTABLISHED;  // the first byte of a tcp_info
        socklen_t size = sizeof state;
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &size) != 0) return false;
        return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
               state == TCP_LAST_ACK || state == TCP_TIME_WAIT || state == TCP_CLOSE;
    }
    // Packet sockets have no attempt that neither sends nor allocates: allocating
    // would free again, and that makes an edge. A gap: see BUGS.md.
    if (kind != FdKind::unix_stream || failed) return false;
    // On such a stream this sends nothing, and no program can notice it. Unlike TCP, it does not
    // look at a pending error, only at what was shut.
    if (sys::send(fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) == 0) return false;
    unconnected = errno == ENOTCONN;
    return errno == EPIPE;
}

// Free space in the send buffer, by the kernel's own measure (semantics 5.2).
KQ_INLINE int64_t free_space(int fd, bool& closed) {
    MemoryInfo info = {};
    if (ask_memory(fd, info)) {
        const uint32_t queued = info[SK_MEMINFO_WMEM_QUEUED];
        const uint32_t allocated = info[SK_MEMINFO_WMEM_ALLOC];
        return int64_t{info[SK_MEMINFO_SNDBUF]} - (queued > allocated ? queued : allocated);
    }
    closed = errno == EBADF;
    int unsent = 0;
    if (ioctl(fd, SIOCOUTQ, &unsent) != 0) unsent = 0;
    return int64_t{option(fd, SOL_SOCKET, SO_SNDBUF, 1)} - unsent;
}

// ---- what can be read ----

// The memory of one datagram of so many bytes, if the kernel made it in one piece, as it does for
// datagrams from this machine: a record of 256 bytes; then the payload, and 379 bytes for headers
// of IPv4 and a second record, in blocks that double. Larger datagrams are in pages.
int64_t memory_of_one(int64_t bytes) {
    constexpr int64_t kRecord = 256;
    constexpr int64_t kBeside = 379;
    constexpr int64_t kSmallest = 576;
    constexpr int64_t kLargest = 16384;
    const int64_t piece = bytes + kBeside;
    if (piece > kLargest) return kRecord + kSmallest + bytes;
    int64_t block = 1024;
    if (piece <= kSmallest) return kRecord + kSmallest;
    while (block < piece)
        block *= 2;
    return kRecord + block;
}

// The least that the kernel takes for a datagram beside its payload.
constexpr int64_t kLeastBeside = sizeof(void*) == 8 ? 576 : 320;

// Whether so much memory is that of one packet, as far as can be told. `surely`: it cannot be two.
bool is_one(int64_t memory, int64_t bytes, bool& surely) {
    constexpr int64_t kLongerHeader = 20;  // of IPv6
    surely = memory > 0 && memory >= bytes && memory < bytes + 2 * kLeastBeside;
    return surely || memory == memory_of_one(bytes) ||
           memory == memory_of_one(bytes + kLongerHeader);
}

// Datagrams. FIONREAD counts the first one only. If there may be more, `data` is all the memory
// that they take: too much, and a program that reads that much has read them all.
void count_datagrams(int fd, int bytes, Sample& sample) {
    const int64_t memory = received_memory(fd);
    sample.data = bytes < 0 ? 1 : bytes;
    bool surely = false;
    // Several empty ones are nothing to be read either.
    const bool one = bytes == 0 || (bytes > 0 && is_one(memory, bytes, surely));
    if (one) {
        sample.uncounted = !surely;
    } else {
        // Where memory is charged to the sender there may be any number behind the first.
        sample.uncounted = memory <= 0;
        if (memory > sample.data) sample.data = memory;
    }
}

// Packets: empty ones are to be read, too, and those that carry only what is beside the data.
void count_packets(int fd, const FdFacts& facts, uint16_t ready, int bytes, Sample& sample) {
    const bool readable = (ready & kReadable) != 0;
    sample.data = bytes < 0 ? 0 : bytes;
    sample.active = readable || bytes > 0;
    if (!sample.active || (sample.eof && bytes <= 0)) return;
    if (facts.kind == FdKind::datagram) {
        count_datagrams(fd, bytes, sample);
        return;
    }
    // AF_UNIX counts all of them, and charges the sender; others count the first.
    const int64_t memory = received_memory(fd);
    bool surely = false;
    if (memory > sample.data && !is_one(memory, bytes, surely)) sample.data = memory;
    if (bytes < 0 && sample.data < 1) sample.data = 1;
}

bool at_urgent_mark(int fd) {
    int at_mark = 0;
    return sys::ioctl(fd, SIOCATMARK, &at_mark) == 0 && at_mark != 0;
}

// A stream for which FIONREAD says 0, or fails, while poll() says that it can be read. FIONREAD
// counts up to TCP's urgent mark only, and not what lies ready behind a protocol that decrypts or
// collects (kTLS, MPTCP).
void count_hidden(int fd, const FdFacts& facts, Sample& sample) {
    const bool at_mark = facts.kind == FdKind::tcp && at_urgent_mark(fd);
    if (!sample.eof) {
        // Another thread may have read the data, or the end has come. If poll() is refused and
        // select() is used instead, a hangup is POLLIN, too. So POLLOUT is also asked for, except
        // at the mark: there it would say nothing, and there is a connection.
        const short now = sys::poll_now(fd, POLLIN | POLLRDHUP | (at_mark ? 0 : POLLOUT));
        if ((now & (POLLIN | POLLRDHUP | POLLHUP)) != POLLIN) return;
    }
    if (at_mark) {
        sample.data = diagnostics::tcp_behind_mark(fd);
        if (sample.data >= 0) return;
    } else if (sample.eof) {
        sample.data = 0;
        return;
    }
    sample.data = 1;
    sample.unmarked = true;  // the amount is unknown, so no mark is to wait for it
}

// All cases except bytes on a connection in use. `bytes`: -1 if they cannot be counted.
[[gnu::noinline]] Sample readable_otherwise(int fd, FdFacts& facts, uint16_t ready, int bytes) {
    Sample sample;
    const bool failed = (ready & kFailed) != 0;
    sample.eof = (ready & kReadHangup) != 0;
    if (is_connected_kind(facts.kind) && (ready & kHangup) != 0 && !sample.eof) {
        sample.eof = has_hung_up(facts, failed);
        if (!sample.eof && !failed) return never_connected(facts);
    }
    facts.has_ended = sample.eof;
    if (facts.kind == FdKind::datagram || facts.kind == FdKind::seqpacket) {
        count_packets(fd, facts, ready, bytes, sample);
    } else {
        sample.data = bytes;
        if (bytes <= 0 && (ready & kReadable) != 0) count_hidden(fd, facts, sample);
        if (sample.data < 0) sample.data = 0;
        sample.active = sample.data > 0;
    }
    if (!failed) {
        facts.errors_told = 0;
    } else if (sample.eof) {
        sample.error = connection::cause_of_end(fd, facts);
    } else if (sample.active || has_error(fd, facts)) {
        sample.active = sample.unmarked = true;  // left for the next call on the socket to return
    } else {
        sample.untold = true;
    }
    return sample;
}

}  // namespace

Result<FdKind> classify(int fd) {
    errno = 0;
    const int type = option(fd, SOL_SOCKET, SO_TYPE, -1);
    const bool stream = type == SOCK_STREAM;
    const int domain = stream ? option(fd, SOL_SOCKET, SO_DOMAIN, -1) : AF_UNIX;
    const int protocol = domain == AF_UNIX ? 0 : option(fd, SOL_SOCKET, SO_PROTOCOL, -1);
    // A program of a control group may answer this call, and may have been short of memory. Other
    // errors that it gives, it gives each time.
    if (errno == ENOMEM) return Errno::no_memory;
    if (!stream) return type == SOCK_SEQPACKET ? FdKind::seqpacket : FdKind::datagram;
    if (domain == AF_UNIX) return FdKind::unix_stream;
    return protocol == IPPROTO_TCP ? FdKind::tcp : FdKind::stream;
}

Sample readable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (ready == 0) {
        facts.errors_told = 0;
        return sample;
    }
    int bytes = 0;
    if (sys::ioctl(fd, FIONREAD, &bytes) != 0) {
        sample.closed = errno == EBADF;
        if (sample.closed) return sample;
        if (errno == EINVAL) return accepting(fd, facts.kind, ready);
        bytes = -1;  // a protocol that cannot count, as netlink
    }
    const bool well = (ready & (kHangup | kReadHangup | kFailed)) == 0;
    if (bytes <= 0 || !well || facts.kind == FdKind::datagram || facts.kind == FdKind::seqpacket)
        return readable_otherwise(fd, facts, ready, bytes);
    note_alive(facts);
    sample.data = bytes;
    sample.active = true;
    return sample;
}

int64_t plain_room(int fd, FdKind kind) {
    bool lost = false;  // not connected, or closed
    if (send_side_shut(fd, kind, false, lost) || lost) return 0;
    const int64_t room = free_space(fd, lost);
    if (lost) return 0;
    return room < 1 ? 1 : room;
}

Sample writable(int fd, FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (ready == 0) return sample;
    if ((ready & kHangup) != 0 && is_connected_kind(facts.kind)) {
        const short now = sys::poll_now(fd, POLLIN | POLLOUT | POLLRDHUP);
        sample.closed = (now & POLLNVAL) != 0;
        // With neither, it is connected again, or select() has answered. The code below finds out.
        sample.eof = (now & POLLHUP) != 0;
        if ((now & (POLLHUP | POLLRDHUP)) == POLLHUP && !has_hung_up(facts, (now & POLLERR) != 0))
            return never_connected(facts);
        if ((now & POLLERR) != 0) ready |= kFailed;
        facts.has_ended = sample.eof;
    }
    const bool failed = (ready & kFailed) != 0;
    const bool writable = (ready & kWritable) != 0;
    bool unconnected = false;
    if (!sample.eof && writable) {
        sample.eof = send_side_shut(fd, facts.kind, failed, unconnected);
        if (unconnected) return never_connected(facts);
        if (!sample.eof) note_alive(facts);
    }
    if (failed && sample.eof) sample.error = connection::cause_of_end(fd, facts);
    // A pending error is returned by the next call on the socket. A queue of errors is not.
    sample.unmarked = failed && !sample.eof && received_memory(fd) <= 0;
    sample.data = free_space(fd, sample.closed);
    if (sample.data < 1) sample.data = writable ? 1 : 0;
    sample.active = writable || sample.unmarked;
    sample.untold = failed && !sample.active && !sample.eof;
    return sample;
}

}  // namespace kq::sockets
