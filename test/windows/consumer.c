/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program in C that uses the installed library. consumer.sh compiles it with every order of
 * includes, and links it with the DLL and with the static library.
 */
#if defined(WINSOCK_FIRST)
    #include <winsock2.h>
    /* winsock2.h has to come before windows.h */
    #include <windows.h>
#endif
#include <kqueue/signal.h>
#include <sys/event.h>
#if defined(WINSOCK_LAST)
    #include <winsock2.h>
    /* winsock2.h has to come before windows.h */
    #include <windows.h>
#endif
#include <io.h>
#include <stdio.h>

typedef char kevent_has_the_size_of_the_c_libkqueue
    [sizeof(struct kevent) == (sizeof(void*) == 8 ? 32 : 20) ? 1 : -1];

int main(void) {
    struct kevent change;
    struct kevent event;
    int kq = kqueue();
    int count;
    EV_SET(&change, 1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER, 0, 0);
    count = kevent(kq, &change, 1, &event, 1, 0);
    if (count == 1) EV_SET(&change, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0, 0);
    count += kevent(kq, &change, 1, &event, 1, 0);
    EV_SET(&change, SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0, 0, 0);
    (void)kevent(kq, &change, 1, 0, 0, 0);
    (void)kq_raise(SIGUSR1);
    count += kevent(kq, 0, 0, &event, 1, 0);
    printf("%d %d\n", count, (int)event.ident);
    return _close(kq) == 0 && event.ident == SIGUSR1 ? 0 : 1;
}
