/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations of one thread, which calls.sh counts. A mark in the trace comes before each of
 * them. */
#include <sys/event.h>

#include <winsock2.h>
/* winsock2.h has to come before windows.h */
#include <windows.h>

#include <io.h>
#include <string.h>

static int kq;
static struct kevent list[8];

static void mark(const char* name) {
    SetEnvironmentVariableA(name, "1");
}

static void change(uintptr_t ident, int filter, int flags, unsigned fflags, int data) {
    EV_SET(&list[0], ident, (short)filter, (unsigned short)flags, fflags, data, NULL);
    kevent(kq, list, 1, NULL, 0, NULL);
}

static void collect(void) {
    const struct timespec at_once = {0, 0};
    kevent(kq, NULL, 0, list, 8, &at_once);
}

int main(void) {
    struct sockaddr_in a;
    int size = sizeof a, round, other;
    SOCKET listener, s, peer;
    char byte;
    kq = kqueue();
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr*)&a, size);
    getsockname(listener, (struct sockaddr*)&a, &size);
    listen(listener, 1);
    s = socket(AF_INET, SOCK_STREAM, 0);
    connect(s, (struct sockaddr*)&a, size);
    peer = accept(listener, NULL, NULL);
    /* The first round also makes what is made once in a process. The second round is counted. */
    for (round = 0; round < 2; round++) {
        mark("kqmark-kqueue");
        other = kqueue();
        mark("kqmark-close");
        _close(other);
        mark("kqmark-");
        Sleep(200);
        mark("kqmark-nothing");
        collect();
        mark("kqmark-user_add");
        change(1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0);
        mark("kqmark-user_trigger");
        change(1, EVFILT_USER, 0, NOTE_TRIGGER, 0);
        mark("kqmark-user_event");
        collect();
        mark("kqmark-socket_add");
        change((uintptr_t)s, EVFILT_READ, EV_ADD, 0, 0);
        mark("kqmark-");
        collect();
        send(peer, "x", 1, 0);
        Sleep(50);
        mark("kqmark-socket_event");
        collect();
        mark("kqmark-");
        recv(s, &byte, 1, 0);
        collect();
        mark("kqmark-socket_delete");
        change((uintptr_t)s, EVFILT_READ, EV_DELETE, 0, 0);
        mark("kqmark-");
        collect();
        mark("kqmark-timer_add");
        change(1, EVFILT_TIMER, EV_ADD, 0, 100000);
        mark("kqmark-timer_delete");
        change(1, EVFILT_TIMER, EV_DELETE, 0, 0);
        mark("kqmark-");
        change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 20);
        mark("kqmark-timer_event");
        kevent(kq, NULL, 0, list, 8, NULL);
        mark("kqmark-");
    }
    return 0;
}
