/* SPDX-License-Identifier: BSD-2-Clause */
/* Uses every filter once, and fork(), only through the API. strace.sh looks at the system calls
 * that the library then makes. musl.sh builds this program with another C library. Exits with
 * the number of the line that failed, modulo 256 (but not 0); with 0 if none failed. */
#include <sys/event.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(condition)                                                               \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
            exit(__LINE__ % 256 ? __LINE__ % 256 : 1);                                \
        }                                                                             \
    } while (0)

static int queue;

static void apply(unsigned long ident, int filter, int flags, unsigned fflags, long data) {
    struct kevent change;
    EV_SET(&change, ident, filter, flags, fflags, data, NULL);
    MUST(kevent(queue, &change, 1, NULL, 0, NULL) == 0);
}

static struct kevent one(void) {
    struct kevent event;
    struct timespec limit = {20, 0};
    MUST(kevent(queue, NULL, 0, &event, 1, &limit) == 1);
    return event;
}

static void descriptors(void) {
    int pair[2];
    struct kevent event;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    apply(pair[0], EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0);
    MUST(write(pair[1], "abc", 3) == 3);
    event = one();
    MUST(event.filter == EVFILT_READ && event.data == 3);
    apply(pair[0], EVFILT_READ, EV_DELETE, 0, 0);
    apply(pair[0], EVFILT_WRITE, EV_ADD | EV_ONESHOT, 0, 0);
    MUST(one().filter == EVFILT_WRITE);
    apply(pair[0], EVFILT_READ, EV_ADD, 0, 0);
    close(pair[1]);
    event = one();
    MUST(event.filter == EVFILT_READ && (event.flags & EV_EOF) != 0);
    close(pair[0]);
}

static void files(void) {
    char name[] = "everything.XXXXXX";
    const int fd = mkstemp(name);
    struct kevent event;
    MUST(fd >= 0);
    apply(fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_EXTEND | NOTE_DELETE, 0);
    MUST(write(fd, "abc", 3) == 3);
    event = one();
    MUST(event.fflags == (NOTE_WRITE | NOTE_EXTEND));
    MUST(unlink(name) == 0);
    MUST(one().fflags == NOTE_DELETE);
    apply(fd, EVFILT_VNODE, EV_DELETE, 0, 0);
    MUST(lseek(fd, 0, SEEK_SET) == 0);
    apply(fd, EVFILT_READ, EV_ADD | EV_ONESHOT, 0, 0);
    MUST(one().data == 3);
    close(fd);
}

static void processes(void) {
    struct kevent event;
    int status = 0;
    const pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        /* The child inherits no kqueue, and can make one. */
        struct kevent change;
        struct timespec now = {0, 0};
        EV_SET(&change, 1, EVFILT_USER, EV_ADD, NOTE_TRIGGER, 0, NULL);
        if (kevent(queue, &change, 1, NULL, 0, &now) != -1 || errno != EBADF) _exit(1);
        queue = kqueue();
        apply(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER, 0);
        _exit(one().ident == 1 ? 7 : 2);
    }
    apply(child, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0);
    event = one();
    MUST(event.ident == (unsigned long)child && event.data == 7 << 8);
    MUST(waitpid(child, &status, 0) == child && status == 7 << 8);
}

int main(void) {
    queue = kqueue();
    MUST(queue >= 0);
    apply(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER, 0);
    MUST(one().filter == EVFILT_USER);
    apply(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 5);
    MUST(one().filter == EVFILT_TIMER);
    apply(SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0, 0);
    MUST(kill(getpid(), SIGUSR1) == 0);
    MUST(one().data == 1);
    apply(SIGUSR1, EVFILT_SIGNAL, EV_DELETE, 0, 0);
    descriptors();
    files();
    processes();
    MUST(close(queue) == 0);
    return 0;
}
