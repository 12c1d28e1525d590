// SPDX-License-Identifier: BSD-2-Clause
// What the program does with sigaction() and signal() while a signal is watched. See
// program_actions.cc.
#ifndef KQ_POSIX_PROGRAM_ACTIONS_H
#define KQ_POSIX_PROGRAM_ACTIONS_H

#include <signal.h>

// Race detectors have a sigaction() of their own, and must see all that is done with it.
#if defined(__has_feature)
    #if __has_feature(thread_sanitizer)
        #undef KQ_HEARS_SIGACTION
    #endif
#endif
#if defined(__SANITIZE_THREAD__)
    #undef KQ_HEARS_SIGACTION
#endif

#if defined(KQ_HEARS_SIGACTION)
extern "C" int __sigaction(int, const struct sigaction*, struct sigaction*);
#endif

namespace kq {

// The C library's sigaction(), never ours.
inline int system_sigaction(int number, const struct sigaction* action, struct sigaction* before) {
#if defined(KQ_HEARS_SIGACTION)
    return __sigaction(number, action, before);
#else
    return ::sigaction(number, action, before);
#endif
}

}  // namespace kq

#endif
