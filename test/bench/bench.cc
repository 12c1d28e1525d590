// SPDX-License-Identifier: BSD-2-Clause
#include "bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace kqbench {
namespace {

int64_t read_clock(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

void fail(const char* what) {
    (void)std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
    std::_Exit(1);  // other threads may be at work
}

int64_t now_ns() {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t cpu_ns() {
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

size_t heap_in_use() {
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

int count_descriptors() {
    DIR* directory = ::opendir("/proc/self/fd");
    must(directory != nullptr, "/proc/self/fd");
    int count = -1;  // the directory's own
    while (const dirent* entry = ::readdir(directory))
        count += entry->d_name[0] != '.';
    ::closedir(directory);
    return count;
}

long resident_kib() {
    long size = 0;
    long resident = 0;
    must(bool(std::ifstream("/proc/self/statm") >> size >> resident), "statm");
    return resident * (::sysconf(_SC_PAGESIZE) / 1024);
}

size_t raise_file_limit(size_t wanted) {
    rlimit limit{};
    must(::getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    const rlim_t more = std::max<rlim_t>(limit.rlim_max, wanted);
    const rlimit raised{more, more};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return more;
    limit.rlim_cur = limit.rlim_max;
    must(::setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    return limit.rlim_cur;
}

Pairs::Pairs(int count, Kind kind) : ends_(static_cast<size_t>(count) * 2) {
    for (int i = 0; i < count; i++) {
        int* pair = &ends_[static_cast<size_t>(i) * 2];
        const int made = kind == sockets
                             ? ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)
                             : ::pipe2(pair, O_NONBLOCK);
        must(made == 0, "pairs of descriptors");
    }
}

Pairs::~Pairs() {
    for (const int fd : ends_)
        ::close(fd);
}

int Pairs::highest() const {
    return *std::max_element(ends_.begin(), ends_.end());
}

TempFiles::TempFiles(int count) {
    const char* root = std::getenv("TMPDIR");
    directory_ = std::string(root != nullptr && *root != '\0' ? root : "/tmp") + "/kqbench.XXXXXX";
    must(::mkdtemp(directory_.data()) != nullptr, "mkdtemp");
    for (int i = 0; i < count; i++) {
        fds_.push_back(::open(path(i).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
        must(fds_.back() >= 0, "temporary file");
    }
}

TempFiles::~TempFiles() {
    for (int i = 0; i < size(); i++) {
        ::close(fds_[static_cast<size_t>(i)]);
        ::unlink(path(i).c_str());
    }
    ::rmdir(directory_.c_str());
}

// ---- children ----

Children::Children(int count) {
    must(::pipe2(gate_, O_CLOEXEC) == 0, "pipe");
    for (int i = 0; i < count; i++)
        pids_.push_back(start());
}

Children::~Children() {
    let_go();
    for (const pid_t pid : pids_)
        ::waitpid(pid, nullptr, 0);
    ::close(gate_[0]);
}

pid_t Children::start() const {
    const pid_t pid = ::fork();
    must(pid >= 0, "fork");
    if (pid != 0) return pid;
    char end;
    ::close(gate_[1]);
    const ssize_t got = ::read(gate_[0], &end, 1);
    ::_exit(got == 0 ? kStatus : 1);
}

void Children::let_go() {
    if (gate_[1] >= 0) ::close(gate_[1]);
    gate_[1] = -1;
}

void Children::end_one(int i) {
    must(::kill((*this)[i], SIGKILL) == 0, "kill");
    wait_until_ended((*this)[i]);
}

void Children::replace(int i) {
    pid_t& pid = pids_[static_cast<size_t>(i)];
    must(::waitpid(pid, nullptr, 0) == pid, "waitpid");
    // Not fork(): the child would have to give back all that a program full of knotes has.
    posix_spawn_file_actions_t actions;
    must(::posix_spawn_file_actions_init(&actions) == 0, "posix_spawn");
    must(::posix_spawn_file_actions_adddup2(&actions, gate_[0], STDIN_FILENO) == 0, "posix_spawn");
    char name[] = "cat";
    char* arguments[] = {name, nullptr};
    must(::posix_spawnp(&pid, name, &actions, nullptr, arguments, environ) == 0, "posix_spawn");
    ::posix_spawn_file_actions_destroy(&actions);
}

void Children::wait_until_ended() const {
    for (const pid_t pid : pids_)
        wait_until_ended(pid);
}

void Children::wait_until_ended(pid_t child) {
    siginfo_t info{};
    must(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0, "waitid");
}

}  // namespace kqbench
