// SPDX-License-Identifier: BSD-2-Clause
// SIGSYS for each system call, and how calls are made without it. See dispatch.h.
#include "faults/dispatch.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>

// ThreadSanitizer makes system calls of its own with all signals blocked, and SIGSYS is then fatal.
#if defined(__x86_64__) && defined(__LP64__) && !defined(__SANITIZE_THREAD__)
    #define KQFAULTS_SYSTEM_CALLS
#endif

#ifdef KQFAULTS_SYSTEM_CALLS

// System calls made here are not caught, because the kernel allows calls from these addresses.
asm(R"(
    .text
    .globl kqfaults_passage
kqfaults_passage:
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
    ret
    .globl kqfaults_sigreturn
    .type kqfaults_sigreturn, @function
kqfaults_sigreturn:
    mov $15, %eax
    syscall
    .globl kqfaults_passage_end
kqfaults_passage_end:
    nop
)");
extern "C" const char kqfaults_passage[];
extern "C" const char kqfaults_passage_end[];
extern "C" long kqfaults_through(long number, long a, long b, long c, long d, long e, long f);
extern "C" void kqfaults_sigreturn();

namespace kqfaults {
namespace {

// Constants that the headers of a build machine may not have.
constexpr int kSetDispatch = 59;  // PR_SET_SYSCALL_USER_DISPATCH
constexpr unsigned long kOn = 1;
constexpr char kAllow = 0;
constexpr char kBlock = 1;
constexpr unsigned long kRestorer = 0x04000000;  // SA_RESTORER

volatile char selector = kAllow;

// The record as the kernel has it. sigaction() of the C library would set its own return from the
// handler. That return is a system call, and would be caught like any other.
struct KernelAction {
    void (*handler)(int, siginfo_t*, void*);
    unsigned long flags;
    void (*restorer)();
    unsigned long mask;
};

extern "C" void kqfaults_on_call(int, siginfo_t* info, void* context) {
    auto* machine = static_cast<ucontext_t*>(context);
    auto& regs = machine->uc_mcontext.gregs;
    if (info->si_syscall == SYS_rt_sigreturn) {  // of another handler: use its stack pointer
        regs[REG_RIP] = reinterpret_cast<greg_t>(kqfaults_sigreturn);
        return;
    }
    const long a[6] = {regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
                       regs[REG_R10], regs[REG_R8],  regs[REG_R9]};
    const int saved = errno;
    regs[REG_RAX] = on_system_call(info->si_syscall, a);
    errno = saved;
}

}  // namespace

bool begin_dispatch() {
    const KernelAction action{kqfaults_on_call, SA_SIGINFO | SA_NODEFER | kRestorer,
                              kqfaults_sigreturn, 0};
    if (syscall(SYS_rt_sigaction, SIGSYS, &action, nullptr, sizeof action.mask) != 0) return false;
    const auto size = static_cast<unsigned long>(kqfaults_passage_end - kqfaults_passage) + 1;
    return prctl(kSetDispatch, kOn, kqfaults_passage, size, &selector) == 0;
}

void set_dispatched(bool on) {
    selector = on ? kBlock : kAllow;
}

long through(long number, const long (&a)[6]) {
    return kqfaults_through(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

}  // namespace kqfaults

#else

namespace kqfaults {

bool begin_dispatch() {
    return false;
}

void set_dispatched(bool) {}

long through(long, const long (&)[6]) {
    return -ENOSYS;
}

}  // namespace kqfaults

#endif
