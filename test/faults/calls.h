// SPDX-License-Identifier: BSD-2-Clause
// What the library asks of Linux: every system call it makes, itself or by the C library, and
// what that can be refused with, or why it cannot be.
#ifndef KQFAULTS_CALLS_H
#define KQFAULTS_CALLS_H

#include <span>

#include "faults/injector.h"

namespace kqfaults {

using Arguments = const long (&)[6];

struct Call {
    long number;
    const char* name;
    bool (*is)(Arguments a);   // whether it is this row's; null: always. The first row counts.
    int errors[kMostReasons];  // what it can be refused with; none: it cannot be
    const char* why;           // it can, or cannot
    bool done = false;         // it is done all the same
    bool rare = false;         // made where something was refused, or by other C libraries
};

std::span<const Call> calls();
// The row of a call; null: it is in no list. Makes system calls of its own.
const Call* row_of(long number, Arguments a);

// Whether it needs /proc.
bool needs_proc(long number, Arguments a);

}  // namespace kqfaults

#endif
