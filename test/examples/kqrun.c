/*
 * kqrun - runs a command and says, in words, what it and its descendants do.
 *
 *   kqrun sh -c 'true | cat'
 *
 *   EVFILT_PROC    NOTE_TRACK: the kernel itself adds a knote for each child
 *                  that is forked, and for the child's children. NOTE_CHILD
 *                  reports it, and data is the parent. NOTE_EXEC: another
 *                  program. NOTE_EXIT: data is the status, as from waitpid()
 *   EVFILT_SIGNAL  SIGINT and SIGTERM, which kqrun itself ignores, and SIGCHLD
 *
 * If the system cannot report forks, only the command itself is watched. If
 * there is no EVFILT_SIGNAL, signals have their usual effect. kqrun says so.
 *
 * All messages go to standard error, so that the output of the command is not
 * changed. kqrun ends with the last of the processes. Its status is that of
 * the command: the exit code, or 128 and the signal that killed the command.
 *
 *   cc kqrun.c -o kqrun $(pkg-config --cflags --libs libkqueue)
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <sys/types.h>

#include <sys/event.h>
#include <sys/wait.h>

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEVENTS 64

static int kq;
static pid_t command;
static bool tracking; /* descendants are reported */
static bool ended;    /* the command has exited */
static int status;    /* its status, as from waitpid() */
static long living;   /* the number of processes that have not exited */
static bool stopped;  /* by a signal, after the end of the command */

static struct { unsigned long processes, forks, execs, failures, signals; } stats;

static const int signals[] = {SIGINT, SIGTERM, SIGCHLD};
#define NSIGNALS (sizeof signals / sizeof signals[0])
static bool heard[NSIGNALS]; /* EVFILT_SIGNAL reports it */

static bool watch(uintptr_t ident, short filter, unsigned fflags) {
    struct kevent change;

    EV_SET(&change, ident, filter, EV_ADD, fflags, 0, NULL);
    return kevent(kq, &change, 1, NULL, 0, NULL) != -1;
}

/* ---- signals ---- */

static void watch_signals(void) {
    size_t i;

    for (i = 0; i < NSIGNALS; i++) {
        heard[i] = watch((uintptr_t)signals[i], EVFILT_SIGNAL, 0);
        if (!heard[i]) {
            warn("signals are not watched");
            return;
        }
        /* EVFILT_SIGNAL also reports ignored signals. SIGCHLD must not be
         * ignored: the kernel would reap the children. */
        if (signals[i] != SIGCHLD) signal(signals[i], SIG_IGN);
    }
}

/* In the child: sets the signals as they were without kqrun. */
static void reset_signals(void) {
    size_t i;

    for (i = 0; i < NSIGNALS; i++) {
        if (heard[i]) signal(signals[i], SIG_DFL);
    }
}

static void on_signal(const struct kevent* event) {
    const int number = (int)event->ident;

    stats.signals += (unsigned long)event->data;
    warnx("received: %s", strsignal(number));
    if (number == SIGCHLD) return;
    if (ended) stopped = true;
    /* A terminal sends SIGINT to all of its processes, but SIGTERM came only to kqrun. */
    else if (number == SIGTERM)
        kill(command, SIGTERM);
}

/* ---- processes ---- */

/* Starts the command, but stops it before its first step. It goes on when a
 * byte is written to `go`. */
static pid_t start(char** argv, int* go) {
    int pipe_fds[2];
    pid_t pid;
    char byte;

    if (pipe(pipe_fds) == -1) err(1, "pipe");
    pid = fork();
    if (pid == -1) err(1, "fork");
    if (pid == 0) {
        close(pipe_fds[1]);
        if (read(pipe_fds[0], &byte, 1) != 1) _exit(1);
        close(pipe_fds[0]);
        reset_signals();
        execvp(argv[0], argv);
        warn("%s", argv[0]);
        _exit(errno == ENOENT ? 127 : 126);
    }
    close(pipe_fds[0]);
    *go = pipe_fds[1];
    return pid;
}

static void watch_command(void) {
    living = 1;
    stats.processes = 1;
    tracking = watch((uintptr_t)command, EVFILT_PROC, NOTE_EXIT | NOTE_EXEC | NOTE_TRACK);
    if (tracking) return;
    warn("only the command itself can be seen");
    if (!watch((uintptr_t)command, EVFILT_PROC, NOTE_EXIT)) err(1, "EVFILT_PROC");
}

static void on_exit_of(pid_t pid, int how) {
    living--;
    if (pid == command) {
        ended = true;
        status = how;
    }
    if (how != 0) stats.failures++;
    if (WIFSIGNALED(how))
        warnx("%ld was killed: %s", (long)pid, strsignal(WTERMSIG(how)));
    else
        warnx("%ld exited with status %d", (long)pid, WEXITSTATUS(how));
}

static void on_process(const struct kevent* event) {
    const pid_t pid = (pid_t)event->ident;

    if (event->fflags & NOTE_CHILD) {
        stats.forks++;
        stats.processes++;
        living++;
        warnx("%ld forked %ld", (long)event->data, (long)pid);
    }
    if (event->fflags & NOTE_EXEC) {
        stats.execs++;
        warnx("%ld runs a program", (long)pid);
    }
    if (event->fflags & NOTE_TRACKERR) warnx("some children of %ld may be missing here", (long)pid);
    if (event->fflags & NOTE_EXIT) on_exit_of(pid, (int)event->data);
}

/* ---- the loop ---- */

static void follow(void) {
    struct kevent events[NEVENTS];
    int i, n;

    while (living > 0 && !stopped) {
        n = kevent(kq, NULL, 0, events, NEVENTS, NULL);
        if (n == -1) {
            if (errno == EINTR) continue;
            err(1, "kevent");
        }
        for (i = 0; i < n; i++) {
            if (events[i].filter == EVFILT_SIGNAL)
                on_signal(&events[i]);
            else
                on_process(&events[i]);
        }
    }
}

int main(int argc, char** argv) {
    int go;

    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: kqrun COMMAND [ARGUMENT...]\n");
        return 2;
    }
    kq = kqueue();
    if (kq == -1) err(1, "kqueue");
    watch_signals();
    command = start(argv + 1, &go);
    watch_command();
    warnx("%ld is: %s", (long)command, argv[1]);
    if (write(go, "", 1) != 1) err(1, "write");
    close(go);

    follow();

    waitpid(command, NULL, 0);
    warnx("%lu processes, %lu forks, %lu programs, %lu failures, %lu signals", stats.processes,
          stats.forks, stats.execs, stats.failures, stats.signals);
    close(kq);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
