/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kqueue in a GLib main loop. The loop poll()s the kqueue's descriptor, and
 * collects events when it is readable. Events of a pipe, of a periodic and a
 * one-shot timer, and of a user event are delivered. Then the loop sleeps.
 */
#include <sys/event.h>

#include <glib-unix.h>
#include <stdio.h>
#include <unistd.h>

enum { kTicks = 5, kBytes = 3 };

struct program {
    GMainLoop* loop;
    int kq;
    int pipe[2];
    int ticks, bytes, once, user;
    int empty; /* callbacks that got no event */
};

static void change(int kq, uintptr_t ident, int filter, int flags, unsigned fflags, intptr_t data) {
    struct kevent one;
    EV_SET(&one, ident, (short)filter, (unsigned short)flags, fflags, data, NULL);
    if (kevent(kq, &one, 1, NULL, 0, NULL) != 0) g_error("kevent: a change of filter %d", filter);
}

static void handle(struct program* p, const struct kevent* event) {
    char bytes[16];
    switch (event->filter) {
        case EVFILT_TIMER:
            if (event->ident == 2)
                p->once++;
            else
                p->ticks += (int)event->data;
            break;
        case EVFILT_READ:
            p->bytes += (int)read(p->pipe[0], bytes, sizeof bytes);
            break;
        case EVFILT_USER:
            p->user++;
            break;
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data) {
    struct program* p = data;
    const struct timespec at_once = {0, 0};
    struct kevent events[2]; /* fewer than may be pending: then it stays readable */
    const int n = kevent(fd, NULL, 0, events, 2, &at_once);
    (void)condition;
    if (n < 0) g_error("kevent");
    if (n == 0) p->empty++;
    for (int i = 0; i < n; i++)
        handle(p, &events[i]);
    if (p->ticks >= kTicks && p->bytes == kBytes && p->once == 1 && p->user == 1)
        g_main_loop_quit(p->loop);
    return G_SOURCE_CONTINUE;
}

/* The loop's own timer calls this, so the loop sleeps in poll() before. */
static gboolean write_and_trigger(gpointer data) {
    struct program* p = data;
    if (write(p->pipe[1], "abc", kBytes) != kBytes) g_error("write");
    change(p->kq, 1, EVFILT_USER, 0, NOTE_TRIGGER, 0);
    return G_SOURCE_REMOVE;
}

static gboolean give_up(gpointer data) {
    const struct program* p = data;
    g_error("time is over: %d ticks, %d bytes, %d, %d", p->ticks, p->bytes, p->once, p->user);
    return G_SOURCE_REMOVE;
}

/* If nothing is pending, the loop must not find the descriptor readable. */
static gboolean end_of_silence(gpointer data) {
    g_main_loop_quit(((struct program*)data)->loop);
    return G_SOURCE_REMOVE;
}

int main(void) {
    struct program p = {0};
    p.loop = g_main_loop_new(NULL, FALSE);
    p.kq = kqueue();
    if (p.kq < 0 || pipe(p.pipe) != 0) g_error("kqueue, pipe");
    change(p.kq, (uintptr_t)p.pipe[0], EVFILT_READ, EV_ADD, 0, 0);
    change(p.kq, 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0);
    change(p.kq, 1, EVFILT_TIMER, EV_ADD, 0, 10);
    change(p.kq, 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 15);
    g_unix_fd_add(p.kq, G_IO_IN, on_readable, &p);
    g_timeout_add(20, write_and_trigger, &p);
    g_timeout_add_seconds(20, give_up, &p);
    g_main_loop_run(p.loop);

    change(p.kq, 1, EVFILT_TIMER, EV_DELETE, 0, 0);
    p.empty = 0;
    g_timeout_add(200, end_of_silence, &p);
    g_main_loop_run(p.loop);
    /* One wakeup may come from the deleted timer: L-STALE-POLL. */
    if (p.empty > 1) g_error("woken %d times for nothing", p.empty);
    printf("glib consumer ok: %d ticks\n", p.ticks);
    g_main_loop_unref(p.loop);
    close(p.kq);
    return 0;
}
