/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: answers [<name>...]
 * Asks what a kernel answers and qemu-user 7.2 does not, and prints a line for each question. The
 * questions are the reasons of gaps/qemu. With names, it succeeds if exactly these are answered
 * differently from a kernel. So the reasons are proven each time that the list is used, and a
 * reason that no longer holds is found.
 */
#define _GNU_SOURCE
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
    #define MADV_WIPEONFORK 18
#endif

static char* self;
static volatile sig_atomic_t handled;
static volatile int done;

static void count(int number) {
    (void)number;
    handled = handled + 1;
}

static void set_with(int number, void (*handler)(int), int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigaction(number, &action, NULL);
}

static void set(int number, void (*handler)(int)) {
    set_with(number, handler, 0);
}

static void nap(long nanoseconds) {
    const struct timespec time = {0, nanoseconds};
    nanosleep(&time, NULL);
}

/* TCP_INFO gives a whole struct tcp_info. */
static int tcp_info(void) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && size == sizeof info;
}

/* Sockets of netlink: socket diagnosis, and the process connector, which may be compiled out. */
static int netlink(void) {
    return socket(AF_NETLINK, SOCK_RAW, 4 /* NETLINK_SOCK_DIAG */) >= 0;
}

static int connector(void) {
    return socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR) >= 0;
}

/* A page with MADV_WIPEONFORK is wiped in a child. */
static int wipe_on_fork(void) {
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    char* page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status = 0;
    pid_t pid;
    if (madvise(page, size, MADV_WIPEONFORK) != 0) return 1; /* refused: that is an answer */
    *page = 1;
    pid = fork();
    if (pid == 0) _exit(*page);
    waitpid(pid, &status, 0);
    return status == 0;
}

/* A program can execute itself. */
static int exec(void) {
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        execl(self, self, "exit", (char*)NULL);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    return status == 0;
}

/* If a program asks for SA_NOCLDWAIT, its children leave no zombies. */
static int no_zombies(void) {
    pid_t pid;
    set_with(SIGCHLD, count, SA_NOCLDWAIT | SA_RESTART);
    pid = fork();
    if (pid == 0) _exit(0);
    return waitpid(pid, NULL, 0) == -1;
}

static void* sleep_blocked(void* descriptor) {
    struct pollfd pfd = {*(int*)descriptor, POLLIN, 0};
    const struct timespec time = {20, 0};
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    sigaddset(&mask, SIGUSR1);
    ppoll(&pfd, 1, &time, &mask);
    return NULL;
}

/* A signal that came in ppoll(), and that was blocked only there, is handled afterwards. */
static int after_ppoll(void) {
    pthread_t thread;
    sigset_t signals;
    int fd;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    set(SIGUSR1, count);
    fd = signalfd(-1, &signals, SFD_NONBLOCK);
    pthread_create(&thread, NULL, sleep_blocked, &fd);
    nap(300000000);
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, NULL);
    return handled == 1;
}

static void* keep_sending(void* nothing) {
    while (!done)
        kill(getpid(), SIGUSR1);
    return nothing;
}

/* A handler may be changed while signals come. The emulator reads it twice. Within seconds that
   goes wrong. */
static int handlers_change(void) {
    int status = 0;
    const pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        const time_t end = time(NULL) + 20;
        set(SIGUSR1, SIG_IGN);
        pthread_create(&thread, NULL, keep_sending, NULL);
        while (time(NULL) < end) {
            set(SIGUSR1, count);
            set(SIGUSR1, SIG_IGN);
        }
        done = 1;
        pthread_join(thread, NULL);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status == 0;
}

/* A program that makes no threads has one. */
static int one_thread(void) {
    char line[256];
    int threads = 0;
    FILE* file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "Threads: %d", &threads);
    return threads == 1;
}

static const struct {
    const char* name;
    int (*holds)(void);
} answers[] = {
    {"one_thread", one_thread},
    {"tcp_info", tcp_info},
    {"netlink", netlink},
    {"connector", connector},
    {"wipe_on_fork", wipe_on_fork},
    {"exec", exec},
    {"no_zombies", no_zombies},
    {"after_ppoll", after_ppoll},
    {"handlers_change", handlers_change},
};

/* Each question is asked in a process of its own, because it may leave something behind. */
static int as_a_kernel(int (*holds)(void)) {
    int status = 0;
    pid_t pid;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        set(SIGCHLD, SIG_DFL);
        _exit(holds() ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    return status == 0;
}

int main(int argc, char** argv) {
    size_t i;
    int wrong = 0;
    if (argc == 2 && strcmp(argv[1], "exit") == 0) return 0;
    self = argv[0];
    for (i = 0; i < sizeof answers / sizeof *answers; i++) {
        const int holds = as_a_kernel(answers[i].holds);
        int expected = 1, j;
        for (j = 1; j < argc; j++)
            if (strcmp(argv[j], answers[i].name) == 0) expected = 0;
        printf("%s: %s a kernel\n", answers[i].name, holds ? "as" : "otherwise than");
        if (argc > 1 && holds != expected) {
            printf("%s: not as expected\n", answers[i].name);
            wrong = 1;
        }
    }
    return wrong;
}
