/*
 * echod - a TCP echo server on kqueue().
 *
 * One kqueue tells the server everything: connections to accept, bytes to
 * read, room to write, clients that are silent for too long, and commands of
 * the operator. Nothing blocks except kevent(). kevent() is called once in
 * each turn of the loop: it makes the changes of the last turn, and waits.
 *
 *   EVFILT_READ   the listener: data is the number of connections to accept;
 *                 a client: bytes to echo, or EV_EOF when it sends no more
 *   EVFILT_WRITE  a client, enabled only while output is pending
 *   EVFILT_TIMER  one for each client, started again by every sign of life
 *   EVFILT_USER   the console thread has a command for the server
 *
 * It serves 127.0.0.1 until "quit" or end of file on its standard input, then
 * prints what it has done. "stat" prints the same at any time.
 *
 * Runs on any system with kqueue:
 *   cc echod.c -o echod -pthread $(pkg-config --cflags --libs libkqueue)
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
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NEVENTS 256

/* Commands of the console: idents of EVFILT_USER. */
enum { CMD_STAT, CMD_QUIT };

/* A client; udata of its three knotes. Its timer has its descriptor's number. */
struct client {
    int fd;
    bool dead;          /* in `graveyard`: ignore the events that are left */
    unsigned long turn; /* the last turn of the loop with a sign of life */
    char* out;          /* bytes read and not yet written back, or NULL */
    size_t outlen, outdone;
    struct client *next, **link; /* in the list `living` or `graveyard` */
};

static int kq;
static int listener;
static bool accepting = true; /* false while no descriptor is free */
static bool quit;
static bool verbose;
static int idle_ms = 30000;
static unsigned long turn;

static struct client *living, *graveyard;

static struct {
    unsigned long clients, present, peak, idle, errors;
    unsigned long long bytes, events, calls, changes;
    double first, last; /* when the first client came, and when the last byte was sent */
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

/* ---- clients ---- */

static void list_insert(struct client** head, struct client* c) {
    c->next = *head;
    c->link = head;
    if (c->next != NULL) c->next->link = &c->next;
    *head = c;
}

static void list_remove(struct client* c) {
    *c->link = c->next;
    if (c->next != NULL) c->next->link = c->link;
}

static void set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);

    if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1) err(1, "fcntl");
}

/* Adding a timer again starts its period again. Nothing else is needed. */
static void push_idle_timer(struct client* c) {
    c->turn = turn;
    if (idle_ms > 0) change(c->fd, EVFILT_TIMER, EV_ADD, idle_ms, c);
}

static void client_new(int fd) {
    struct client* c = calloc(1, sizeof *c);

    if (c == NULL) err(1, "calloc");
    set_nonblocking(fd);
    c->fd = fd;
    list_insert(&living, c);
    change(fd, EVFILT_READ, EV_ADD, 0, c);
    change(fd, EVFILT_WRITE, EV_ADD | EV_DISABLE, 0, c);
    push_idle_timer(c);
    if (stats.clients++ == 0) stats.first = now();
    if (++stats.present > stats.peak) stats.peak = stats.present;
    if (verbose) printf("echod: client %d: hello\n", fd);
}

/*
 * Ends the service of a client. Its descriptor stays open until kevent() has
 * made the changes that name it. If it were closed here, a change in the list
 * could change a new connection that has got the same number.
 */
static void client_drop(struct client* c, const char* why) {
    change(c->fd, EVFILT_READ, EV_DELETE, 0, NULL);
    change(c->fd, EVFILT_WRITE, EV_DELETE, 0, NULL);
    if (idle_ms > 0) change(c->fd, EVFILT_TIMER, EV_DELETE, 0, NULL);
    c->dead = true;
    list_remove(c);
    list_insert(&graveyard, c);
    stats.present--;
    if (verbose) printf("echod: client %d: %s\n", c->fd, why);
}

static void client_failed(struct client* c, int error) {
    stats.errors++;
    client_drop(c, error != 0 ? strerror(error) : "connection lost");
}

static void client_free(struct client* c) {
    list_remove(c);
    close(c->fd);
    free(c->out);
    free(c);
}

/* Closes the dead clients. kevent() has made the changes for them. */
static void bury(void) {
    if (graveyard != NULL && !accepting) {
        accepting = true;
        change(listener, EVFILT_READ, EV_ENABLE, 0, NULL);
    }
    while (graveyard != NULL)
        client_free(graveyard);
}

/* ---- what the events mean ---- */

static void on_connections(intptr_t pending) {
    for (; pending > 0; pending--) {
        int fd = accept(listener, NULL, NULL);

        if (fd != -1) {
            client_new(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            warn("accept"); /* other connections wait until a client leaves */
            accepting = false;
            change(listener, EVFILT_READ, EV_DISABLE, 0, NULL);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return; /* a connection was there, but has ended */
        } else if (errno != ECONNABORTED && errno != EINTR) {
            err(1, "accept");
        }
    }
}

/*
 * Writes bytes back. Returns how many were written, 0 if there is no room now,
 * or -1 if nothing can be written to the client any more (then it is dropped).
 */
static ssize_t client_write(struct client* c, const char* bytes, size_t len) {
    ssize_t n = write(c->fd, bytes, len);

    if (n >= 0) {
        stats.bytes += (unsigned long long)n;
        stats.last = now();
        push_idle_timer(c);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        n = 0;
    } else {
        client_failed(c, errno);
    }
    return n;
}

/*
 * Keeps the bytes that did not fit, and waits for room. Nothing more is read
 * from this client until it has read its echo.
 */
static void client_keep(struct client* c, const char* rest, size_t len) {
    c->out = malloc(len);
    if (c->out == NULL) err(1, "malloc");
    memcpy(c->out, rest, len);
    c->outlen = len;
    c->outdone = 0;
    change(c->fd, EVFILT_READ, EV_DISABLE, 0, c);
    change(c->fd, EVFILT_WRITE, EV_ENABLE, 0, c);
}

/*
 * A client that has shut down its sending side still reads. EV_EOF comes
 * together with the bytes that are not read yet, and all of them are echoed.
 * The server closes when EV_EOF comes without bytes. Then fflags is 0 for an
 * orderly end, or the error. Nothing is left to write then, because the server
 * does not read while output is pending.
 */
static void on_readable(struct client* c, const struct kevent* ev) {
    static char buf[65536];
    ssize_t n, sent;

    if ((ev->flags & EV_EOF) != 0 && ev->data == 0) {
        if (ev->fflags != 0)
            client_failed(c, (int)ev->fflags);
        else
            client_drop(c, "goodbye");
        return;
    }
    n = read(c->fd, buf, sizeof buf);
    if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    if (n == -1) {
        client_failed(c, errno);
    } else if (n == 0) {
        client_drop(c, "goodbye");
    } else {
        sent = client_write(c, buf, (size_t)n);
        if (sent != -1 && sent < n) client_keep(c, buf + sent, (size_t)(n - sent));
    }
}

static void on_writable(struct client* c, const struct kevent* ev) {
    ssize_t n;

    if ((ev->flags & EV_EOF) != 0) { /* the client is gone */
        client_failed(c, (int)ev->fflags);
        return;
    }
    n = client_write(c, c->out + c->outdone, c->outlen - c->outdone);
    if (n == -1) return;
    c->outdone += (size_t)n;
    if (c->outdone < c->outlen) return;
    free(c->out);
    c->out = NULL;
    change(c->fd, EVFILT_WRITE, EV_DISABLE, 0, c);
    change(c->fd, EVFILT_READ, EV_ENABLE, 0, c);
}

static void on_silence(struct client* c) {
    if (c->turn == turn) return; /* it was active in this turn */
    stats.idle++;
    client_drop(c, "silent for too long");
}

static void print_stats(void) {
    double seconds = stats.last > stats.first ? stats.last - stats.first : 0;
    double work = (double)clock() / CLOCKS_PER_SEC;

    printf("echod: %lu clients (at most %lu at once), %llu bytes echoed\n", stats.clients,
           stats.peak, stats.bytes);
    printf("echod: %lu idle timeouts, %lu connections lost, %lu still open\n", stats.idle,
           stats.errors, stats.present);
    printf("echod: %llu events and %llu changes in %llu kevent calls\n", stats.events,
           stats.changes, stats.calls);
    printf("echod: %.3f s from first client to last byte, %.0f events per second\n", seconds,
           seconds > 0 ? (double)stats.events / seconds : 0.0);
    printf("echod: %.3f s of processor time, %.0f events per second of it\n", work,
           work > 0 ? (double)stats.events / work : 0.0);
    fflush(stdout);
}

static void on_command(uintptr_t command) {
    if (command == CMD_QUIT)
        quit = true;
    else
        print_stats();
}

/* A change was refused. The client that the change was for cannot be served. */
static void on_error(const struct kevent* ev) {
    struct client* c = ev->udata;

    if (c == NULL && ev->data == ENOENT) return; /* EV_DELETE after a refused EV_ADD */
    warnx("kevent: ident %ju, filter %d: %s", (uintmax_t)ev->ident, (int)ev->filter,
          strerror((int)ev->data));
    if (c != NULL && !c->dead) client_failed(c, (int)ev->data);
}

static void dispatch(const struct kevent* ev) {
    struct client* c = ev->udata;

    if ((ev->flags & EV_ERROR) != 0) {
        on_error(ev);
    } else if (ev->filter == EVFILT_USER) {
        on_command(ev->ident);
    } else if (c == NULL) {
        on_connections(ev->data);
    } else if (!c->dead) {
        if (ev->filter == EVFILT_READ)
            on_readable(c, ev);
        else if (ev->filter == EVFILT_WRITE)
            on_writable(c, ev);
        else
            on_silence(c);
    }
}

/* While there are dead clients, kevent() makes the changes but does not wait. */
static void serve(void) {
    static const struct timespec no_wait = {0, 0};
    struct kevent events[NEVENTS];
    int i, n;

    while (!quit) {
        n = kevent(kq, changes, nchanges, events, NEVENTS, graveyard != NULL ? &no_wait : NULL);
        if (n == -1 && errno != EINTR) err(1, "kevent");
        turn++;
        stats.calls++;
        stats.changes += (unsigned long long)nchanges;
        nchanges = 0;
        bury();
        for (i = 0; i < n; i++) {
            if ((events[i].flags & EV_ERROR) == 0) stats.events++;
            dispatch(&events[i]);
        }
    }
}

/* ---- the console: a thread that may block; it changes no data of ours ---- */

static void tell_server(uintptr_t command) {
    struct kevent ev;

    EV_SET(&ev, command, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
    if (kevent(kq, &ev, 1, NULL, 0, NULL) == -1) err(1, "kevent: EVFILT_USER");
}

static void* console(void* unused) {
    char line[80];

    (void)unused;
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "quit") == 0) break;
        if (strcmp(line, "stat") == 0)
            tell_server(CMD_STAT);
        else if (line[0] != '\0')
            warnx("the commands are stat and quit");
    }
    tell_server(CMD_QUIT);
    return NULL;
}

/* ---- start and end ---- */

/* Raises the soft limit of descriptors to the hard limit. */
static void raise_descriptor_limit(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1) warn("setrlimit");
}

static void start_listening(int port) {
    struct sockaddr_in sin;
    socklen_t len = sizeof sin;
    int on = 1;

    memset(&sin, 0, sizeof sin);
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t)port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener == -1) err(1, "socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr*)&sin, sizeof sin) == -1) err(1, "port %d", port);
    if (listen(listener, SOMAXCONN) == -1) err(1, "listen");
    if (getsockname(listener, (struct sockaddr*)&sin, &len) == -1) err(1, "getsockname");
    set_nonblocking(listener);
    change(listener, EVFILT_READ, EV_ADD, 0, NULL);
    printf("echod: listening on 127.0.0.1 port %d\n", ntohs(sin.sin_port));
    fflush(stdout);
}

static void usage(void) {
    fprintf(stderr,
            "usage: echod [-v] [-i idle_ms] [-p port]\n"
            "  -i  hang up on clients silent for so many milliseconds (30000; 0: never)\n"
            "  -p  listen on this port of 127.0.0.1 (0: any free one, the default)\n"
            "  -v  tell who comes and who goes\n"
            "Standard input takes the commands stat and quit; its end means quit.\n");
    exit(2);
}

static int number(const char* text, int max) {
    char* end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > max)
        errx(2, "'%s' is not a number from 0 to %d", text, max);
    return (int)value;
}

int main(int argc, char** argv) {
    pthread_t thread;
    int error, opt, port = 0;

    while ((opt = getopt(argc, argv, "i:p:v")) != -1) {
        switch (opt) {
            case 'i':
                idle_ms = number(optarg, INT_MAX);
                break;
            case 'p':
                port = number(optarg, 65535);
                break;
            case 'v':
                verbose = true;
                break;
            default:
                usage();
        }
    }
    if (optind != argc) usage();

    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    kq = kqueue();
    if (kq == -1) err(1, "kqueue");
    change(CMD_STAT, EVFILT_USER, EV_ADD | EV_CLEAR, 0, NULL);
    change(CMD_QUIT, EVFILT_USER, EV_ADD | EV_CLEAR, 0, NULL);
    start_listening(port);
    if (kevent(kq, changes, nchanges, NULL, 0, NULL) == -1) err(1, "kevent");
    nchanges = 0;
    error = pthread_create(&thread, NULL, console, NULL);
    if (error != 0) errx(1, "pthread_create: %s", strerror(error));

    serve();

    pthread_join(thread, NULL);
    print_stats();
    bury();
    while (living != NULL)
        client_free(living);
    close(listener);
    close(kq);
    free(changes);
    return 0;
}
