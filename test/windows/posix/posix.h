// SPDX-License-Identifier: BSD-2-Clause
/*
 * The parts of POSIX that the examples use and that Windows lacks, or has under another name. With
 * them echod, echoload and kqtail compile for Windows without a change (demo.sh). This is no part
 * of the library.
 */
#ifndef KQ_TEST_POSIX_H
#define KQ_TEST_POSIX_H

#include <winsock2.h>
/* winsock2.h has to come before windows.h */
#include <ws2tcpip.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define POSIX_UNUSED __attribute__((unused))

/* ---- errors ---- */

static POSIX_UNUSED int posix_failed(void) {
    switch (WSAGetLastError()) {
        case WSAEWOULDBLOCK:
            errno = EAGAIN;
            break;
        case WSAECONNRESET:
            errno = ECONNRESET;
            break;
        case WSAECONNABORTED:
            errno = ECONNABORTED;
            break;
        case WSAECONNREFUSED:
            errno = ECONNREFUSED;
            break;
        case WSAEMFILE:
            errno = EMFILE;
            break;
        default:
            errno = EIO;
            break;
    }
    return -1;
}

static POSIX_UNUSED void posix_say(int error, const char* format, va_list list) {
    fprintf(stderr, "%s: ", strrchr(_pgmptr, '\\') ? strrchr(_pgmptr, '\\') + 1 : _pgmptr);
    vfprintf(stderr, format, list);
    if (error >= 0) fprintf(stderr, ": %s", strerror(error));
    fputc('\n', stderr);
}
static POSIX_UNUSED void warn(const char* format, ...) {
    int error = errno;
    va_list list;
    va_start(list, format);
    posix_say(error, format, list);
    va_end(list);
}
static POSIX_UNUSED void warnx(const char* format, ...) {
    va_list list;
    va_start(list, format);
    posix_say(-1, format, list);
    va_end(list);
}
#define err(status, ...) (warn(__VA_ARGS__), exit(status))
#define errx(status, ...) (warnx(__VA_ARGS__), exit(status))

/* ---- sockets and descriptors ---- */

static POSIX_UNUSED int posix_is_socket(int fd) {
    int type = 0;
    int size = sizeof type;
    return fd % 4 == 0 && getsockopt((SOCKET)fd, SOL_SOCKET, SO_TYPE, (char*)&type, &size) == 0;
}
static POSIX_UNUSED ssize_t posix_read(int fd, void* out, size_t size) {
    unsigned most = size > 0x40000000 ? 0x40000000 : (unsigned)size;
    int n;
    if (!posix_is_socket(fd)) return _read(fd, out, most);
    n = recv((SOCKET)fd, out, (int)most, 0);
    return n == SOCKET_ERROR ? posix_failed() : n;
}
static POSIX_UNUSED ssize_t posix_write(int fd, const void* bytes, size_t size) {
    int n;
    if (!posix_is_socket(fd)) return _write(fd, bytes, (unsigned)size);
    n = send((SOCKET)fd, bytes, (int)size, 0);
    return n == SOCKET_ERROR ? posix_failed() : n;
}
static POSIX_UNUSED int posix_close(int fd) {
    if (!posix_is_socket(fd)) return _close(fd);
    return closesocket((SOCKET)fd) == 0 ? 0 : posix_failed();
}
static POSIX_UNUSED int posix_socket(int family, int type, int protocol) {
    SOCKET s = socket(family, type, protocol);
    return s == INVALID_SOCKET ? posix_failed() : (int)s;
}
static POSIX_UNUSED int posix_accept(int fd, struct sockaddr* from, socklen_t* size) {
    SOCKET s = accept((SOCKET)fd, from, size);
    return s == INVALID_SOCKET ? posix_failed() : (int)s;
}
static POSIX_UNUSED int posix_connect(int fd, const struct sockaddr* to, socklen_t size) {
    if (connect((SOCKET)fd, to, size) == 0) return 0;
    posix_failed();
    if (errno == EAGAIN) errno = EINPROGRESS;
    return -1;
}
#define F_GETFL 1
#define F_SETFL 2
#define O_NONBLOCK 0x40000000
#define O_NOCTTY 0
static POSIX_UNUSED int posix_fcntl(int fd, int what, int flags) {
    unsigned long on = 1;
    if (what == F_GETFL || (flags & O_NONBLOCK) == 0) return 0;
    return ioctlsocket((SOCKET)fd, (long)FIONBIO, &on) == 0 ? 0 : posix_failed();
}
#define fcntl(fd, ...) posix_fcntl(fd, POSIX_FLAGS(__VA_ARGS__, 0, 0))
#define POSIX_FLAGS(what, flags, ...) what, flags
/* Other programs may rename and remove a file that we have open. */
static POSIX_UNUSED int posix_open(const char* name, int flags) {
    void* handle =
        CreateFileA(name, GENERIC_READ, 7, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    (void)flags;
    if (handle != INVALID_HANDLE_VALUE)
        return _open_osfhandle((intptr_t)handle, _O_RDONLY | _O_BINARY);
    errno = ENOENT;
    return -1;
}
static POSIX_UNUSED ssize_t posix_pread(int fd, void* out, size_t size, off_t at) {
    off_t before = lseek(fd, 0, SEEK_CUR);
    ssize_t n = lseek(fd, at, SEEK_SET) == -1 ? -1 : _read(fd, out, (unsigned)size);
    (void)lseek(fd, before, SEEK_SET);
    return n;
}
#define read posix_read
#define write posix_write
#define close posix_close
#define open posix_open
#define pread posix_pread
#define socket posix_socket
#define accept posix_accept
#define connect posix_connect
#define setsockopt(fd, level, name, value, size) \
    setsockopt((SOCKET)(fd), level, name, (const char*)(value), size)
#define pipe(ends) _pipe(ends, 65536, _O_BINARY)
#define SHUT_WR SD_SEND
#define SHUT_RDWR SD_BOTH
#define S_ISSOCK(mode) 0

/* ---- limits and signals ---- */

struct rlimit {
    unsigned long rlim_cur, rlim_max;
};
#define RLIMIT_NOFILE 7
#define getrlimit(what, limit) ((void)(limit), -1)
#define setrlimit(what, limit) 0
#define SIGPIPE 13
struct sigaction {
    void (*sa_handler)(int);
    int sa_mask;
};
#define sigemptyset(set) (void)(set)
#define sigaction(number, action, old) (signal(number, (action)->sa_handler) == SIG_ERR ? -1 : 0)

static __attribute__((constructor)) void posix_begin(void) {
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
}

#endif
