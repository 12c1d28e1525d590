// SPDX-License-Identifier: BSD-2-Clause
// System calls that are no cancellation points.
//
// They are called with a mutex held. The C library's wrappers for close(), read() and the like
// would let a cancelled thread leave with that mutex.
#ifndef KQ_LINUX_SYS_H
#define KQ_LINUX_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "raw_call.h"
#include "result.h"
#include "select.h"

namespace kq::sys {

inline void close(int fd) {
#if defined(__SANITIZE_THREAD__)
    // The race detector follows numbers. Another thread may get this one at once: it would seem to
    // open a number that is still open.
    int state = 0;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    (void)::close(fd);
    (void)pthread_setcancelstate(state, &state);
#else
    (void)call(SYS_close, fd);
#endif
}

inline ssize_t read(int fd, void* buffer, size_t size) {
    return call(SYS_read, fd, buffer, size);
}

// The standard streams have the numbers below this one. No descriptor of the library's own has such
// a number, not even one that is closed again at once. The program may run with its streams closed:
// then its output would go into our descriptors, and its input would come from there.
inline constexpr int kFirstOwn = STDERR_FILENO + 1;

// Another number for the open file of fd, as dup() gives it.
inline int duplicate(int fd) {
    const int other = fcntl(fd, F_DUPFD_CLOEXEC, kFirstOwn);
    if (other < 0 && errno == EINVAL) errno = EMFILE;  // not so many may be open
    return other;
}

// Moves a new descriptor up if needed. Takes the result of the call that made the descriptor, and
// returns such a result: on -1 with errno nothing is open.
inline int above_stdio(int fd) {
    if (__builtin_expect(fd >= kFirstOwn || fd < 0, 1)) return fd;
    const int moved = duplicate(fd);
    const int error = errno;
    close(fd);
    errno = error;
    return moved;
}

inline int open_for_reading(const char* path) {
    const long fd = call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    return above_stdio(static_cast<int>(fd));
}

inline ssize_t send(int fd, const void* data, size_t size, int flags) {
    return call(SYS_sendto, fd, data, size, flags, 0, 0);
}

inline ssize_t recv(int fd, void* data, size_t size, int flags) {
    return call(SYS_recvfrom, fd, data, size, flags, 0, 0);
}

#if !defined(__LP64__) && defined(STATX_BASIC_STATS)
// fstat() of a file whose times do not fit a time_t of 32 bits: there the C library fails. The low
// halves of the times still tell one file from another.
inline int fstat_of_later_times(int fd, struct stat* st) {
    struct statx file {};
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &file) != 0) return -1;
    *st = {};
    st->st_dev = makedev(file.stx_dev_major, file.stx_dev_minor);
    st->st_rdev = makedev(file.stx_rdev_major, file.stx_rdev_minor);
    st->st_ino = file.stx_ino;
    st->st_mode = file.stx_mode;
    st->st_nlink = file.stx_nlink;
    st->st_uid = file.stx_uid;
    st->st_gid = file.stx_gid;
    st->st_size = static_cast<off_t>(file.stx_size);
    st->st_mtim.tv_sec = static_cast<time_t>(file.stx_mtime.tv_sec);
    st->st_mtim.tv_nsec = static_cast<long>(file.stx_mtime.tv_nsec);
    st->st_ctim.tv_sec = static_cast<time_t>(file.stx_ctime.tv_sec);
    st->st_ctim.tv_nsec = static_cast<long>(file.stx_ctime.tv_nsec);
    return 0;
}
#endif

// fstat(). The C library asks with an empty path, which takes a fifth longer. So this asks the
// kernel directly where the struct of the C library is the kernel's own.
inline int fstat(int fd, struct stat* st) {
    for (;;) {
#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__) || defined(__riscv))
        const int result = static_cast<int>(call(SYS_fstat, fd, st));
#else
        int result = ::fstat(fd, st);
    #if !defined(__LP64__) && defined(STATX_BASIC_STATS)
        if (result != 0 && errno == EOVERFLOW) result = fstat_of_later_times(fd, st);
    #endif
#endif
        // A file system that is a program was interrupted, and the handler has run. EINTR would
        // tell the user that the change was made.
        if (__builtin_expect(result == 0 || errno != EINTR, 1)) return result;
    }
}

// fcntl() with one int as argument.
[[gnu::always_inline]] inline int control(int fd, int command, int argument = 0) {
#if defined(SYS_fcntl)
    return static_cast<int>(call(SYS_fcntl, fd, command, argument));
#else
    return ::fcntl(fd, command, argument);
#endif
}

inline int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
#if defined(SYS_getsockopt)
    return static_cast<int>(call(SYS_getsockopt, fd, level, name, value, size));
#else
    return ::getsockopt(fd, level, name, value, size);
#endif
}

inline int ioctl(int fd, unsigned long request, void* argument) {
    return static_cast<int>(call(SYS_ioctl, fd, request, argument));
}

// The POLL bits of fd now; POLLNVAL if it is not open.
inline short poll_now(int fd, short events) {
    pollfd pfd{fd, events, 0};
    // A zero timeout, in either layout that the kernel of a 32-bit machine may expect.
    const long long zero[2] = {0, 0};
    const long count = call(SYS_ppoll, &pfd, 1, zero, 0, size_t{8});
    if (__builtin_expect(count < 0 && errno == EINVAL, 0)) return select::look(fd, events);
    return count > 0 ? pfd.revents : short{0};
}

// Why the last call failed. A limit of what a user may register or watch counts as memory.
inline Errno refusal() {
    return errno == ENOSPC || errno == ENOBUFS ? Errno::no_memory : last_errno();
}

// Closes what `fd` holds, if anything.
inline void close_and_clear(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
}

}  // namespace kq::sys

#endif
