/*
 * kqueue/signal.h - raising signals that EVFILT_SIGNAL reports, by names that
 * exist wherever this library does.
 *
 * Programs say #include <kqueue/signal.h>. On systems with signals the names
 * are those of kill() and raise(), with their arguments, results and errors.
 * On Windows they are the library's. The kqueues of the process count what
 * kq_raise() sends. Signals that the C library knows then do what raise() does:
 * they call the handler, or end the process if nothing handles or watches them.
 * The others do nothing more. kq_kill() of another process ends it (SIGKILL,
 * SIGTERM). The numbers that Windows lacks are those of the C libkqueue.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef LIBKQUEUE_KQUEUE_SIGNAL_H
#define LIBKQUEUE_KQUEUE_SIGNAL_H

#include <signal.h>
#include <sys/types.h>

#if defined(_WIN32)

    #include <sys/event.h> /* LIBKQUEUE_API */

    #define SIGHUP 1
    #define SIGKILL 9
    #define SIGUSR1 10
    #define SIGUSR2 12
    #define SIGPIPE 13
    #define SIGALRM 14

    #ifdef __cplusplus
extern "C" {
    #endif
LIBKQUEUE_API int kq_kill(int pid, int signal);
LIBKQUEUE_API int kq_raise(int signal);
    #ifdef __cplusplus
}
    #endif

#else

    #define kq_kill kill   /* int kq_kill(pid_t pid, int signal) */
    #define kq_raise raise /* int kq_raise(int signal) */

#endif

#endif
