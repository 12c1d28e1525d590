// SPDX-License-Identifier: BSD-2-Clause
// What one refusal must not do. Each was found by playing the scenarios, or by reading.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "faults/injector.h"
#include "faults/scenarios.h"
#include "support/kq.h"

namespace kqfaults {
namespace {

class Refused : public testing::Test {
  protected:
    void SetUp() override {
        if (!prepare()) GTEST_SKIP() << "system calls cannot be refused here";
        queue_ = Fd(::kqueue());
        arm(What::nothing);
    }
    void TearDown() override { arm(What::nothing); }

    // 0 or an errno.
    static int change(const Fd& queue, uintptr_t ident, int filter, unsigned flags,
                      unsigned fflags = 0) {
        struct kevent kev {};
        EV_SET(&kev, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags,
               0, nullptr);
        const Inside inside;
        return ::kevent(*queue, &kev, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
    }
    // The number of events, or -1 and errno.
    static int collect(const Fd& queue, milliseconds timeout = milliseconds{0}) {
        struct kevent events[4];
        const timespec limit{0, static_cast<long>(timeout.count()) * 1'000'000};
        const Inside inside;
        return ::kevent(*queue, nullptr, 0, events, 4, &limit);
    }

    Fd queue_;
};

// The knotes of a file were dropped, without a word, when fstat() failed.
TEST_F(Refused, R292_AFileThatCannotBeLookedAtKeepsItsKnotes) {
    const Place place;
    const uintptr_t file = ident(place.file);
    ASSERT_EQ(change(queue_, file, kRead, EV_ADD), 0);
    ASSERT_EQ(change(queue_, file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE), 0);
    ASSERT_EQ(pwrite(*place.file, "abc", 3, 0), 3);
    refuse("fstat", EIO);
    (void)collect(queue_);
    EXPECT_TRUE(report().fired);
    arm(What::nothing);
    (void)collect(queue_, milliseconds{100});
    EXPECT_EQ(change(queue_, file, kRead, EV_DELETE), 0);
    EXPECT_EQ(change(queue_, file, EVFILT_VNODE, EV_DELETE), 0);
}

// Nor is it news, with EV_CLEAR, when it can be looked at again.
TEST_F(Refused, R95_AFileThatCannotBeLookedAtIsNoNews) {
    const Place place;
    ASSERT_EQ(pwrite(*place.file, "abc", 3, 0), 3);
    ASSERT_EQ(change(queue_, ident(place.file), kRead, EV_ADD | EV_CLEAR), 0);
    ASSERT_EQ(collect(queue_), 1);
    refuse("fstat", EIO);
    EXPECT_EQ(collect(queue_), 0);
    EXPECT_TRUE(report().fired);
    EXPECT_EQ(collect(queue_, milliseconds{50}), 0);
}

// What was told when the file could not be looked at is told when it can be.
TEST_F(Refused, R188_NewsOfAFileThatCannotBeLookedAtAreOwed) {
    const Place place;
    ASSERT_EQ(change(queue_, ident(place.file), EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE), 0);
    put(place.file);
    refuse("fstat", EIO);
    EXPECT_EQ(collect(queue_, milliseconds{900}), 1);
    EXPECT_TRUE(report().fired);
}

// EINTR says that the changes were made.
TEST_F(Refused, R51_AFileSystemThatIsInterruptedIsAskedAgain) {
    const Place place;
    for (const char* call : {"fstat", "inotify_add_watch"}) {
        refuse(call, EINTR);
        EXPECT_EQ(change(queue_, ident(place.file), EVFILT_VNODE, EV_ADD, NOTE_WRITE), 0);
        EXPECT_TRUE(report().fired) << call;
        EXPECT_EQ(change(queue_, ident(place.file), EVFILT_VNODE, EV_DELETE), 0);
    }
}

// One call that failed in kqueue() made all kqueues of the process strangers.
TEST_F(Refused, R3_AKqueueThatCannotBeMadeLeavesTheOthers) {
    ASSERT_EQ(change(queue_, 1, EVFILT_USER, EV_ADD, NOTE_TRIGGER), 0);
    const size_t before = kqtest::open_descriptors().size();
    refuse("fcntl(F_SETSIG)", ENOMEM);
    {
        const Inside inside;
        const Fd other(::kqueue());
        EXPECT_TRUE(report().fired);
    }
    EXPECT_EQ(kqtest::open_descriptors().size(), before);
    EXPECT_EQ(collect(queue_), 1);
}

// Not EBADF: the number may be a kqueue for all one knows (L-DUP). Of one that is open by the
// number it had first nothing has to be read.
TEST_F(Refused, LDup_ADuplicateThatCannotBeToldIsNotCalledBad) {
    const struct {
        const char* call;
        int error;
    } all[] = {{"open", EMFILE}, {"open", ENFILE}, {"open", ENOMEM}, {"read(/proc)", ENOMEM}};
    for (const auto& one : all) {
        Fd queue(::kqueue());
        ASSERT_EQ(change(queue, 1, EVFILT_USER, EV_ADD, NOTE_TRIGGER), 0);
        const Fd first = another(queue);
        refuse(one.call, one.error);
        EXPECT_EQ(collect(first), 1);
        const Fd second = another(queue);
        queue.reset();
        refuse(one.call, one.error);
        EXPECT_EQ(collect(second), -1);
        EXPECT_EQ(errno, one.error);
        EXPECT_EQ(collect(second), 1);
    }
}

// A kqueue with knotes was closed and has a duplicate, and that cannot be told when its number is
// given away: what it watched was lost. It is tried twice: registry::create().
TEST_F(Refused, LDup_TheNumberOfOneThatMayLiveOnIsNotGivenAway) {
    ASSERT_EQ(change(queue_, 1, EVFILT_USER, EV_ADD, NOTE_TRIGGER), 0);
    const Fd other = another(queue_, *queue_ + 1);
    queue_.reset();
    refuse("open", EMFILE);
    {
        const Inside inside;
        const Fd next(::kqueue());
        EXPECT_TRUE(next);
    }
    EXPECT_TRUE(report().fired);
    EXPECT_EQ(collect(other), 1);
}

// Short of something is not "unsupported", which would be for good.
TEST_F(Refused, R213_NewsOfProcessesAreRefusedForTheReasonThereIs) {
    const auto self = static_cast<uintptr_t>(getpid());
    if (change(queue_, self, EVFILT_PROC, EV_ADD, NOTE_FORK) == ENOTSUP)
        GTEST_SKIP() << "L-PROC-NEWS";
    ASSERT_EQ(change(queue_, self, EVFILT_PROC, EV_DELETE), 0);
    const struct {
        const char* call;
        int error;
        int answer;
    } all[] = {
        {"socket", EMFILE, EMFILE},
        {"socket", ENOBUFS, ENOMEM},
        {"bind", ENOMEM, ENOMEM},
        {"send(netlink)", ENOBUFS, ENOMEM},
        {"recvmmsg(netlink)", ENOBUFS, ENOMEM},
        {"readlink", ENOMEM, ENOMEM},
        {"bind", EPERM, ENOTSUP},
    };
    for (const auto& one : all) {
        refuse(one.call, one.error);
        EXPECT_EQ(change(queue_, self, EVFILT_PROC, EV_ADD, NOTE_FORK), one.answer) << one.call;
    }
    EXPECT_EQ(change(queue_, self, EVFILT_PROC, EV_ADD, NOTE_FORK), 0);
}

// A socket was taken for one of datagrams, for ever, when it could not be asked once.
TEST_F(Refused, R167_ASocketThatCannotBeAskedIsAskedAgain) {
    Ends pair = make_sockets(SOCK_STREAM);
    pair.second.reset();
    ASSERT_EQ(change(queue_, ident(pair.first), kWrite, EV_ADD), 0);
    refuse("getsockopt", ENOMEM);
    struct kevent event {};
    const timespec limit{0, 900'000'000};
    {
        const Inside inside;
        ASSERT_EQ(::kevent(*queue_, nullptr, 0, &event, 1, &limit), 1);
    }
    EXPECT_TRUE(report().fired);
    EXPECT_NE(event.flags & EV_EOF, 0);
}

// poll() takes no more descriptors than may be open: none.
TEST_F(Refused, R50_SleepsAtALimitOfNoDescriptors) {
    rlimit usual{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const Ends pipe = make_pipe();
    ASSERT_EQ(change(queue_, ident(pipe.first), kRead, EV_ADD), 0);
    rlimit none = usual;
    none.rlim_cur = 0;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EXPECT_EQ(collect(queue_, milliseconds{20}), 0);
    put(pipe.second);
    EXPECT_EQ(collect(queue_, milliseconds{900}), 1);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual), 0);
}

}  // namespace
}  // namespace kqfaults
