// SPDX-License-Identifier: BSD-2-Clause
// Descriptors that the library keeps open for itself.
//
// The program may close them: daemons close all numbers that they do not know. Later such a number
// is a file of the program, and the library must not close that. So each file that is kept gets a
// mark, the signal of F_SETSIG: that has no effect without O_ASYNC, and is 0 for all other files.
// The public descriptors have marks, too (anchors.cc): 1 to kMarks. These have the numbers above.
//
// Any thread may call these functions. The owner of a number must guard it.
#ifndef KQ_LINUX_OWN_FILE_H
#define KQ_LINUX_OWN_FILE_H

#include <stdint.h>

#include "result.h"

namespace kq::own_file {

// no_memory: newer kernels need memory for a mark. Does nothing where marks do not work.
Errno set_mark(int fd, int mark);
// -1 with errno if the number is not open.
int mark_on(int fd);
// False once the kernel, or a sandbox, has refused a mark.
bool marks_work();

// Takes the result of the call that made a descriptor, moves it above the standard streams and
// marks it. Returns the number. On -1 nothing is open, and errno says why. `owner`: any address
// that tells the owner from most others; the functions below must get the same.
int keep(int fd, const void* owner);

// For anonymous files: whether the number is not open, or is another file now.
bool is_lost(int fd, const void* owner);

// Closes the number except if it is another file now. Sets fd to -1. It may be -1 already. Where
// marks do not work this cannot be told, and it closes the number.
void close(int& fd, const void* owner);

}  // namespace kq::own_file

#endif
