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
    __gcov_dump();
#endif
    ::_exit(status);
}

}  // namespace kqtest

#endif
