// SPDX-License-Identifier: BSD-2-Clause
// usage: pauses <length> <gap>: a slow machine. Again and again no other program runs for `length`
// ms, and then all run for a random time, up to `gap` ms. A test that fails now takes too much for
// granted about time. Needs the right to use SCHED_FIFO; pauses.sh starts it.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pthread_barrier_t barrier;
static double end_of_pause;  // seconds; written while all threads wait at the barrier

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void become_urgent(int priority) {
    const struct sched_param param = {.sched_priority = priority};
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0) return;
    fputs("pauses: this user may not use SCHED_FIFO\n", stderr);
    exit(77);
}

// Takes one processor during each pause.
static void* take_processor(void* number) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)(uintptr_t)number, &set);
    sched_setaffinity(0, sizeof set, &set);
    become_urgent(50);
    for (;;) {
        pthread_barrier_wait(&barrier);
        while (now() < end_of_pause) {
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(int argc, char** argv) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const int length = argc > 2 ? atoi(argv[1]) : 0;
    const int gap = argc > 2 ? atoi(argv[2]) : 0;
    if (length <= 0 || gap <= 0) {
        fputs("usage: pauses <length> <gap>, in ms\n", stderr);
        return 2;
    }
    pthread_barrier_init(&barrier, NULL, (unsigned)processors + 1);
    for (long i = 0; i < processors; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, take_processor, (void*)(uintptr_t)i) != 0) return 1;
    }
    become_urgent(60);
    srand((unsigned)getpid());
    for (;;) {
        usleep(1000u * (unsigned)(1 + rand() % gap));
        end_of_pause = now() + length * 1e-3;
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
    }
}
