// A kernel that answers less: for children of tests, which stay so until they end. Linux only.
#ifndef KQTEST_DENY_H
#define KQTEST_DENY_H

namespace kqtest {

// From now on a system call (SYS_x) fails with this errno in the calling thread and its children;
// all others are as they were. False: there are no such filters here.
bool deny(long number, int error);
// Only if its first argument is `first`.
bool deny_if(long number, long first, int error);

}  // namespace kqtest

#endif
