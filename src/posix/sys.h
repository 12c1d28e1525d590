// SPDX-License-Identifier: BSD-2-Clause
// System calls that are no cancellation points; POSIX only.
//
// They are called with a mutex held, or in a signal handler. A cancelled thread must not leave from
// there. So a call that POSIX allows to be a cancellation point is made with cancellation disabled,
// which costs no system call.
#ifndef KQ_POSIX_SYS_H
#define KQ_POSIX_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif

namespace kq::sys {

class Uncancelled {
  public:
    Uncancelled() { (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~Uncancelled() { (void)pthread_setcancelstate(before_, &before_); }
    Uncancelled(const Uncancelled&) = delete;
    Uncancelled& operator=(const Uncancelled&) = delete;

  private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

inline void close(int fd) {
    const Uncancelled uncancelled;
    (void)::close(fd);
}

inline ssize_t read(int fd, void* buffer, size_t size) {
    const Uncancelled uncancelled;
    return ::read(fd, buffer, size);
}

inline ssize_t write(int fd, const void* data, size_t size) {
    const Uncancelled uncancelled;
    return ::write(fd, data, size);
}

// fstat(). Race detectors follow the use of numbers. Another thread may close this number or give
// it to another file: that is no mistake of ours, but what we want to find out.
inline int stat_number(int fd, struct stat* st) {
#if defined(__SANITIZE_THREAD__)
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    const int result = fstat(fd, st);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    return result;
#else
    return fstat(fd, st);
#endif
}

inline int control(int fd, int command, int argument = 0) {
    const Uncancelled uncancelled;
    return fcntl(fd, command, argument);
}

// The standard streams have the numbers below this one. No descriptor of the library's own has such
// a number, even if the program runs with its streams closed: otherwise its output would go into
// our descriptors, and its input would come from there.
inline constexpr int kFirstOwn = STDERR_FILENO + 1;

// Another number for the open file of fd, as dup() gives it.
inline int duplicate(int fd) {
    const int other = control(fd, F_DUPFD_CLOEXEC, kFirstOwn);
    if (other < 0 && errno == EINVAL) errno = EMFILE;  // not so many may be open
    return other;
}

// Gives an open file another number, which must be open: what that named is closed. The file is
// closed on exec. On -1 with errno nothing was done.
inline int move(int fd, int number) {
    if (dup2(fd, number) < 0) return -1;
    (void)control(number, F_SETFD, FD_CLOEXEC);
    close(fd);
    return number;
}

// Moves a new descriptor up if needed. Takes the result of the call that made the descriptor, and
// returns such a result: on -1 with errno nothing is open.
inline int above_stdio(int fd) {
    if (fd >= kFirstOwn || fd < 0) return fd;
    const int moved = duplicate(fd);
    const int error = errno;
    close(fd);
    errno = error;
    return moved;
}

// Looks, and does not wait. poll() refuses more entries than the process may have files: then they
// go in portions. POSIX does not say whether poll() may be interrupted even if it does not wait.
inline int poll_at_once(pollfd* fds, size_t count) {
    const Uncancelled uncancelled;
    constexpr size_t kPortion = 16;
    size_t portion = count;
    int ready = 0;
    for (size_t i = 0; i < count;) {
        const size_t n = count - i < portion ? count - i : portion;
        const int result = ::poll(fds + i, static_cast<nfds_t>(n), 0);
        if (result < 0 && errno == EINTR) continue;
        if (result < 0 && errno == EINVAL && portion > kPortion) {
            portion = kPortion;
            continue;
        }
        if (result < 0) return result;
        ready += result;
        i += n;
    }
    return ready;
}

// The POLL bits of fd now; POLLNVAL if it is not open.
inline short poll_now(int fd, short events) {
    pollfd pfd{fd, events, 0};
    return poll_at_once(&pfd, 1) > 0 ? pfd.revents : short{0};
}

inline int wait_for(idtype_t type, id_t id, siginfo_t& info) {
    const Uncancelled uncancelled;
    info.si_pid = 0;  // stays 0 if there is no child to wait for
    return waitid(type, id, &info, WEXITED | WNOHANG | WNOWAIT);
}

// Closes what `fd` holds, if anything.
inline void close_and_clear(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
}

}  // namespace kq::sys

#endif
