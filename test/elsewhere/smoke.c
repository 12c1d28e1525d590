/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every filter once, in C. For systems on which the conformance suite cannot
 * be built.
 */
#include <kqueue/signal.h>
#include <sys/event.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int kq;

static void fail(const char* what, int line) {
    fprintf(stderr, "smoke.c:%d: %s\n", line, what);
    exit(1);
}
#define EXPECT(what) ((what) ? (void)0 : fail(#what, __LINE__))

static void add(uintptr_t ident, int filter, int flags, unsigned fflags, intptr_t data) {
    struct kevent change;
    EV_SET(&change, ident, (short)filter, (unsigned short)(EV_ADD | flags), fflags, data, &kq);
    EXPECT(kevent(kq, &change, 1, NULL, 0, NULL) == 0);
}

/* Waits for the one event that must come. */
static struct kevent wait_for(uintptr_t ident, int filter) {
    const struct timespec limit = {20, 0};
    struct kevent event;
    EXPECT(kevent(kq, NULL, 0, &event, 1, &limit) == 1);
    EXPECT(event.ident == ident && event.filter == filter && event.udata == &kq);
    return event;
}

static void* trigger(void* unused) {
    struct kevent change;
    EV_SET(&change, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0, &kq);
    usleep(20000);
    EXPECT(kevent(kq, &change, 1, NULL, 0, NULL) == 0);
    return unused;
}

static void test_descriptors(void) {
    int pair[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    add((uintptr_t)pair[0], EVFILT_WRITE, EV_ONESHOT, 0, 0);
    EXPECT(wait_for((uintptr_t)pair[0], EVFILT_WRITE).data > 0);
    add((uintptr_t)pair[0], EVFILT_READ, EV_CLEAR, 0, 0);
    EXPECT(write(pair[1], "abc", 3) == 3);
    EXPECT(wait_for((uintptr_t)pair[0], EVFILT_READ).data == 3);
    close(pair[1]);
    EXPECT((wait_for((uintptr_t)pair[0], EVFILT_READ).flags & EV_EOF) != 0);
    close(pair[0]);
}

static void test_user_and_timer(void) {
    pthread_t thread;
    add(1, EVFILT_USER, EV_ONESHOT, 0, 0);
    EXPECT(pthread_create(&thread, NULL, trigger, NULL) == 0);
    (void)wait_for(1, EVFILT_USER);
    pthread_join(thread, NULL);
    add(2, EVFILT_TIMER, EV_ONESHOT, NOTE_USECONDS, 500);
    EXPECT(wait_for(2, EVFILT_TIMER).data == 1);
}

static void test_signal(void) {
    struct kevent change;
    add(SIGUSR1, EVFILT_SIGNAL, 0, 0, 0);
    EXPECT(kq_kill(getpid(), SIGUSR1) == 0);
    EXPECT(wait_for(SIGUSR1, EVFILT_SIGNAL).data == 1);
    EV_SET(&change, SIGUSR1, EVFILT_SIGNAL, EV_DELETE, 0, 0, NULL);
    EXPECT(kevent(kq, &change, 1, NULL, 0, NULL) == 0);
}

static void test_process(void) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) _exit(3);
    add((uintptr_t)child, EVFILT_PROC, 0, NOTE_EXIT, 0);
    EXPECT(wait_for((uintptr_t)child, EVFILT_PROC).data == 3 << 8);
    EXPECT(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
}

static void test_file(void) {
    char name[] = "/tmp/kqueue-smoke-XXXXXX";
    const int fd = mkstemp(name);
    EXPECT(fd >= 0);
    add((uintptr_t)fd, EVFILT_VNODE, EV_CLEAR, NOTE_WRITE | NOTE_DELETE, 0);
    EXPECT(write(fd, "abc", 3) == 3);
    EXPECT((wait_for((uintptr_t)fd, EVFILT_VNODE).fflags & NOTE_WRITE) != 0);
    EXPECT(unlink(name) == 0);
    EXPECT((wait_for((uintptr_t)fd, EVFILT_VNODE).fflags & NOTE_DELETE) != 0);
    close(fd);
}

int main(void) {
    kq = kqueue();
    EXPECT(kq >= 0);
    test_descriptors();
    test_user_and_timer();
    test_signal();
    test_process();
    test_file();
    close(kq);
    puts("smoke ok");
    return 0;
}
