/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that was compiled with the C libkqueue. Its struct and its numbers
 * are written down here: the header of the library under test is not used.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned int fflags;
    intptr_t data;
    void* udata;
};

int kqueue(void);
int kevent(int, const struct kevent*, int, struct kevent*, int, const struct timespec*);
void libkqueue_drain_pending_close(void);

enum {
    kRead = -1,
    kTimer = -7,
    kUser = -11,
    kLibkqueue = -12,
    kAdd = 1,
    kOneshot = 0x10,
    kClear = 0x20,
    kReceipt = 0x40,
    kError = 0x4000,
    kEof = 0x8000,
    kMicroseconds = 2,
    kTrigger = 0x01000000,
    kVersion = 1
};

static int line;
#define EXPECT(what)                                           \
    do {                                                       \
        if (!(what)) {                                         \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
            line = __LINE__;                                   \
        }                                                      \
    } while (0)

static struct kevent change(uintptr_t ident, int filter, int flags, unsigned fflags,
                            intptr_t data) {
    struct kevent kev = {0};
    kev.ident = ident;
    kev.filter = (short)filter;
    kev.flags = (unsigned short)flags;
    kev.fflags = fflags;
    kev.data = data;
    kev.udata = &line;
    return kev;
}

int main(void) {
    const struct timespec patience = {20, 0};
    struct kevent list[3];
    struct kevent event;
    int fd[2];
    const int kq = kqueue();

    EXPECT(kq >= 0 && pipe(fd) == 0 && write(fd[1], "abc", 3) == 3);
    list[0] = change((uintptr_t)fd[0], kRead, kAdd | kClear, 0, 0);
    EXPECT(kevent(kq, list, 1, &event, 1, &patience) == 1);
    EXPECT(event.ident == (uintptr_t)fd[0] && event.filter == kRead && event.data == 3);
    EXPECT(event.flags == (kAdd | kClear) && event.udata == &line);
    close(fd[1]);
    EXPECT(kevent(kq, NULL, 0, &event, 1, &patience) == 1 && (event.flags & kEof) != 0);

    list[0] = change(1, kTimer, kAdd | kOneshot, kMicroseconds, 100);
    EXPECT(kevent(kq, list, 1, &event, 1, &patience) == 1 && event.filter == kTimer);
    list[0] = change(2, kUser, kAdd | kClear, 0, 0);
    list[1] = change(2, kUser, 0, kTrigger, 0);
    EXPECT(kevent(kq, list, 2, &event, 1, &patience) == 1 && event.filter == kUser);
    list[0] = change(3, kUser, kAdd | kReceipt, 0, 0);
    EXPECT(kevent(kq, list, 1, &event, 1, NULL) == 1);
    EXPECT(event.flags == (kAdd | kReceipt | kError) && event.data == 0);
    list[0] = change(0, kLibkqueue, kAdd, kVersion, 0);
    EXPECT(kevent(kq, list, 1, &event, 1, NULL) == 1 && event.data >= 0x03000000);

    close(fd[0]);
    close(kq);
    libkqueue_drain_pending_close();
    if (line == 0) puts("consumer ok");
    return line != 0;
}
