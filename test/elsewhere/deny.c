/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: deny <rule>... -- <program> <argument>...
 * Runs a program to which the kernel denies system calls, as an older kernel or a sandbox does. It
 * uses a seccomp filter, which the program's children inherit. A rule is
 *     <call>[/<argument>=<value>]:<errno>      pidfd_open:ENOSYS   socket/0=16:EACCES
 * It denies all calls with that name, or only those whose argument (0 to 5) has this value in its
 * low half. Exits with 77 if there are no such filters here, and with 2 for a rule that it does not
 * understand.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct name {
    const char* text;
    long number;
};

#define CALL(name) \
    { #name, SYS_##name }
static const struct name calls[] = {
    CALL(clone3),
    CALL(close_range),
    CALL(epoll_pwait2),
    CALL(faccessat2),
    CALL(inotify_init1),
    CALL(inotify_add_watch),
    CALL(kcmp),
    CALL(madvise),
    CALL(memfd_create),
    CALL(name_to_handle_at),
    CALL(openat2),
    CALL(pidfd_getfd),
    CALL(pidfd_open),
    CALL(pidfd_send_signal),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(ptrace),
    CALL(rseq),
    CALL(setns),
    CALL(socket),
    CALL(statx),
    CALL(unshare),
    CALL(io_uring_setup),
    CALL(membarrier),
};
#define ERROR(name) \
    { #name, name }
static const struct name errors[] = {
    ERROR(EACCES), ERROR(EAFNOSUPPORT), ERROR(EINVAL), ERROR(EMFILE), ERROR(ENOSYS), ERROR(EPERM),
};

enum { kMostRules = 64 };
static struct sock_filter program[5 * kMostRules + 1];
static unsigned short length;

static void add(struct sock_filter instruction) {
    program[length++] = instruction;
}

static long find(const struct name* names, size_t count, const char* text, size_t size) {
    size_t i;
    for (i = 0; i < count; i++)
        if (strlen(names[i].text) == size && memcmp(names[i].text, text, size) == 0)
            return names[i].number;
    fprintf(stderr, "deny: %.*s: not known\n", (int)size, text);
    exit(2);
}

/* The offset of the low half of an argument. */
static unsigned argument_offset(unsigned argument) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const unsigned low = 4;
#else
    const unsigned low = 0;
#endif
    return (unsigned)offsetof(struct seccomp_data, args) + 8 * argument + low;
}

static void add_rule(const char* rule) {
    const char* colon = strchr(rule, ':');
    const size_t name_size = strcspn(rule, "/:");
    unsigned argument = 0, value = 0;
    const int has_argument = rule[name_size] == '/';
    unsigned call, error;
    if (colon == NULL ||
        (has_argument && sscanf(rule + name_size, "/%u=%u", &argument, &value) != 2) ||
        argument > 5) {
        fprintf(stderr, "deny: %s: not understood\n", rule);
        exit(2);
    }
    call = (unsigned)find(calls, sizeof calls / sizeof *calls, rule, name_size);
    error = (unsigned)find(errors, sizeof errors / sizeof *errors, colon + 1, strlen(colon + 1));
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, has_argument ? 3 : 1));
    if (has_argument) {
        add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_offset(argument)));
        add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
    }
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error));
}

int main(int argc, char** argv) {
    struct sock_fprog filter;
    int i;
    (void)argc;
    for (i = 1; argv[i] != NULL && strcmp(argv[i], "--") != 0; i++) {
        if (i > 50) return 2;
        add_rule(argv[i]);
    }
    if (argv[i] == NULL || argv[i + 1] == NULL) {
        fprintf(stderr, "usage: deny <rule>... -- <program> <argument>...\n");
        return 2;
    }
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    filter.len = length;
    filter.filter = program;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        perror("deny: seccomp");
        return 77;
    }
    execvp(argv[i + 1], argv + i + 1);
    perror(argv[i + 1]);
    return 127;
}
