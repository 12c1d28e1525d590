// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE where a sandbox or the kernel has no inotify: L-VNODE-UNREADABLE. Linux only.
#ifdef __linux__

    #include <fcntl.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    #include <cerrno>
    #include <functional>

    #include "support/deny.h"
    #include "support/kq.h"
    #include "support/thread.h"
    #include "support/tree.h"

namespace kqtest {
namespace {

constexpr int kNotPermitted = 77;

// Runs `body` in a child to which the call is denied.
void without(long call, int error, const std::function<void()>& body) {
    Child child([&] {
        if (!deny(call, error)) return kNotPermitted;
        body();
        return testing::Test::HasFailure() ? 1 : 0;
    });
    const int status = child.wait();
    if (WEXITSTATUS(status) == kNotPermitted) GTEST_SKIP() << "no seccomp filters here";
    EXPECT_EQ(status, 0) << child.errors();
}

class VnodeDegraded : public KqTest {};

TEST_F(VnodeDegraded, FilesAreLookedAtWhereTheyCannotBeWatched) {
    for (const long call : {SYS_inotify_init1, SYS_inotify_add_watch})
        for (const int error : {EPERM, ENOSYS, EACCES})
            without(call, error, [] {
                const Queue q;
                const TempFile file("abc");
                ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR,
                                         NOTE_WRITE | NOTE_EXTEND | NOTE_DELETE)),
                          0);
                expect_none(q.collect());
                write_bytes(*file.fd, "abcdef");
                expect_only(q.wait(), *file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR,
                            NOTE_WRITE | NOTE_EXTEND);
                ASSERT_EQ(::unlink(file.path.c_str()), 0);
                expect_only(q.wait(), *file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_DELETE);
                ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_DELETE)), 0);
                expect_silent(q);
            });
}

TEST_F(VnodeDegraded, DirectoriesToo) {
    without(SYS_inotify_init1, EPERM, [] {
        const Queue q;
        const Tree tree;  // no other process makes files there
        const Fd directory = open_file(tree.root().c_str(), O_RDONLY | O_DIRECTORY);
        ASSERT_EQ(q.apply(change(*directory, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)), 0);
        const Fd file = tree.file("file");
        expect_only(q.wait(), *directory, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    });
}

TEST_F(VnodeDegraded, AGrowingFileWakesItsReader) {
    without(SYS_inotify_init1, EPERM, [] {
        const Queue q;
        const TempFile file;
        const Fd reader = open_file(file.path, O_RDONLY);
        ASSERT_EQ(q.apply(change(*reader, EVFILT_READ, EV_ADD)), 0);
        expect_none(q.collect());
        write_bytes(*file.fd, 3);
        expect_only(q.wait(), *reader, EVFILT_READ, EV_ADD, 0, 3);
    });
}

TEST_F(VnodeDegraded, WhatIsNoFileIsRefusedAllTheSame) {
    without(SYS_inotify_init1, EPERM, [] {
        const Queue q;
        const Pipe p = make_pipe();
        EXPECT_EQ(q.apply(change(*p.read, EVFILT_VNODE, EV_ADD, NOTE_WRITE)), EINVAL);
        EXPECT_EQ(q.apply(change(free_number(), EVFILT_VNODE, EV_ADD, NOTE_WRITE)), EBADF);
        expect_silent(q);
    });
}

}  // namespace
}  // namespace kqtest

#endif  // __linux__
