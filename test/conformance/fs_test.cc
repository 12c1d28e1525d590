// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_FS: semantics 5.11; R-6. The tests mount in a mount namespace of their own process.
// They are skipped if the process may not make one.
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>

#include "support/kq.h"
#include "support/library.h"
#include "support/process.h"
#include "support/thread.h"
#include "support/tree.h"

namespace kqtest {
namespace {

// Gives this process a namespace of its own, so that no other process hears of its mounts.
bool may_mount() {
    static const bool may = [] {
        return ::unshare(CLONE_NEWNS) == 0 &&
               ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    }();
    return may;
}

class Fs : public KqTest {
  protected:
    void SetUp() override {
        if (!on_linux()) GTEST_SKIP() << "EVFILT_FS is refused there: see missing_test.cc";
        if (!may_mount()) GTEST_SKIP() << "this process must not mount";
        for (const char* name : {"a", "b"})
            ASSERT_EQ(::mkdir(tree.path(name).c_str(), 0755), 0);
    }
    void TearDown() override {
        for (const char* name : {"a", "b"})
            (void)::umount2(tree.path(name).c_str(), MNT_DETACH);
    }
    void mount(const char* name, unsigned long flags = 0) const {
        EXPECT_EQ(::mount("none", tree.path(name).c_str(), "tmpfs", flags, nullptr), 0);
    }
    void unmount(const char* name) const { EXPECT_EQ(::umount(tree.path(name).c_str()), 0); }
    int add(int flags = 0, unsigned fflags = 0, int ident = 0) const {
        return q.apply(change(ident, EVFILT_FS, EV_ADD | flags, fflags));
    }
    void expect_told(unsigned fflags, int flags = 0, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE()) const {
        expect_only(q.wait(), 0, EVFILT_FS, EV_ADD | EV_CLEAR | flags, fflags, 0, nullptr, file,
                    line);
    }

    Tree tree;
    Queue q;
};

TEST_F(Fs, S511_AMountAndAnUnmountAreTold) {
    ASSERT_EQ(add(), 0);
    expect_silent(q);
    mount("a");
    expect_told(VQ_MOUNT);
    expect_silent(q);
    unmount("a");
    expect_told(VQ_UNMOUNT);
    expect_silent(q);
}

TEST_F(Fs, S511_WhatWasBeforeIsNotReported) {
    mount("a");
    ASSERT_EQ(add(), 0);
    expect_silent(q);
    mount("b");
    ASSERT_EQ(q.apply(change(1, EVFILT_FS, EV_ADD)), 0);  // it is for the older knote alone
    expect_told(VQ_MOUNT);
    expect_silent(q);
}

TEST_F(Fs, S511_ChangesBetweenTwoCallsAreOneEvent) {
    mount("a");
    ASSERT_EQ(add(), 0);
    unmount("a");
    mount("b");
    expect_told(VQ_MOUNT | VQ_UNMOUNT);
    expect_silent(q);
}

TEST_F(Fs, S511_AnotherMountInTheSamePlaceIsNews) {
    mount("a");
    ASSERT_EQ(add(), 0);
    mount("a");
    expect_told(VQ_MOUNT);
    unmount("a");
    expect_told(VQ_UNMOUNT);
}

TEST_F(Fs, S511_OtherOptionsAreNoNews) {
    mount("a");
    ASSERT_EQ(add(), 0);
    mount("a", MS_REMOUNT | MS_RDONLY);
    expect_silent(q);
}

TEST_F(Fs, S511_TheFflagsOfAChangeAreNoMask) {
    ASSERT_EQ(add(0, VQ_LOWDISK), 0);
    mount("a");
    expect_told(VQ_MOUNT);
    ASSERT_EQ(add(0, VQ_UNMOUNT), 0);  // a change of the knote
    mount("b");
    expect_told(VQ_MOUNT);
}

TEST_F(Fs, S511_ASleepingThreadIsWoken) {
    ASSERT_EQ(add(), 0);
    std::vector<Event> events;
    Thread waiter([&] { events = q.wait(); });
    waiter.wait_until_asleep();
    mount("a");
    waiter.join();
    expect_only(events, 0, EVFILT_FS, EV_ADD | EV_CLEAR, VQ_MOUNT);
}

TEST_F(Fs, R6_TheQueueIsReadableWhenSomethingWasMounted) {
    ASSERT_EQ(add(), 0);
    EXPECT_FALSE(q.readable());
    mount("a");
    EXPECT_TRUE(q.wait_until_readable());
    expect_told(VQ_MOUNT);  // although poll() took the kernel's notice: L-FS
    EXPECT_FALSE(q.readable());
}

// poll() takes the kernel's notice, each time.
TEST_F(Fs, R6_EachMountIsToldToAProgramThatPolls) {
    ASSERT_EQ(add(), 0);
    for (int round = 0; round < 3; round++) {
        mount("a");
        EXPECT_TRUE(q.readable());
        expect_told(VQ_MOUNT);
        expect_silent(q);
        unmount("a");
        EXPECT_TRUE(q.readable());
        expect_told(VQ_UNMOUNT);
    }
}

TEST_F(Fs, R307_AKqueueThatWatchesThisOne) {
    const Queue outer;
    ASSERT_EQ(outer.apply(change(q.fd(), EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(add(), 0);
    for (int round = 0; round < 2; round++) {
        expect_silent(outer);
        mount("a");
        expect_only(outer.collect(), q.fd(), EVFILT_READ, EV_ADD, 0, 1);
        expect_told(VQ_MOUNT);
        unmount("a");
        expect_only(outer.collect(), q.fd(), EVFILT_READ, EV_ADD, 0, 1);
        expect_told(VQ_UNMOUNT);
    }
}

TEST_F(Fs, S511_EachKnoteIsToldAndEachQueue) {
    const Queue other;
    ASSERT_EQ(add(), 0);
    ASSERT_EQ(add(0, 0, 7), 0);
    ASSERT_EQ(other.apply(change(0, EVFILT_FS, EV_ADD)), 0);
    mount("a");
    EXPECT_EQ(q.wait().size(), 2u);
    expect_silent(q);
    expect_only(other.wait(), 0, EVFILT_FS, EV_ADD | EV_CLEAR, VQ_MOUNT);
    expect_silent(other);
}

TEST_F(Fs, R83_WhatHappensWhileItIsDisabledIsReportedLater) {
    ASSERT_EQ(add(EV_DISABLE), 0);
    mount("a");
    expect_silent(q);
    ASSERT_EQ(q.apply(change(0, EVFILT_FS, EV_ENABLE)), 0);
    expect_told(VQ_MOUNT);
    mount("b");
    ASSERT_EQ(q.apply(change(0, EVFILT_FS, EV_DISABLE)), 0);
    expect_silent(q);
    unmount("b");
    ASSERT_EQ(q.apply(change(0, EVFILT_FS, EV_ENABLE)), 0);
    expect_told(VQ_MOUNT | VQ_UNMOUNT);
}

TEST_F(Fs, R91_DispatchReportsOnceUntilItIsEnabled) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    mount("a");
    expect_told(VQ_MOUNT, EV_DISPATCH);
    unmount("a");
    expect_silent(q);
    ASSERT_EQ(q.apply(change(0, EVFILT_FS, EV_ENABLE)), 0);
    expect_told(VQ_UNMOUNT, EV_DISPATCH);
}

TEST_F(Fs, R88_OneshotIsGoneAfterItsReport) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    mount("a");
    expect_told(VQ_MOUNT, EV_ONESHOT);
    unmount("a");
    expect_silent(q);
    EXPECT_FALSE(has_knote(q, 0, EVFILT_FS));
}

TEST_F(Fs, R87_DeleteTakesThePendingEventAndTheDescriptorsAlong) {
    const int before = count_descriptors();
    ASSERT_EQ(add(), 0);
    ASSERT_EQ(add(0, 0, 1), 0);
    mount("a");
    EXPECT_TRUE(q.wait_until_readable());
    ASSERT_EQ(q.apply(change(0, EVFILT_FS, EV_DELETE), change(1, EVFILT_FS, EV_DELETE)), 0);
    expect_silent(q);
    EXPECT_FALSE(q.readable());
    EXPECT_EQ(count_descriptors(), before);
    ASSERT_EQ(add(), 0);
    expect_silent(q);
}

}  // namespace
}  // namespace kqtest
