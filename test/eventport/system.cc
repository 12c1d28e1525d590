// SPDX-License-Identifier: BSD-2-Clause
#include "system.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace eventport {

namespace {

Real functions;
std::atomic<bool> found{false};

std::atomic<uint8_t> hidden[kMaxFd];
std::atomic<int> hidden_end{0};

template <class F>
void find(F*& function, const char* name) {
    void* address = ::dlsym(RTLD_NEXT, name);
    if (address == nullptr) {  // if the C library comes first: see warn_if_behind()
        void* library = ::dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        address = library != nullptr ? ::dlsym(library, name) : nullptr;
    }
    function = reinterpret_cast<F*>(address);
    if (function == nullptr) die(name);
}

}  // namespace

const Real& real() {
    // Two threads that come here at once find the same functions.
    if (found.load(std::memory_order_acquire)) return functions;
    Real& f = functions;
    find(f.close, "close");
    find(f.dup, "dup");
    find(f.dup2, "dup2");
    find(f.dup3, "dup3");
    find(f.fcntl, "fcntl");
    find(f.close_range, "close_range");
    find(f.fstat, "fstat");
    find(f.readlink, "readlink");
    find(f.syscall, "syscall");
    find(f.timer_create, "timer_create");
    find(f.timer_settime, "timer_settime");
    find(f.timer_gettime, "timer_gettime");
    find(f.timer_getoverrun, "timer_getoverrun");
    find(f.timer_delete, "timer_delete");
    found.store(true, std::memory_order_release);
    return functions;
}

void warn_if_behind() {
    if (::dlsym(RTLD_DEFAULT, "close") == reinterpret_cast<void*>(real().close))
        std::fputs("eventport: the C library comes before the model, which sees no close()\n",
                   stderr);
}

constexpr size_t kKernelMask = 8;  // bytes

void block_signals(sigset_t& before) {
    sigset_t all;
    (void)::sigfillset(&all);
    (void)::sigemptyset(&before);
    (void)sys(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, kKernelMask);
}

void restore_signals(const sigset_t& before) {
    (void)sys(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, kKernelMask);
}

#if defined(__SANITIZE_THREAD__)

void run_delayed_handlers() {
    (void)::pthread_sigmask(SIG_BLOCK, nullptr, nullptr);
}

// If a thread is cancelled within ThreadSanitizer's ppoll(), ThreadSanitizer believes that the
// thread is still in there. It then sees none of the locks that the thread takes on its way out. It
// does not see a bare system call.
int sleep_on(pollfd* list, unsigned count, const timespec* limit, const sigset_t& mask) {
    int type = PTHREAD_CANCEL_DEFERRED;
    timespec left{};
    if (limit != nullptr) left = *limit;  // the system writes to it
    (void)::pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    const long n =
        sys(SYS_ppoll, list, count, limit != nullptr ? &left : nullptr, &mask, kKernelMask);
    const int error = n < 0 ? errno : 0;
    (void)::pthread_setcanceltype(type, &type);
    return error;
}

#else

void run_delayed_handlers() {}

int sleep_on(pollfd* list, unsigned count, const timespec* limit, const sigset_t& mask) {
    return ::ppoll(list, count, limit, &mask) < 0 ? errno : 0;
}

#endif

bool is_open(int fd) {
    return fd >= 0 && sys(SYS_fcntl, fd, F_GETFD) >= 0;
}

int hide(int fd) {
    if (fd < 0) return -1;
    rlimit limit{};
    (void)::getrlimit(RLIMIT_NOFILE, &limit);
    long from = 1000;
    if (limit.rlim_cur < 1064) from = static_cast<long>(limit.rlim_cur) - 16;
    long copy = -1;
    while (copy < 0 && from > 2) {
        copy = sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);
        from -= 16;
    }
    const int error = errno;
    (void)sys(SYS_close, fd);
    errno = error;
    if (copy < 0 || copy >= kMaxFd) return -1;
    hidden[copy] = 1;
    if (hidden_end <= copy) hidden_end = static_cast<int>(copy) + 1;
    return static_cast<int>(copy);
}

void close_hidden(int fd) {
    if (!is_hidden(fd)) return;
    hidden[fd] = 0;
    (void)sys(SYS_close, fd);
}

bool is_hidden(int fd) {
    return fd >= 0 && fd < kMaxFd && hidden[fd] != 0;
}

int next_hidden(int from) {
    const int end = hidden_end;
    for (int fd = from; fd < end; fd++)
        if (hidden[fd] != 0) return fd;
    return kMaxFd;
}

int epoll_change(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = data;
    return sys(SYS_epoll_ctl, epoll, operation, fd, &event) == 0 ? 0 : errno;
}

int epoll_collect(int epoll, epoll_event* list, int max, int timeout_ms) {
    return static_cast<int>(sys(SYS_epoll_pwait, epoll, list, max, timeout_ms, nullptr, 0));
}

void* reserve_memory(size_t bytes) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) die("no memory");
    return memory;
}

void die(const char* what) {
    std::fprintf(stderr, "eventport: %s\n", what);
    std::abort();
}

void unimplemented(const char* what) {
    static std::atomic<const char*> said[8];
    for (auto& one : said) {
        const char* nothing = nullptr;
        if (one.compare_exchange_strong(nothing, what)) break;
        if (std::strcmp(nothing, what) == 0) return;
    }
    std::fprintf(stderr, "FIXME -- UNIMPLEMENTED: the model of event ports: %s\n", what);
}

}  // namespace eventport
