// SPDX-License-Identifier: BSD-2-Clause
// The other calls that make a kqueue, and the version and the names in the header: semantics 1.5.
#include <fcntl.h>
#include <kqueue/signal.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "support/kq.h"

namespace kqtest {
namespace {

class EntryPoints : public KqTest {};

void expect_works_and_is_cloexec(int fd) {
    const Queue q(fd);
    ASSERT_GE(fd, 0);
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    expect_only(q.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

#ifdef LIBKQUEUE_HAS_KQUEUE1
TEST_F(EntryPoints, S15_Kqueue1) {
    for (const int flags : {0, O_CLOEXEC, O_CLOEXEC | O_NONBLOCK})
        expect_works_and_is_cloexec(::kqueue1(flags));
    for (const int flags : {O_CLOEXEC | O_APPEND, O_RDWR, -1}) {
        errno = 0;
        EXPECT_EQ(::kqueue1(flags), -1);
        EXPECT_EQ(errno, EINVAL);
    }
}
#endif

#ifdef LIBKQUEUE_HAS_KQUEUEX
TEST_F(EntryPoints, S15_Kqueuex) {
    for (const unsigned flags : {0u, KQUEUE_CLOEXEC})
        expect_works_and_is_cloexec(::kqueuex(flags));
    std::vector<unsigned> unknown{4u, 0x80000000u};
    #ifdef KQUEUE_CPONFORK
    for (const unsigned flags : {KQUEUE_CPONFORK, KQUEUE_CPONFORK | KQUEUE_CLOEXEC})
        expect_works_and_is_cloexec(::kqueuex(flags));
    #else
    unknown.insert(unknown.end(), {2u, 3u});
    #endif
    for (const unsigned flags : unknown) {
        errno = 0;
        EXPECT_EQ(::kqueuex(flags), -1);
        EXPECT_EQ(errno, EINVAL);
    }
}
#endif

TEST_F(EntryPoints, R13_ErrnoSurvivesSuccess) {
    errno = 77;
    const Queue a(::kqueue1(0));
    const Queue b(::kqueuex(0));
    EXPECT_EQ(errno, 77);
}

TEST_F(EntryPoints, TheHeaderIsThatOfTheLibrary) {
    const Queue q;
    const Result result = q.call({change(0, EVFILT_LIBKQUEUE, EV_ADD, NOTE_VERSION)}, 1, kForever);
    ASSERT_EQ(result.ret, 1) << result;
    EXPECT_EQ(result.events[0].data, LIBKQUEUE_VERSION);
}

TEST_F(EntryPoints, SignalsByThePortableNames) {
    int (*const raise_it)(int) = kq_raise;  // an address can be taken, as of a function
    const Queue q;
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD)), 0);
    EXPECT_EQ(kq_kill(::getpid(), SIGUSR1), 0);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1);
    EXPECT_EQ(raise_it(SIGUSR1), 0);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1);
    EXPECT_EQ(kq_kill(::getpid(), 12345), -1);
}

}  // namespace
}  // namespace kqtest
