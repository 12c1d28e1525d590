// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC where the kernel or a sandbox lacks a system call, and in forked children. Linux
// only: other systems lack other things.
#ifdef __linux__

    #include <fcntl.h>
    #include <linux/net.h>
    #include <sched.h>
    #include <signal.h>
    #include <sys/syscall.h>
    #include <sys/wait.h>
    #include <unistd.h>

    #include <cerrno>
    #include <cstddef>
    #include <string>

    #include "support/deny.h"
    #include "support/gaps.h"
    #include "support/kq.h"
    #include "support/process.h"
    #include "support/thread.h"

namespace kqtest {
namespace {

constexpr int kExitFlags = EV_ADD | EV_ONESHOT | EV_CLEAR | EV_EOF;
constexpr int kNotPermitted = 77;

Event watch(pid_t pid, unsigned fflags = NOTE_EXIT) {
    return change(pid, EVFILT_PROC, EV_ADD, fflags);
}

// Runs `body` in a child that cannot call pidfd_open(). `errors`: what it said.
void without_pidfds(int error, const std::function<void()>& body) {
    Child child([&] {
        if (!deny(SYS_pidfd_open, error)) return kNotPermitted;
        body();
        return testing::Test::HasFailure() ? 1 : 0;
    });
    const int status = child.wait();
    if (WEXITSTATUS(status) == kNotPermitted) GTEST_SKIP() << "no seccomp filters here";
    EXPECT_EQ(status, 0) << child.errors();
}

class ProcDegraded : public KqTest {};

// ---- no pidfd_open: Linux before 5.3, or a sandbox ----

TEST_F(ProcDegraded, ChildrenWithoutPidfds) {
    for (const int error : {ENOSYS, EPERM})
        without_pidfds(error, [] {
            const Queue q;
            Sleeper child(exits_with(3));
            ASSERT_EQ(q.apply(watch(child.pid())), 0);
            expect_none(q.collect());
            child.go();
            expect_only(q.wait(), child.pid(), EVFILT_PROC, kExitFlags, NOTE_EXIT, 3 << 8);
            EXPECT_EQ(child.reap(), 3 << 8);
            EXPECT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_DELETE)), ENOENT);
        });
}

TEST_F(ProcDegraded, AZombieWithoutPidfdsFiresAtOnce) {
    without_pidfds(ENOSYS, [] {
        const Queue q;
        Sleeper child(killed_by(SIGKILL));
        child.go_and_exit();
        EXPECT_EQ(q.apply(watch(child.pid(), 0)), ESRCH);
        ASSERT_EQ(q.apply(watch(child.pid())), 0);
        expect_only(q.collect(), child.pid(), EVFILT_PROC, kExitFlags, NOTE_EXIT, SIGKILL);
    });
}

TEST_F(ProcDegraded, NoSuchProcessWithoutPidfds) {
    without_pidfds(ENOSYS, [] {
        const Queue q;
        Sleeper child;
        const pid_t pid = child.pid();
        child.go_and_reap();
        EXPECT_EQ(q.apply(watch(pid)), ESRCH);
        EXPECT_EQ(q.apply(watch(1)), 0);
        expect_none(q.collect());
        EXPECT_EQ(q.apply(change(1, EVFILT_PROC, EV_DELETE)), 0);
        expect_silent(q);
    });
}

TEST_F(ProcDegraded, StrangersWithoutPidfds) {
    KQ_OF(linux);
    without_pidfds(ENOSYS, [] {
        const Queue q;
        Stranger process(exits_with(3));
        Stranger reaped(exits_with(4));
        ASSERT_EQ(q.apply(watch(process.pid()), watch(reaped.pid())), 0);
        process.go();
        process.wait_until_exited();
        const auto events = q.wait();
        expect_only(events, process.pid(), EVFILT_PROC, kExitFlags, NOTE_EXIT, 3 << 8);
        reaped.go();
        reaped.wait_until_exited();
        reaped.reap();  // before anybody looked: gone, with its status
        expect_only(q.wait(), reaped.pid(), EVFILT_PROC, kExitFlags, NOTE_EXIT, 0);
    });
}

TEST_F(ProcDegraded, ChangesWithoutPidfds) {
    without_pidfds(ENOSYS, [] {
        const Queue q;
        Sleeper child(exits_with(3));
        ASSERT_EQ(q.apply(watch(child.pid(), 0)), 0);
        ASSERT_EQ(q.apply(watch(child.pid())), 0);
        ASSERT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_DISABLE)), 0);
        child.go_and_exit();
        expect_none(q.collect(16, milliseconds{50}));
        ASSERT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_ENABLE)), 0);
        expect_only(q.wait(), child.pid(), EVFILT_PROC, kExitFlags, NOTE_EXIT, 3 << 8);
        Sleeper second;
        ASSERT_EQ(q.apply(watch(second.pid())), 0);
        ASSERT_EQ(q.apply(change(second.pid(), EVFILT_PROC, EV_DELETE)), 0);
        second.go_and_exit();
        expect_none(q.collect(16, milliseconds{50}));
    });
}

TEST_F(ProcDegraded, TrackingWithoutPidfds) {
    without_pidfds(ENOSYS, [] {
        const Queue q;
        Sleeper child([] {
            const pid_t pid = ::fork();
            if (pid == 0) ::_exit(5);
            ::waitpid(pid, nullptr, 0);
            return 3;
        });
        const int error = q.apply(watch(child.pid(), NOTE_TRACK | NOTE_FORK | NOTE_EXIT));
        if (error == ENOTSUP) return;
        ASSERT_EQ(error, 0);
        child.go();
        int exits = 0;
        int births = 0;
        while (exits < 2) {
            const auto events = q.wait();
            ASSERT_FALSE(events.empty());
            for (const Event& event : events) {
                exits += (event.fflags & NOTE_EXIT) != 0;
                births += (event.fflags & NOTE_CHILD) != 0;
                if ((event.fflags & NOTE_EXIT) == 0) continue;
                EXPECT_EQ(event.data,
                          event.ident == static_cast<uintptr_t>(child.pid()) ? 3 << 8 : 5 << 8);
            }
        }
        EXPECT_EQ(births, 1);
    });
}

// ---- no process connector ----

int count_lines(const std::string& text, const std::string& mark) {
    int count = 0;
    for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + 1))
        count++;
    return count;
}

// In a container, say: the request is refused, the reason is said once, and NOTE_EXIT still works.
void without_connector(const std::function<bool()>& enter, const std::string& reason) {
    Child child([&] {
        if (!enter()) return kNotPermitted;
        const Queue q;
        Sleeper process(exits_with(3));
        const int before = count_descriptors();
        for (const unsigned fflags :
             {0u + NOTE_FORK, 0u + NOTE_EXEC, 0u + NOTE_TRACK, NOTE_EXIT | NOTE_FORK})
            if (q.apply(watch(process.pid(), fflags)) != ENOTSUP) return 1;
        if (has_knote(q, process.pid(), EVFILT_PROC)) return 2;
        if (count_descriptors() != before) return 3;
        if (q.apply(watch(process.pid())) != 0) return 4;
        // A change that is refused changes nothing.
        if (q.apply(watch(process.pid(), NOTE_FORK)) != ENOTSUP) return 5;
        process.go();
        const auto events = q.wait();
        return events.size() == 1 && events[0].fflags == NOTE_EXIT && events[0].data == 3 << 8 ? 0
                                                                                               : 6;
    });
    const int status = child.wait();
    if (WEXITSTATUS(status) == kNotPermitted) GTEST_SKIP() << "cannot make such a namespace";
    EXPECT_EQ(WEXITSTATUS(status), 0) << child.errors();
    EXPECT_EQ(count_lines(child.errors(), "libkqueue: NOTE_FORK, NOTE_EXEC and NOTE_TRACK need"), 1)
        << child.errors();
    EXPECT_EQ(count_lines(child.errors(), reason), 1) << child.errors();
}

TEST_F(ProcDegraded, NoConnectorInANetworkOfItsOwn) {
    KQ_OF(linux);
    without_connector([] { return ::unshare(CLONE_NEWNET) == 0; }, "answer");
}

TEST_F(ProcDegraded, NoConnectorWithoutTheSocket) {
    KQ_OF(linux);
    without_connector(
        [] {
    #ifdef SYS_socketcall  // on older processors the C library makes one call of all of them
            if (!deny_if(SYS_socketcall, SYS_BIND, EPERM)) return false;
    #endif
            return deny(SYS_bind, EPERM);
        },
        "CAP_NET_ADMIN");
}

// In a pid namespace processes have other ids than in the reports of the process connector.
TEST_F(ProcDegraded, NoConnectorInAPidNamespace) {
    KQ_OF(linux);
    without_connector(
        [] {
            if (::unshare(CLONE_NEWPID) != 0) return false;
            const pid_t pid = ::fork();
            if (pid == 0) return true;
            int status = 0;
            ::waitpid(pid, &status, 0);
            ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
        },
        "namespace");
}

// ---- forked children ----

// The name of every open descriptor that has to do with watching processes.
int count_of_watching() {
    int count = 0;
    for (const auto& [fd, name] : open_descriptors())
        count +=
            name.find("pidfd") != std::string::npos || name.find("socket:") != std::string::npos;
    return count;
}

TEST_F(ProcDegraded, AForkedChildInheritsNothing) {
    KQ_OF(linux);
    const Queue q;
    Sleeper process;
    Sleeper other;
    const int before = count_of_watching();
    const bool news = q.apply(watch(process.pid(), NOTE_EXIT | NOTE_FORK)) == 0;
    ASSERT_EQ(
        q.apply(watch(process.pid()), watch(other.pid(), news ? NOTE_FORK | NOTE_EXIT : NOTE_EXIT)),
        0);
    EXPECT_EQ(count_of_watching(), before + 2 + (news ? 1 : 0));
    Child child([&] {
        if (count_of_watching() > before) return 1;
        // The child watches with its own descriptors. When it ends it must not stop the parent's.
        const Queue mine;
        Sleeper own(exits_with(2));
        if (mine.apply(watch(own.pid(), news ? NOTE_FORK | NOTE_EXIT : NOTE_EXIT)) != 0) return 2;
        own.go();
        const auto events = mine.wait();
        return events.size() == 1 && events[0].data == 2 << 8 ? 0 : 3;
    });
    EXPECT_EQ(WEXITSTATUS(child.wait()), 0) << child.errors();
    if (news) {
        ASSERT_EQ(q.apply(watch(::getpid(), NOTE_FORK)), 0);
        const Sleeper forked;
        expect_only(q.wait(), ::getpid(), EVFILT_PROC, EV_ADD | EV_CLEAR, NOTE_FORK);
    }
    process.go();
    EXPECT_EQ(q.wait().size(), 1u);
    other.go();
    EXPECT_EQ(q.wait().size(), 1u);
}

TEST_F(ProcDegraded, ForksWhileOthersWatch) {
    const Queue q;
    std::atomic<bool> stop{false};
    Sleeper process;
    Thread changes([&] {
        while (!stop) {
            q.apply(watch(process.pid()));
            q.apply(watch(process.pid(), NOTE_FORK));
            q.apply(change(process.pid(), EVFILT_PROC, EV_DELETE));
        }
    });
    for (int i = 0; i < 50; i++) {
        Child child([&] {
            const Queue mine;
            Sleeper own(exits_with(2));
            if (mine.apply(watch(own.pid())) != 0) return 1;
            own.go();
            return mine.wait().size() == 1 ? 0 : 2;
        });
        EXPECT_EQ(WEXITSTATUS(child.wait()), 0) << child.errors();
    }
    stop = true;
    changes.join();
}

}  // namespace
}  // namespace kqtest

#endif
