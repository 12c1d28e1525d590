// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_PROCDESC: semantics 5.7. The ident is a pidfd.
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>

#include "support/procdesc.h"
#include "support/process.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class ProcDesc : public ProcDescTest {
  protected:
    int add(int fd, int flags = 0, unsigned fflags = NOTE_EXIT) const {
        return q.apply(change(fd, EVFILT_PROCDESC, EV_ADD | flags, fflags));
    }
    void expect_exit(int fd, int status, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE()) const {
        expect_only(q.wait(), fd, EVFILT_PROCDESC, EV_ADD | EV_CLEAR | EV_ONESHOT | EV_EOF,
                    NOTE_EXIT, status, nullptr, file, line);
    }

    Queue q;
};

TEST_F(ProcDesc, S57_AnExitIsToldWithItsStatus) {
    Sleeper child(exits_with(7));
    const Fd fd = open_process(child.pid());
    ASSERT_EQ(add(*fd), 0);
    expect_silent(q);
    child.go_and_exit();
    expect_exit(*fd, 7 << 8);
    expect_silent(q);
    EXPECT_FALSE(has_knote(q, *fd, EVFILT_PROCDESC));
    EXPECT_EQ(child.reap(), 7 << 8);  // it was not reaped here
}

TEST_F(ProcDesc, S57_OneThatHasExitedAlreadyIsToldAtOnce) {
    Sleeper child(killed_by(SIGKILL));
    const Fd fd = open_process(child.pid());
    child.go_and_exit();
    ASSERT_EQ(add(*fd), 0);
    expect_exit(*fd, SIGKILL);
}

TEST_F(ProcDesc, S57_ASleepingThreadIsWoken) {
    Sleeper child(exits_with(3));
    const Fd fd = open_process(child.pid());
    ASSERT_EQ(add(*fd), 0);
    std::vector<Event> events;
    Thread waiter([&] { events = q.call({}, 16, kForever).events; });  // or join() aborts
    waiter.wait_until_asleep();
    child.go();
    waiter.join();
    expect_only(events, *fd, EVFILT_PROCDESC, EV_ADD | EV_CLEAR | EV_ONESHOT | EV_EOF, NOTE_EXIT,
                3 << 8);
}

TEST_F(ProcDesc, S57_TheProcessOfAnother) {
    Stranger stranger(exits_with(0));
    const Fd fd = open_process(stranger.pid());
    ASSERT_EQ(add(*fd), 0);
    stranger.go();
    expect_exit(*fd, 0);
}

TEST_F(ProcDesc, S57_BesideReadAndProc) {
    Sleeper child(exits_with(1));
    const Fd fd = open_process(child.pid());
    ASSERT_EQ(add(*fd), 0);
    ASSERT_EQ(q.apply(change(*fd, EVFILT_READ, EV_ADD | EV_ONESHOT)), 0);
    ASSERT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT)), 0);
    child.go_and_exit();
    size_t events = 0;
    while (events < 3)
        events += q.wait().size();
    EXPECT_EQ(events, 3u);
    expect_silent(q);
}

TEST_F(ProcDesc, R83_AnExitWhileItIsDisabledIsToldLater) {
    Sleeper child(exits_with(2));
    const Fd fd = open_process(child.pid());
    ASSERT_EQ(add(*fd, EV_DISABLE), 0);
    child.go_and_exit();
    expect_silent(q);
    ASSERT_EQ(q.apply(change(*fd, EVFILT_PROCDESC, EV_ENABLE)), 0);
    expect_exit(*fd, 2 << 8);
}

TEST_F(ProcDesc, R87_DeleteTakesThePendingEventAlong) {
    Sleeper child(exits_with(2));
    const Fd fd = open_process(child.pid());
    ASSERT_EQ(add(*fd), 0);
    child.go_and_exit();
    EXPECT_TRUE(q.wait_until_readable());
    ASSERT_EQ(q.apply(change(*fd, EVFILT_PROCDESC, EV_DELETE)), 0);
    expect_silent(q);
    EXPECT_FALSE(q.readable());
}

TEST_F(ProcDesc, S57_WithoutNoteExitItIsSilent) {
    Sleeper child(exits_with(2));
    const Fd fd = open_process(child.pid());
    ASSERT_EQ(add(*fd, 0, 0), 0);
    child.go_and_exit();
    expect_silent(q);
    ASSERT_EQ(q.apply(change(*fd, EVFILT_PROCDESC, 0, NOTE_EXIT)), 0);
    expect_exit(*fd, 2 << 8);
}

TEST_F(ProcDesc, S57_WhatItRefuses) {
    Pipe pipe = make_pipe();
    EXPECT_EQ(add(*pipe.read), EINVAL);
    EXPECT_EQ(add(q.fd()), EINVAL);
    EXPECT_EQ(add(-1), EBADF);
    const Fd fd = open_process(::getpid());
    EXPECT_EQ(add(*fd, 0, NOTE_FORK), EINVAL);
    EXPECT_EQ(q.apply(change(*fd, EVFILT_PROCDESC, EV_DELETE)), ENOENT);
    expect_silent(q);
}

}  // namespace
}  // namespace kqtest
