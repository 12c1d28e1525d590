// SPDX-License-Identifier: BSD-2-Clause
// Files, processes and signals: against inotify, pidfds and a signalfd in an epoll set.
#include <signal.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cstdio>

#include "pairs.h"

namespace kqbench {
namespace {

// ---- files ----

template <class Queue>
class FileWatch;

template <>
class FileWatch<KqQueue> {
  public:
    void add(int fd) {
        queue_.change(fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_DELETE | NOTE_ATTRIB);
    }
    void wait_for_write(int fd) {
        KqQueue::Events<1> events;
        must(queue_.wait(events) == 1, "no event of a file");
        must(events[0].ident == static_cast<uintptr_t>(fd) && (events[0].fflags & NOTE_WRITE) != 0,
             "another event of a file");
    }

  private:
    KqQueue queue_;
};

template <>
class FileWatch<RawQueue> {
  public:
    FileWatch() { queue_.watch_read(inotify_.fd()); }

    // IN_ATTRIB tells of the last link's going too: of an open file nothing else does.
    void add(int fd) {
        char path[64];
        (void)std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        must(::inotify_add_watch(inotify_.fd(), path, IN_MODIFY | IN_ATTRIB) >= 0,
             "inotify_add_watch");
    }
    // A program must look at the file to tell a write from a truncation, or a removal from chmod().
    void wait_for_write(int fd) {
        RawQueue::Events<1> events;
        alignas(inotify_event) char buffer[4096];
        struct stat state;
        must(queue_.wait(events) == 1, "no event of a file");
        must(::read(inotify_.fd(), buffer, sizeof buffer) > 0, "inotify, read");
        must(::fstat(fd, &state) == 0, "fstat");
    }

  private:
    QueueDescriptor inotify_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    RawQueue queue_;
};

template <class Queue>
Measurement vnode_add(Use<Queue>, long count) {
    const TempFiles files(static_cast<int>(count));
    FileWatch<Queue> watch;
    const Held before;
    const int64_t start = now_ns();
    for (int i = 0; i < files.size(); i++)
        watch.add(files[i]);
    Measurement found = per_op(now_ns() - start, count);
    found.add_held(before, count);
    return found;
}

template <class Queue>
Measurement vnode_event(Use<Queue>, long writes) {
    const TempFiles files(1);
    FileWatch<Queue> watch;
    watch.add(files[0]);
    const int64_t start = now_ns();
    for (long i = 0; i < writes; i++) {
        must(::pwrite(files[0], "x", 1, 0) == 1, "pwrite");
        watch.wait_for_write(files[0]);
    }
    return per_op(now_ns() - start, writes);
}

// ---- processes ----

template <class Queue>
class ExitWatch;

template <>
class ExitWatch<KqQueue> {
  public:
    void add(pid_t pid) { queue_.change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT); }
    // How many exits it took: at least one.
    int collect() {
        KqQueue::Events<64> events;
        const int n = queue_.wait(events);
        for (int i = 0; i < n; i++)
            must((events[i].fflags & NOTE_EXIT) != 0 &&
                     WEXITSTATUS(events[i].data) == Children::kStatus,
                 "another exit");
        return n;
    }

  private:
    KqQueue queue_;
};

template <>
class ExitWatch<RawQueue> {
  public:
    void add(pid_t pid) {
        const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
        must(fd >= 0, "pidfd_open");
        queue_.watch_read(fd);
    }
    int collect() {
        RawQueue::Events<64> events;
        const int n = queue_.wait(events);
        for (int i = 0; i < n; i++) {
            const int fd = events[i].data.fd;
            siginfo_t info{};
            must(::waitid(P_PIDFD, static_cast<id_t>(fd), &info, WEXITED | WNOWAIT) == 0, "waitid");
            must(info.si_status == Children::kStatus, "another exit");
            ::close(fd);
        }
        return n;
    }

  private:
    RawQueue queue_;
};

// Only the collecting is in `ns`: the children have all ended before it begins.
template <class Queue>
Measurement proc_exit(Use<Queue>, long count) {
    Children children(static_cast<int>(count));
    ExitWatch<Queue> watch;
    const Held before;
    const int64_t begun = now_ns();
    for (int i = 0; i < children.size(); i++)
        watch.add(children[i]);
    const Measurement add = per_op(now_ns() - begun, count);
    Measurement held;
    held.add_held(before, count);
    children.let_go();
    children.wait_until_ended();
    const int64_t start = now_ns();
    for (int got = 0; got < children.size();)
        got += watch.collect();
    Measurement found = per_op(now_ns() - start, count);
    found.also = std::move(held.also);
    found.also.emplace_back("add_ns", add.ns);
    return found;
}

// ---- signals ----

template <class Queue>
class SignalWatch;

template <>
class SignalWatch<KqQueue> {
  public:
    explicit SignalWatch(int number) { queue_.change(number, EVFILT_SIGNAL, EV_ADD); }
    void wait_for(int number) {
        KqQueue::Events<1> events;
        must(queue_.wait(events) == 1, "no signal");
        must(events[0].ident == static_cast<uintptr_t>(number) && events[0].data == 1,
             "another signal");
    }

  private:
    KqQueue queue_;
};

template <>
class SignalWatch<RawQueue> {
  public:
    explicit SignalWatch(int number) : signals_(open(number)) { queue_.watch_read(signals_.fd()); }
    void wait_for(int number) {
        RawQueue::Events<1> events;
        signalfd_siginfo info;
        must(queue_.wait(events) == 1, "no signal");
        must(::read(signals_.fd(), &info, sizeof info) == sizeof info, "signalfd, read");
        must(info.ssi_signo == static_cast<uint32_t>(number), "another signal");
    }

  private:
    static int open(int number) {
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, number);
        must(::sigprocmask(SIG_BLOCK, &set, nullptr) == 0, "sigprocmask");
        return ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    }

    QueueDescriptor signals_;
    RawQueue queue_;
};

template <class Queue>
Measurement signals(Use<Queue>, long count) {
    (void)::signal(SIGUSR1, SIG_IGN);
    SignalWatch<Queue> watch(SIGUSR1);
    const pid_t self = ::getpid();
    const int64_t start = now_ns();
    for (long i = 0; i < count; i++) {
        must(::kill(self, SIGUSR1) == 0, "kill");
        watch.wait_for(SIGUSR1);
    }
    return per_op(now_ns() - start, count);
}

constexpr Workload kWorkloads[] = {
    {"vnode_add", "EV_ADD of 5,000 files; raw: inotify, /proc/self/fd/N", 5'000, 200, "raw", 1.15,
     kq_and_raw([](auto use, long n) { return vnode_add(use, n); })},
    {"vnode_event", "a write and its NOTE_WRITE; raw: inotify, fstat()", 50'000, 500, "raw", 1.15,
     kq_and_raw([](auto use, long n) { return vnode_event(use, n); })},
    {"proc_exit", "1,000 exits collected; raw: pidfds, waitid()", 1'000, 50, "raw", 1.15,
     kq_and_raw([](auto use, long n) { return proc_exit(use, n); })},
    {"signal", "a signal to this process and its event; raw: a signalfd", 100'000, 500, "raw", 1.20,
     kq_and_raw([](auto use, long n) { return signals(use, n); })},
};

}  // namespace

std::span<const Workload> system_workloads() {
    return kWorkloads;
}

}  // namespace kqbench
