#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage: valgrind.sh <kq_conformance> [<gtest filter>]: the conformance suite under memcheck. Fails
# on any error or definite leak, in the suite itself; forked children are silent.
#
# What is left out, and why:
set -eu
program=$1
left_out=
leave_out() { left_out=$left_out:$1; } # <pattern> <reason>

leave_out '*R284*' 'storms of threads and fork(): one thread runs at a time here; done by test/stress'
leave_out '*R281_NoMemory*' 'mallinfo2() does not know the allocator of valgrind'
leave_out '*R285*' '_Fork() and clone(): memcheck does not follow children without handlers'
leave_out 'Proc*' 'valgrind has no pidfd_open(), and no process connector'
leave_out '*R173_ASleeper*' 'a child forked beside a thread that waits: the memory of that thread counts as lost in it'
leave_out 'Idle.*' 'counts wakeups of the machine, not of the library'
leave_out '*R305*' 'measures how long a call takes'
leave_out '*R259*' 'ticks of short timers while everything is twenty times slower'
leave_out '*Pidfd*' 'valgrind has no pidfd_open()'
leave_out 'Fork.R281_TheChildInherits*' 'ticks of a short timer'
leave_out 'SignalThreads.R30*' 'a signal in ppoll() with a mask: EFAULT or EINTR, by a fault of valgrind 3.19'
leave_out 'SignalHandler.R222_TheHandlerIsCalledAsItWasInstalled' 'the value of sigqueue() arrives as 0'
leave_out 'Signal.R65_NumbersThatAreNoSignal' 'valgrind keeps SIGRTMAX for itself'

exec valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect \
    --errors-for-leak-kinds=definite,indirect --child-silent-after-fork=yes --fair-sched=yes \
    --num-callers=20 "$program" --gtest_brief=1 --gtest_filter="${2:-*}-${left_out#:}"
