// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE in more kqueues than a user may have inotify instances, or than the process may have
// descriptors. The kqueues share one instance, and the program sees no difference (R-6, R-67,
// R-192, L-VNODE-LIMITS).
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <random>

#include "support/gaps.h"
#include "support/scarce.h"
#include "support/signals.h"
#include "support/thread.h"
#include "support/tree.h"

namespace kqtest {
namespace {

// `q` has an instance of its own, which others have to share.
class VnodeShared : public VnodeTest {
  protected:
    void SetUp() override { ASSERT_EQ(add(root, NOTE_REVOKE), 0); }
    static int watch(const Queue& queue, const Fd& fd, unsigned notes, int flags = EV_CLEAR) {
        return queue.apply(change(*fd, EVFILT_VNODE, EV_ADD | flags, notes));
    }
    // Queues that watch the file so.
    std::vector<Queue> share(size_t count, unsigned notes) const {
        std::vector<Queue> queues(count);
        const NoDescriptors none;
        for (const Queue& queue : queues)
            EXPECT_EQ(watch(queue, file, notes), 0);
        return queues;
    }
    void expect_in(const Queue& queue, unsigned notes, int line = __builtin_LINE()) const {
        expect_only(queue.collect(), *file, EVFILT_VNODE, EV_ADD | EV_CLEAR, notes, 0, nullptr,
                    __FILE__, line);
    }
    void overwrite() const { ASSERT_EQ(::pwrite(*file, "x", 1, 0), 1); }

    const Fd root = open_file(tree.root(), O_RDONLY | O_DIRECTORY);
    const Fd file = tree.file("file", "content");
};

TEST_F(VnodeShared, R67_MoreQueuesThanInstances) {
    long most = 128;
    std::ifstream("/proc/sys/fs/inotify/max_user_instances") >> most;
    if (most > 1000) GTEST_SKIP() << "too many";
    struct rlimit before {};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit more = before;
    more.rlim_cur = std::min<rlim_t>(8192, before.rlim_max);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &more), 0);
    {
        std::vector<Queue> queues(static_cast<size_t>(most) + 100);
        for (const Queue& queue : queues)
            ASSERT_EQ(watch(queue, file, NOTE_WRITE | NOTE_DELETE), 0);
        for (int i = 0; i < 2; i++) {
            overwrite();
            for (const Queue& queue : queues)
                expect_in(queue, NOTE_WRITE);
            for (const Queue& queue : queues)
                expect_none(queue.collect());
        }
        tree.unlink("file");
        for (const Queue& queue : queues)
            expect_in(queue, NOTE_DELETE);
    }
    const Queue sweeps;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(VnodeShared, R67_WithoutOneToShareItIsRefused) {
    KQ_OF(linux);
    Child child([&] {
        const Queue mine;  // the parent's instance is not ours
        const NoDescriptors none;
        if (watch(mine, file, NOTE_WRITE) != EMFILE) return 1;
        return mine.apply(change(*file, EVFILT_VNODE, EV_DELETE)) == ENOENT ? 0 : 2;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

TEST_F(VnodeShared, R6_EachIsReadableUntilItHasCollected) {
    const std::vector<Queue> queues = share(4, NOTE_WRITE);
    for (const bool backwards : {false, true}) {
        overwrite();
        for (size_t i = 0; i < queues.size(); i++) {
            const Queue& queue = queues[backwards ? queues.size() - 1 - i : i];
            EXPECT_TRUE(queue.wait_until_readable()) << i;  // whichever kqueue has read
            expect_in(queue, NOTE_WRITE);
        }
        for (const Queue& queue : queues) {
            expect_none(queue.collect());
            EXPECT_FALSE(queue.readable());
        }
    }
}

// Another kqueue has read a report for this kqueue, and has rung it. Before this kqueue has taken
// the ring, a signal rings it, too. Both are one ring.
TEST_F(VnodeShared, R6_AFileAndASignalByOneRing) {
    const SignalFunction before = ::signal(SIGUSR1, SIG_IGN);
    const std::vector<Queue> queues = share(2, NOTE_WRITE);
    const Queue& both = queues[0];
    ASSERT_EQ(both.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD)), 0);
    for (const int room : {16, 1}) {
        overwrite();
        expect_in(queues[1], NOTE_WRITE);
        ASSERT_EQ(::raise(SIGUSR1), 0);
        std::vector<Event> events = both.collect(room);
        if (room == 1)
            for (const Event& event : both.collect(room))
                events.push_back(event);
        ASSERT_EQ(events.size(), 2u);
        EXPECT_NE(events[0].filter, events[1].filter);
        expect_none(both.collect());
        EXPECT_FALSE(both.readable());
    }
    ASSERT_EQ(both.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_DELETE)), 0);
    (void)::signal(SIGUSR1, before);
}

// A kqueue first gets the reports that another kqueue has read for it, and then reads its own.
TEST_F(VnodeShared, R192_WhatAnotherHasReadComesBesideAWrite) {
    const std::vector<Queue> queues = share(2, NOTE_WRITE | NOTE_ATTRIB);
    tree.chmod("file", 0600);
    expect_in(queues[1], NOTE_ATTRIB);
    overwrite();
    expect_in(queues[0], NOTE_WRITE | NOTE_ATTRIB);
    expect_in(queues[1], NOTE_WRITE);
    expect_none(queues[0].collect());
}

TEST_F(VnodeShared, R192_EachHasItsOwnMask) {
    const std::vector<Queue> writes = share(2, NOTE_WRITE);
    const std::vector<Queue> attributes = share(2, NOTE_ATTRIB);
    overwrite();
    expect_none(attributes[0].collect());
    expect_in(writes[1], NOTE_WRITE);
    tree.chmod("file", 0600);
    expect_none(writes[1].collect());
    expect_in(attributes[1], NOTE_ATTRIB);
    expect_in(writes[0], NOTE_WRITE);
    expect_in(attributes[0], NOTE_ATTRIB);
    // One that goes takes only its own with it.
    ASSERT_EQ(writes[0].apply(change(*file, EVFILT_VNODE, EV_DELETE)), 0);
    overwrite();
    expect_none(writes[0].collect());
    expect_in(writes[1], NOTE_WRITE);
    ASSERT_EQ(attributes[0].apply(change(*file, EVFILT_VNODE, EV_ADD, NOTE_WRITE)), 0);
    overwrite();
    expect_in(attributes[0], NOTE_WRITE);
    expect_none(attributes[1].collect());
}

TEST_F(VnodeShared, R169_WhatWasBeforeIsNotReported) {
    const std::vector<Queue> queues = share(1, kChanges);
    overwrite();
    const std::vector<Queue> later = share(1, kChanges);
    expect_none(later[0].collect());
    expect_in(queues[0], NOTE_WRITE);
    expect_none(later[0].collect());
}

TEST_F(VnodeShared, R190_WhatIsDisabledAccumulates) {
    const std::vector<Queue> queues = share(2, kChanges);
    ASSERT_EQ(queues[0].apply(change(*file, EVFILT_VNODE, EV_DISABLE)), 0);
    overwrite();
    expect_in(queues[1], NOTE_WRITE);
    tree.chmod("file", 0600);
    expect_in(queues[1], NOTE_ATTRIB);
    expect_none(queues[0].collect());
    EXPECT_FALSE(queues[0].readable());
    ASSERT_EQ(queues[0].apply(change(*file, EVFILT_VNODE, EV_ENABLE)), 0);
    expect_in(queues[0], NOTE_WRITE | NOTE_ATTRIB);
}

TEST_F(VnodeShared, R6_SleepersInAllOfThemWake) {
    const std::vector<Queue> queues = share(4, NOTE_WRITE);
    for (int round = 0; round < 20; round++) {
        std::atomic<int> woken{0};
        std::vector<Thread> threads;
        for (const Queue& queue : queues)
            threads.emplace_back([&queue, &woken] {
                const std::vector<Event> events = queue.wait();
                woken += events.size() == 1 && events[0].fflags == NOTE_WRITE ? 1 : 0;
            });
        if (round % 2 == 0)
            for (const Thread& thread : threads)
                thread.wait_until_asleep();
        overwrite();
        for (Thread& thread : threads)
            thread.join();
        ASSERT_EQ(woken, static_cast<int>(queues.size())) << round;
    }
}

// A kqueue wakes the kqueue that watches it, whichever kqueue has read the shared instance.
TEST_F(VnodeShared, R307_WatchedByAnotherQueue) {
    const std::vector<Queue> queues = share(2, NOTE_WRITE);
    const Queue outer;
    ASSERT_EQ(outer.apply(change(queues[0].fd(), EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    expect_none(outer.collect());
    overwrite();
    expect_in(queues[1], NOTE_WRITE);
    expect_only(outer.wait(), queues[0].fd(), EVFILT_READ, EV_ADD | EV_CLEAR, 0, 1);
    expect_in(queues[0], NOTE_WRITE);
}

TEST_F(VnodeShared, R282_ClosingOneLeavesTheOthers) {
    std::vector<Queue> queues = share(3, NOTE_WRITE);
    q = Queue();  // it was the first
    overwrite();
    queues[0] = Queue();
    { const Queue sweeps; }
    expect_in(queues[1], NOTE_WRITE);
    expect_in(queues[2], NOTE_WRITE);
    ASSERT_EQ(watch(queues[0], file, NOTE_WRITE), 0);
    overwrite();
    for (const Queue& queue : queues)
        expect_in(queue, NOTE_WRITE);
}

// The epoll set of a kqueue that was closed lives on by a duplicate.
TEST_F(VnodeShared, R11_ADuplicateGoesOn) {
    std::vector<Queue> queues = share(2, NOTE_WRITE);
    Queue copy{::dup(queues[0].fd())};
    expect_none(copy.collect());
    ASSERT_EQ(queues[0].close(), 0);
    overwrite();
    expect_in(queues[1], NOTE_WRITE);
    expect_in(copy, NOTE_WRITE);
    expect_none(copy.collect());
}

TEST_F(VnodeShared, R284_AForkedChildHasNothingOfIt) {
    const std::vector<Queue> queues = share(2, NOTE_WRITE);
    const size_t files = open_descriptors().size();
    Child child([&] {
        if (open_descriptors().size() >= files) return 1;
        const Queue mine;
        const Fd own = open_file(tree.path("file"), O_RDWR);
        if (watch(mine, own, NOTE_WRITE) != 0) return 2;
        const Queue second;
        {
            const NoDescriptors none;
            if (watch(second, own, NOTE_WRITE) != 0) return 3;
        }
        write_bytes(*own, 1);
        return mine.collect().size() == 1 && second.collect().size() == 1 ? 0 : 4;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
    expect_in(queues[1], NOTE_WRITE);  // the child wrote
    expect_in(queues[0], NOTE_WRITE);
    overwrite();
    expect_in(queues[0], NOTE_WRITE);
}

// What one of them does not collect is lost for all, if it is too much: all look.
TEST_F(VnodeShared, OverflowIsNoticedByAll) {
    KQ_OF(linux);
    long most = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> most;
    const Fd noise = tree.file("noise");
    const std::vector<Queue> queues = share(3, kChanges);
    ASSERT_EQ(watch(queues[2], noise, NOTE_WRITE), 0);
    for (long i = 0; i <= most; i++)  // equal ones in a row would be one
        ASSERT_EQ(::pwrite(i % 2 == 0 ? *noise : *file, "x", 1, 0), 1);
    tree.append("file", 1);
    tree.unlink("file");
    for (size_t i = 0; i < 2; i++) {
        const std::vector<Event> events = queues[i].collect();
        ASSERT_EQ(events.size(), 1u);
        constexpr unsigned kSeen = NOTE_WRITE | NOTE_EXTEND | NOTE_DELETE;
        EXPECT_EQ(events[0].fflags & kSeen, kSeen);
    }
}

// Threads with a kqueue each, which come and go, and one file: what is written after a kqueue
// watches it is told to that one.
TEST_F(VnodeShared, R192_ThreadsComeAndGo) {
    const std::vector<Queue> stays = share(1, NOTE_WRITE);
    constexpr int kThreads = 4;
    const int rounds = on_linux() ? 150 : 20;
    std::atomic<int> missed{0};
    const NoDescriptors* none = nullptr;
    std::vector<std::vector<Queue>> queues;
    for (int i = 0; i < kThreads; i++)
        queues.emplace_back(rounds);
    // Not a method: without descriptors a sanitizer cannot see whether it may look at an object.
    const auto overwrite_file = [fd = *file] { ASSERT_EQ(::pwrite(fd, "x", 1, 0), 1); };
    none = new NoDescriptors;
    in_threads(kThreads, [&](int index) {
        std::minstd_rand random(static_cast<unsigned>(index));
        for (Queue& queue : queues[static_cast<size_t>(index)]) {
            if (watch(queue, file, NOTE_WRITE) != 0) missed++;
            for (unsigned i = random() % 3; i > 0; i--) {
                (void)queue.collect();
                overwrite_file();
                if (queue.wait().size() != 1) missed++;
            }
            if (random() % 2 == 0)
                (void)queue.apply(change(*file, EVFILT_VNODE, EV_DELETE));
            else if (random() % 2 == 0)
                queue.close();
        }
    });
    delete none;
    EXPECT_EQ(missed, 0);
    overwrite();
    EXPECT_EQ(stays[0].wait().size(), 1u);
}

}  // namespace
}  // namespace kqtest
