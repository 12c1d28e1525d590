/* SPDX-License-Identifier: BSD-2-Clause */
/* One thread writes and triggers. The other thread gets the event and
   reads. That is no race. But a race detector that does not see the
   library's mutexes would report one. */
#include <pthread.h>
#include <stddef.h>
#include <sys/event.h>

static int kq;
static int shared;

static void* write_and_trigger(void* unused) {
    struct kevent change;
    shared = 42;
    EV_SET(&change, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
    if (kevent(kq, &change, 1, NULL, 0, NULL) != 0) shared = -1;
    return unused;
}

int main(void) {
    struct kevent change, event;
    pthread_t thread;
    int result = 1;
    kq = kqueue();
    EV_SET(&change, 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
    if (kq < 0 || kevent(kq, &change, 1, NULL, 0, NULL) != 0) return 2;
    if (pthread_create(&thread, NULL, write_and_trigger, NULL) != 0) return 3;
    if (kevent(kq, NULL, 0, &event, 1, NULL) == 1 && shared == 42) result = 0;
    return pthread_join(thread, NULL) == 0 ? result : 4;
}
