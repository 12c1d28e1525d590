// SPDX-License-Identifier: BSD-2-Clause
// The functions that programs call: those of <port.h>, and those of the C library that have to know
// about ports.
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "model.h"

#define KQ_EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

using namespace eventport;

int answer(int error) {
    if (error == 0) return 0;
    errno = error;
    return -1;
}

// The model does nothing for two kinds of children. A child of vfork() shares our memory. A child
// of clone() is one that the model does not hear of. Such children must call exec(), or use no
// ports.
bool is_ours() {
    return state.ready && !Guard::is_held_here() && ::getpid() == state.owner;
}

int with_port(int fd, const char* in_child, int (*action)(Port&, void*), void* arguments) {
    int error;
    {
        const Guard guard;
        Port* port = find_port(fd);
        if (port == nullptr)
            error = errno;
        else if (port->foreign && in_child != nullptr)
            error = (unimplemented(in_child), ENOTSUP);
        else
            error = action(*port, arguments);
    }
    return answer(error);
}

struct Association {
    int source;
    uintptr_t object;
    int events;
    void* user;
};

int closes(int fd, int (*how)(int)) {
    if (is_ours()) {
        if (is_hidden(fd)) return answer(EBADF);
        Guard guard;
        closing(guard, fd);
    }
    return how(fd);
}

template <class Dup>
int duplicates(int fd, int onto, Dup dup) {
    if (!is_ours()) return dup();
    if (is_hidden(fd) || is_hidden(onto)) return answer(EBADF);
    // This does no harm if dup2() then fails: all possible reasons for that were checked above.
    if (onto >= 0 && onto != fd && is_open(fd)) {
        Guard guard;
        closing(guard, onto);
    }
    const int copy = dup();
    if (copy >= 0) {
        const Guard guard;
        duplicated(fd, copy);
    }
    return copy;
}

int closes_range(unsigned first, unsigned last, int flags) {
    if (!is_ours() || first > last || (flags & static_cast<int>(CLOSE_RANGE_CLOEXEC)) != 0)
        return real().close_range(first, last, flags);
    {
        Guard guard;
        for (unsigned fd = first; fd <= last && fd < static_cast<unsigned>(state.end_of_fds); fd++)
            closing(guard, static_cast<int>(fd));
    }
    while (first <= last) {  // skips the model's own
        const unsigned kept = first < static_cast<unsigned>(kMaxFd)
                                  ? static_cast<unsigned>(next_hidden(static_cast<int>(first)))
                                  : static_cast<unsigned>(kMaxFd);
        const bool is_last = kept > last || kept >= static_cast<unsigned>(kMaxFd);
        if (is_last) return real().close_range(first, last, flags);
        if (kept > first && real().close_range(first, kept - 1, flags) != 0) return -1;
        first = kept + 1;
    }
    return 0;
}

// Rule 28. False if `fd` is no port.
bool describe(int fd, struct stat& to) {
    if (!is_ours() || fd < 0 || fd >= kMaxFd) return false;
    const Guard guard;
    Port* port = state.port_of[fd];
    if (port == nullptr) return false;
    if (!port->foreign) harvest(*port);
    to = {};
    to.st_dev = 0x7072;
    to.st_rdev = 0x7072;
    to.st_mode = 0xE000;  // S_IFPORT
    to.st_nlink = static_cast<nlink_t>(port->count_of_fds);
    to.st_uid = ::getuid();
    to.st_gid = ::getgid();
    to.st_size = port->count;
    to.st_atim = to.st_mtim = to.st_ctim = port->created;
    return true;
}

// /proc/PID/path/N of Solaris is /proc/PID/fd/N here. It is missing if the file has no path, or has
// lost its path.
ssize_t read_link(const char* path, char* buffer, size_t size) {
    const char* middle =
        std::strncmp(path, "/proc/", 6) == 0 ? std::strchr(path + 6, '/') : nullptr;
    if (middle == nullptr || std::strncmp(middle, "/path/", 6) != 0)
        return real().readlink(path, buffer, size);
    char name[PATH_MAX];
    const size_t before = static_cast<size_t>(middle - path);
    if (std::strlen(path) >= sizeof name) return answer(ENAMETOOLONG);
    std::memcpy(name, path, before);
    std::strcpy(name + before, "/fd/");
    std::strcat(name, middle + 6);
    char target[PATH_MAX];
    const ssize_t length = real().readlink(name, target, sizeof target - 1);
    if (length < 0) return -1;
    target[length] = '\0';
    struct stat there;
    if (target[0] != '/' || ::lstat(target, &there) != 0) return answer(ENOENT);
    const size_t n = static_cast<size_t>(length) < size ? static_cast<size_t>(length) : size;
    std::memcpy(buffer, target, n);
    return static_cast<ssize_t>(n);
}

}  // namespace

// ---- <port.h> ----

KQ_EXPORTED int port_create() {
    start_pump();
    int fd;
    int error;
    {
        const Guard guard;
        fd = create_port();
        error = errno;
    }
    if (fd < 0) errno = error;
    return fd;
}

KQ_EXPORTED int port_associate(int port, int source, uintptr_t object, int events, void* user) {
    Association a{source, object, events, user};
    const auto associate = [](Port& p, void* arguments) {
        const auto& given = *static_cast<Association*>(arguments);
        if (given.source == PORT_SOURCE_FD)
            return associate_fd(p, given.object, given.events, given.user);
        if (given.source == PORT_SOURCE_FILE)
            return associate_file(p, given.object, given.events, given.user);
        return EINVAL;
    };
    return with_port(port, "port_associate() in the child of fork()", associate, &a);
}

KQ_EXPORTED int port_dissociate(int port, int source, uintptr_t object) {
    Association a{source, object, 0, nullptr};
    const auto dissociate = [](Port& p, void* arguments) {
        const auto& given = *static_cast<Association*>(arguments);
        if (given.source == PORT_SOURCE_FD) return dissociate_fd(p, given.object);
        if (given.source == PORT_SOURCE_FILE) return dissociate_file(p, given.object);
        return EINVAL;
    };
    return with_port(port, nullptr, dissociate, &a);
}

KQ_EXPORTED int port_getn(int port, port_event_t list[], uint_t max, uint_t* nget,
                          timespec* timeout) {
    if (nget == nullptr) return answer(EINVAL);
    int error;
    {
        Guard guard;
        error = get_events(guard, port, list, max, nget, timeout, false);
    }
    return answer(error);
}

KQ_EXPORTED int port_get(int port, port_event_t* event, timespec* timeout) {
    int error;
    {
        Guard guard;
        uint_t nget = 1;
        error = get_events(guard, port, event, 1, &nget, timeout, true);
    }
    return answer(error);
}

KQ_EXPORTED int port_send(int port, int events, void* user) {
    Association a{0, 0, events, user};
    const auto pass = [](Port& p, void* arguments) {
        const auto& given = *static_cast<Association*>(arguments);
        return send(p, given.events, given.user);
    };
    return with_port(port, "port_send() in the child of fork()", pass, &a);
}

KQ_EXPORTED int port_sendn(int ports[], int errors[], uint_t nent, int events, void* user) {
    if (nent == 0) return answer(EINVAL);
    int sent = 0;
    bool failed = false;
    for (uint_t i = 0; i < nent; i++) {
        const int before = errno;
        const int error = port_send(ports[i], events, user) == 0 ? 0 : errno;
        errno = before;
        if (error == 0) sent++;
        // The list is written only if there is an error.
        if (error != 0 && !failed)
            for (uint_t j = 0; j < nent; j++)
                errors[j] = 0;
        failed = failed || error != 0;
        if (error != 0) errors[i] = error;
    }
    return sent;
}

KQ_EXPORTED int port_alert(int port, int flags, int events, void* user) {
    Association a{flags, 0, events, user};
    const auto pass = [](Port& p, void* arguments) {
        const auto& given = *static_cast<Association*>(arguments);
        return alert(p, given.source, given.events, given.user);
    };
    return with_port(port, "port_alert() in the child of fork()", pass, &a);
}

// ---- descriptors ----

KQ_EXPORTED int close(int fd) {
    return closes(fd, real().close);
}

KQ_EXPORTED int dup(int fd) noexcept {
    return duplicates(fd, -1, [fd] { return real().dup(fd); });
}

KQ_EXPORTED int dup2(int fd, int onto) noexcept {
    return duplicates(fd, onto, [fd, onto] { return real().dup2(fd, onto); });
}

KQ_EXPORTED int dup3(int fd, int onto, int flags) noexcept {
    if (fd == onto || (flags & ~O_CLOEXEC) != 0) return answer(EINVAL);
    return duplicates(fd, onto, [=] { return real().dup3(fd, onto, flags); });
}

KQ_EXPORTED int fcntl(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void* argument = va_arg(list, void*);
    va_end(list);
    if (command != F_DUPFD && command != F_DUPFD_CLOEXEC)
        return real().fcntl(fd, command, argument);
    return duplicates(fd, -1, [=] { return real().fcntl(fd, command, argument); });
}

KQ_EXPORTED int fcntl64(int fd, int command, ...) {
    va_list list;
    va_start(list, command);
    void* argument = va_arg(list, void*);
    va_end(list);
    return fcntl(fd, command, argument);
}

KQ_EXPORTED int close_range(unsigned first, unsigned last, int flags) noexcept {
    return closes_range(first, last, flags);
}

KQ_EXPORTED void closefrom(int lowest) noexcept {
    (void)closes_range(lowest < 0 ? 0u : static_cast<unsigned>(lowest), ~0u, 0);
}

// A program may also close a descriptor by syscall(). Other calls are passed on.
KQ_EXPORTED long syscall(long number, ...) noexcept {
    long a[6];
    va_list list;
    va_start(list, number);
    for (long& one : a)
        one = va_arg(list, long);
    va_end(list);
    if (number == SYS_close)
        return closes(static_cast<int>(a[0]),
                      [](int fd) { return static_cast<int>(real().syscall(SYS_close, fd)); });
    return real().syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

KQ_EXPORTED int fstat(int fd, struct stat* to) noexcept {
    return describe(fd, *to) ? 0 : real().fstat(fd, to);
}

KQ_EXPORTED int fstat64(int fd, struct stat64* to) noexcept {
    static_assert(sizeof(struct stat64) == sizeof(struct stat), "one layout");
    return fstat(fd, reinterpret_cast<struct stat*>(to));
}

// ThreadSanitizer calls fstat() by these names, and so do programs that were linked with an old
// glibc. ThreadSanitizer does so before any code that it has instrumented may run.
KQ_EXPORTED __attribute__((no_sanitize("thread"))) int __fxstat(int, int fd,
                                                                struct stat* to) noexcept {
    if (!state.ready) return ::fstatat(fd, "", to, AT_EMPTY_PATH);
    return describe(fd, *to) ? 0 : real().fstat(fd, to);
}

KQ_EXPORTED __attribute__((no_sanitize("thread"))) int __fxstat64(int version, int fd,
                                                                  struct stat64* to) noexcept {
    return __fxstat(version, fd, reinterpret_cast<struct stat*>(to));
}

KQ_EXPORTED ssize_t readlink(const char* path, char* buffer, size_t size) noexcept {
    return read_link(path, buffer, size);
}

KQ_EXPORTED ssize_t __readlink_chk(const char* path, char* buffer, size_t size,
                                   size_t room) noexcept {
    if (size > room) die("readlink() past the end of its buffer");
    return read_link(path, buffer, size);
}

// ---- timers ----

KQ_EXPORTED int timer_create(clockid_t clock, sigevent* event, timer_t* id) noexcept {
    if (event == nullptr || event->sigev_notify != SIGEV_PORT)
        return real().timer_create(clock, event, id);
    if (event->sigev_value.sival_ptr == nullptr) return answer(EFAULT);
    int error;
    {
        const Guard guard;
        error = create_timer(clock, *static_cast<port_notify_t*>(event->sigev_value.sival_ptr), id);
    }
    return answer(error);
}

KQ_EXPORTED int timer_settime(timer_t id, int flags, const itimerspec* value,
                              itimerspec* old) noexcept {
    int error = -1;
    {
        const Guard guard;
        if (Timer* timer = find_timer(id)) error = set_timer(*timer, flags, value, old);
    }
    return error < 0 ? real().timer_settime(id, flags, value, old) : answer(error);
}

KQ_EXPORTED int timer_gettime(timer_t id, itimerspec* value) noexcept {
    int error = -1;
    {
        const Guard guard;
        if (Timer* timer = find_timer(id)) error = get_timer(*timer, value);
    }
    return error < 0 ? real().timer_gettime(id, value) : answer(error);
}

KQ_EXPORTED int timer_getoverrun(timer_t id) noexcept {
    {
        const Guard guard;
        // This function is for timers that send signals. A timer of a port counts in portev_events.
        if (find_timer(id) != nullptr) return 0;
    }
    return real().timer_getoverrun(id);
}

KQ_EXPORTED int timer_delete(timer_t id) noexcept {
    {
        const Guard guard;
        if (Timer* timer = find_timer(id)) return delete_timer(*timer), 0;
    }
    return real().timer_delete(id);
}
