// SPDX-License-Identifier: BSD-2-Clause
// Makes the kernel refuse system calls for the rest of the process. For children of tests, on
// Linux.
#ifndef KQTEST_DENY_H
#define KQTEST_DENY_H

namespace kqtest {

// From now on a system call (SYS_x) fails with this errno in the calling thread and its children.
// All other calls work as before. False: this system cannot refuse calls.
bool deny(long number, int error);
// The same, but only if the first argument is `first`.
bool deny_if(long number, long first, int error);

}  // namespace kqtest

#endif
