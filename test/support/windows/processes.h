// SPDX-License-Identifier: BSD-2-Clause
// What the tests use of POSIX's signals and processes, on Windows: see posix.h.
//
// Only a few signals can have a handler: those of the C library. Two of them stand for SIGUSR1 and
// SIGUSR2 of the tests. All other signals can be sent and watched.
#ifndef KQTEST_WINDOWS_PROCESSES_H
#define KQTEST_WINDOWS_PROCESSES_H

#include <kqueue/signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/types.h>

#undef SIGUSR1
#undef SIGUSR2
#define SIGUSR1 SIGBREAK
#define SIGUSR2 SIGINT
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGWINCH 28
#define SIGRTMIN 34
#define SIGRTMAX 64

namespace kqposix {

// ---- signals ----

using sigset_t = uint64_t;
union sigval {
    int sival_int;
    void* sival_ptr;
};
struct siginfo_t {
    int si_signo;
    int si_code;
    pid_t si_pid;
    sigval si_value;
};
struct sigaction {
    union {
        void (*sa_handler)(int);
        void (*sa_sigaction)(int, siginfo_t*, void*);  // is called without the information
    };
    sigset_t sa_mask;  // nothing is blocked
    int sa_flags;
};
#define SA_RESTART 0x10000000
#define SA_SIGINFO 4
#define SA_RESETHAND 0x80000000

// A handler stays installed until another one is, unless SA_RESETHAND is set: as programs for
// Windows do it, it installs itself again when it is called.
int sigaction(int number, const struct sigaction* action, struct sigaction* before);
int kill(pid_t pid, int number);
int sigqueue(pid_t pid, int number, sigval value);  // without the value

inline int sigemptyset(sigset_t* set) {
    *set = 0;
    return 0;
}
inline int sigaddset(sigset_t* set, int number) {
    *set |= uint64_t{1} << (number - 1);
    return 0;
}
inline int sigismember(const sigset_t* set, int number) {
    return (*set >> (number - 1) & 1) != 0 ? 1 : 0;
}

// ---- processes: numbers are those of support/process.h ----

using id_t = unsigned;
using uid_t = unsigned;
using gid_t = unsigned;

inline bool WIFEXITED(int status) {
    return (status & 0x7f) == 0;
}
inline int WEXITSTATUS(int status) {
    return status >> 8 & 0xff;
}
inline bool WIFSIGNALED(int status) {
    return (status & 0x7f) != 0;
}
inline int WTERMSIG(int status) {
    return status & 0x7f;
}
#define P_PID 1
#define WEXITED 4
#define WNOWAIT 0x01000000

// Of a Sleeper. The status is that of an exit, whatever the reason.
pid_t waitpid(pid_t pid, int* status, int options);
int waitid(int what, id_t id, siginfo_t* info, int options);  // only waits
pid_t getppid();
// No process is root here, and no process can change its user.
uid_t getuid();
uid_t geteuid();
gid_t getgid();
int setuid(uid_t user);
int setgid(gid_t group);
int setgroups(size_t count, const gid_t* groups);
int chown(const char* path, uid_t user, gid_t group);

// ---- what there is not: each fails, and says so as a failure of the test ----

struct itimerval {
    timeval it_interval;
    timeval it_value;
};
#define ITIMER_REAL 0
int setitimer(int which, const itimerval* value, itimerval* before);
int pause();
int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* limit);
ssize_t readlink(const char* path, char* out, size_t size);
struct epoll_event {
    uint32_t events;
    union {
        int fd;
        uint64_t u64;
    } data;
};
#define EPOLL_CLOEXEC 1
#define EPOLL_CTL_ADD 1
#define EPOLLIN 1u
int epoll_create1(int flags);
int epoll_ctl(int set, int what, int fd, epoll_event* event);
int epoll_wait(int set, epoll_event* events, int most, int timeout);
#define EFD_CLOEXEC 0
int eventfd(unsigned value, int flags);
#define MFD_CLOEXEC 0
int memfd_create(const char* name, int flags);
struct flock {
    short l_type;
    short l_whence;
    int64_t l_start;
    int64_t l_len;
    pid_t l_pid;
};
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#define F_GETLK 5
#define F_SETLK 6
int fcntl(int fd, int what, flock* lock);

}  // namespace kqposix

#endif
