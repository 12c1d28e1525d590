// SPDX-License-Identifier: BSD-2-Clause
// A system call of which no frame of the C library is left behind.
//
// A kernel with mitigations against branch speculation makes returns expensive: after a system call
// the return stack of the processor has no useful entries, and each frame that is open across the
// call is a mispredicted return (some 6 ns). So the calls of each event are inlined. Like those of
// sys.h they are no cancellation points. On other processors syscall() is used.
#ifndef KQ_LINUX_RAW_CALL_H
#define KQ_LINUX_RAW_CALL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <type_traits>

namespace kq::sys {

// Static analysis does not see what the kernel writes.
#if defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__)) && \
    !defined(__clang_analyzer__)

namespace raw {

template <class Integer>
requires std::is_integral_v<Integer>
inline long argument(Integer n) {
    return static_cast<long>(n);
}
inline long argument(const volatile void* p) {
    return reinterpret_cast<long>(p);
}

    // As many registers as the call has arguments: each further one would cost time.
    #if defined(__x86_64__)
[[gnu::always_inline]] inline long enter(long number, long a, long b, long c) {
    long result = number;
    asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
[[gnu::always_inline]] inline long enter(long number, long a, long b, long c, long d) {
    register long r10 asm("r10") = d;
    long result = number;
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(a), "S"(b), "d"(c), "r"(r10)
                 : "rcx", "r11", "memory");
    return result;
}
[[gnu::always_inline]] inline long enter(long number, long a, long b, long c, long d, long e,
                                         long f) {
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    long result = number;
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}
    #else
[[gnu::always_inline]] inline long enter(long number, long a, long b, long c, long d = 0,
                                         long e = 0, long f = 0) {
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc 0"
                 : "+r"(x0)
                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                 : "memory");
    return x0;
}
    #endif

}  // namespace raw

// What the kernel answers: negative, the errno of a failure. errno itself stays as it is.
template <class... Arguments>
[[gnu::always_inline]] inline long answer(long number, Arguments... arguments) {
    constexpr size_t count = sizeof...(arguments);
    if constexpr (count == 3 || count == 4 || count == 6)
        return raw::enter(number, raw::argument(arguments)...);
    else
        return answer(number, arguments..., 0);
}

// As syscall(): -1 and errno on failure.
template <class... Arguments>
[[gnu::always_inline]] inline long call(long number, Arguments... arguments) {
    const long result = answer(number, arguments...);
    if (__builtin_expect(result >= 0 || result < -4095, 1)) return result;
    errno = static_cast<int>(-result);
    return -1;
}

#else

template <class... Arguments>
inline long call(long number, Arguments... arguments) {
    return syscall(number, arguments...);
}

template <class... Arguments>
inline long answer(long number, Arguments... arguments) {
    const int saved = errno;
    const long result = syscall(number, arguments...);
    if (result >= 0) return result;
    const int error = errno;
    errno = saved;
    return -error;
}

#endif

}  // namespace kq::sys

#endif
