// SPDX-License-Identifier: BSD-2-Clause
// The list of system calls. See calls.h.
//
// The errors are those of the kernel's sources and of the manual that are possible with the
// library's arguments. So EFAULT, EINVAL and EBADF are usually not here. An error that only a
// sandbox gives is here if the library goes on without the call.
#include "faults/calls.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "faults/dispatch.h"

#ifdef __x86_64__

namespace kqfaults {
namespace {

bool is_a(long fd, const char* kind) {
    char path[64];
    char target[64] = {};
    (void)snprintf(path, sizeof path, "/proc/self/fd/%ld", fd);
    (void)through_with(SYS_readlinkat, AT_FDCWD, path, target, sizeof target - 1);
    return target[0] != '\0' && strstr(target, kind) != nullptr;
}

// Whether an epoll set already has a descriptor. EPOLL_CTL_ADD then answers EEXIST and needs no
// memory.
bool has(long set, long fd) {
    char text[64];
    (void)snprintf(text, sizeof text, "/proc/self/fdinfo/%ld", set);
    const long info = through_with(SYS_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC);
    if (info < 0) return false;
    static char content[1 << 15];
    constexpr long kRoom = long{sizeof content} - 1;
    long size = 0;
    for (long got = 1; got > 0 && size<kRoom; size += got> 0 ? got : 0)
        got = through_with(SYS_read, info, content + size, kRoom - size);
    (void)through_with(SYS_close, info);
    content[size] = '\0';
    for (const char* at = strstr(content, "tfd:"); at != nullptr; at = strstr(at + 1, "tfd:"))
        if (strtol(at + 4, nullptr, 10) == fd) return true;
    return false;
}

// ---- which row a call belongs to ----

bool registers(Arguments a) {
    return a[1] == EPOLL_CTL_ADD && is_a(a[0], "eventpoll") && is_a(a[2], "") && !has(a[0], a[2]);
}
bool modifies(Arguments a) {
    return a[1] == EPOLL_CTL_MOD && !is_a(a[2], "eventfd");
}
bool new_one(Arguments a) {
    return static_cast<int>(a[0]) == -1;
}
bool duplicates(Arguments a) {
    return a[1] == F_DUPFD_CLOEXEC;
}
bool asks_flags(Arguments a) {
    return a[1] == F_GETFD || a[1] == F_GETFL || a[1] == F_GETPIPE_SZ || a[1] == F_GETSIG;
}
bool marks(Arguments a) {
    return a[1] == F_SETSIG;
}
bool waits(Arguments a) {
    const auto* timeout = reinterpret_cast<const timespec*>(a[2]);
    return timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
}
bool finds_nothing(Arguments a) {
    return through_with(SYS_ppoll, a[0], a[1], a[2], a[3], a[4]) == 0;
}
bool asks_mounts(Arguments a) {
    const auto* fds = reinterpret_cast<const pollfd*>(a[0]);
    return a[1] == 1 && is_a(fds->fd, "mountinfo");
}
bool of_inotify(Arguments a) {
    return is_a(a[0], "inotify");
}
bool counts_bytes(Arguments a) {
    return a[1] == FIONREAD;
}
bool asks_mark(Arguments a) {
    return a[1] == SIOCATMARK;
}
bool counts_unsent(Arguments a) {
    return a[1] == TIOCOUTQ;  // SIOCOUTQ has the same number
}
bool asks_pidfd(Arguments a) {
    return ((a[1] >> 8) & 0xff) == 0xff;
}
bool by_pidfd(Arguments a) {
    return a[0] == 3;  // P_PIDFD
}
bool sends_nothing(Arguments a) {
    return a[2] == 0;
}
bool of_a_file(Arguments a) {
    struct stat st {};
    return through_with(SYS_fstat, a[0], &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}
bool of_stderr(Arguments a) {
    return a[0] == STDERR_FILENO;
}

// ---- the list ----

constexpr Call kCalls[] = {
    // Descriptors
    {SYS_epoll_create1, "epoll_create1", nullptr, {EMFILE, ENFILE, ENOMEM}, "a new descriptor"},
    {SYS_eventfd2, "eventfd", nullptr, {EMFILE, ENFILE, ENOMEM}, "a new descriptor"},
    {SYS_timerfd_create, "timerfd_create", nullptr, {EMFILE, ENFILE, ENOMEM}, "a new descriptor"},
    {SYS_inotify_init1, "inotify_init", nullptr, {EMFILE, ENFILE, ENOMEM}, "likewise; instances"},
    {SYS_signalfd4, "signalfd", new_one, {EMFILE, ENFILE, ENOMEM}, "a new descriptor"},
    {SYS_signalfd4, "signalfd of before", nullptr, {}, "stores a word"},
    {SYS_pidfd_open, "pidfd_open", nullptr, {EMFILE, ENFILE, ENOMEM, EPERM}, "likewise; sandboxes"},
    {SYS_socket, "socket", nullptr, {EMFILE, ENFILE, ENOBUFS, ENOMEM}, "a new descriptor"},
    {SYS_openat, "open", nullptr, {EMFILE, ENFILE, ENOMEM}, "a new descriptor"},
    {SYS_fcntl, "fcntl(F_DUPFD)", duplicates, {EMFILE, ENOMEM}, "a new descriptor"},
    {SYS_fcntl, "fcntl(F_SETSIG)", marks, {ENOMEM}, "memory, since 6.12"},
    {SYS_getdents64, "getdents", nullptr, {ENOMEM}, "memory"},
    {SYS_prlimit64, "getrlimit", nullptr, {}, "reads a word; at limits only", false, true},
    {SYS_fcntl, "fcntl(F_GET)", asks_flags, {}, "reads a word"},
    {SYS_dup3, "dup3", nullptr, {EBUSY, EBADF}, "a race of others; the limit has been lowered"},
    {SYS_close, "close", nullptr, {EINTR, EIO}, "closed all the same", true},
    // Waiting
    {SYS_epoll_ctl, "epoll_ctl(ADD)", registers, {ENOMEM, ENOSPC}, "memory; max_user_watches"},
    {SYS_epoll_ctl, "epoll_ctl(MOD)", modifies, {ENOMEM}, "the manual has it"},
    {SYS_epoll_ctl, "epoll_ctl", nullptr, {}, "what is there changes a word, or goes"},
    {SYS_epoll_wait, "epoll_wait", nullptr, {}, "never waits, so no signal ends it; no memory"},
    {SYS_epoll_pwait, "epoll_pwait", nullptr, {}, "likewise", false, true},
    {SYS_ppoll, "ppoll", waits, {EINTR}, "a handler ran"},
    {SYS_ppoll, "ppoll(mountinfo)", asks_mounts, {}, "it tells once: not asked twice, see below"},
    {SYS_ppoll, "ppoll(0)", finds_nothing, {EINTR}, "a signal is pending, and nothing else"},
    {SYS_ppoll, "ppoll(0)", nullptr, {}, "what is found is told; memory only for many"},
    {SYS_pselect6, "pselect", nullptr, {}, "in place of ppoll, at a limit of 0", false, true},
    {SYS_timerfd_settime, "timerfd_settime", nullptr, {}, "the timer is there"},
    // Files
    {SYS_inotify_add_watch,
     "inotify_add_watch",
     nullptr,
     {ENOMEM, ENOSPC, EACCES, EINTR},
     "memory; max_user_watches; unreadable; file systems of users"},
    {SYS_inotify_rm_watch, "inotify_rm_watch", nullptr, {}, "the watch is there, or is not"},
    {SYS_fstat, "fstat", of_a_file, {ENOMEM, EIO, EINTR}, "file systems of users and networks"},
    {SYS_fstat, "fstat", nullptr, {ENOMEM}, "the manual has it"},
    {SYS_newfstatat, "fstat", of_a_file, {ENOMEM, EIO, EINTR}, "as fstat()", false, true},
    {SYS_newfstatat, "fstat", nullptr, {ENOMEM}, "as fstat()"},
    {SYS_fstatfs, "fstatfs", nullptr, {}, "of pipes only: a constant"},
    {SYS_lseek, "lseek", nullptr, {}, "the offset of a regular file"},
    {SYS_readlinkat, "readlink", nullptr, {ENOMEM}, "a page for the name"},
    {SYS_readlink, "readlink", nullptr, {ENOMEM}, "a page for the name"},
    {SYS_read, "read(inotify)", of_inotify, {}, "never waits; what there is was stored before"},
    {SYS_read, "read(/proc)", nullptr, {ENOMEM}, "a page for the text"},
    {SYS_ioctl, "ioctl(FIONREAD)", counts_bytes, {}, "a kind of file answers always, or never"},
    {SYS_ioctl, "ioctl(SIOCATMARK)", asks_mark, {}, "compares two numbers"},
    {SYS_ioctl, "ioctl(SIOCOUTQ)", counts_unsent, {}, "likewise", false, true},
    // Sockets
    {SYS_getsockopt, "getsockopt", nullptr, {ENOMEM}, "a program of a control group wants memory"},
    {SYS_setsockopt, "setsockopt", nullptr, {ENOMEM, EPERM}, "likewise; CAP_NET_ADMIN"},
    {SYS_getsockname, "getsockname", nullptr, {}, "copies a name"},
    {SYS_getpeername, "getpeername", nullptr, {}, "likewise"},
    {SYS_bind, "bind", nullptr, {ENOMEM, EPERM}, "memory; CAP_NET_ADMIN before 6.6"},
    {SYS_sendto, "send(nothing)", sends_nothing, {}, "AF_UNIX streams: nothing to store"},
    {SYS_sendto, "send(netlink)", nullptr, {ENOBUFS, ENOMEM}, "memory for the message"},
    {SYS_recvfrom, "recv(netlink)", nullptr, {ENOBUFS}, "there was no memory for the answer"},
    {SYS_recvmmsg, "recvmmsg(netlink)", nullptr, {ENOBUFS}, "messages were dropped"},
    // Processes and signals
    {SYS_waitid, "waitid(P_PIDFD)", by_pidfd, {EINVAL}, "before Linux 5.4"},
    {SYS_waitid, "waitid", nullptr, {}, "never waits; ECHILD: not ours", false, true},
    {SYS_ioctl, "ioctl(PIDFD_GET_INFO)", asks_pidfd, {ENOTTY}, "before Linux 6.13"},
    {SYS_pidfd_send_signal, "pidfd_send_signal", nullptr, {}, "as tgkill", false, true},
    {SYS_kill, "kill", nullptr, {}, "the tests' own: Driver::raise_signal()"},
    {SYS_tgkill, "tgkill", nullptr, {}, "signal 0: nothing is sent", false, true},
    {SYS_getpid, "getpid", nullptr, {}, "a number"},
    {SYS_gettid, "gettid", nullptr, {}, "a number"},
    {SYS_sched_yield, "sched_yield", nullptr, {}, "gives way", false, true},
    {SYS_rt_sigaction, "sigaction", nullptr, {}, "copies two records"},
    {SYS_rt_sigprocmask, "sigprocmask", nullptr, {}, "copies two words"},
    {SYS_rt_sigpending, "sigpending", nullptr, {}, "copies a word"},
    {SYS_rt_sigtimedwait, "sigtimedwait", nullptr, {}, "does not wait: EAGAIN"},
    {SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", nullptr, {EAGAIN, EPERM}, "limits; sandboxes"},
    {SYS_rt_sigqueueinfo, "rt_sigqueueinfo", nullptr, {EAGAIN, EPERM}, "likewise", false, true},
    {SYS_clock_gettime, "clock_gettime", nullptr, {}, "clocks that are there", false, true},
    // Memory, except malloc(), which memory.cc refuses
    {SYS_mmap, "mmap", nullptr, {ENOMEM}, "a page"},
    {SYS_madvise, "madvise", nullptr, {ENOMEM, EINVAL}, "a record; before Linux 4.14"},
    {SYS_munmap, "munmap", nullptr, {}, "the whole of what was mapped", false, true},
    // Messages to stderr
    {SYS_write, "write(stderr)", of_stderr, {EIO, EAGAIN}, "whatever stderr is", false, true},
};

}  // namespace

std::span<const Call> calls() {
    return kCalls;
}

const Call* row_of(long number, Arguments a) {
    for (const Call& row : kCalls)
        if (row.number == number && (row.is == nullptr || row.is(a))) return &row;
    return nullptr;
}

bool needs_proc(long number, Arguments a) {
    const bool first = number == SYS_readlink;
    if (!first && number != SYS_openat && number != SYS_readlinkat &&
        number != SYS_inotify_add_watch)
        return false;
    return strncmp(reinterpret_cast<const char*>(first ? a[0] : a[1]), "/proc/", 6) == 0;
}

}  // namespace kqfaults

#else

namespace kqfaults {

std::span<const Call> calls() {
    return {};
}
const Call* row_of(long, Arguments) {
    return nullptr;
}
bool needs_proc(long, Arguments) {
    return false;
}

}  // namespace kqfaults

#endif
