/*
 * kqtail - shows the end of files and everything that is added to them, like
 * tail -f.
 *
 * Follows any number of regular files, FIFOs, pipes, terminals and sockets
 * with one kqueue, and sleeps while none of them has news. It never polls.
 *
 *   EVFILT_READ   of a regular file: data is the distance from our offset to
 *                 the end of the file. If it is positive, there are new bytes.
 *                 If it is negative, the file is shorter than what was shown.
 *                 Of anything else: there are bytes, or EV_EOF
 *   EVFILT_WRITE  of standard output, if it is a pipe: EV_EOF when its reader
 *                 has left. So `kqtail log | head -1` ends without another line
 *
 * The last lines of a regular file need no special treatment. The offset is
 * set to their beginning, and kevent() reports the distance to the end.
 *
 * An input is followed by its descriptor. A file that is renamed or removed is
 * still followed. A new file that takes its name is not.
 *
 *   cc kqtail.c -o kqtail $(pkg-config --cflags --libs libkqueue)
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <sys/types.h>

#include <sys/event.h>
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEVENTS 64

struct input {
    const char* name;
    int fd; /* -1: not open, or ended */
    bool regular;
    unsigned long long bytes;
    unsigned long truncations;
};

static int kq;
static struct input* inputs;
static int ninputs;
static int nopen;
static const struct input* shown; /* the input whose bytes were shown last */
static bool headers;
static long lines = 10;
static bool done; /* asked to stop, or the output has no reader */
static int status;
static int signal_pipe[2] = {-1, -1};

static struct { unsigned long long events, calls; } stats;

/* Adds a knote. Returns false, with errno, if that fails. */
static bool watch(int fd, short filter, unsigned short flags, void* udata) {
    struct kevent change;

    EV_SET(&change, (uintptr_t)fd, filter, flags, 0, 0, udata);
    return kevent(kq, &change, 1, NULL, 0, NULL) != -1;
}

/* ---- inputs ---- */

/* Closing the descriptor removes its knote. */
static void input_close(struct input* in) {
    close(in->fd);
    in->fd = -1;
    nopen--;
}

static void input_failed(struct input* in) {
    warn("%s", in->name);
    status = 1;
    input_close(in);
}

/*
 * Sets the offset of a regular file to the beginning of its last lines. A
 * newline at the very end does not begin another line.
 */
static bool seek_last_lines(int fd) {
    char block[8192];
    off_t end = lseek(fd, 0, SEEK_END), pos = end;
    long wanted = lines;

    if (end == -1) return false;
    if (wanted == 0) return true;
    while (pos > 0) {
        size_t len = pos < (off_t)sizeof block ? (size_t)pos : sizeof block;

        pos -= (off_t)len;
        if (pread(fd, block, len, pos) != (ssize_t)len) return false;
        while (len-- > 0) {
            if (block[len] == '\n' && pos + (off_t)len != end - 1 && --wanted == 0)
                return lseek(fd, pos + (off_t)len + 1, SEEK_SET) != -1;
        }
    }
    return lseek(fd, 0, SEEK_SET) != -1;
}

static void input_open(struct input* in, const char* name) {
    bool use_stdin = strcmp(name, "-") == 0;
    struct stat st;

    in->name = use_stdin ? "standard input" : name;
    /* O_NONBLOCK: open() must not wait for the first writer of a FIFO. */
    in->fd = use_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (in->fd == -1) {
        warn("%s", in->name);
        status = 1;
        return;
    }
    nopen++;
    if (fstat(in->fd, &st) == -1) {
        input_failed(in);
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        input_failed(in);
        return;
    }
    in->regular = S_ISREG(st.st_mode);
    if (in->regular && !seek_last_lines(in->fd)) {
        input_failed(in);
        return;
    }
    if (!watch(in->fd, EVFILT_READ, EV_ADD, in)) input_failed(in);
}

/* ---- output ---- */

static void show(const struct input* in, const char* bytes, size_t len) {
    if (headers && shown != in) printf("%s==> %s <==\n", shown != NULL ? "\n" : "", in->name);
    shown = in;
    fwrite(bytes, 1, len, stdout);
}

/* Reads and shows at most `most` bytes. Returns the result of read(). */
static ssize_t copy(struct input* in, size_t most) {
    static char buf[65536];
    ssize_t n = read(in->fd, buf, most < sizeof buf ? most : sizeof buf);

    if (n > 0) {
        in->bytes += (unsigned long long)n;
        show(in, buf, (size_t)n);
    }
    return n;
}

/* ---- what the events mean ---- */

/* Everything that was added is shown together, under one header. */
static void on_file(struct input* in, intptr_t distance) {
    ssize_t n = 0;

    if (distance < 0) { /* the file was cut: all of its content is new */
        warnx("%s: file truncated", in->name);
        in->truncations++;
        n = lseek(in->fd, 0, SEEK_SET) == -1 ? -1 : 0;
    }
    while (distance > 0 && (n = copy(in, (size_t)distance)) > 0)
        distance -= n;
    if (n == -1 && errno != EINTR) input_failed(in);
}

/* A pipe may be longer than memory, or may never end. So its bytes are shown as they come. */
static void on_stream(struct input* in) {
    ssize_t n = copy(in, SIZE_MAX);

    if (n == 0)
        input_close(in);
    else if (n == -1 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        input_failed(in);
}

static void dispatch(const struct kevent* ev) {
    struct input* in = ev->udata;

    if (ev->filter == EVFILT_WRITE) {
        if ((ev->flags & EV_EOF) != 0) done = true;
    } else if (in == NULL) {
        done = true; /* a signal */
    } else if (!in->regular) {
        on_stream(in);
    } else if ((ev->flags & EV_EOF) != 0) {
        errno = EIO; /* the file system was unmounted */
        input_failed(in);
    } else {
        on_file(in, ev->data);
    }
}

static void follow(void) {
    struct kevent events[NEVENTS];
    int i, n;

    while (!done && nopen > 0) {
        if (fflush(stdout) == EOF) err(1, "standard output");
        n = kevent(kq, NULL, 0, events, NEVENTS, NULL);
        if (n == -1 && errno != EINTR) err(1, "kevent");
        stats.calls++;
        for (i = 0; i < n; i++) {
            stats.events++;
            dispatch(&events[i]);
        }
    }
    if (fflush(stdout) == EOF) err(1, "standard output");
}

/* ---- start and end ---- */

static void on_signal(int sig) {
    int saved = errno;

    (void)sig;
    if (write(signal_pipe[1], "", 1) == -1) _exit(1);
    errno = saved;
}

/* Turns SIGINT and SIGTERM into bytes of a pipe that the kqueue watches. */
static void catch_signals(void) {
    struct sigaction sa;

    if (pipe(signal_pipe) == -1) err(1, "pipe");
    if (!watch(signal_pipe[0], EVFILT_READ, EV_ADD, NULL)) err(1, "kevent: pipe");
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sigemptyset(&sa.sa_mask);
    if (sigaction(SIGINT, &sa, NULL) == -1 || sigaction(SIGTERM, &sa, NULL) == -1)
        err(1, "sigaction");
}

static void watch_reader(void) {
    struct stat st;

    if (fstat(STDOUT_FILENO, &st) == -1) err(1, "standard output");
    if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) return;
    if (watch(STDOUT_FILENO, EVFILT_WRITE, EV_ADD | EV_CLEAR, NULL)) return;
    if (errno != EPIPE) err(1, "standard output");
    done = true; /* the reader has left already */
}

static void print_stats(void) {
    int i;

    for (i = 0; i < ninputs; i++)
        fprintf(stderr, "kqtail: %s: %llu bytes, %lu truncations\n", inputs[i].name,
                inputs[i].bytes, inputs[i].truncations);
    fprintf(stderr, "kqtail: %llu events in %llu kevent calls\n", stats.events, stats.calls);
}

static void usage(void) {
    fprintf(stderr,
            "usage: kqtail [-fqs] [-n lines] [file ...]\n"
            "  -f  accepted and ignored: kqtail always follows\n"
            "  -n  show so many lines of each regular file at first (10)\n"
            "  -q  no headers between the files\n"
            "  -s  on SIGINT or SIGTERM, and at the end, print statistics\n"
            "Without a file, or with -, standard input. What is not a regular file is shown\n"
            "from its beginning until its end; kqtail stops when all inputs have ended.\n");
    exit(2);
}

static long number(const char* text) {
    char* end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0)
        errx(2, "'%s' is not a number of lines", text);
    return value;
}

static void open_inputs(char** names, int n) {
    bool stdin_used = false;
    int i;

    inputs = calloc((size_t)n, sizeof *inputs);
    if (inputs == NULL) err(1, "calloc");
    for (i = 0; i < n; i++) {
        if (strcmp(names[i], "-") == 0) {
            if (stdin_used) errx(2, "standard input can be followed only once");
            stdin_used = true;
        }
        input_open(&inputs[ninputs++], names[i]);
    }
}

int main(int argc, char** argv) {
    static char dash[] = "-";
    char* only_stdin[] = {dash};
    bool quiet = false, statistics = false;
    int i, opt;

    while ((opt = getopt(argc, argv, "fn:qs")) != -1) {
        switch (opt) {
            case 'f':
                break;
            case 'n':
                lines = number(optarg);
                break;
            case 'q':
                quiet = true;
                break;
            case 's':
                statistics = true;
                break;
            default:
                usage();
        }
    }
    argc -= optind;
    argv += optind;
    headers = argc > 1 && !quiet;

    kq = kqueue();
    if (kq == -1) err(1, "kqueue");
    if (statistics) catch_signals();
    watch_reader();
    if (argc > 0)
        open_inputs(argv, argc);
    else
        open_inputs(only_stdin, 1);

    follow();

    if (statistics) print_stats();
    for (i = 0; i < ninputs; i++) {
        if (inputs[i].fd != -1) input_close(&inputs[i]);
    }
    close(kq);
    if (statistics) {
        close(signal_pipe[0]);
        close(signal_pipe[1]);
    }
    free(inputs);
    return status;
}
