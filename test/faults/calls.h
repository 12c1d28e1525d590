// SPDX-License-Identifier: BSD-2-Clause
// Every system call that the library makes on Linux, itself or through the C library. For each
// call: with which errors the system can refuse it, or why it cannot be refused.
#ifndef KQFAULTS_CALLS_H
#define KQFAULTS_CALLS_H

#include <span>

#include "faults/injector.h"

namespace kqfaults {

using Arguments = const long (&)[6];

struct Call {
    long number;
    const char* name;
    bool (*is)(Arguments a);   // whether a call is this row's; null: always. The first row counts.
    int errors[kMostReasons];  // the errors it can be refused with; none: it cannot be refused
    const char* why;           // why it can be refused, or cannot
    bool done = false;         // the call is made, although it then reports an error
    bool rare = false;         // made only after a refusal, or only by other C libraries
};

std::span<const Call> calls();
// The row of a call; null if the list does not have the call. Makes system calls of its own.
const Call* row_of(long number, Arguments a);

// Whether a call needs /proc.
bool needs_proc(long number, Arguments a);

}  // namespace kqfaults

#endif
