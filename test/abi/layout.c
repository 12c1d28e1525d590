/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The numbers that existing binaries were compiled with: layout of struct
 * kevent and value of every constant. It compiles, or the ABI is broken.
 * Valid C89 and C++98.
 */
#include <sys/event.h>

#include <kqueue/signal.h>
#include <stddef.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define ASSERT(condition) extern char JOIN(assert_on_line_, __LINE__)[(condition) ? 1 : -1]
#define VALUE(name, value) ASSERT((name) == (value))
#define MEMBER_OF(tag, name, at, type) \
    ASSERT(offsetof(struct tag, name) == (at) && sizeof(((struct tag*)0)->name) == sizeof(type))
#define MEMBER(name, at, type) MEMBER_OF(kevent, name, at, type)

enum { WORD = sizeof(void*) };

/* ---- struct kevent: 32 bytes on LP64, 20 on ILP32 ---- */
ASSERT(sizeof(struct kevent) == (WORD == 8 ? 32 : 20));
MEMBER(ident, 0, uintptr_t);
MEMBER(filter, WORD, short);
MEMBER(flags, WORD + 2, unsigned short);
MEMBER(fflags, WORD + 4, unsigned int);
MEMBER(data, WORD + 8, intptr_t);
MEMBER(udata, 2 * WORD + 8, void*);

/* ---- struct kevent64_s: 48 bytes everywhere ---- */
ASSERT(sizeof(struct kevent64_s) == 48);
MEMBER_OF(kevent64_s, ident, 0, uint64_t);
MEMBER_OF(kevent64_s, filter, 8, int16_t);
MEMBER_OF(kevent64_s, flags, 10, uint16_t);
MEMBER_OF(kevent64_s, fflags, 12, uint32_t);
MEMBER_OF(kevent64_s, data, 16, int64_t);
MEMBER_OF(kevent64_s, udata, 24, uint64_t);
MEMBER_OF(kevent64_s, ext, 32, uint64_t[2]);

VALUE(LIBKQUEUE, 1);
VALUE(LIBKQUEUE_HAS_KQUEUE1, 1);
VALUE(LIBKQUEUE_HAS_KQUEUEX, 1);
VALUE(LIBKQUEUE_HAS_KEVENT64, 1);
VALUE(LIBKQUEUE_HAS_READ, 1);
VALUE(LIBKQUEUE_HAS_WRITE, 1);
VALUE(LIBKQUEUE_HAS_AIO, 0);
VALUE(LIBKQUEUE_HAS_VNODE, 1);
VALUE(LIBKQUEUE_HAS_PROC, 1);
VALUE(LIBKQUEUE_HAS_SIGNAL, 1);
VALUE(LIBKQUEUE_HAS_TIMER, 1);
VALUE(LIBKQUEUE_HAS_NETDEV, 0);
#if defined(__linux__)
VALUE(LIBKQUEUE_HAS_FS, 1);
#else
VALUE(LIBKQUEUE_HAS_FS, 0);
#endif
VALUE(LIBKQUEUE_HAS_LIO, 0);
VALUE(LIBKQUEUE_HAS_USER, 1);
VALUE(KQUEUE_CLOEXEC, 1);
#ifndef _WIN32
VALUE(KQUEUE_CPONFORK, 2);
#endif
VALUE(KEVENT_FLAG_NONE, 0);
VALUE(KEVENT_FLAG_IMMEDIATE, 1);
VALUE(KEVENT_FLAG_ERROR_EVENTS, 2);

/* ---- filters ---- */
VALUE(EVFILT_READ, -1);
VALUE(EVFILT_WRITE, -2);
VALUE(EVFILT_AIO, -3);
VALUE(EVFILT_VNODE, -4);
VALUE(EVFILT_PROC, -5);
VALUE(EVFILT_SIGNAL, -6);
VALUE(EVFILT_TIMER, -7);
VALUE(EVFILT_NETDEV, -8);
VALUE(EVFILT_FS, -9);
VALUE(EVFILT_LIO, -10);
VALUE(EVFILT_USER, -11);
VALUE(EVFILT_LIBKQUEUE, -12);
VALUE(LIBKQUEUE_HAS_EXCEPT, LIBKQUEUE_HAS_EXCEPT != 0);
VALUE(LIBKQUEUE_HAS_EMPTY, LIBKQUEUE_HAS_EMPTY != 0);
VALUE(LIBKQUEUE_HAS_PROCDESC, LIBKQUEUE_HAS_PROCDESC != 0);
#ifdef EVFILT_EMPTY
VALUE(EVFILT_EMPTY, -13);
#endif
#ifdef EVFILT_PROCDESC
VALUE(EVFILT_PROCDESC, -14);
#endif
#ifdef EVFILT_EXCEPT
VALUE(EVFILT_EXCEPT, -15);
VALUE(NOTE_OOB, 0x0002);
#endif
VALUE(EVFILT_SYSCOUNT, 15);

/* ---- flags ---- */
VALUE(EV_ADD, 0x0001);
VALUE(EV_DELETE, 0x0002);
VALUE(EV_ENABLE, 0x0004);
VALUE(EV_DISABLE, 0x0008);
VALUE(EV_ONESHOT, 0x0010);
VALUE(EV_CLEAR, 0x0020);
VALUE(EV_RECEIPT, 0x0040);
VALUE(EV_DISPATCH, 0x0080);
VALUE(EV_FORCEONESHOT, 0x0100);
VALUE(EV_KEEPUDATA, 0x0200);
VALUE(EV_UDATA_SPECIFIC, 0x0400);
VALUE(EV_DISPATCH2, 0x0480);
VALUE(EV_VANISHED, 0x0800);
VALUE(EV_SYSFLAGS, 0xF000);
VALUE(EV_FLAG1, 0x2000);
VALUE(EV_ERROR, 0x4000);
VALUE(EV_EOF, 0x8000);

/* ---- EVFILT_READ, EVFILT_WRITE ---- */
VALUE(NOTE_LOWAT, 0x0001);

/* ---- EVFILT_VNODE ---- */
VALUE(NOTE_DELETE, 0x0001);
VALUE(NOTE_WRITE, 0x0002);
VALUE(NOTE_EXTEND, 0x0004);
VALUE(NOTE_ATTRIB, 0x0008);
VALUE(NOTE_LINK, 0x0010);
VALUE(NOTE_RENAME, 0x0020);
VALUE(NOTE_REVOKE, 0x0040);
VALUE(NOTE_TRUNCATE, 0x0080);
VALUE(NOTE_CLOSE, 0x0100);
VALUE(NOTE_CLOSE_WRITE, 0x0200);
VALUE(NOTE_READ, 0x0400);
VALUE(NOTE_OPEN, 0x0800);

/* ---- EVFILT_PROC ---- */
VALUE(NOTE_EXIT, 0x80000000);
VALUE(NOTE_FORK, 0x40000000);
VALUE(NOTE_EXEC, 0x20000000);
VALUE(NOTE_EXITSTATUS, 0x04000000);
VALUE(NOTE_PCTRLMASK, 0xf0000000);
VALUE(NOTE_PDATAMASK, 0x000fffff);
VALUE(NOTE_TRACK, 0x00000001);
VALUE(NOTE_TRACKERR, 0x00000002);
VALUE(NOTE_CHILD, 0x00000004);

/* ---- EVFILT_TIMER ---- */
VALUE(NOTE_SECONDS, 0x0001);
VALUE(NOTE_USECONDS, 0x0002);
VALUE(NOTE_NSECONDS, 0x0004);
VALUE(NOTE_ABSOLUTE, 0x0008);
VALUE(NOTE_MSECONDS, 0);
VALUE(NOTE_ABSTIME, NOTE_ABSOLUTE);
VALUE(NOTE_LEEWAY, 0x0010);
VALUE(NOTE_CRITICAL, 0x0020);
VALUE(NOTE_BACKGROUND, 0x0040);
#ifdef NOTE_MACH_CONTINUOUS_TIME
VALUE(NOTE_MACH_CONTINUOUS_TIME, 0x0080);
#endif
VALUE(NOTE_MACHTIME, 0x0100);

/* ---- EVFILT_USER ---- */
VALUE(NOTE_FFNOP, 0x00000000);
VALUE(NOTE_FFAND, 0x40000000);
VALUE(NOTE_FFOR, 0x80000000);
VALUE(NOTE_FFCOPY, 0xc0000000);
VALUE(NOTE_FFCTRLMASK, 0xc0000000);
VALUE(NOTE_FFLAGSMASK, 0x00ffffff);
VALUE(NOTE_TRIGGER, 0x01000000);

/* ---- EVFILT_NETDEV, EVFILT_FS ---- */
VALUE(NOTE_LINKUP, 0x0001);
VALUE(NOTE_LINKDOWN, 0x0002);
VALUE(NOTE_LINKINV, 0x0004);
VALUE(VQ_NOTRESP, 0x0001);
VALUE(VQ_NEEDAUTH, 0x0002);
VALUE(VQ_LOWDISK, 0x0004);
VALUE(VQ_MOUNT, 0x0008);
VALUE(VQ_UNMOUNT, 0x0010);
VALUE(VQ_DEAD, 0x0020);
VALUE(VQ_ASSIST, 0x0040);
VALUE(VQ_NOTRESPLOCK, 0x0080);

/* ---- EVFILT_LIBKQUEUE ---- */
VALUE(NOTE_VERSION, 0x0001);
VALUE(NOTE_VERSION_STR, 0x0002);
VALUE(NOTE_THREAD_SAFE, 0x0003);
VALUE(NOTE_FORK_CLEANUP, 0x0004);
VALUE(NOTE_DEBUG, 0x0005);
VALUE(NOTE_DEBUG_PREFIX, 0x0006);
VALUE(NOTE_DEBUG_FUNC, 0x0007);
VALUE(NOTE_FILE_POLL_INTERVAL, 0x0008);
VALUE(NOTE_COUNT_DATA, 0x0009);

/* ---- functions: these types and no other ---- */
typedef int kqueue_function(void);
typedef int kevent_function(int, const struct kevent*, int, struct kevent*, int,
                            const struct timespec*);
typedef int kqueue1_function(int);
typedef int kqueuex_function(unsigned int);
typedef int kevent64_function(int, const struct kevent64_s*, int, struct kevent64_s*, int,
                              unsigned int, const struct timespec*);
typedef void plain_function(void);

kqueue_function* abi_kqueue = kqueue;
kevent_function* abi_kevent = kevent;
kqueue1_function* abi_kqueue1 = kqueue1;
kqueuex_function* abi_kqueuex = kqueuex;
kevent64_function* abi_kevent64 = kevent64;
plain_function* abi_init = libkqueue_init;
plain_function* abi_drain = libkqueue_drain_pending_close;

/* ---- names of filters in a switch, without #ifdef, as nginx and libdispatch have them ---- */
int abi_filter(const struct kevent* kev);
int abi_filter(const struct kevent* kev) {
    switch (kev->filter) {
        case EVFILT_READ:
        case EVFILT_WRITE:
        case EVFILT_VNODE:
        case EVFILT_PROC:
        case EVFILT_SIGNAL:
        case EVFILT_TIMER:
        case EVFILT_USER:
        case EVFILT_LIBKQUEUE:
#ifdef EVFILT_EMPTY
        case EVFILT_EMPTY:
#endif
#ifdef EVFILT_PROCDESC
        case EVFILT_PROCDESC:
#endif
#ifdef EVFILT_EXCEPT
        case EVFILT_EXCEPT:
#endif
#ifdef __linux__
        case EVFILT_FS:
#endif
            return 1;
        case EVFILT_AIO:
        case EVFILT_NETDEV:
#ifndef __linux__
        case EVFILT_FS:
#endif
        case EVFILT_LIO:
            return 0;
        default:
            return -1;
    }
}

/* ---- EV_SET is one statement ---- */
void abi_set(struct kevent* kev, int which);
void abi_set(struct kevent* kev, int which) {
    if (which)
        EV_SET(kev, 1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_FFNOP, 0, NULL);
    else
        EV_SET(kev + 1, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0, kev);
}
