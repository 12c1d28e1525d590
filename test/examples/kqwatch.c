/*
 * kqwatch - says in words what happens to files and directories.
 *
 *     $ kqwatch notes.txt projects
 *     notes.txt: written, grew by 12 bytes
 *     projects: entries changed, a subdirectory came or went
 *     notes.txt: renamed
 *
 * Watches by descriptor, so a file may be renamed. Sleeps while nothing
 * happens. It ends when all files are removed, after -n events, after -t
 * seconds, or by a signal.
 *
 *   EVFILT_VNODE  with EV_CLEAR: an event reports everything that has happened
 *                 since the last event. fstat() says what a kqueue does not: by
 *                 how much a file grew, and how many links it has.
 *   EVFILT_TIMER  with EV_ONESHOT: the end of the -t seconds
 *
 *   cc kqwatch.c -o kqwatch $(pkg-config --cflags --libs libkqueue)
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <sys/types.h>

#include <sys/event.h>
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NEVENTS 16

struct file {
    const char* name;
    int fd; /* -1: not open, or removed */
    bool directory;
    long long size; /* when last looked at */
};

static int kq;
static struct file* files;
static int nfiles;
static int nopen;
static const char* separator; /* the text before the next word of a line */

/* ---- words ---- */

static void begin(const struct file* f) {
    printf("%s", f->name);
    separator = ": ";
}

static void say(const char* words) {
    printf("%s%s", separator, words);
    separator = ", ";
}

static void say_number(const char* before, long long number, const char* after) {
    printf("%s%s%lld%s", separator, before, number, after);
    separator = ", ";
}

/* ---- what happened ---- */

static void tell_of_file(struct file* f, unsigned notes) {
    struct stat st;

    if (fstat(f->fd, &st) == -1) err(1, "%s", f->name);
    if ((notes & NOTE_WRITE) != 0) say("written");
    if ((notes & NOTE_EXTEND) != 0 && st.st_size > f->size)
        say_number("grew by ", (long long)st.st_size - f->size, " bytes");
    if ((notes & NOTE_TRUNCATE) != 0) say_number("truncated to ", (long long)st.st_size, " bytes");
    /* A truncation is a change of attributes, too. */
    if ((notes & NOTE_ATTRIB) != 0 && (notes & NOTE_TRUNCATE) == 0) say("attributes changed");
    if ((notes & NOTE_LINK) != 0) say_number("has ", (long long)st.st_nlink, " links");
    f->size = (long long)st.st_size;
}

static void tell_of_directory(unsigned notes) {
    if ((notes & NOTE_WRITE) != 0) say("entries changed");
    if ((notes & NOTE_EXTEND) != 0) say("one was moved from or to elsewhere");
    if ((notes & NOTE_LINK) != 0) say("a subdirectory came or went");
    if ((notes & NOTE_ATTRIB) != 0) say("attributes changed");
}

static void on_change(struct file* f, const struct kevent* ev) {
    begin(f);
    if (f->directory)
        tell_of_directory(ev->fflags);
    else
        tell_of_file(f, ev->fflags);
    if ((ev->fflags & NOTE_OPEN) != 0) say("opened");
    if ((ev->fflags & NOTE_READ) != 0) say("read");
    if ((ev->fflags & NOTE_CLOSE) != 0) say("closed by a reader");
    if ((ev->fflags & NOTE_CLOSE_WRITE) != 0) say("closed by a writer");
    if ((ev->fflags & NOTE_RENAME) != 0) say("renamed");
    if ((ev->fflags & NOTE_DELETE) != 0) say("removed");
    if ((ev->flags & EV_EOF) != 0) say("its file system is gone");
    putchar('\n');
    if ((ev->fflags & NOTE_DELETE) == 0 && (ev->flags & EV_EOF) == 0) return;
    close(f->fd); /* this also removes the knote */
    f->fd = -1;
    nopen--;
}

/* ---- start and end ---- */

static void watch(struct file* f, const char* name, unsigned notes) {
    struct kevent change;
    struct stat st;

    f->name = name;
    f->fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (f->fd == -1 || fstat(f->fd, &st) == -1) err(1, "%s", name);
    f->directory = S_ISDIR(st.st_mode);
    f->size = (long long)st.st_size;
    EV_SET(&change, (uintptr_t)f->fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, notes, 0, f);
    if (kevent(kq, &change, 1, NULL, 0, NULL) == -1) err(1, "%s: kevent", name);
    nopen++;
}

static void set_alarm(long seconds) {
    struct kevent change;

    EV_SET(&change, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_SECONDS, seconds, NULL);
    if (kevent(kq, &change, 1, NULL, 0, NULL) == -1) err(1, "kevent: timer");
}

static long number(const char* text) {
    char* end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1) errx(2, "'%s'?", text);
    return value;
}

static void usage(void) {
    fprintf(stderr,
            "usage: kqwatch [-a] [-n events] [-t seconds] file ...\n"
            "  -a  tell of every open, read and close, too\n"
            "  -n  stop after so many events\n"
            "  -t  stop after so many seconds\n");
    exit(2);
}

int main(int argc, char** argv) {
    unsigned notes = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK |
                     NOTE_RENAME | NOTE_REVOKE | NOTE_TRUNCATE;
    struct kevent events[NEVENTS];
    long most = -1, seconds = -1;
    int i, n, opt;

    while ((opt = getopt(argc, argv, "an:t:")) != -1) {
        switch (opt) {
            case 'a':
                notes |= NOTE_OPEN | NOTE_READ | NOTE_CLOSE | NOTE_CLOSE_WRITE;
                break;
            case 'n':
                most = number(optarg);
                break;
            case 't':
                seconds = number(optarg);
                break;
            default:
                usage();
        }
    }
    argc -= optind;
    argv += optind;
    if (argc == 0) usage();

    kq = kqueue();
    if (kq == -1) err(1, "kqueue");
    files = calloc((size_t)argc, sizeof *files);
    if (files == NULL) err(1, "calloc");
    for (i = 0; i < argc; i++)
        watch(&files[nfiles++], argv[i], notes);
    if (seconds != -1) set_alarm(seconds);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("watching %d\n", nfiles);

    while (most != 0 && nopen > 0) {
        int room = most > 0 && most < NEVENTS ? (int)most : NEVENTS;

        n = kevent(kq, NULL, 0, events, room, NULL);
        if (n == -1 && errno != EINTR) err(1, "kevent");
        for (i = 0; i < n; i++) {
            if (events[i].filter == EVFILT_TIMER) return 0;
            on_change(events[i].udata, &events[i]);
            if (most > 0) most--;
        }
    }
    for (i = 0; i < nfiles; i++)
        if (files[i].fd != -1) close(files[i].fd);
    close(kq);
    free(files);
    return 0;
}
