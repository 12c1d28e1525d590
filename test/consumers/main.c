/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program that every consumer builds: a user event and a one-shot timer on
 * one kqueue. It knows the library only by its public header.
 */
#include <sys/event.h>

#include <stdio.h>
#include <unistd.h>

static int failed(const char* what) {
    perror(what);
    return 1;
}

int main(void) {
    struct timespec patience = {5, 0};
    struct kevent change[2];
    struct kevent event;
    int kq = kqueue();

    if (kq == -1) return failed("kqueue");

    EV_SET(&change[0], 7, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, change);
    EV_SET(&change[1], 7, EVFILT_USER, 0, NOTE_TRIGGER | NOTE_FFCOPY | 0x42, 0, change);
    if (kevent(kq, change, 2, NULL, 0, NULL) == -1) return failed("EVFILT_USER");
    if (kevent(kq, NULL, 0, &event, 1, &patience) != 1) return failed("the user event");
    if (event.ident != 7 || event.filter != EVFILT_USER || event.fflags != 0x42 ||
        event.udata != change) {
        fprintf(stderr, "the user event came back different\n");
        return 1;
    }

    EV_SET(&change[0], 8, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 20, NULL);
    if (kevent(kq, change, 1, &event, 1, &patience) != 1) return failed("the timer");
    if (event.ident != 8 || event.filter != EVFILT_TIMER || event.data != 1) {
        fprintf(stderr, "the timer came back different\n");
        return 1;
    }

    close(kq);
    puts("consumer ok");
    return 0;
}
