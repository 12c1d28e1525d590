// SPDX-License-Identifier: BSD-2-Clause
// The calls of POSIX that the tests make, on Windows. They work on SOCKETs, and on descriptors of
// the C library. The headers in include/ give them their usual names. A number that socket(),
// accept(), socketpair() or dup() returned is a socket; every other number is a descriptor.
//
// As on POSIX they return -1 and set errno. What has no counterpart fails with ENOSYS: a test that
// needs it has a row in support/gaps_windows.inc.
#ifndef KQTEST_WINDOWS_POSIX_H
#define KQTEST_WINDOWS_POSIX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/types.h>

// ---- the C library's own names: defined here instead, since they take sockets, too ----

extern "C" {
int close(int fd);
int dup(int fd);
int dup2(int fd, int number);  // returns `number`
// Binary. Others may rename and remove the file while it is open. "/dev/null" is NUL.
int open(const char* path, int flags, ...);
int unlink(const char* path);
int rename(const char* from, const char* to);  // replaces `to`, as POSIX has it
int chmod(const char* path, int mode);
int mkstemp(char* path);  // the last six characters are XXXXXX
int read(int fd, void* out, unsigned size);
int write(int fd, const void* bytes, unsigned size);
}

namespace kqposix {

// The same for the sizes that tests have.
ssize_t read(int fd, void* out, size_t size);
ssize_t write(int fd, const void* bytes, size_t size);
inline ssize_t read(int fd, void* out, int size) {
    return read(fd, out, static_cast<size_t>(size));
}
inline ssize_t write(int fd, const void* bytes, int size) {
    return write(fd, bytes, static_cast<size_t>(size));
}

int pipe(int ends[2]);

#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030
#define F_GETFD 1
#define F_GETFL 3
#define F_SETFL 4
#define FD_CLOEXEC 1
#define O_DIRECTORY 0  // open() opens directories, too
#define PIPE_BUF 4096
#define O_NONBLOCK 0x40000000
#define O_CLOEXEC _O_NOINHERIT
#define O_NOCTTY 0
int fcntl(int fd, int what, int flags = 0);

int setenv(const char* name, const char* value, int replace);
int unsetenv(const char* name);

// ---- files by their names ----

int mkdir(const char* path, int mode);
char* mkdtemp(char* path);  // as mkstemp()
int link(const char* from, const char* to);
int utimes(const char* path, const timeval* times);  // nullptr: now
// Changes an attribute of the file, at each call. Nothing is done but that.
int fchmod(int fd, int mode);
int fchown(int fd, int user, int group);
// Does not move the offset of the descriptor.
ssize_t pwrite(int fd, const void* bytes, size_t size, int64_t offset);
ssize_t pwrite(int fd, const void* bytes, int size, int64_t offset);

// ---- what it costs ----

struct rusage {
    timeval ru_utime;
    timeval ru_stime;
    long ru_nvcsw;  // always 0: nothing counts them
};
#define RUSAGE_SELF 0
#define RUSAGE_THREAD 1
int getrusage(int who, rusage* usage);
struct mallinfo2_result {
    size_t uordblks;  // bytes in use
};
mallinfo2_result mallinfo2();

// These fail, and say as a failure of the test that Windows has no such thing.
pid_t fork();
int mkfifo(const char* path, int mode);

// ---- memory ----

#define PROT_NONE 0
#define PROT_READ 1
#define PROT_WRITE 2
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 0x20
#define MAP_FAILED (reinterpret_cast<void*>(-1))
#define _SC_PAGESIZE 30
void* mmap(void* address, size_t size, int protection, int flags, int fd, int64_t offset);
int mprotect(void* address, size_t size, int protection);
int munmap(void* address, size_t size);
long sysconf(int what);  // _SC_PAGESIZE only

// ---- sockets ----

using socklen_t = int;
using sa_family_t = uint16_t;

struct sockaddr {
    sa_family_t sa_family;
    char sa_data[14];
};
struct in_addr {
    uint32_t s_addr;
};
struct sockaddr_in {
    sa_family_t sin_family;
    uint16_t sin_port;
    in_addr sin_addr;
    char sin_zero[8];
};
struct in6_addr {
    uint8_t s6_addr[16];
};
struct sockaddr_in6 {
    sa_family_t sin6_family;
    uint16_t sin6_port;
    uint32_t sin6_flowinfo;
    in6_addr sin6_addr;
    uint32_t sin6_scope_id;
};
struct sockaddr_storage {
    sa_family_t ss_family;
    char ss_data[126];
};
inline constexpr in6_addr in6addr_loopback{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
struct sockaddr_un {
    sa_family_t sun_family;
    char sun_path[108];
};
struct linger {
    uint16_t l_onoff;
    uint16_t l_linger;
};

#ifndef AF_INET
    #define AF_UNIX 1
    #define AF_INET 2
    #define AF_INET6 23
    #define SOCK_STREAM 1
    #define SOCK_DGRAM 2
    #define SOCK_SEQPACKET 5
    #define SOL_SOCKET 0xffff
    #define SO_ACCEPTCONN 0x0002
    #define SO_LINGER 0x0080
    #define SO_OOBINLINE 0x0100
    #define SO_SNDBUF 0x1001
    #define SO_RCVBUF 0x1002
    #define SO_RCVLOWAT 0x1004
    #define SO_ERROR 0x1007
    #define SO_TYPE 0x1008
    #define SO_REUSEADDR 0x0004
    #define IPPROTO_TCP 6
    #define TCP_NODELAY 1
    #define MSG_OOB 1
    #define MSG_PEEK 2
    #define INADDR_LOOPBACK 0x7f000001u
#endif
#define SOCK_CLOEXEC 0     // no socket is inherited
#define TCP_MAXSEG 0x7fff  // setsockopt() takes it and does nothing
#define MSG_DONTWAIT 0x10000000
#define MSG_NOSIGNAL 0
#define SHUT_RD 0
#define SHUT_WR 1
#define SHUT_RDWR 2

constexpr uint32_t htonl(uint32_t number) {
    return __builtin_bswap32(number);
}
constexpr uint16_t htons(uint16_t number) {
    return __builtin_bswap16(number);
}

int socket(int family, int type, int protocol);
// AF_UNIX, but made of sockets on 127.0.0.1: Wine has no others.
int socketpair(int family, int type, int protocol, int ends[2]);
int bind(int fd, const sockaddr* address, socklen_t size);
int listen(int fd, int backlog);
int accept(int fd, sockaddr* address, socklen_t* size);
int connect(int fd, const sockaddr* address, socklen_t size);
int getsockname(int fd, sockaddr* address, socklen_t* size);
int getsockopt(int fd, int level, int name, void* value, socklen_t* size);
int setsockopt(int fd, int level, int name, const void* value, socklen_t size);
int shutdown(int fd, int how);
ssize_t send(int fd, const void* bytes, size_t size, int flags);
ssize_t recv(int fd, void* out, size_t size, int flags);

// What is there to read: only FIONREAD.
#ifndef FIONREAD
    #define FIONREAD 0x4004667f
#endif
int ioctl(int fd, unsigned long request, int* value);

// ---- to wait for descriptors ----

struct pollfd {
    int fd;
    short events;
    short revents;
};
#ifndef POLLIN
    #define POLLIN 0x0300
    #define POLLOUT 0x0010
    #define POLLERR 0x0001
    #define POLLHUP 0x0002
    #define POLLNVAL 0x0004
#endif
#define POLLPRI 0x0400

// Of sockets, pipes, files, and kqueues: those are asked by another kqueue that watches them
// (BUGS.md, W-POLL).
int poll(pollfd* fds, unsigned count, int timeout);

// As many as tests ask for at once.
struct fd_set {
    int fds[16];
    int count;
};
#define FD_ZERO(set) ((set)->count = 0)
#define FD_SET(fd, set) ((set)->fds[(set)->count++] = (fd))
#define FD_ISSET(fd, set) kqposix::is_in(fd, set)
bool is_in(int fd, const fd_set* set);
// For reading only.
int select(int count, fd_set* readable, fd_set* writable, fd_set* others, timeval* timeout);

// ---- limits: cannot be set ----

using rlim_t = uint64_t;
struct rlimit {
    rlim_t rlim_cur;
    rlim_t rlim_max;
};
#define RLIMIT_NOFILE 7
int getrlimit(int what, rlimit* limit);
int setrlimit(int what, const rlimit* limit);

// ---- for support/ ----

// Whether `fd` is a socket of this file. Thread-safe.
bool is_socket(int fd);
int forget_socket(int fd);     // closesocket(): 0, or -1 and errno
int duplicate_socket(int fd);  // its number, or -1
ssize_t read_socket(int fd, void* out, size_t size);
ssize_t write_socket(int fd, const void* bytes, size_t size);
bool set_socket_nonblock(int fd, bool on);
short poll_socket(int fd, short events);
int count_sockets(int* out, int most);  // the numbers of those that are open
// Of descriptors of the C library and of sockets.
void remember_nonblock(int fd, bool on);
bool is_nonblock(int fd);

}  // namespace kqposix

#endif
