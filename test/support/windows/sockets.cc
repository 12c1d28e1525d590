// SPDX-License-Identifier: BSD-2-Clause
// The part of posix.h about sockets.
#include <winsock2.h>
// winsock2.h has to come before windows.h
#include <windows.h>

#include <errno.h>
#include <io.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

// Macros of theirs, where posix.h has its own.
#undef s_addr
#undef FD_ZERO
#undef FD_SET
#undef FD_ISSET
#include "support/windows/posix.h"

namespace kqposix {
namespace {

// The numbers that are sockets, and those that do not block.
struct Known {
    std::mutex mutex;
    std::set<int> sockets;
    std::set<int> nonblock;
};

Known& known() {
    static Known& known = *new Known;  // others close descriptors until the very end
    return known;
}

constexpr std::pair<int, int> kErrors[] = {
    {WSAEWOULDBLOCK, EAGAIN},
    {WSAECONNRESET, ECONNRESET},
    {WSAECONNABORTED, ECONNABORTED},
    {WSAECONNREFUSED, ECONNREFUSED},
    {WSAENOTCONN, ENOTCONN},
    {WSAESHUTDOWN, EPIPE},
    {WSAENOTSOCK, ENOTSOCK},
    {WSAEBADF, EBADF},
    {WSAEINVAL, EINVAL},
    {WSAEMFILE, EMFILE},
    {WSAEISCONN, EISCONN},
    {WSAEALREADY, EALREADY},
    {WSAEINPROGRESS, EINPROGRESS},
    {WSAEADDRINUSE, EADDRINUSE},
    {WSAEAFNOSUPPORT, EAFNOSUPPORT},
    {WSAEPROTOTYPE, EPROTOTYPE},
    {WSAETIMEDOUT, ETIMEDOUT},
    {WSAENETUNREACH, ENETUNREACH},
    {WSAEHOSTUNREACH, EHOSTUNREACH},
    {WSAENOPROTOOPT, ENOPROTOOPT},
    {WSAEMSGSIZE, EMSGSIZE},
    {WSAEDESTADDRREQ, EDESTADDRREQ},
    {WSAESOCKTNOSUPPORT, EAFNOSUPPORT},
    {WSAEPROTONOSUPPORT, EPROTONOSUPPORT},
};

int failed() {
    errno = EIO;
    for (const auto& [theirs, ours] : kErrors)
        if (theirs == WSAGetLastError()) errno = ours;
    return -1;
}

int answer(int result) {
    return result == SOCKET_ERROR ? failed() : result;
}

SOCKET of(int fd) {
    return static_cast<SOCKET>(fd);
}

int remember(SOCKET socket) {
    if (socket == INVALID_SOCKET) return failed();
    // A program that is started must not keep it open.
    SetHandleInformation(reinterpret_cast<HANDLE>(socket), HANDLE_FLAG_INHERIT, 0);
    const std::lock_guard lock(known().mutex);
    known().sockets.insert(static_cast<int>(socket));
    known().nonblock.erase(static_cast<int>(socket));
    return static_cast<int>(socket);
}

int size_of(size_t size) {
    return static_cast<int>(std::min<size_t>(size, 1u << 30));
}

template <class T>
auto theirs(T* address) {
    return reinterpret_cast<::sockaddr*>(address);
}
template <class T>
auto theirs(const T* address) {
    return reinterpret_cast<const ::sockaddr*>(address);
}

// A socket on 127.0.0.1 with a port of its own.
int bound(int type, sockaddr_in* address) {
    const int fd = socket(AF_INET, type, 0);
    *address = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
    socklen_t size = sizeof *address;
    if (bind(fd, reinterpret_cast<sockaddr*>(address), size) != 0) return -1;
    return getsockname(fd, reinterpret_cast<sockaddr*>(address), &size) == 0 ? fd : -1;
}

// SOCKETs are multiples of four, and others have numbers of descriptors (BUGS.md, W-IDENT), of
// which the C library has 2,048. So that none means two things, all small handles are taken.
struct Begin {
    Begin() {
        WSADATA data;
        WSAStartup(MAKEWORD(2, 2), &data);
        constexpr intptr_t kDescriptors = 2048;
        for (int i = 0; i < kDescriptors / 4; i++) {
            const HANDLE small = CreateEventW(nullptr, TRUE, FALSE, nullptr);
            if (reinterpret_cast<intptr_t>(small) > kDescriptors) {
                CloseHandle(small);
                break;
            }
        }
    }
};
const Begin begin;

}  // namespace

bool is_socket(int fd) {
    const std::lock_guard lock(known().mutex);
    return known().sockets.contains(fd);
}

void remember_nonblock(int fd, bool on) {
    const std::lock_guard lock(known().mutex);
    if (on)
        known().nonblock.insert(fd);
    else
        known().nonblock.erase(fd);
}

bool is_nonblock(int fd) {
    const std::lock_guard lock(known().mutex);
    return known().nonblock.contains(fd);
}

int count_sockets(int* out, int most) {
    const std::lock_guard lock(known().mutex);
    int count = 0;
    for (const int fd : known().sockets)
        if (count < most) out[count++] = fd;
    return count;
}

int forget_socket(int fd) {
    {
        const std::lock_guard lock(known().mutex);
        known().sockets.erase(fd);
        known().nonblock.erase(fd);
    }
    return answer(::closesocket(of(fd)));
}

int duplicate_socket(int fd) {
    WSAPROTOCOL_INFOW info;
    if (::WSADuplicateSocketW(of(fd), GetCurrentProcessId(), &info) != 0) return failed();
    return remember(::WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info,
                                 0, WSA_FLAG_OVERLAPPED));
}

bool set_socket_nonblock(int fd, bool on) {
    u_long value = on ? 1 : 0;
    if (answer(::ioctlsocket(of(fd), static_cast<long>(FIONBIO), &value)) != 0) return false;
    remember_nonblock(fd, on);
    return true;
}

ssize_t read_socket(int fd, void* out, size_t size) {
    return recv(fd, out, size, 0);
}

ssize_t write_socket(int fd, const void* bytes, size_t size) {
    return send(fd, bytes, size, 0);
}

short poll_socket(int fd, short events) {
    WSAPOLLFD p{of(fd), static_cast<short>(events & (POLLIN | POLLOUT)), 0};
    if (::WSAPoll(&p, 1, 0) < 0) return POLLNVAL;
    return static_cast<short>(p.revents & (events | POLLERR | POLLHUP | POLLNVAL));
}

int socket(int family, int type, int protocol) {
    return remember(::socket(family, type, protocol));
}

int socketpair(int /*family*/, int type, int /*protocol*/, int ends[2]) {
    sockaddr_in a{};
    sockaddr_in b{};
    const auto generic = [](const sockaddr_in& address) {
        return reinterpret_cast<const sockaddr*>(&address);
    };
    if (type == SOCK_DGRAM) {
        ends[0] = bound(type, &a);
        ends[1] = bound(type, &b);
        return connect(ends[0], generic(b), sizeof b) != 0 ||
                       connect(ends[1], generic(a), sizeof a) != 0
                   ? -1
                   : 0;
    }
    if (type != SOCK_STREAM) return errno = EAFNOSUPPORT, -1;
    ends[0] = socket(AF_INET, type, 0);  // the first has the lowest number, as elsewhere
    const int listener = bound(type, &a);
    // Not larger than those of AF_UNIX: tests fill them. Accepted sockets inherit them.
    const int size = 131072;
    for (const int end : {listener, ends[0]}) {
        setsockopt(end, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(end, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (listen(listener, 1) != 0) return -1;
    if (connect(ends[0], generic(a), sizeof a) != 0) return -1;
    ends[1] = accept(listener, nullptr, nullptr);
    forget_socket(listener);
    const int on = 1;
    for (const int end : {ends[0], ends[1]})
        setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return ends[1] < 0 ? -1 : 0;
}

int bind(int fd, const sockaddr* address, socklen_t size) {
    return answer(::bind(of(fd), theirs(address), size));
}

int listen(int fd, int backlog) {
    return answer(::listen(of(fd), backlog));
}

int accept(int fd, sockaddr* address, socklen_t* size) {
    return remember(::accept(of(fd), theirs(address), size));
}

int connect(int fd, const sockaddr* address, socklen_t size) {
    if (answer(::connect(of(fd), theirs(address), size)) == 0) return 0;
    if (errno == EAGAIN) errno = EINPROGRESS;
    return -1;
}

int getsockname(int fd, sockaddr* address, socklen_t* size) {
    return answer(::getsockname(of(fd), theirs(address), size));
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
    const int result = answer(::getsockopt(of(fd), level, name, static_cast<char*>(value), size));
    if (result == 0 && level == SOL_SOCKET && name == SO_ERROR) {
        WSASetLastError(*static_cast<int*>(value));
        if (*static_cast<int*>(value) != 0) failed(), *static_cast<int*>(value) = errno;
    }
    return result;
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
    if (level == IPPROTO_TCP && name == TCP_MAXSEG) return 0;
    return answer(::setsockopt(of(fd), level, name, static_cast<const char*>(value), size));
}

int shutdown(int fd, int how) {
    return answer(::shutdown(of(fd), how));
}

ssize_t send(int fd, const void* bytes, size_t size, int flags) {
    return answer(::send(of(fd), static_cast<const char*>(bytes), size_of(size), flags));
}

ssize_t recv(int fd, void* out, size_t size, int flags) {
    const bool once = (flags & MSG_DONTWAIT) != 0 && !is_nonblock(fd);
    if (once) set_socket_nonblock(fd, true);
    const int result =
        answer(::recv(of(fd), static_cast<char*>(out), size_of(size), flags & ~MSG_DONTWAIT));
    const int error = errno;
    if (once) set_socket_nonblock(fd, false);
    errno = error;
    return result;
}

int ioctl(int fd, unsigned long request, int* value) {
    if (request != FIONREAD) return errno = ENOSYS, -1;
    u_long bytes = 0;
    if (is_socket(fd)) {
        if (answer(::ioctlsocket(of(fd), static_cast<long>(FIONREAD), &bytes)) != 0) return -1;
    } else {
        const auto pipe = reinterpret_cast<HANDLE>(_get_osfhandle(fd));
        if (!PeekNamedPipe(pipe, nullptr, 0, nullptr, &bytes, nullptr)) return errno = EINVAL, -1;
    }
    *value = static_cast<int>(bytes);
    return 0;
}

}  // namespace kqposix
