// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC of processes that are not our children (R-212, D-21), and of process ids that now
// name no process, or another process.
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "support/kq.h"
#include "support/leave.h"
#include "support/process.h"
#include "support/thread.h"

namespace kqtest {
namespace {

constexpr int kExitFlags = EV_ADD | EV_ONESHOT | EV_CLEAR | EV_EOF;

Event watch(pid_t pid, unsigned fflags = NOTE_EXIT) {
    return change(pid, EVFILT_PROC, EV_ADD, fflags);
}

// Whether this system tells others than the parent how a process exited, once it was reaped:
// on Linux since 6.15, with pidfds (L-PROC-STATUS, L-PROC-OLD). It is asked, not its version, since
// sandboxes and emulators know less.
bool tells_strangers() {
#ifdef __linux__
    constexpr int kPidfdOpen = 434;  // headers may be older
    constexpr unsigned long kGetInfo = _IOWR(0xff, 11, uint64_t[8]);
    uint64_t info[8] = {1u << 3};  // the mask: how it exited
    Child child(exits_with(9));
    const Fd pidfd{static_cast<int>(::syscall(kPidfdOpen, child.pid(), 0))};
    child.wait();
    return ::ioctl(*pidfd, kGetInfo, info) == 0 && (info[0] & 1u << 3) != 0;
#else
    return true;
#endif
}

class ProcForeign : public KqTest {
  protected:
    Queue q;
};

TEST_F(ProcForeign, R212_AGrandchildThatIsReapedByItsParent) {
    Stranger process(exits_with(9));
    ASSERT_EQ(q.apply(watch(process.pid())), 0);
    process.go();
    process.wait_until_exited();
    process.reap();
    expect_only(q.wait(), process.pid(), EVFILT_PROC, kExitFlags, NOTE_EXIT,
                tells_strangers() ? 9 << 8 : 0);
    EXPECT_EQ(q.apply(change(process.pid(), EVFILT_PROC, EV_DELETE)), ENOENT);
    expect_silent(q);
}

TEST_F(ProcForeign, R212_KilledByASignal) {
    Stranger process(killed_by(SIGSEGV));
    ASSERT_EQ(q.apply(watch(process.pid())), 0);
    process.go();
    process.wait_until_exited();
    process.reap();
    const auto events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(WTERMSIG(static_cast<int>(events[0].data)), tells_strangers() ? SIGSEGV : 0);
}

// No process reaps it. A process that may trace it still learns how it exited.
TEST_F(ProcForeign, R212_AZombieOfSomebodyElse) {
    Stranger process(exits_with(6));
    ASSERT_EQ(q.apply(watch(process.pid())), 0);
    process.go();
    process.wait_until_exited();
    expect_only(q.wait(), process.pid(), EVFILT_PROC, kExitFlags, NOTE_EXIT, 6 << 8);
    Queue late;
    ASSERT_EQ(late.apply(watch(process.pid())), 0);
    expect_only(late.collect(), process.pid(), EVFILT_PROC, kExitFlags, NOTE_EXIT, 6 << 8);
}

TEST_F(ProcForeign, D21_TheFirstProcessCanBeWatched) {
    ASSERT_EQ(q.apply(watch(1)), 0);
    ASSERT_EQ(q.apply(watch(::getppid())), 0);
    expect_none(q.collect());
    EXPECT_EQ(q.apply(change(1, EVFILT_PROC, EV_DELETE)), 0);
}

TEST_F(ProcForeign, R213_ThisVeryProcessCanBeWatched) {
    ASSERT_EQ(q.apply(watch(::getpid())), 0);
    expect_none(q.collect());
    expect_silent(q);
}

TEST_F(ProcForeign, AThreadIsNoProcess) {
    pid_t tid = 0;
    Gate started(2);
    Gate end(2);
    Thread thread([&] {
        tid = static_cast<pid_t>(::syscall(SYS_gettid));
        started.pass();
        end.pass();
    });
    started.pass();
    EXPECT_EQ(q.apply(watch(tid)), ESRCH);
    end.pass();
}

// The C libkqueue spins here: kevent() returned 0 at once for ever, and starved the READ knote.
TEST_F(ProcForeign, AnExitDoesNotKeepOthersFromBeingServed) {
    Stranger process(exits_with(1));
    Pipe p = make_pipe();
    ASSERT_EQ(q.apply(watch(process.pid()), change(*p.read, EVFILT_READ, EV_ADD)), 0);
    process.go();
    process.wait_until_exited();
    write_bytes(*p.write, 1);
    int reads = 0;
    int exits = 0;
    const auto end = now() + time_limit();  // without pidfds processes are looked at every 20 ms
    for (int i = 0; i < 20 || (exits == 0 && now() < end); i++)
        for (const Event& event : q.wait())
            (event.filter == EVFILT_READ ? reads : exits)++;
    EXPECT_GE(reads, 19);
    EXPECT_EQ(exits, 1);
    drain(*p.read);
    const auto begin = now();
    expect_none(q.collect(16, milliseconds{50}));
    EXPECT_GE(since(begin), milliseconds{45});
}

// ---- without the right to know ----

constexpr int kNotPermitted = 77;
constexpr int kWithoutStatus = 6;

// Watches a process that exits with 9 after a byte was written to `ready`. Runs as the user
// "nobody". Returns 0 if there is one event that says so, and otherwise what is wrong.
int watch_it(pid_t pid, int ready) {
    Queue mine;
    if (mine.apply(watch(pid)) != 0) return 1;
    if (::write(ready, "x", 1) != 1) return 2;
    const auto events = mine.wait();
    if (events.size() != 1 || events[0].fflags != NOTE_EXIT) return 3;
    if (events[0].data != 9 << 8 && events[0].data != 0) return 4;
    if (!mine.collect(16, milliseconds{0}).empty()) return 5;
    return events[0].data == 0 ? kWithoutStatus : 0;
}

// What `watcher(pid, ready)` returns for the user "nobody". It watches a process of root, which is
// then reaped or not.
int as_nobody(bool reap, const std::function<int(pid_t, int)>& watcher) {
    if (::geteuid() != 0) return kNotPermitted;
    Stranger process(exits_with(9));
    Pipe ready = make_pipe();
    Thread root([&] {
        read_bytes(*ready.read, 1);
        process.go();
        process.wait_until_exited();
        if (reap) process.reap();
    });
    Child child([&] {
        if (!become_nobody()) return kNotPermitted;
        return watcher(process.pid(), *ready.write);
    });
    const int status = child.wait();
    EXPECT_EQ(child.errors(), "");
    write_bytes(*ready.write, 1);  // in case it did not
    root.join();
    return WEXITSTATUS(status);
}

TEST_F(ProcForeign, R212_AsAnUnprivilegedUser) {
    const int expected = tells_strangers() ? 0 : kWithoutStatus;
    int result = -1;
    // There is no status if the parent's thread does not run, and reaps after 200 ms.
    for (int tries = 0; tries < 3 && result != expected; tries++) {
        result = as_nobody(true, watch_it);
        if (result == kNotPermitted) GTEST_SKIP() << "cannot become nobody";
    }
    EXPECT_EQ(result, expected);
}

// In microseconds.
long processor_time() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1'000'000 + used.ru_utime.tv_usec +
           used.ru_stime.tv_usec;
}

// The process stays a zombie, and the user "nobody" may not ask how it exited. The event still
// comes, after a while, without a status.
TEST_F(ProcForeign, R212_AnEventIsNotDelayedForEver) {
    const int result = as_nobody(false, [](pid_t pid, int ready) {
        const auto begin = now();
        const long before = processor_time();
        const int seen = watch_it(pid, ready);
        if (seen != kWithoutStatus) return seen;
        if (processor_time() - before > 30'000) return 8;  // it spins
        return since(begin) >= milliseconds{150} ? 0 : 7;
    });
    if (result == kNotPermitted) GTEST_SKIP() << "cannot become nobody";
    EXPECT_EQ(result, 0);
}

// ---- a number that is used again ----

#ifdef __linux__
// A child with this very number, which the kernel lets CAP_SYS_ADMIN choose. -1: not permitted.
pid_t fork_as(pid_t number) {
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
        uint64_t set_tid, set_tid_size, cgroup;
    } args{};
    args.exit_signal = SIGCHLD;
    args.set_tid = reinterpret_cast<uintptr_t>(&number);
    args.set_tid_size = 1;
    const pid_t pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid == 0) {
        ::pause();
        ::_exit(0);
    }
    return pid;
}

TEST_F(ProcForeign, ANumberThatIsUsedAgainIsAnotherProcess) {
    for (const int flags : {0, EV_DISABLE}) {
        Sleeper first(exits_with(1));
        const pid_t pid = first.pid();
        ASSERT_EQ(q.apply(change(pid, EVFILT_PROC, EV_ADD | flags, NOTE_EXIT, 0, tag(1))), 0);
        ASSERT_EQ(first.go_and_reap(), 1 << 8);
        if (flags != 0) expect_none(q.collect());
        const pid_t second = fork_as(pid);
        if (second < 0) GTEST_SKIP() << "cannot choose the number of a process";
        ASSERT_EQ(second, pid);
        ASSERT_EQ(q.apply(change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, tag(2))), 0);
        expect_none(q.collect());
        ::kill(second, SIGKILL);
        expect_only(q.wait(), pid, EVFILT_PROC, kExitFlags, NOTE_EXIT, SIGKILL, tag(2));
        expect_silent(q);
        ::waitpid(second, nullptr, 0);
    }
}

TEST_F(ProcForeign, AReportOfAFormerProcessIsNotThatOfTheNext) {
    Sleeper first(exits_with(1));
    const pid_t pid = first.pid();
    ASSERT_EQ(q.apply(watch(pid)), 0);
    first.go_and_reap();
    ASSERT_EQ(q.apply(change(pid, EVFILT_PROC, EV_DELETE)), 0);
    const pid_t second = fork_as(pid);
    if (second < 0) GTEST_SKIP() << "cannot choose the number of a process";
    ASSERT_EQ(q.apply(watch(pid)), 0);
    expect_none(q.collect());
    ::kill(second, SIGKILL);
    EXPECT_EQ(q.wait().size(), 1u);
    ::waitpid(second, nullptr, 0);
}
#endif

}  // namespace
}  // namespace kqtest
