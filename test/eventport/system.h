// SPDX-License-Identifier: BSD-2-Clause
// The system beneath the model: the C library's own functions, where the model has others of the
// same name, and descriptors that programs are not to notice.
#ifndef KQ_EVENTPORT_SYSTEM_H
#define KQ_EVENTPORT_SYSTEM_H

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>

#include <cstdint>
#include <type_traits>

namespace eventport {

// Descriptors from here on are not seen by the model.
inline constexpr int kMaxFd = 1 << 20;

// The functions that come after the model's in the order of libraries.
struct Real {
    int (*close)(int);
    int (*dup)(int);
    int (*dup2)(int, int);
    int (*dup3)(int, int, int);
    int (*fcntl)(int, int, ...);
    int (*close_range)(unsigned, unsigned, int);
    int (*fstat)(int, struct stat*);
    ssize_t (*readlink)(const char*, char*, size_t);
    long (*syscall)(long, ...);
    int (*timer_create)(clockid_t, struct sigevent*, timer_t*);
    int (*timer_settime)(timer_t, int, const struct itimerspec*, struct itimerspec*);
    int (*timer_gettime)(timer_t, struct itimerspec*);
    int (*timer_getoverrun)(timer_t);
    int (*timer_delete)(timer_t);
};
const Real& real();  // finds them at the first call

// Says so on standard error if programs get the C library's functions, not the model's: where the
// model was loaded by dlopen(), or was not linked as README.md says.
void warn_if_behind();

// A system call as such. It is no cancellation point, and ThreadSanitizer does not see it: to that
// the pump's use of a descriptor would race with the program's close().
template <class... Args>
long sys(long number, Args... args) {
    // Each as wide as a register: an int would leave half of it to chance.
    const auto widen = [](auto arg) {
        if constexpr (std::is_integral_v<decltype(arg)>)
            return static_cast<long>(arg);
        else
            return arg;
    };
    return real().syscall(number, widen(args)...);
}

// All signals. Not by pthread_sigmask(), which unblocks the signal that cancels a thread: that
// waits while a handler of libkqueue runs, which may call the model.
void block_signals(sigset_t& before);
void restore_signals(const sigset_t& before);

// ThreadSanitizer keeps a signal until its thread calls something, which must not be while the
// lock is held: its handler runs here. Otherwise nothing.
void run_delayed_handlers();

// ppoll(), a cancellation point. 0 or errno.
int sleep_on(pollfd* list, unsigned count, const timespec* limit, const sigset_t& mask);

bool is_open(int fd);

// Takes `fd`, which may be negative, and returns a copy with a number as high as the limit allows,
// which exec() closes. The model's own; close with close_hidden(). -1 and errno if there is none.
int hide(int fd);
void close_hidden(int fd);  // nothing, if it is not hidden
bool is_hidden(int fd);
int next_hidden(int from);  // the lowest hidden descriptor >= from, or kMaxFd

// As the system calls. Returns 0 or errno.
int epoll_change(int epoll, int operation, int fd, uint32_t events, uint64_t data);
int epoll_collect(int epoll, epoll_event* list, int max, int timeout_ms);  // the count, or -1

// Memory of zeros that is only taken when it is written. Aborts if there is none.
void* reserve_memory(size_t bytes);

[[noreturn]] void die(const char* what);
void unimplemented(const char* what);  // says so once for each call site's text

}  // namespace eventport

#endif
