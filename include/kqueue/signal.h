/*
 * kqueue/signal.h - raising signals that EVFILT_SIGNAL reports, by names that
 * exist wherever this library does.
 *
 * Programs say #include <kqueue/signal.h>. On systems with signals the names
 * are those of kill() and raise(), with their arguments, results and errors.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef LIBKQUEUE_KQUEUE_SIGNAL_H
#define LIBKQUEUE_KQUEUE_SIGNAL_H

#include <signal.h>
#include <sys/types.h>

#define kq_kill kill   /* int kq_kill(pid_t pid, int signal) */
#define kq_raise raise /* int kq_raise(int signal) */

#endif
