// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROC with NOTE_EXIT, of children, and what and
// R-86 say of EVFILT_PROC.
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>
#include <climits>

#include "support/kq.h"
#include "support/library.h"
#include "support/process.h"

namespace kqtest {
namespace {

constexpr int kExitFlags = EV_ADD | EV_ONESHOT | EV_CLEAR | EV_EOF;

Event watch(pid_t pid, unsigned fflags = NOTE_EXIT, void* udata = nullptr) {
    return change(pid, EVFILT_PROC, EV_ADD, fflags, 0, udata);
}
Event with(pid_t pid, int flags, unsigned fflags = 0, void* udata = nullptr) {
    return change(pid, EVFILT_PROC, flags, fflags, 0, udata);
}

// Expects exactly one event, which says that this process has exited with this status.
void expect_exit(const std::vector<Event>& events, pid_t pid, int status, void* udata = nullptr,
                 const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    expect_only(events, pid, EVFILT_PROC, kExitFlags, NOTE_EXIT, status, udata, file, line);
}

class Proc : public KqTest {
  protected:
    Queue q;
};

TEST_F(Proc, R198_KilledByASignal) {
    Sleeper child;
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    expect_none(q.collect());
    ::kill(child.pid(), SIGKILL);
    expect_exit(q.wait(), child.pid(), SIGKILL);
    expect_silent(q);
}

TEST_F(Proc, R199_ExitedWithACode) {
    for (const int code : {0, 1, 64, 255}) {
        Sleeper child(exits_with(code));
        ASSERT_EQ(q.apply(watch(child.pid())), 0);
        child.go();
        const auto events = q.wait();
        expect_exit(events, child.pid(), code << 8);
        ASSERT_EQ(events.size(), 1u);
        const int status = static_cast<int>(events[0].data);
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status), code);
    }
}

TEST_F(Proc, R199_SignalsDecode) {
    for (const int signal : {SIGTERM, SIGSEGV, SIGHUP}) {
        Sleeper child(killed_by(signal));
        ASSERT_EQ(q.apply(watch(child.pid())), 0);
        child.go();
        const auto events = q.wait();
        ASSERT_EQ(events.size(), 1u);
        const int status = static_cast<int>(events[0].data);
        EXPECT_TRUE(WIFSIGNALED(status));
        EXPECT_EQ(WTERMSIG(status), signal);
        EXPECT_EQ(child.reap(), status);
    }
}

TEST_F(Proc, R200_TheKnoteGoesWithTheEvent) {
    Sleeper child;
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    child.go();
    expect_exit(q.wait(), child.pid(), 0);
    EXPECT_EQ(q.apply(with(child.pid(), EV_DELETE)), ENOENT);
    EXPECT_FALSE(has_knote(q, child.pid(), EVFILT_PROC));
}

TEST_F(Proc, R201_DoesNotReap) {
    Sleeper child(exits_with(9));
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    child.go();
    expect_exit(q.wait(), child.pid(), 9 << 8);
    EXPECT_EQ(child.reap(), 9 << 8);
}

TEST_F(Proc, R202_ReapedBeforeItIsCollected) {
    Sleeper child(exits_with(5));
    const pid_t pid = child.pid();
    ASSERT_EQ(q.apply(watch(pid)), 0);
    EXPECT_EQ(child.go_and_reap(), 5 << 8);
    const auto events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].fflags, unsigned{NOTE_EXIT});
    EXPECT_TRUE(events[0].data == 5 << 8 || events[0].data == 0);  // by the kernel: L-PROC-STATUS
    EXPECT_EQ(q.apply(with(pid, EV_DELETE)), ENOENT);
}

TEST_F(Proc, R202_ReapedByTheKernelItself) {
    struct sigaction ignore {};
    struct sigaction before {};
    ignore.sa_handler = SIG_IGN;
    ASSERT_EQ(::sigaction(SIGCHLD, &ignore, &before), 0);
    Sleeper child(exits_with(5));
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    child.go();
    const auto events = q.wait();
    EXPECT_EQ(events.size(), 1u);
    child.reap();
    ::sigaction(SIGCHLD, &before, nullptr);
}

TEST_F(Proc, R203_DeletedBeforeTheExit) {
    Sleeper child;
    const int before = count_descriptors();
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    ASSERT_EQ(q.apply(with(child.pid(), EV_DELETE)), 0);
    EXPECT_EQ(count_descriptors(), before);
    child.go_and_exit();
    expect_none(q.collect());
    expect_silent(q);
}

TEST_F(Proc, R203_DeletedAfterTheExit) {
    Sleeper child;
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    child.go_and_exit();
    ASSERT_EQ(q.apply(with(child.pid(), EV_DELETE)), 0);
    expect_silent(q);
}

TEST_F(Proc, R204_AZombieFiresAtOnce) {
    Sleeper child(exits_with(3));
    child.go_and_exit();
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    expect_exit(q.collect(), child.pid(), 3 << 8);
}

TEST_F(Proc, R204_InTheSameCall) {
    Sleeper child(killed_by(SIGKILL));
    child.go_and_exit();
    const Result result = q.call({watch(child.pid())}, 4, &kAtOnce);
    EXPECT_EQ(result.ret, 1) << result;
    expect_exit(result.events, child.pid(), SIGKILL);
}

TEST_F(Proc, R204_AZombieIsNoProcessForOtherEvents) {
    Sleeper child;
    child.go_and_exit();
    EXPECT_EQ(q.apply(watch(child.pid(), 0)), ESRCH);
    EXPECT_FALSE(has_knote(q, child.pid(), EVFILT_PROC));
}

TEST_F(Proc, R205_ReapedIsNoProcess) {
    Sleeper child;
    const pid_t pid = child.pid();
    child.go_and_reap();
    EXPECT_EQ(q.apply(watch(pid)), ESRCH);
    EXPECT_EQ(q.apply(watch(pid, 0)), ESRCH);
    expect_silent(q);
}

TEST_F(Proc, R206_TwoQueues) {
    const Queue other;
    Sleeper child(exits_with(2));
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_EXIT, tag(1))), 0);
    ASSERT_EQ(other.apply(watch(child.pid(), NOTE_EXIT, tag(2))), 0);
    child.go();
    expect_exit(q.wait(), child.pid(), 2 << 8, tag(1));
    expect_exit(other.wait(), child.pid(), 2 << 8, tag(2));
}

TEST_F(Proc, R207_AskedForLater) {
    Sleeper child(exits_with(1));
    ASSERT_EQ(q.apply(watch(child.pid(), 0)), 0);
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    child.go();
    expect_exit(q.wait(), child.pid(), 1 << 8);
}

TEST_F(Proc, R207_AskedForAfterItExited) {
    Sleeper child(exits_with(1));
    ASSERT_EQ(q.apply(watch(child.pid(), 0)), 0);
    child.go_and_exit();
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    expect_exit(q.collect(), child.pid(), 1 << 8);
}

TEST_F(Proc, R208_NoLongerAskedFor) {
    Sleeper child;
    const int before = count_descriptors();
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    ASSERT_EQ(q.apply(watch(child.pid(), 0)), 0);
    child.go_and_exit();
    ASSERT_TRUE(q.wait_until_readable());
    expect_none(q.collect());
    // D-19: and the knote is gone.
    EXPECT_EQ(q.apply(with(child.pid(), EV_DELETE)), ENOENT);
    EXPECT_EQ(count_descriptors(), before);
    expect_silent(q);
}

TEST_F(Proc, R208_NotTakenBackOnceItHasHappened) {
    Sleeper child(exits_with(4));
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    child.go_and_exit();
    ASSERT_EQ(q.apply(watch(child.pid(), 0)), 0);
    expect_exit(q.collect(), child.pid(), 4 << 8);
}

TEST_F(Proc, R86_R209_DisablingKeepsTheInterest) {
    Sleeper child(exits_with(7));
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    ASSERT_EQ(q.apply(with(child.pid(), EV_DISABLE)), 0);
    child.go_and_exit();
    expect_none(q.collect());
    ASSERT_EQ(q.apply(with(child.pid(), EV_ENABLE)), 0);
    expect_exit(q.collect(), child.pid(), 7 << 8);
    EXPECT_EQ(q.apply(with(child.pid(), EV_DELETE)), ENOENT);
}

TEST_F(Proc, R209_ReapedWhileDisabled) {
    Sleeper child(exits_with(7));
    const pid_t pid = child.pid();
    ASSERT_EQ(q.apply(with(pid, EV_ADD | EV_DISABLE, NOTE_EXIT)), 0);
    child.go_and_exit();
    expect_none(q.collect());  // here the status is taken
    child.reap();
    ASSERT_EQ(q.apply(with(pid, EV_ENABLE)), 0);
    expect_exit(q.collect(), pid, 7 << 8);
}

TEST_F(Proc, R210_DisabledAfterTheExit) {
    Sleeper child;
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    child.go_and_exit();
    ASSERT_EQ(q.apply(with(child.pid(), EV_DISABLE)), 0);
    expect_none(q.collect());
    EXPECT_FALSE(q.readable());
    EXPECT_EQ(q.apply(with(child.pid(), EV_DELETE)), 0);
    EXPECT_EQ(q.apply(with(child.pid(), EV_DELETE)), ENOENT);
    expect_silent(q);
}

TEST_F(Proc, R216_UdataIsReplaced) {
    Sleeper child;
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_EXIT, tag(1))), 0);
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_EXIT, tag(2))), 0);
    child.go();
    expect_exit(q.wait(), child.pid(), 0, tag(2));
}

TEST_F(Proc, R61_NoKnoteNoEntry) {
    Sleeper child;
    for (const int flags : {EV_DELETE, EV_ENABLE, EV_DISABLE, 0})
        EXPECT_EQ(q.apply(with(child.pid(), flags)), ENOENT) << flags;
}

TEST_F(Proc, R64_NoSuchProcess) {
    EXPECT_EQ(q.apply(watch(INT_MAX)), ESRCH);
    EXPECT_EQ(q.apply(watch(0)), ESRCH);
    EXPECT_EQ(q.apply(change(-1, EVFILT_PROC, EV_ADD, NOTE_EXIT)), ESRCH);
    EXPECT_EQ(q.apply(change(uintptr_t{1} << 31, EVFILT_PROC, EV_ADD, NOTE_EXIT)), ESRCH);
    EXPECT_EQ(q.apply(watch(INT_MAX, 0)), ESRCH);
    expect_silent(q);
}

// 2.2 as amended: no kernel looks at these bits, or at bits that only events have.
TEST_F(Proc, S22_BitsThatNoSystemDefinesAreIgnored) {
    constexpr unsigned kNoSystems = 0x01fffff8;
    Sleeper child(exits_with(1));
    ASSERT_EQ(q.apply(watch(child.pid(), kNoSystems)), 0) << "asks for nothing";
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_EXIT | NOTE_CHILD | NOTE_TRACKERR | kNoSystems)), 0);
    child.go();
    expect_exit(q.wait(), child.pid(), 1 << 8);
    Sleeper other;
    ASSERT_EQ(q.apply(watch(other.pid(), NOTE_EXIT | 0x10)), 0);
    other.go();
    expect_exit(q.wait(), other.pid(), 0);
}

TEST_F(Proc, D22_ExitStatusIsReportedIfAskedFor) {
    Sleeper child(exits_with(3));
    ASSERT_EQ(q.apply(watch(child.pid(), NOTE_EXIT | NOTE_EXITSTATUS)), 0);
    child.go();
    expect_only(q.wait(), child.pid(), EVFILT_PROC, kExitFlags, NOTE_EXIT | NOTE_EXITSTATUS,
                3 << 8);
}

TEST_F(Proc, R70_AFailureDisturbsNoOther) {
    Sleeper first(exits_with(1));
    Sleeper second(exits_with(2));
    const Event bad = watch(INT_MAX);
    expect_answers(q.call({watch(first.pid()), bad, watch(second.pid())}, 4, &kAtOnce),
                   {{bad, ESRCH}});
    first.go();
    expect_exit(q.wait(), first.pid(), 1 << 8);
    second.go();
    expect_exit(q.wait(), second.pid(), 2 << 8);
}

TEST_F(Proc, FlagsAreReportedAsGiven) {
    Sleeper child;
    const int given = EV_ADD | EV_DISPATCH | EV_RECEIPT;
    expect_answers(q.call({with(child.pid(), given, NOTE_EXIT)}, 1, &kAtOnce),
                   {{with(child.pid(), given, NOTE_EXIT), 0}});
    child.go();
    expect_only(q.wait(), child.pid(), EVFILT_PROC, kExitFlags | EV_DISPATCH | EV_RECEIPT,
                NOTE_EXIT);
    EXPECT_EQ(q.apply(with(child.pid(), EV_DELETE)), ENOENT);
}

TEST_F(Proc, TheQueueIsReadableByThen) {
    Sleeper child;
    ASSERT_EQ(q.apply(watch(child.pid())), 0);
    EXPECT_FALSE(q.readable());
    child.go();
    EXPECT_TRUE(q.wait_until_readable());
    expect_exit(q.collect(), child.pid(), 0);
    EXPECT_FALSE(q.readable());
}

TEST_F(Proc, AClosedQueueLeavesNoDescriptors) {
    Sleeper child;
    Sleeper other;
    const int before = count_descriptors();
    {
        Queue closed;
        ASSERT_EQ(closed.apply(watch(child.pid()), watch(other.pid())), 0);
        EXPECT_GE(count_descriptors(), before + (on_linux() ? 2 : 1));
    }
    const Queue fresh;  // makes the library look
    (void)fresh;
    EXPECT_LE(count_descriptors(), before + 1);
    child.go();
}

}  // namespace
}  // namespace kqtest
