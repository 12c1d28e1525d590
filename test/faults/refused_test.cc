// SPDX-License-Identifier: BSD-2-Clause
// What a single refusal must not do. These bugs were found by playing the scenarios, or by reading.
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

    // Returns 0 or an errno.
    static int change(const Fd& queue, uintptr_t ident, int filter, unsigned flags,
                      unsigned fflags = 0) {
        struct kevent kev {};
        EV_SET(&kev, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags,
               0, nullptr);
        const Inside inside;
        return ::kevent(*queue, &kev, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
    }
    // Returns the number of events, or -1 with errno.
    static int collect(const Fd& queue, milliseconds timeout = milliseconds{0}) {
        struct kevent events[4];
        const timespec limit{0, static_cast<long>(timeout.count()) * 1'000'000};
        const Inside inside;
        return ::kevent(*queue, nullptr, 0, events, 4, &limit);
    }

    Fd queue_;
};

// When fstat() failed, the knotes of the file were dropped without any report.
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

// With EV_CLEAR it is no news, too, when the file can be looked at again.
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

// An event came while the file could not be looked at. It is reported when the file can be looked
// at.
TEST_F(Refused, R188_NewsOfAFileThatCannotBeLookedAtAreOwed) {
    const Place place;
    ASSERT_EQ(change(queue_, ident(place.file), EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE), 0);
    put(place.file);
    refuse("fstat", EIO);
    EXPECT_EQ(collect(queue_, milliseconds{900}), 1);
    EXPECT_TRUE(report().fired);
}

// EINTR would say that the changes were made.
TEST_F(Refused, R51_AFileSystemThatIsInterruptedIsAskedAgain) {
    const Place place;
    for (const char* call : {"fstat", "inotify_add_watch"}) {
        refuse(call, EINTR);
        EXPECT_EQ(change(queue_, ident(place.file), EVFILT_VNODE, EV_ADD, NOTE_WRITE), 0);
        EXPECT_TRUE(report().fired) << call;
        EXPECT_EQ(change(queue_, ident(place.file), EVFILT_VNODE, EV_DELETE), 0);
    }
}

// One call that failed in kqueue() made the process lose all its kqueues.
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

// The answer is not EBADF, because the library cannot know whether the number is a kqueue (L-DUP).
// For a kqueue that is open by its first number, /proc need not be read.
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

// A kqueue with knotes was closed, but has a duplicate. The library cannot see the duplicate when
// the number is used again: what it watched was lost. registry::create() tries twice.
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

// A lack of memory or descriptors must not be reported as "unsupported", which would be permanent.
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

// When the library could not ask a socket once, it took the socket for a datagram socket for ever.
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

// poll() refuses more descriptors than the limit allows. With a limit of 0 it allows none.
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
