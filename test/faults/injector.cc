// System calls refused by a seccomp filter and a signal handler. See injector.h.
#include "faults/injector.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <vector>

#include "faults/memory.h"

// ThreadSanitizer makes system calls of its own with all signals blocked, and SIGSYS is then fatal.
#if defined(__x86_64__) && defined(__LP64__) && !defined(__SANITIZE_THREAD__)
    #define KQFAULTS_SYSTEM_CALLS
#endif

#ifdef KQFAULTS_SYSTEM_CALLS

// Makes a system call that the filter lets pass, because of where it is made.
asm(R"(
    .text
    .globl kqfaults_through
    .type kqfaults_through, @function
kqfaults_through:
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
    .globl kqfaults_through_end
kqfaults_through_end:
    ret
)");
extern "C" long kqfaults_through(long number, long a, long b, long c, long d, long e, long f);
extern "C" const char kqfaults_through_end[];

#endif

namespace kqfaults {
namespace {

struct State {
    int inside = 0;
    What what = What::nothing;
    unsigned position = 0;
    unsigned reason = 0;
    unsigned seen = 0;
    bool reached = false;
    bool fired = false;
    int error = 0;
    long number = 0;
};
State state;

// What a system call can be refused with, as the system's manual and sources have it.
struct Refusal {
    long number;
    const char* name;
    int errors[3];
};
constexpr Refusal kRefusals[] = {
    {SYS_epoll_create1, "epoll_create1", {EMFILE, ENFILE, ENOMEM}},
    {SYS_epoll_ctl, "epoll_ctl", {ENOMEM, ENOSPC}},
    {SYS_eventfd2, "eventfd", {EMFILE, ENFILE, ENOMEM}},
    {SYS_timerfd_create, "timerfd_create", {EMFILE, ENFILE, ENOMEM}},
    {SYS_inotify_init1, "inotify_init", {EMFILE, ENFILE, ENOMEM}},
    {SYS_inotify_add_watch, "inotify_add_watch", {ENOMEM, ENOSPC}},
    {SYS_pidfd_open, "pidfd_open", {EMFILE, ENFILE, ENOMEM}},
    {SYS_signalfd4, "signalfd", {EMFILE, ENFILE, ENOMEM}},
    {SYS_socket, "socket", {EMFILE, ENFILE, ENOBUFS}},
    {SYS_openat, "open", {EMFILE, ENFILE, ENOMEM}},
    {SYS_readlinkat, "readlink", {ENOMEM}},
    {SYS_fcntl, "fcntl(F_DUPFD)", {EMFILE}},
    {SYS_dup3, "dup3", {EBUSY}},
    {SYS_ppoll, "ppoll", {EINTR}},
    {SYS_bind, "bind", {ENOMEM}},
    {SYS_setsockopt, "setsockopt", {ENOMEM}},
    {SYS_sendto, "send", {ENOBUFS}},
    {SYS_recvmmsg, "recvmmsg", {ENOBUFS}},
};

const Refusal* refusal_of(long number) {
    for (const Refusal& one : kRefusals)
        if (one.number == number) return &one;
    return nullptr;
}

#ifdef KQFAULTS_SYSTEM_CALLS

long through(long number, const long (&a)[6]) {
    return kqfaults_through(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

template <class T>
long as_long(T argument) {
    if constexpr (std::is_pointer_v<T>)
        return reinterpret_cast<long>(argument);
    else
        return static_cast<long>(argument);
}

template <class... Arguments>
long through_with(long number, Arguments... arguments) {
    const long a[6] = {as_long(arguments)...};
    return through(number, a);
}

// Whether an epoll set has a descriptor: EPOLL_CTL_ADD then answers EEXIST and needs no memory.
bool has(long set, long fd) {
    char text[64];
    (void)snprintf(text, sizeof text, "/proc/self/fdinfo/%ld", set);
    const long info = through_with(SYS_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC);
    if (info < 0) return false;
    static char content[1 << 15];
    long size = 0;
    for (long got = 1; got > 0 && size<long{sizeof content} - 1; size += got> 0 ? got : 0)
        got = through_with(SYS_read, info, content + size,
                           static_cast<long>(sizeof content) - 1 - size);
    (void)through_with(SYS_close, info);
    content[size] = '\0';
    for (const char* at = strstr(content, "tfd:"); at != nullptr; at = strstr(at + 1, "tfd:"))
        if (strtol(at + 4, nullptr, 10) == fd) return true;
    return false;
}

bool is_a(long fd, const char* kind) {
    char path[64];
    char target[64] = {};
    (void)snprintf(path, sizeof path, "/proc/self/fd/%ld", fd);
    (void)through_with(SYS_readlinkat, AT_FDCWD, path, target, sizeof target - 1);
    return target[0] != '\0' && strstr(target, kind) != nullptr;
}

// Which calls need something that there may be none of.
bool can_fail(long number, const long (&a)[6]) {
    switch (number) {
        case SYS_epoll_ctl:
            // Anchors are modified by what nobody can refuse: it changes a word in the kernel.
            if (a[1] == EPOLL_CTL_MOD) return !is_a(a[2], "eventfd");
            return a[1] == EPOLL_CTL_ADD && is_a(a[0], "eventpoll") && is_a(a[2], "") &&
                   !has(a[0], a[2]);
        case SYS_fcntl:
            return a[1] == F_DUPFD_CLOEXEC;
        case SYS_ppoll: {
            const auto* timeout = reinterpret_cast<const timespec*>(a[2]);
            return timeout == nullptr || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
        }
        default:
            return true;
    }
}

bool needs_proc(long number, const long (&a)[6]) {
    if (number != SYS_openat && number != SYS_readlinkat && number != SYS_inotify_add_watch)
        return false;
    return strncmp(reinterpret_cast<const char*>(a[1]), "/proc/", 6) == 0;
}

// The errno to refuse with, or 0.
int refusal(long number, const long (&a)[6]) {
    if (state.what == What::proc && needs_proc(number, a)) {
        state.reached = state.fired = true;
        return state.error = ENOENT;
    }
    if (state.what != What::system_call || !can_fail(number, a)) return 0;
    if (++state.seen != state.position) return 0;
    state.reached = true;
    state.number = number;
    const Refusal& how = *refusal_of(number);
    if (state.reason >= std::size(how.errors)) return 0;
    const int error = how.errors[state.reason];
    const bool possible = error != ENOSPC || number != SYS_epoll_ctl || a[1] == EPOLL_CTL_ADD;
    state.fired = possible && error != 0;
    state.error = state.fired ? error : 0;
    return state.error;
}

extern "C" void kqfaults_on_call(int, siginfo_t* info, void* context) {
    auto* machine = static_cast<ucontext_t*>(context);
    auto& regs = machine->uc_mcontext.gregs;
    const long a[6] = {regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
                       regs[REG_R10], regs[REG_R8],  regs[REG_R9]};
    int error = 0;
    if (state.inside > 0) {
        const int inside = state.inside;
        const int saved = errno;
        state.inside = 0;
        error = refusal(info->si_syscall, a);
        state.inside = inside;
        errno = saved;
    }
    regs[REG_RAX] = error != 0 ? -error : through(info->si_syscall, a);
}

bool install() {
    struct sigaction action {};
    action.sa_sigaction = kqfaults_on_call;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (sigaction(SIGSYS, &action, nullptr) != 0) return false;
    const auto end = reinterpret_cast<uintptr_t>(kqfaults_through_end);
    constexpr uint32_t kWhere = offsetof(seccomp_data, instruction_pointer);
    std::vector<sock_filter> program = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kWhere),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(end), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kWhere + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(end >> 32), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    };
    for (const Refusal& one : kRefusals) {
        program.push_back(
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(one.number), 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

#else

bool install() {
    return false;
}

#endif

}  // namespace

bool prepare() {
    static const bool done = install();
    return done;
}

Inside::Inside() {
    state.inside++;
}

Inside::~Inside() {
    state.inside--;
}

void arm(What what, unsigned position, unsigned reason) {
    const int inside = state.inside;
    state = State{};
    state.inside = inside;
    state.what = what;
    state.position = position;
    state.reason = reason;
    if (what == What::limit) {
        state.fired = true;
        state.error = EMFILE;
    }
}

Report report() {
    std::string what = "nothing";
    if (state.what == What::allocation) what = "allocation " + std::to_string(state.position);
    if (state.what == What::proc) what = "/proc";
    if (state.what == What::system_call && state.reached)
        what = "call " + std::to_string(state.position) + ", " + refusal_of(state.number)->name +
               ": " + strerror(state.error);
    return {state.reached, state.fired, state.error, what};
}

bool is_inside() {
    return state.inside > 0;
}

bool refuses_allocation() {
    if (state.what != What::allocation || ++state.seen != state.position) return false;
    state.reached = state.fired = true;
    state.error = ENOMEM;
    return true;
}

}  // namespace kqfaults
