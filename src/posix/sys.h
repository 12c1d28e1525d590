// System calls that are no cancellation points, and nothing but POSIX.
//
// Called with a mutex held, or in a signal handler: a cancelled thread must not
// leave from there. What POSIX lets be a cancellation point is called with
// cancellation disabled, which costs no system call.
#ifndef KQ_POSIX_SYS_H
#define KQ_POSIX_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
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

inline ssize_t send(int fd, const void* data, size_t size, int flags) {
    const Uncancelled uncancelled;
    return ::send(fd, data, size, flags);
}

inline ssize_t recv(int fd, void* data, size_t size, int flags) {
    const Uncancelled uncancelled;
    return ::recv(fd, data, size, flags);
}

// fstat(). Race detectors follow the use of numbers, and that this one may be closed, or given
// to another file, meanwhile is no mistake of ours: it is what is asked for.
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

// Looks, and does not wait. Some at a time if poll() takes no more: it refuses more entries than
// the process may have files. POSIX does not say whether it may be interrupted even then.
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
    info.si_pid = 0;  // stays so if there is nobody to be waited for
    return waitid(type, id, &info, WEXITED | WNOHANG | WNOWAIT);
}

// Closes what `fd` holds, if anything.
inline void close_and_clear(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
}

}  // namespace kq::sys

#endif
