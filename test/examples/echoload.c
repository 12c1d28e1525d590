/*
 * echoload - many TCP clients at once for an echo server, on one kqueue().
 *
 * First connects all clients to 127.0.0.1. When all are connected, each client
 * sends a whole file, shuts down its sending side, and reads until end of
 * file. It compares what returns with what it sent, byte by byte, while it
 * reads. No client shuts down before all clients have heard from the server.
 * So the server really has all of them at the same time.
 *
 *   EVFILT_WRITE  connected (or EV_EOF and the reason in fflags); room to send
 *   EVFILT_READ   the echo; EV_EOF when the server has closed
 *   EVFILT_TIMER  the deadline for everything
 *
 * Exit status: 0 if every byte came back to every client; 1 if not.
 *
 *   cc echoload.c -o echoload $(pkg-config --cflags --libs libkqueue)
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <sys/types.h>

#include <sys/event.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NEVENTS 256
#define WINDOW 100 /* connections that are made at the same time: a backlog may be only 128 */
#define CHUNK 65536

struct file {
    const char* name;
    unsigned char* data;
    size_t size;
};

/* A client; udata of its two knotes. */
struct client {
    int number;
    int fd;
    const struct file* file;
    size_t sent, received;
    bool connected;
    bool heard;     /* it has heard from the server, or there is nothing to hear */
    bool sending;   /* has a knote of EVFILT_WRITE */
    bool receiving; /* has a knote of EVFILT_READ */
    bool done;      /* it ended, well or badly: ignore the events that are left */
};

static int kq;
static uint16_t port;
static bool verbose;
static struct file* files;
static struct client* clients;
static int nclients = 1000;
static int nstarted;    /* clients that have a socket */
static int nconnecting; /* of these, clients that wait for the connection */
static int nheard;
static int ndone;
static bool closing;             /* all clients have heard from the server */
static double started, finished; /* when the first byte could be sent; when the last byte came */

static struct {
    unsigned long connected, complete, mismatches, shorts, errors;
    unsigned long long sent, received, events, calls;
} stats;

static double now(void) {
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- the changelist ---- */

static struct kevent* changes;
static int nchanges, maxchanges;

/* Asks for a change. The next kevent() of the loop makes it. */
static void change(int ident, short filter, unsigned short flags, intptr_t data, void* udata) {
    if (nchanges == maxchanges) {
        maxchanges = maxchanges == 0 ? NEVENTS : maxchanges * 2;
        changes = realloc(changes, (size_t)maxchanges * sizeof *changes);
        if (changes == NULL) err(1, "realloc");
    }
    EV_SET(&changes[nchanges], (uintptr_t)ident, filter, flags, 0, data, udata);
    nchanges++;
}

static void start_sending(struct client* c) {
    change(c->fd, EVFILT_WRITE, c->sending ? EV_ENABLE : EV_ADD, 0, c);
    c->sending = true;
}

static void stop_sending(struct client* c) {
    if (c->sending) change(c->fd, EVFILT_WRITE, EV_DELETE, 0, NULL);
    c->sending = false;
}

static void start_receiving(struct client* c) {
    change(c->fd, EVFILT_READ, EV_ADD, 0, c);
    c->receiving = true;
}

static void stop_receiving(struct client* c) {
    if (c->receiving) change(c->fd, EVFILT_READ, EV_DELETE, 0, NULL);
    c->receiving = false;
}

static void hear(struct client* c) {
    if (!c->heard) nheard++;
    c->heard = true;
}

/* ---- how a client ends ---- */

/*
 * The descriptor stays open until the program ends. So its number is not used
 * again, and a change in the list cannot change another file.
 */
static void end(struct client* c) {
    stop_sending(c);
    stop_receiving(c);
    if (!c->connected && c->fd != -1) nconnecting--;
    hear(c); /* even if it has not: the others must not wait for it */
    c->done = true;
    ndone++;
    if (c->fd != -1) shutdown(c->fd, SHUT_RDWR);
}

static void end_badly(struct client* c, unsigned long* count, const char* why) {
    warnx("client %d: %s: sent %zu, received %zu of %zu bytes: %s", c->number, c->file->name,
          c->sent, c->received, c->file->size, why);
    ++*count;
    end(c);
}

static void end_error(struct client* c, int error) {
    end_badly(c, &stats.errors, error != 0 ? strerror(error) : "connection lost");
}

/* ---- first, all clients connect ---- */

static void client_connect(struct client* c) {
    struct sockaddr_in sin;
    int flags;

    memset(&sin, 0, sizeof sin);
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd == -1) {
        end_error(c, errno);
        return;
    }
    nconnecting++;
    flags = fcntl(c->fd, F_GETFL);
    if (flags == -1 || fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) == -1) err(1, "fcntl");
    if (connect(c->fd, (struct sockaddr*)&sin, sizeof sin) == -1 && errno != EINPROGRESS)
        end_error(c, errno);
    else
        start_sending(c); /* its event says that the connection is made */
}

/* Makes connections, at most WINDOW at a time. */
static void connect_clients(void) {
    while (nstarted < nclients && nconnecting < WINDOW)
        client_connect(&clients[nstarted++]);
}

/* ---- then all clients send and receive ---- */

static void half_close(struct client* c) {
    if (shutdown(c->fd, SHUT_WR) == -1) end_error(c, errno);
}

static void client_send(struct client* c) {
    size_t left = c->file->size - c->sent;
    ssize_t n = write(c->fd, c->file->data + c->sent, left < CHUNK ? left : CHUNK);

    if (n == -1) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) end_error(c, errno);
        return;
    }
    c->sent += (size_t)n;
    stats.sent += (unsigned long long)n;
    if (c->sent < c->file->size) return;
    stop_sending(c);
    if (closing) half_close(c);
}

static void on_writable(struct client* c, const struct kevent* ev) {
    if ((ev->flags & EV_EOF) != 0) {
        end_error(c, (int)ev->fflags);
    } else if (c->connected) {
        client_send(c);
    } else {
        c->connected = true;
        nconnecting--;
        stats.connected++;
        change(c->fd, EVFILT_WRITE, EV_DISABLE, 0, c); /* until all are connected */
    }
}

/* Compares the bytes with those that were sent. */
static void check(struct client* c, const unsigned char* bytes, size_t len) {
    const unsigned char* expected = c->file->data + c->received;
    char why[80];
    size_t i = 0;

    stats.received += len;
    hear(c);
    if (len <= c->file->size - c->received && memcmp(bytes, expected, len) == 0) {
        c->received += len;
        return;
    }
    while (i < c->file->size - c->received && bytes[i] == expected[i])
        i++;
    snprintf(why, sizeof why, "the echo differs at offset %zu", c->received + i);
    end_badly(c, &stats.mismatches, why);
}

static void on_end_of_echo(struct client* c) {
    finished = now();
    if (c->received < c->file->size) {
        end_badly(c, &stats.shorts, "the echo is short");
        return;
    }
    stats.complete++;
    end(c);
}

static void on_readable(struct client* c, const struct kevent* ev) {
    static unsigned char buf[CHUNK];
    ssize_t n;

    if ((ev->flags & EV_EOF) != 0 && ev->data == 0) {
        if (ev->fflags != 0)
            end_error(c, (int)ev->fflags);
        else
            on_end_of_echo(c);
        return;
    }
    n = read(c->fd, buf, sizeof buf);
    if (n > 0)
        check(c, buf, (size_t)n);
    else if (n == 0)
        on_end_of_echo(c);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        end_error(c, errno);
}

static void on_deadline(void) {
    int i;

    warnx("time is over with %d of %d clients unfinished", nclients - ndone, nclients);
    for (i = 0; i < nclients; i++) {
        if (!clients[i].done) end_error(&clients[i], ETIMEDOUT);
    }
}

static void dispatch(const struct kevent* ev) {
    struct client* c = ev->udata;

    if ((ev->flags & EV_ERROR) != 0) {
        warnx("kevent: ident %ju, filter %d: %s", (uintmax_t)ev->ident, (int)ev->filter,
              strerror((int)ev->data));
        if (c != NULL && !c->done)
            end_error(c, (int)ev->data);
        else
            stats.errors++;
    } else if (ev->filter == EVFILT_TIMER) {
        on_deadline();
    } else if (!c->done) {
        if (ev->filter == EVFILT_WRITE)
            on_writable(c, ev);
        else
            on_readable(c, ev);
    }
}

/* All clients are connected: they start to send and receive. */
static void start_talking(void) {
    int i;

    started = now();
    for (i = 0; i < nclients; i++) {
        struct client* c = &clients[i];

        if (c->done) continue;
        start_sending(c);
        start_receiving(c);
        if (c->file->size == 0) hear(c);
    }
}

/* All clients have heard from the server. Those that have sent everything
 * now shut down their sending side. */
static void start_closing(void) {
    int i;

    closing = true;
    for (i = 0; i < nclients; i++) {
        struct client* c = &clients[i];

        if (!c->done && !c->sending) half_close(c);
    }
}

/* Starts the next phase when the last client is ready for it. */
static void advance(void) {
    connect_clients();
    if (started <= 0 && nstarted == nclients && nconnecting == 0) start_talking();
    if (started > 0 && !closing && nheard == nclients) start_closing();
}

static void run(void) {
    struct kevent events[NEVENTS];
    int i, n;

    advance();
    while (ndone < nclients) {
        n = kevent(kq, changes, nchanges, events, NEVENTS, NULL);
        if (n == -1 && errno != EINTR) err(1, "kevent");
        stats.calls++;
        nchanges = 0;
        for (i = 0; i < n; i++) {
            if ((events[i].flags & EV_ERROR) == 0) stats.events++;
            dispatch(&events[i]);
        }
        advance();
    }
}

static bool report(void) {
    double seconds = finished > started ? finished - started : 0;

    printf("echoload: %d clients, %lu connected at once before the first byte, %lu complete\n",
           nclients, stats.connected, stats.complete);
    printf("echoload: %llu bytes sent, %llu bytes received\n", stats.sent, stats.received);
    printf("echoload: %lu mismatches, %lu short echoes, %lu errors\n", stats.mismatches,
           stats.shorts, stats.errors);
    printf("echoload: %llu events in %llu kevent calls\n", stats.events, stats.calls);
    printf("echoload: %.3f s from first byte to last, %.0f events per second\n", seconds,
           seconds > 0 ? (double)stats.events / seconds : 0.0);
    return stats.complete == (unsigned long)nclients && stats.sent == stats.received &&
           stats.mismatches + stats.shorts + stats.errors == 0;
}

/* ---- start ---- */

static void load(struct file* f, const char* name) {
    FILE* fp = fopen(name, "rb");
    size_t room = 0, n;

    if (fp == NULL) err(1, "%s", name);
    f->name = name;
    do {
        if (f->size == room) {
            room = room == 0 ? 4096 : room * 2;
            f->data = realloc(f->data, room);
            if (f->data == NULL) err(1, "%s", name);
        }
        n = fread(f->data + f->size, 1, room - f->size, fp);
        f->size += n;
    } while (n > 0);
    if (ferror(fp)) err(1, "%s", name);
    fclose(fp);
    if (verbose) printf("echoload: %s: %zu bytes\n", name, f->size);
}

/* Raises the soft limit of descriptors to the hard limit; 1024 are not enough. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) warn("setrlimit");
}

static void usage(void) {
    fprintf(stderr,
            "usage: echoload -p port [-v] [-c clients] [-t seconds] file ...\n"
            "  -c  simultaneous clients (1000); each sends one of the files\n"
            "  -p  the port of the echo server on 127.0.0.1\n"
            "  -t  give up after so many seconds (60)\n"
            "  -v  list the files\n");
    exit(2);
}

static int number(const char* text, int min, int max) {
    char* end_of_number;
    long value;

    errno = 0;
    value = strtol(text, &end_of_number, 10);
    if (errno != 0 || end_of_number == text || *end_of_number != '\0' || value < min || value > max)
        errx(2, "'%s' is not a number from %d to %d", text, min, max);
    return (int)value;
}

int main(int argc, char** argv) {
    int i, nfiles, opt, deadline = 60;
    bool good;

    while ((opt = getopt(argc, argv, "c:p:t:v")) != -1) {
        switch (opt) {
            case 'c':
                nclients = number(optarg, 1, 1000000);
                break;
            case 'p':
                port = (uint16_t)number(optarg, 1, 65535);
                break;
            case 't':
                deadline = number(optarg, 1, 86400);
                break;
            case 'v':
                verbose = true;
                break;
            default:
                usage();
        }
    }
    nfiles = argc - optind;
    if (port == 0 || nfiles == 0) usage();

    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    files = calloc((size_t)nfiles, sizeof *files);
    clients = calloc((size_t)nclients, sizeof *clients);
    if (files == NULL || clients == NULL) err(1, "calloc");
    for (i = 0; i < nfiles; i++)
        load(&files[i], argv[optind + i]);
    for (i = 0; i < nclients; i++) {
        clients[i].number = i;
        clients[i].fd = -1;
        clients[i].file = &files[i % nfiles];
    }
    kq = kqueue();
    if (kq == -1) err(1, "kqueue");
    change(0, EVFILT_TIMER, EV_ADD | EV_ONESHOT, (intptr_t)deadline * 1000, NULL);

    run();
    good = report();

    for (i = 0; i < nclients; i++) {
        if (clients[i].fd != -1) close(clients[i].fd);
    }
    for (i = 0; i < nfiles; i++)
        free(files[i].data);
    close(kq);
    free(changes);
    free(clients);
    free(files);
    return good ? 0 : 1;
}
