// SPDX-License-Identifier: BSD-2-Clause
// What a socket says now. See sockets.h.
//
// SO_ERROR is never asked for, because it is given once, and is for the program. AFD says with the
// event why a connection failed, each time it is asked.
#include "sockets.h"

#include <algorithm>

#include "afd.h"
#include "numbers.h"
#include "sys.h"

namespace kq::sockets {
namespace {

SOCKET handle(int fd) {
    return static_cast<SOCKET>(static_cast<unsigned>(fd));
}

int option(int fd, int name, int otherwise) {
    int value = 0;
    int size = sizeof value;
    const bool answered =
        getsockopt(handle(fd), SOL_SOCKET, name, reinterpret_cast<char*>(&value), &size) == 0;
    return answered ? value : otherwise;
}

bool is_listener(int fd) {
    return option(fd, SO_ACCEPTCONN, 0) != 0;
}

// The error that ended a connection, as AFD gives it.
uint32_t cause_of_end(const afd::Look& look) {
    if ((look.events & afd::kConnectFail) != 0) {
        const Errno error = sys::from_status(look.status);
        return static_cast<uint32_t>(
            to_int(error == Errno::ok ? static_cast<Errno>(ECONNREFUSED) : error));
    }
    return (look.events & afd::kAbort) != 0 ? uint32_t{ECONNRESET} : 0;
}

}  // namespace

uint32_t events_for(Direction direction) {
    constexpr uint32_t kEnds = afd::kAbort | afd::kConnectFail;
    return direction == Direction::read ? afd::kReceive | afd::kAccept | afd::kDisconnect | kEnds
                                        : afd::kSend | kEnds;
}

uint16_t ready_for(uint32_t events) {
    unsigned ready = 0;
    if ((events & (afd::kReceive | afd::kAccept)) != 0) ready |= kReadable;
    if ((events & afd::kSend) != 0) ready |= kWritable;
    if ((events & afd::kDisconnect) != 0) ready |= kReadable | kReadHangup;
    if ((events & (afd::kAbort | afd::kConnectFail)) != 0) ready |= kHangup | kFailed;
    return static_cast<uint16_t>(ready);
}

FdKind classify(int fd) {
    const int type = option(fd, SO_TYPE, 0);
    if (type != SOCK_STREAM) return FdKind::datagram;
    WSAPROTOCOL_INFOW info{};
    int size = sizeof info;
    if (getsockopt(handle(fd), SOL_SOCKET, SO_PROTOCOL_INFOW, reinterpret_cast<char*>(&info),
                   &size) != 0)
        return FdKind::stream;
    const bool internet = info.iAddressFamily == AF_INET || info.iAddressFamily == AF_INET6;
    if (info.iAddressFamily == AF_UNIX) return FdKind::unix_stream;
    return internet ? FdKind::tcp : FdKind::stream;
}

uint16_t poll(int fd, Direction direction) {
    const uintptr_t base = afd::base_of(fd);
    if (base == 0) return kClosed;
    return ready_for(afd::look(base, events_for(direction)).events);
}

int64_t bytes_readable(int fd) {
    u_long bytes = 0;
    return ioctlsocket(handle(fd), FIONREAD, &bytes) == 0 ? int64_t{bytes} : 0;
}

Sample readable(int fd, const FdFacts& facts, uint16_t ready) {
    Sample sample;
    if (ready == 0) return sample;
    if (is_listener(fd)) {  // how many wait cannot be found out
        sample.active = (ready & kReadable) != 0;
        sample.data = sample.active ? 1 : 0;
        sample.unmarked = true;
        return sample;
    }
    sample.closed = !numbers::is_socket(fd);
    if (sample.closed) return sample;
    sample.data = bytes_readable(fd);
    if (facts.kind == FdKind::datagram) {
        sample.active = (ready & kReadable) != 0;
        return sample;
    }
    sample.active = sample.data > 0 || (ready & kReadable) != 0;
    sample.eof = (ready & (kHangup | kReadHangup)) != 0;
    // Data behind an urgent byte is not counted.
    if (sample.active && !sample.eof && sample.data == 0) sample.data = 1;
    if ((ready & kHangup) != 0)
        sample.error = cause_of_end(afd::look(afd::base_of(fd), events_for(Direction::read)));
    return sample;
}

Sample writable(int fd, const FdFacts& /*facts*/, uint16_t ready) {
    Sample sample;
    if (ready == 0) return sample;
    sample.closed = !numbers::is_socket(fd);
    if (sample.closed) return sample;
    sample.active = (ready & kWritable) != 0;
    sample.eof = (ready & kHangup) != 0;
    if (sample.active) sample.data = std::max(option(fd, SO_SNDBUF, 1), 1);
    if (sample.eof)
        sample.error = cause_of_end(afd::look(afd::base_of(fd), events_for(Direction::write)));
    return sample;
}

}  // namespace kq::sockets
