// System calls that are no cancellation points.
//
// Called with a mutex held: the wrappers of the C library for close(), read()
// and the like would let a cancelled thread leave with it.
#ifndef KQ_LINUX_SYS_H
#define KQ_LINUX_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
    (void)call(SYS_close, fd);
}

inline ssize_t read(int fd, void* buffer, size_t size) {
    return call(SYS_read, fd, buffer, size);
}

inline int open_for_reading(const char* path) {
    return static_cast<int>(call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
}

inline ssize_t send(int fd, const void* data, size_t size, int flags) {
    return call(SYS_sendto, fd, data, size, flags, 0, 0);
}

inline ssize_t recv(int fd, void* data, size_t size, int flags) {
    return call(SYS_recvfrom, fd, data, size, flags, 0, 0);
}

#if !defined(__LP64__) && defined(STATX_BASIC_STATS)
// fstat() of a file whose times do not fit a time_t of 32 bits, for which the C library fails:
// their low halves still tell one from another.
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

// fstat(). The C library asks with an empty path, which takes a fifth longer; where its
// struct is the kernel's own, ask directly.
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
        // A file system that is a program was interrupted; the handler has run meanwhile. To the
        // user EINTR would mean that the change was made.
        if (__builtin_expect(result == 0 || errno != EINTR, 1)) return result;
    }
}

inline int ioctl(int fd, unsigned long request, void* argument) {
    return static_cast<int>(call(SYS_ioctl, fd, request, argument));
}

// The POLL bits of fd now; POLLNVAL if it is not open.
inline short poll_now(int fd, short events) {
    pollfd pfd{fd, events, 0};
    // A zero timeout, in whatever layout the kernel of a 32-bit machine expects.
    const long long zero[2] = {0, 0};
    const long count = call(SYS_ppoll, &pfd, 1, zero, 0, size_t{8});
    if (__builtin_expect(count < 0 && errno == EINVAL, 0)) return select::look(fd, events);
    return count > 0 ? pfd.revents : short{0};
}

// Why the call that just failed did. What a user may register, or watch, counts as memory.
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
