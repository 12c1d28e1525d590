// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE and descriptors: which are refused, several for one file, several kqueues, other
// filters on the same descriptor, closed or reused numbers.
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "support/gaps.h"
#include "support/net.h"
#include "support/thread.h"
#include "support/tree.h"

namespace kqtest {
namespace {

class VnodeDescriptor : public VnodeTest {
  protected:
    void expect_refused(int fd, int error, const char* what) const {
        EXPECT_EQ(q.apply(change(fd, EVFILT_VNODE, EV_ADD, NOTE_WRITE)), error) << what;
        EXPECT_EQ(q.apply(change(fd, EVFILT_VNODE, EV_ADD | EV_DISABLE, NOTE_WRITE)), error);
        EXPECT_EQ(q.apply(change(fd, EVFILT_VNODE, EV_DELETE)), error == EBADF ? EBADF : ENOENT);
    }
    void overwrite() const { ASSERT_EQ(::pwrite(*file, "x", 1, 0), 1); }

    const Fd file = tree.file("file", "content");
};

TEST_F(VnodeDescriptor, R62_R69_WhatIsNoFileIsRefused) {
    const Pipe pipe = make_pipe();
    const Pair sockets = make_socketpair(SOCK_STREAM);
    const Listener listener = make_listener();
    const Queue other;
    const Fd event{::eventfd(0, EFD_CLOEXEC)};
    expect_refused(*pipe.read, EINVAL, "pipe");
    expect_refused(*pipe.write, EINVAL, "pipe");
    expect_refused(*sockets.first, EINVAL, "socket");
    expect_refused(*listener.fd, EINVAL, "listener");
    expect_refused(other.fd(), EINVAL, "kqueue");
    ASSERT_EQ(q.apply(change(other.fd(), EVFILT_READ, EV_ADD)), 0);
    expect_refused(other.fd(), EINVAL, "kqueue that is watched");
    expect_refused(q.fd(), EINVAL, "itself");
    expect_refused(*event, EINVAL, "eventfd");
    expect_refused(free_number(), EBADF, "not open");
    expect_refused(-1, EBADF, "negative");
    expect_silent(q);
}

// What is refused leaves a knote of another filter as it was.
TEST_F(VnodeDescriptor, R69_WhatIsRefusedLeavesTheOthersOfTheNumber) {
    const Pair sockets = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(q.apply(change(*sockets.first, EVFILT_READ, EV_ADD | EV_DISABLE)), 0);
    expect_refused(*sockets.first, EINVAL, "socket");
    ASSERT_EQ(q.apply(change(*sockets.first, EVFILT_READ, EV_ENABLE)), 0);
    expect_refused(*sockets.first, EINVAL, "socket");
    write_bytes(*sockets.second, 1);
    expect_only(q.wait(), *sockets.first, EVFILT_READ, EV_ADD, 0, 1);
    ASSERT_EQ(q.apply(change(*sockets.first, EVFILT_READ, EV_DELETE)), 0);

    const Fd directory = open_file(tree.path("."), O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(q.apply(change(*directory, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)), 0);
    for (const int flags : {EV_ADD, EV_ADD | EV_DISABLE}) {
        EXPECT_EQ(q.apply(change(*directory, EVFILT_READ, flags)), EINVAL);
    }
    const Fd another = tree.file("another", "");
    expect_only(q.wait(), *directory, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
}

TEST_F(VnodeDescriptor, R62_FifosDevicesAndMemoryAreFiles) {
    ASSERT_EQ(::mkfifo(tree.path("fifo").c_str(), 0644), 0);
    const Fd fifo = open_file(tree.path("fifo"), O_RDWR | O_NONBLOCK);
    ASSERT_EQ(add(fifo, kChanges), 0);
    tree.chmod("fifo", 0600);
    expect(fifo, NOTE_ATTRIB);
    tree.unlink("fifo");
    expect(fifo, NOTE_DELETE);

    const Fd null = open_file("/dev/null", O_RDWR);
    ASSERT_EQ(add(null, NOTE_OPEN), 0);
    open_file("/dev/null", O_RDONLY);
    EXPECT_EQ(notes(), 1u * NOTE_OPEN);
    ASSERT_EQ(apply(null, EV_DELETE), 0);  // the whole system opens it all the time

    const Fd memory{::memfd_create("test", MFD_CLOEXEC)};
    ASSERT_EQ(add(memory, NOTE_WRITE), 0);
    std::vector<Event> events;
    Thread sleeper([&] { events = q.wait(); });
    sleeper.wait_until_asleep();
    write_bytes(*memory, 3);
    sleeper.join();
    expect_only(events, *memory, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_EXTEND);
}

TEST_F(VnodeDescriptor, R74_R192_TwoKqueuesOnOneDescriptor) {
    const Queue other;
    const Event c = change(*file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    ASSERT_EQ(q.apply(c), 0);
    ASSERT_EQ(other.apply(c), 0);
    for (int i = 0; i < 2; i++) {
        overwrite();
        expect(file, NOTE_WRITE);
        expect_nothing();
        expect_only(other.collect(), *file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    }
    ASSERT_EQ(apply(file, EV_DELETE), 0);
    overwrite();
    expect_only(other.collect(), *file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
}

TEST_F(VnodeDescriptor, R192_DescriptorsOfOneFileEachHaveTheirOwn) {
    const Fd second = open_file(tree.path("file"), O_RDWR);
    const Fd third{::dup(*file)};
    ASSERT_EQ(add(third, kChanges), 0);
    ASSERT_EQ(add(second, NOTE_ATTRIB, 0), 0);
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    overwrite();
    tree.chmod("file", 0600);
    std::map<uintptr_t, unsigned> seen;
    for (const Event& event : q.collect())
        seen[event.ident] = event.fflags;
    EXPECT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[static_cast<uintptr_t>(*file)], 1u * NOTE_WRITE);
    EXPECT_EQ(seen[static_cast<uintptr_t>(*second)], 1u * NOTE_ATTRIB);
    EXPECT_EQ(seen[static_cast<uintptr_t>(*third)], 1u * NOTE_WRITE | NOTE_ATTRIB);
}

// The kernel has one watch for them, and its events may be older than the knote.
TEST_F(VnodeDescriptor, R169_WhatWasBeforeIsNotReported) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    overwrite();
    const Fd second = open_file(tree.path("file"), O_RDWR);
    ASSERT_EQ(add(second, NOTE_WRITE), 0);
    expect(file, NOTE_WRITE);
    ASSERT_EQ(apply(file, EV_DELETE), 0);
    ASSERT_EQ(apply(second, EV_DELETE), 0);

    ASSERT_EQ(::lseek(*file, 0, SEEK_END), 7);
    ASSERT_EQ(q.apply(change(*file, EVFILT_READ, EV_ADD)), 0);
    expect_nothing();
    overwrite();
    ASSERT_EQ(add(file, kChanges), 0);
    expect_nothing();
    tree.chmod("file", 0600);
    expect(file, NOTE_ATTRIB);
}

// The kernel's watch shrinks to what is left.
TEST_F(VnodeDescriptor, R192_OneThatGoesTakesOnlyItsOwnWithIt) {
    const Fd second = open_file(tree.path("file"), O_RDWR);
    for (const bool close : {false, true}) {
        Fd third = open_file(tree.path("file"), O_RDWR);
        ASSERT_EQ(add(file, NOTE_WRITE), 0);
        ASSERT_EQ(add(second, NOTE_DELETE), 0);
        ASSERT_EQ(add(third, NOTE_ATTRIB | NOTE_OPEN), 0);
        if (close)
            third.reset();
        else
            ASSERT_EQ(apply(third, EV_DELETE), 0);
        tree.chmod("file", close ? 0600 : 0644);
        open_file(tree.path("file"), O_RDONLY);
        expect_nothing();
        overwrite();
        expect(file, NOTE_WRITE);
        ASSERT_EQ(apply(file, EV_DELETE), 0);
        overwrite();
        EXPECT_FALSE(q.readable());  // the kernel was not even asked for it
        tree.unlink("file");
        tree.make("file");
        if (!close) expect(second, NOTE_DELETE);
    }
}

TEST_F(VnodeDescriptor, R192_BesideOtherFilters) {
    ASSERT_EQ(::lseek(*file, 0, SEEK_END), 7);
    ASSERT_EQ(q.apply(change(*file, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    ASSERT_EQ(add(file, NOTE_ATTRIB), 0);
    expect_nothing();
    tree.chmod("file", 0600);
    expect(file, NOTE_ATTRIB);
    tree.append("file", 3);
    expect_only(q.collect(), *file, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 3);
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    tree.append("file", 2);
    EXPECT_EQ(q.collect().size(), 2u);
    ASSERT_EQ(q.apply(change(*file, EVFILT_READ, EV_DELETE)), 0);
    overwrite();
    expect(file, NOTE_WRITE);
    ASSERT_EQ(q.apply(change(*file, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    EXPECT_EQ(q.collect().size(), 1u);
    ASSERT_EQ(apply(file, EV_DELETE), 0);
    tree.append("file", 2);
    expect_only(q.collect(), *file, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 7);
    ASSERT_EQ(q.apply(change(*file, EVFILT_WRITE, EV_ADD | EV_ONESHOT)), 0);
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    expect_only(q.collect(), *file, EVFILT_WRITE, EV_ADD | EV_ONESHOT);
    overwrite();
    EXPECT_EQ(q.collect().size(), 2u);  // the reader has not read, and this is news
}

TEST_F(VnodeDescriptor, R193_AClosedDescriptorIsSilent) {
    for (const int flags : {0, EV_CLEAR, EV_DISPATCH}) {
        Fd fd = open_file(tree.path("file"), O_RDWR);
        ASSERT_EQ(add(fd, kAllNotes, flags), 0);
        overwrite();
        fd.reset();
        overwrite();
        expect_nothing();
        EXPECT_FALSE(q.readable());
    }
    Fd fd = open_file(tree.path("file"), O_RDWR);
    ASSERT_EQ(add(fd, NOTE_WRITE, 0), 0);
    overwrite();
    expect(fd, NOTE_WRITE, 0);  // the knote stays queued; the kernel reports nothing after that
    fd.reset();
    expect_nothing();
}

TEST_F(VnodeDescriptor, R193_AReusedNumberIsAnotherFile) {
    tree.make("other");
    for (const bool look : {false, true}) {
        Fd fd = open_file(tree.path("file"), O_RDWR);
        const int number = *fd;
        ASSERT_EQ(add(fd, kChanges, 0), 0);
        if (look) {
            overwrite();
            expect(fd, NOTE_WRITE, 0);
        }
        fd.reset();
        fd = open_file(tree.path("other"), O_RDWR);
        ASSERT_EQ(*fd, number);
        overwrite();
        tree.append("other", 1);
        expect_nothing();
        ASSERT_EQ(add(fd, kChanges), 0);
        overwrite();
        expect_nothing();
        tree.append("other", 1);
        expect(fd, NOTE_WRITE | NOTE_EXTEND);
        ASSERT_EQ(apply(fd, EV_DELETE), 0);
    }
}

// Found by a storm: a file that was removed and closed gave its inode number, too, to the next one
// at its descriptor, which was taken for the former, whose watch was no more: nothing was told.
TEST_F(VnodeDescriptor, R193_AReusedNumberWithAReusedInodeIsAnotherFile) {
    for (int i = 0; i < 8; i++) {
        const Fd next = tree.file("next");
        ASSERT_EQ(add(next, NOTE_WRITE | NOTE_DELETE), 0);
        expect_nothing();
        write_bytes(*next, 1);
        expect(next, NOTE_WRITE | NOTE_EXTEND);
        tree.unlink("next");
        expect(next, NOTE_DELETE);
    }
}

TEST_F(VnodeDescriptor, R193_AReusedInodeIsAnotherFileWhereNobodyAsked) {
    KQ_OF(linux);  // which tells of the end of the former
    {
        const Fd first = tree.file("next");
        ASSERT_EQ(add(first, NOTE_WRITE | NOTE_DELETE), 0);
        tree.unlink("next");
    }
    const Fd second = tree.file("next");
    write_bytes(*second, 1);
    expect_nothing();
    EXPECT_EQ(apply(second, EV_DELETE), ENOENT);
}

TEST_F(VnodeDescriptor, R193_ChangesOfAReusedNumber) {
    for (const int flags : {EV_DELETE, EV_ENABLE, EV_DISABLE, 0}) {
        Fd fd = open_file(tree.path("file"), O_RDWR);
        ASSERT_EQ(add(fd, kChanges, flags == EV_ENABLE ? EV_DISABLE : 0), 0);
        fd.reset();
        EXPECT_EQ(q.apply(change(lowest_free_number(), EVFILT_VNODE, EV_ADD, NOTE_WRITE)), EBADF);
        fd = tree.file("other");
        EXPECT_EQ(apply(fd, flags), ENOENT);
        expect_silent(q);
    }
}

TEST_F(VnodeDescriptor, R194_NoLockIsLost) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    ASSERT_EQ(::fcntl(*file, F_SETLK, &lock), 0);
    const auto held = [&] {
        return Child([&] {
                   struct flock probe {};
                   probe.l_type = F_WRLCK;
                   probe.l_whence = SEEK_SET;
                   const int fd = ::open(tree.path("file").c_str(), O_RDWR);
                   return ::fcntl(fd, F_GETLK, &probe) == 0 && probe.l_type != F_UNLCK ? 0 : 1;
               }).wait() == 0;
    };
    ASSERT_EQ(add(file, kAllNotes), 0);
    EXPECT_TRUE(held());
    overwrite();
    (void)q.collect();
    ASSERT_EQ(add(file, NOTE_WRITE | NOTE_DELETE), 0);
    ASSERT_EQ(apply(file, EV_DELETE), 0);
    EXPECT_TRUE(held());
    ASSERT_EQ(add(file, kAllNotes), 0);
    ASSERT_EQ(q.close(), 0);
    const Queue another;
    EXPECT_TRUE(held());
    q = Queue();
}

TEST_F(VnodeDescriptor, R193_ClosingAKqueueEndsItsWatches) {
    const size_t before = open_descriptors().size();
    for (int i = 0; i < 140; i++) {  // more than a user may have inotify instances
        const Queue queue;
        ASSERT_EQ(queue.apply(change(*file, EVFILT_VNODE, EV_ADD, NOTE_WRITE)), 0) << i;
    }
    { const Queue sweeps; }
    EXPECT_LE(open_descriptors().size(), before + 4);
}

// One inotify instance, whatever the number of watches.
TEST_F(VnodeDescriptor, R192_TenThousandWatchesAreOneDescriptor) {
    constexpr int kMany = 10'000;
    struct rlimit limit {};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < kMany + 100) {
        if (limit.rlim_max < kMany + 100) GTEST_SKIP() << "too few descriptors";
        struct rlimit more = limit;
        more.rlim_cur = limit.rlim_max;
        ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &more), 0);
    }
    std::vector<Fd> files;
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    for (int i = 0; i < kMany; i++)
        files.push_back(tree.file("f" + std::to_string(i)));
    const int free = lowest_free_number();
    for (const Fd& fd : files)
        ASSERT_EQ(add(fd, kChanges), 0);
    EXPECT_EQ(lowest_free_number(), free);
    for (const int i : {0, 5'000, kMany - 1}) {
        write_bytes(*files[static_cast<size_t>(i)], 1);
        expect(files[static_cast<size_t>(i)], NOTE_WRITE | NOTE_EXTEND);
    }
    expect_nothing();
    files.clear();
    overwrite();
    expect(file, NOTE_WRITE);
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace kqtest
