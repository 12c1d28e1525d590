/* SPDX-License-Identifier: BSD-2-Clause */
/* What it costs to wait for children. n children are watched, and some of them end one by one.
 * usage: proc_scaling [-z] [n]...    With -z there is always a zombie.
 * For each n it prints the processor time of this process in microseconds: for an EV_ADD, for an
 * exit, and for a second in which nothing happens. The time for an exit includes the kevent()
 * that reports it, the waitpid() after it, and a moment more, because the library may look again
 * then. It also prints the median time from the exit to the event. */
#include <sys/event.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double clock_us(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void die(const char* what) {
    perror(what);
    exit(1);
}

static void idle(int queue, long ms) {
    struct kevent event;
    struct timespec limit;
    limit.tv_sec = ms / 1000;
    limit.tv_nsec = ms % 1000 * 1000000;
    if (kevent(queue, NULL, 0, &event, 1, &limit) != 0) die("an unexpected event");
}

static int compare(const void* a, const void* b) {
    const double x = *(const double*)a;
    const double y = *(const double*)b;
    return x < y ? -1 : x > y;
}

static int leaves_zombie;

/* Makes a child that is not reaped before the others were measured. */
static void leave_zombie(void) {
    siginfo_t info;
    const pid_t child = fork();
    if (child < 0) die("fork");
    if (child == 0) _exit(0);
    if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) != 0) die("waitid");
}

static int measure(int n) {
    enum { kExits = 50, kPauseMs = 60 };
    const int exits = n < kExits ? n : kExits;
    const int queue = kqueue();
    pid_t* children = malloc((size_t)n * sizeof *children);
    double latency[kExits];
    double add = 0, exit_cost = 0, rest = 0;
    int i;
    if (queue < 0 || children == NULL) die("kqueue");
    if (leaves_zombie) leave_zombie();
    for (i = 0; i < n; i++) {
        struct kevent change;
        double before;
        children[i] = fork();
        if (children[i] < 0) break;
        if (children[i] == 0) {
            for (;;)
                pause();
        }
        EV_SET(&change, children[i], EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, NULL);
        before = clock_us(CLOCK_PROCESS_CPUTIME_ID);
        if (kevent(queue, &change, 1, NULL, 0, NULL) != 0) die("EV_ADD");
        add += clock_us(CLOCK_PROCESS_CPUTIME_ID) - before;
    }
    if (i < n) {
        fprintf(stderr, "%d: only %d children: %s\n", n, i, strerror(errno));
        n = i;
    }
    idle(queue, 300);
    rest = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    idle(queue, 1000);
    rest = clock_us(CLOCK_PROCESS_CPUTIME_ID) - rest;
    for (i = 0; i < exits && i < n; i++) {
        struct kevent event;
        struct timespec limit = {20, 0};
        const pid_t child = children[(long)i * n / exits];
        const double start = clock_us(CLOCK_MONOTONIC);
        const double before = clock_us(CLOCK_PROCESS_CPUTIME_ID);
        kill(child, SIGKILL);
        if (kevent(queue, NULL, 0, &event, 1, &limit) != 1 || event.ident != (uintptr_t)child)
            die("the exit");
        latency[i] = clock_us(CLOCK_MONOTONIC) - start;
        waitpid(child, NULL, 0);
        idle(queue, kPauseMs);
        exit_cost += clock_us(CLOCK_PROCESS_CPUTIME_ID) - before;
        children[(long)i * n / exits] = 0;
    }
    qsort(latency, (size_t)exits, sizeof *latency, compare);
    printf("%8d %10.2f %10.1f %10.0f %14.0f\n", n, add / n, exit_cost / exits, rest,
           latency[exits / 2]);
    fflush(stdout);
    close(queue);
    for (i = 0; i < n; i++)
        if (children[i] > 0) kill(children[i], SIGKILL);
    while (wait(NULL) > 0) {
    }
    free(children);
    return 0;
}

int main(int argc, char** argv) {
    int i;
    if (argc > 1 && strcmp(argv[1], "-z") == 0) {
        leaves_zombie = 1;
        argc--;
        argv++;
    }
    printf("%8s %10s %10s %10s %14s\n", "children", "EV_ADD us", "exit us", "idle us/s",
           "event after us");
    if (argc < 2) {
        measure(10);
        measure(100);
        measure(1000);
    }
    for (i = 1; i < argc; i++)
        measure(atoi(argv[i]));
    return 0;
}
