// How children that ran the library end.
#ifndef KQTEST_LEAVE_H
#define KQTEST_LEAVE_H

#include <unistd.h>

#ifdef KQTEST_COVERAGE
extern "C" void __gcov_dump();  // of gcc's library
#endif

namespace kqtest {

// As _exit(), but what the child ran is counted: gcov's numbers are written by exit().
[[noreturn]] inline void leave(int status) {
#ifdef KQTEST_COVERAGE
    (void)!::seteuid(0);  // see become_nobody()
    __gcov_dump();
#endif
    ::_exit(status);
}

// For good. Where coverage is counted root is to write the counts in the end, see above.
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
