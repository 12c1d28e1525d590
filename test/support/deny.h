// SPDX-License-Identifier: BSD-2-Clause
// Makes the kernel answer less, for good: for children of tests. Linux only.
#ifndef KQTEST_DENY_H
#define KQTEST_DENY_H

namespace kqtest {

// From now on a system call (SYS_x) fails with this errno in the calling thread and its children.
// All other calls work as before. False: this system has no such filters.
bool deny(long number, int error);
// The same, but only if the first argument is `first`.
bool deny_if(long number, long first, int error);

}  // namespace kqtest

#endif
