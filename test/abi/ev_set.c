/* SPDX-License-Identifier: BSD-2-Clause */
/* EV_SET evaluates each of its arguments exactly once and assigns each member. */
#include <sys/event.h>

#include <stdio.h>

static struct kevent list[2];
static int calls[7];

static struct kevent* next(void) {
    return &list[calls[0]++];
}

static int count(int argument, int value) {
    calls[argument]++;
    return value;
}

static void* pointer(void* value) {
    calls[6]++;
    return value;
}

static int failures;

static void expect(int truth, const char* what) {
    if (!truth) {
        fprintf(stderr, "FAIL: %s\n", what);
        failures++;
    }
}

int main(void) {
    int i;

    EV_SET(next(), (uintptr_t)count(1, 11), (short)count(2, EVFILT_USER),
           (unsigned short)count(3, EV_ADD), (unsigned int)count(4, 44), count(5, -55),
           pointer(&failures));

    for (i = 0; i < 7; i++)
        expect(calls[i] == 1, "an argument was not evaluated exactly once");
    expect(list[0].ident == 11, "ident");
    expect(list[0].filter == EVFILT_USER, "filter");
    expect(list[0].flags == EV_ADD, "flags");
    expect(list[0].fflags == 44, "fflags");
    expect(list[0].data == -55, "data");
    expect(list[0].udata == &failures, "udata");
    expect(list[1].ident == 0 && list[1].filter == 0 && list[1].udata == NULL, "wrote elsewhere");
    return failures != 0;
}
