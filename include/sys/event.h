/*
 * sys/event.h - kqueue() and kevent() of the BSDs, as a library.
 *
 * Installed as <includedir>/kqueue/sys/event.h; programs say
 * #include <sys/event.h> and take the -I from pkg-config or CMake.
 *
 * The numbers below are an ABI: programs linked against the C libkqueue
 * (libkqueue.so.0) were compiled with them. Usable from C89 and C++98 on.
 * On Windows it stands before or after <winsock2.h> and <windows.h>, or without
 * them. LIBKQUEUE_DLL, if defined, says that the library is linked as a DLL.
 * Every name of the C libkqueue is defined, even if it is not served: then
 * EV_ADD refuses it. LIBKQUEUE_HAS_x says what is served. Names that only one
 * of the BSDs or macOS has are defined if they are served: test with #ifdef.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef LIBKQUEUE_SYS_EVENT_H
#define LIBKQUEUE_SYS_EVENT_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * ---- what can be tested with #if ----
 * The number of the header, as NOTE_VERSION answers that of the library; then
 * functions that the C libkqueue and some of the BSDs do not have; then filters:
 * 1 if this build serves EVFILT_x, 0 if EV_ADD answers ENOSYS.
 */
#define LIBKQUEUE 1 /* this header is libkqueue's, not an operating system's own */
#define LIBKQUEUE_VERSION 0x03000000
#define LIBKQUEUE_HAS_KQUEUE1 1
#define LIBKQUEUE_HAS_KQUEUEX 1
#define LIBKQUEUE_HAS_KEVENT64 1
#define LIBKQUEUE_HAS_READ 1
#define LIBKQUEUE_HAS_WRITE 1
#define LIBKQUEUE_HAS_AIO 0
#define LIBKQUEUE_HAS_VNODE 1
#define LIBKQUEUE_HAS_PROC 1
#define LIBKQUEUE_HAS_SIGNAL 1
#define LIBKQUEUE_HAS_TIMER 1
#define LIBKQUEUE_HAS_NETDEV 0
#if defined(__linux__)
    #define LIBKQUEUE_HAS_FS 1
#else
    #define LIBKQUEUE_HAS_FS 0
#endif
#if defined(__linux__)
    #define LIBKQUEUE_HAS_EXCEPT 1
    #define LIBKQUEUE_HAS_EMPTY 1
    #define LIBKQUEUE_HAS_PROCDESC 1
#elif defined(_WIN32)
    #define LIBKQUEUE_HAS_EXCEPT 0
    #define LIBKQUEUE_HAS_EMPTY 0
    #define LIBKQUEUE_HAS_PROCDESC 0
#else
    #define LIBKQUEUE_HAS_EXCEPT 1
    #if defined(__sun)
        #define LIBKQUEUE_HAS_EMPTY 0
    #else
        #define LIBKQUEUE_HAS_EMPTY 1
    #endif
    #define LIBKQUEUE_HAS_PROCDESC 0
#endif
#define LIBKQUEUE_HAS_LIO 0
#define LIBKQUEUE_HAS_USER 1

#if defined(_WIN32) && defined(LIBKQUEUE_DLL)
    #define LIBKQUEUE_API __declspec(dllimport)
#else
    #define LIBKQUEUE_API
#endif

struct timespec; /* strict C89 and C++98 modes hide it in <time.h> */

/* ---- filters: what an ident names and when its knote is active ---- */
#define EVFILT_READ (-1)       /* ident: descriptor; data: bytes, connections, events to read */
#define EVFILT_WRITE (-2)      /* ident: descriptor; data: free space in bytes */
#define EVFILT_AIO (-3)        /* asynchronous I/O: not served */
#define EVFILT_VNODE (-4)      /* ident: descriptor of a file or directory */
#define EVFILT_PROC (-5)       /* ident: process id */
#define EVFILT_SIGNAL (-6)     /* ident: signal number */
#define EVFILT_TIMER (-7)      /* ident: any number; data: period or deadline */
#define EVFILT_NETDEV (-8)     /* network devices: not served */
#define EVFILT_FS (-9)         /* ident: any number; file systems that come and go */
#define EVFILT_LIO (-10)       /* lists of asynchronous I/O: not served */
#define EVFILT_USER (-11)      /* ident: any number; triggered by the program itself */
#define EVFILT_LIBKQUEUE (-12) /* questions and settings of the library itself */
#if LIBKQUEUE_HAS_EMPTY
    #define EVFILT_EMPTY (-13) /* ident: socket or pipe; all that was written has left */
#endif
#if LIBKQUEUE_HAS_PROCDESC
    #define EVFILT_PROCDESC (-14) /* ident: descriptor of a process (pidfd) */
#endif
#if LIBKQUEUE_HAS_EXCEPT
    #define EVFILT_EXCEPT (-15) /* ident: descriptor; urgent data */
#endif
#define EVFILT_SYSCOUNT 15

/*
 * One change (input) or one event (output). A knote is known by its kqueue,
 * its ident and its filter. 32 bytes on LP64, 20 on ILP32.
 */
struct kevent {
    uintptr_t ident;      /* what is watched; its meaning is the filter's */
    short filter;         /* EVFILT_* */
    unsigned short flags; /* EV_* */
    unsigned int fflags;  /* NOTE_*, per filter */
    intptr_t data;        /* per filter; the errno in an EV_ERROR entry */
    void* udata;          /* the caller's, returned as given */
};

/* Fills *kevp. Each argument is evaluated exactly once. */
#define EV_SET(kevp, id, filt, fl, ffl, dat, ud) \
    do {                                         \
        struct kevent* libkqueue_kevp_ = (kevp); \
        libkqueue_kevp_->ident = (id);           \
        libkqueue_kevp_->filter = (filt);        \
        libkqueue_kevp_->flags = (fl);           \
        libkqueue_kevp_->fflags = (ffl);         \
        libkqueue_kevp_->data = (dat);           \
        libkqueue_kevp_->udata = (ud);           \
    } while (0)

/* ---- flags: actions, given in a change ---- */
#define EV_ADD 0x0001     /* create the knote, or change an existing one (never enables it) */
#define EV_DELETE 0x0002  /* remove the knote and what it has pending */
#define EV_ENABLE 0x0004  /* let it be reported (again) */
#define EV_DISABLE 0x0008 /* keep it, do not report it */
/* ---- flags: the nature of a knote, fixed by the EV_ADD that creates it ---- */
#define EV_ONESHOT 0x0010  /* report once, then delete */
#define EV_CLEAR 0x0020    /* reset after each report: transitions, not states */
#define EV_RECEIPT 0x0040  /* answer the change with an EV_ERROR entry, data 0 if it succeeded */
#define EV_DISPATCH 0x0080 /* disable after each report */
/* ---- flags: more about one change ---- */
#define EV_FORCEONESHOT 0x0100 /* report an existing knote once, true or not, then delete it */
#define EV_KEEPUDATA 0x0200    /* leave udata of an existing knote alone; not with EV_ADD */
/*
 * ---- flags of macOS, with numbers of our own: 0x0100 and 0x0200 are FreeBSD's ----
 * Both are fixed by the EV_ADD that creates the knote. Each later change of such a
 * knote has EV_UDATA_SPECIFIC and the same udata. See the manual.
 */
#define EV_UDATA_SPECIFIC 0x0400                       /* udata, too, says which knote it is */
#define EV_DISPATCH2 (EV_DISPATCH | EV_UDATA_SPECIFIC) /* and a disabled one is deleted later */
#define EV_VANISHED 0x0800 /* with EV_DISPATCH2: report that the descriptor was closed */

#define EV_SYSFLAGS 0xF000 /* the library's; ignored in a change */
#define EV_FLAG1 0x2000
/* ---- flags: in the eventlist only ---- */
#define EV_ERROR 0x4000 /* the entry answers a change; data is its errno */
#define EV_EOF 0x8000   /* end of file, peer gone, process gone; fflags may have an errno */

/* ---- EVFILT_READ, EVFILT_WRITE ---- */
#define NOTE_LOWAT 0x0001 /* active from data bytes on, for this knote alone */

/* ---- EVFILT_EXCEPT ---- */
#if LIBKQUEUE_HAS_EXCEPT
    #define NOTE_OOB 0x0002 /* urgent data were received */
#endif

/* ---- EVFILT_VNODE: what happened to the file or directory ---- */
#define NOTE_DELETE 0x0001      /* its last name was removed */
#define NOTE_WRITE 0x0002       /* written to; a directory: an entry came or went */
#define NOTE_EXTEND 0x0004      /* grew; a directory: an entry was moved from or to elsewhere */
#define NOTE_ATTRIB 0x0008      /* mode, owner, times, or truncated */
#define NOTE_LINK 0x0010        /* the number of its links changed */
#define NOTE_RENAME 0x0020      /* renamed */
#define NOTE_REVOKE 0x0040      /* its file system was taken away */
#define NOTE_TRUNCATE 0x0080    /* shrank (FreeBSD's NOTE_OPEN has this number) */
#define NOTE_CLOSE 0x0100       /* a descriptor that cannot write was closed */
#define NOTE_CLOSE_WRITE 0x0200 /* a descriptor that can write was closed */
#define NOTE_READ 0x0400        /* read from */
#define NOTE_OPEN 0x0800        /* opened */

/* ---- EVFILT_PROC ---- */
#define NOTE_EXIT 0x80000000
#define NOTE_EXITSTATUS 0x04000000 /* with NOTE_EXIT; data has the status with or without it */
#define NOTE_FORK 0x40000000
#define NOTE_EXEC 0x20000000
#define NOTE_PCTRLMASK 0xf0000000
#define NOTE_PDATAMASK 0x000fffff
#define NOTE_TRACK 0x00000001
#define NOTE_TRACKERR 0x00000002
#define NOTE_CHILD 0x00000004

/* ---- EVFILT_TIMER: the unit of data; none is milliseconds ---- */
#define NOTE_SECONDS 0x0001
#define NOTE_USECONDS 0x0002
#define NOTE_NSECONDS 0x0004
#define NOTE_ABSOLUTE 0x0008 /* data is a moment since the Epoch, not a period */
#define NOTE_MSECONDS 0x0000 /* the name for none of these */
#define NOTE_ABSTIME NOTE_ABSOLUTE
/*
 * Hints of macOS, with its numbers. Use the names: 0x0010 is NOTE_ABSTIME on FreeBSD.
 * A timer that has leeway may come so much later, never earlier: then timers of
 * about the same time share a wakeup.
 */
#define NOTE_LEEWAY 0x0010     /* with kevent64(): ext[1] is the leeway, in the unit of data */
#define NOTE_CRITICAL 0x0020   /* only the leeway of NOTE_LEEWAY, not that of NOTE_BACKGROUND */
#define NOTE_BACKGROUND 0x0040 /* a leeway of 0.1 s, or of the period if that is shorter */
#if defined(__linux__)
    #define NOTE_MACH_CONTINUOUS_TIME 0x0080 /* also counts while the machine is suspended */
#endif
#define NOTE_MACHTIME 0x0100 /* the unit is nanoseconds; absolute: on CLOCK_MONOTONIC */

/* ---- EVFILT_USER: the two top bits say what to do with the low 24 ---- */
#define NOTE_FFNOP 0x00000000
#define NOTE_FFAND 0x40000000
#define NOTE_FFOR 0x80000000
#define NOTE_FFCOPY 0xc0000000
#define NOTE_FFCTRLMASK 0xc0000000
#define NOTE_FFLAGSMASK 0x00ffffff
#define NOTE_TRIGGER 0x01000000 /* make the knote active */

/* ---- EVFILT_NETDEV: not served ---- */
#define NOTE_LINKUP 0x0001
#define NOTE_LINKDOWN 0x0002
#define NOTE_LINKINV 0x0004
/* ---- EVFILT_FS: Linux tells of VQ_MOUNT and VQ_UNMOUNT ---- */
#define VQ_NOTRESP 0x0001
#define VQ_NEEDAUTH 0x0002
#define VQ_LOWDISK 0x0004
#define VQ_MOUNT 0x0008   /* a file system was mounted */
#define VQ_UNMOUNT 0x0010 /* one was unmounted */
#define VQ_DEAD 0x0020
#define VQ_ASSIST 0x0040
#define VQ_NOTRESPLOCK 0x0080

/*
 * ---- EVFILT_LIBKQUEUE: one of these in fflags, with EV_ADD ----
 * The answer is the change itself in the eventlist, EV_RECEIPT set; data is
 * the value asked for, or the old value of what was set.
 */
#define NOTE_VERSION 0x0001            /* data: 0xMMmmpprr */
#define NOTE_VERSION_STR 0x0002        /* udata: a static string */
#define NOTE_THREAD_SAFE 0x0003        /* data 0/1; the library always locks */
#define NOTE_FORK_CLEANUP 0x0004       /* data 0/1: clean up in forked children */
#define NOTE_DEBUG 0x0005              /* data: level of tracing to stderr, 0 (none) to 3 (all) */
#define NOTE_DEBUG_PREFIX 0x0006       /* data or udata: string before each line, is copied */
#define NOTE_DEBUG_FUNC 0x0007         /* data or udata: void (*)(const char *fmt, ...) or NULL */
#define NOTE_FILE_POLL_INTERVAL 0x0008 /* data: nanoseconds; where files must be polled */
#define NOTE_COUNT_DATA 0x0009         /* data 0/1: does this kqueue count bytes for data? */

/*
 * Makes a new, empty kqueue. Returns its descriptor, close-on-exec, to be
 * given to close(); or -1 with EMFILE, ENFILE or ENOMEM.
 * The descriptor can be given to poll(), select(), epoll and other kqueues:
 * it is readable while events are pending. A forked child does not inherit it.
 */
LIBKQUEUE_API int kqueue(void);

/*
 * Applies nchanges changes in order, then collects up to nevents events into
 * eventlist, waiting for the first one until timeout (NULL: for ever) unless
 * nevents is 0. Both lists may be the same array.
 *
 * Returns the number of entries written, 0 when time is over, or -1:
 *   EBADF   kq is not a kqueue, or was closed during the call
 *   EINVAL  a negative count or an invalid timeout
 *   EINTR   a signal handler ran and nothing was collected
 * A change that fails becomes an entry with EV_ERROR in flags and the errno in
 * data; if there is no room for it, kevent() returns -1 with that errno and
 * does not apply the changes after it. If any such entry (or a receipt) was
 * written, the call returns at once and collects nothing.
 *
 * Any number of threads may use one kqueue. A cancellation point if nevents
 * is not 0.
 */
LIBKQUEUE_API int kevent(int kq, const struct kevent* changelist, int nchanges,
                         struct kevent* eventlist, int nevents, const struct timespec* timeout);

/*
 * As kqueue(). The descriptor is close-on-exec whether asked for or not.
 * kqueue1(): O_CLOEXEC and O_NONBLOCK of <fcntl.h>, or 0; kqueuex(): KQUEUE_CLOEXEC
 * and KQUEUE_CPONFORK, or 0. EINVAL for other bits. O_NONBLOCK has no meaning for a
 * kqueue. KQUEUE_CPONFORK: the child of a fork() gets a copy, with the same number.
 */
#define KQUEUE_CLOEXEC 0x00000001u
#if !defined(_WIN32)
    #define KQUEUE_CPONFORK 0x00000002u
#endif
LIBKQUEUE_API int kqueue1(int flags);
LIBKQUEUE_API int kqueuex(unsigned int flags);

/*
 * A change or an event whose members have 64 bits everywhere, and two words
 * more, which come back with the knote's events as the last change gave them.
 * 48 bytes.
 */
struct kevent64_s {
    uint64_t ident;  /* EINVAL in a change if the system has no such number */
    int16_t filter;  /* EVFILT_* */
    uint16_t flags;  /* EV_* */
    uint32_t fflags; /* NOTE_*, per filter */
    int64_t data;    /* in a change cut to what fits intptr_t */
    uint64_t udata;  /* the caller's, returned as given */
    uint64_t ext[2]; /* the caller's, too; with NOTE_LEEWAY a timer reads ext[1] */
};

#define EV_SET64(kevp, id, filt, fl, ffl, dat, ud, ext0, ext1) \
    do {                                                       \
        struct kevent64_s* libkqueue_kevp_ = (kevp);           \
        libkqueue_kevp_->ident = (id);                         \
        libkqueue_kevp_->filter = (filt);                      \
        libkqueue_kevp_->flags = (fl);                         \
        libkqueue_kevp_->fflags = (ffl);                       \
        libkqueue_kevp_->data = (dat);                         \
        libkqueue_kevp_->udata = (ud);                         \
        libkqueue_kevp_->ext[0] = (ext0);                      \
        libkqueue_kevp_->ext[1] = (ext1);                      \
    } while (0)

#define KEVENT_FLAG_NONE 0x0u
#define KEVENT_FLAG_IMMEDIATE 0x1u    /* a timeout of zero; the argument is ignored */
#define KEVENT_FLAG_ERROR_EVENTS 0x2u /* write answers to changes only, collect nothing */

/*
 * kevent() with the other struct. Knotes are the same: one made by either call
 * can be changed, and is reported, by both.
 * Returns and fails as kevent(); also EINVAL for unknown flags, and ENOMEM, as
 * answer to a change, if ext could not be kept.
 */
LIBKQUEUE_API int kevent64(int kq, const struct kevent64_s* changelist, int nchanges,
                           struct kevent64_s* eventlist, int nevents, unsigned int flags,
                           const struct timespec* timeout);

/* Kept for programs that link the static C libkqueue; need not be called. */
LIBKQUEUE_API void libkqueue_init(void);

/* Frees at once what closed kqueues still hold; needed by no correct program. */
LIBKQUEUE_API void libkqueue_drain_pending_close(void);

#ifdef __cplusplus
}
#endif

#endif
