// SPDX-License-Identifier: BSD-2-Clause
// The system below the model: functions of the C library that the model replaces, and descriptors
// that programs must not notice.
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

// The model does not see descriptors with this number or a higher one.
inline constexpr int kMaxFd = 1 << 20;

// The functions that the model replaces, as the next library has them.
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

// Writes a message to standard error if programs get the C library's functions, not the model's.
// That happens if the model was loaded by dlopen(), or was not linked as README.md says.
void warn_if_behind();

// A system call, made directly. It is no cancellation point, and ThreadSanitizer does not see it.
// Otherwise ThreadSanitizer would report a race of the pump's use of a descriptor with the
// program's close().
template <class... Args>
long sys(long number, Args... args) {
    // Each argument must be as wide as a register. An int would leave half of the register
    // undefined.
    const auto widen = [](auto arg) {
        if constexpr (std::is_integral_v<decltype(arg)>)
            return static_cast<long>(arg);
        else
            return arg;
    };
    return real().syscall(number, widen(args)...);
}

// Blocks all signals. It does not use pthread_sigmask(), which unblocks the signal that cancels a
// thread. That signal must wait while a handler of libkqueue runs, and the handler may call the
// model.
void block_signals(sigset_t& before);
void restore_signals(const sigset_t& before);

// ThreadSanitizer keeps a signal until its thread calls a function. The thread must not do that
// while it holds the lock, so the handlers run here. Without ThreadSanitizer this does nothing.
void run_delayed_handlers();

// ppoll(), a cancellation point. 0 or errno.
int sleep_on(pollfd* list, unsigned count, const timespec* limit, const sigset_t& mask);

bool is_open(int fd);

// Takes `fd`, which may be negative. Returns a copy with a number as high as the limit allows, and
// exec() closes the copy. It is the model's own; close it with close_hidden(). -1 with errno if
// there is none.
int hide(int fd);
void close_hidden(int fd);  // does nothing if it is not hidden
bool is_hidden(int fd);
int next_hidden(int from);  // the lowest hidden descriptor >= from, or kMaxFd

// Like the system calls. Returns 0 or errno.
int epoll_change(int epoll, int operation, int fd, uint32_t events, uint64_t data);
int epoll_collect(int epoll, epoll_event* list, int max, int timeout_ms);  // the count, or -1

// Memory of zeros. It takes no real memory before it is written. Aborts if there is none.
void* reserve_memory(size_t bytes);

[[noreturn]] void die(const char* what);
void unimplemented(const char* what);  // prints each text once

}  // namespace eventport

#endif
