// SPDX-License-Identifier: BSD-2-Clause
// How a child ends that has used the library.
#ifndef KQTEST_LEAVE_H
#define KQTEST_LEAVE_H

#include <unistd.h>

#ifdef KQTEST_COVERAGE
extern "C" void __gcov_dump();  // of gcc's library
#endif

namespace kqtest {

// As _exit(), but writes gcov's counts of what the child ran, as exit() does.
[[noreturn]] inline void leave(int status) {
#ifdef KQTEST_COVERAGE
    (void)!::seteuid(0);  // see become_nobody()
    __gcov_dump();
#endif
    ::_exit(status);
}

// Gives up root for good. Where coverage is counted, only for a while: see leave().
inline bool become_nobody() {
    constexpr uid_t kNobody = 65534;
    if (::setgid(kNobody) != 0) return false;
#ifdef KQTEST_COVERAGE
    return ::setresuid(kNobody, kNobody, 0) == 0;
#else
    return ::setuid(kNobody) == 0;
#endif
}

}  // namespace kqtest

#endif
