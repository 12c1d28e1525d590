// SPDX-License-Identifier: BSD-2-Clause
// Internal invariants: a broken one aborts, in every build type. Also the lines that the library
// prints for people.
//
// A corrupted reference count or queue must stop the process with one line that names it. It must
// not print and go on.
#ifndef KQ_CHECK_H
#define KQ_CHECK_H

// For the few functions on the way from kevent() to the kernel and back: each frame
// that is open across a system call costs (see linux/raw_call.h).
#define KQ_INLINE [[gnu::always_inline]] inline
// The same for a lambda: [captures]() KQ_INLINE_LAMBDA { ... }
#define KQ_INLINE_LAMBDA __attribute__((always_inline))

namespace kq {

// Prints a line to stderr. A failure to print is ignored. No cancellation point, so it may be
// called under a mutex. Defined by the platform.
void say(const char* line);

// Prints "libkqueue: broken invariant: WHAT (FILE:LINE)" to stderr and aborts.
[[noreturn]] void broken_invariant(const char* what, const char* file, int line);

}  // namespace kq

// The condition is evaluated in every build.
#define KQ_CHECK(condition)                            \
    (__builtin_expect(static_cast<bool>(condition), 1) \
         ? static_cast<void>(0)                        \
         : ::kq::broken_invariant(#condition, __FILE_NAME__, __LINE__))

#ifndef __FILE_NAME__
    #define __FILE_NAME__ __FILE__
#endif

#endif
