// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE on directories: entries that come and go, and the removal of the
// directory, which inotify does not report while the directory is open.
#include <grp.h>

#include "support/gaps.h"
#include "support/net.h"
#include "support/thread.h"
#include "support/tree.h"

namespace kqtest {
namespace {

class VnodeDirectory : public VnodeTest {
  protected:
    void SetUp() override {
        tree.make("dir/file");
        tree.make("dir/file2");
        tree.mkdir("dir/sub");
        tree.mkdir("other");
        tree.make("other/file");
        tree.mkdir("other/sub");
    }

    template <class Operation>
    unsigned after(unsigned mask, Operation operation) const {
        return reported(dir, mask, operation);
    }

    const Fd dir = tree.directory("dir");
};

TEST_F(VnodeDirectory, R182_EntriesThatComeAndGoAreWrite) {
    for (const unsigned mask : {1u * NOTE_WRITE, kChanges}) {
        EXPECT_EQ(after(mask, [&] { tree.make("dir/new"); }), 1u * NOTE_WRITE);
        EXPECT_EQ(after(mask, [&] { tree.link("dir/new", "dir/link"); }), 1u * NOTE_WRITE);
        EXPECT_EQ(after(mask, [&] { tree.unlink("dir/new"); }), 1u * NOTE_WRITE);
        EXPECT_EQ(after(mask, [&] { tree.unlink("dir/link"); }), 1u * NOTE_WRITE);
    }
}

TEST_F(VnodeDirectory, R182_ARenameWithinIsWrite) {
    for (const unsigned mask : {1u * NOTE_WRITE, kChanges}) {
        EXPECT_EQ(after(mask, [&] { tree.rename("dir/file", "dir/new"); }), 1u * NOTE_WRITE);
        EXPECT_EQ(after(mask, [&] { tree.rename("dir/new", "dir/file"); }), 1u * NOTE_WRITE);
        EXPECT_EQ(after(mask, [&] { tree.rename("dir/sub", "dir/s"); }), 1u * NOTE_WRITE);
        EXPECT_EQ(after(mask, [&] { tree.rename("dir/s", "dir/sub"); }), 1u * NOTE_WRITE);
    }
}

// The C libkqueue reports NOTE_WRITE for the first two.
TEST_F(VnodeDirectory, R182_WhatHappensToAnEntryIsNotTheDirectorys) {
    const unsigned mask = kAllNotes;
    EXPECT_EQ(after(mask, [&] { tree.append("dir/file", 3); }), 0u);
    EXPECT_EQ(after(mask, [&] { tree.chmod("dir/file", 0600); }), 0u);
    EXPECT_EQ(after(mask, [&] { tree.touch("dir/file"); }), 0u);
    EXPECT_EQ(after(mask, [&] { read_bytes(*open_file(tree.path("dir/file"), O_RDONLY), 1); }), 0u);
    EXPECT_EQ(after(mask, [&] { tree.make("dir/sub/new"); }), 0u);
}

TEST_F(VnodeDirectory, R183_SubdirectoriesThatComeAndGoAreLink) {
    for (const unsigned mask : {1u * NOTE_LINK, 1u * NOTE_WRITE, kChanges}) {
        EXPECT_EQ(after(mask, [&] { tree.mkdir("dir/new"); }), 1u * NOTE_WRITE | NOTE_LINK);
        EXPECT_EQ(after(mask, [&] { tree.rmdir("dir/new"); }), 1u * NOTE_WRITE | NOTE_LINK);
    }
    EXPECT_EQ(after(NOTE_LINK, [&] { tree.make("dir/new"); }), 0u);
    EXPECT_EQ(after(NOTE_LINK, [&] { tree.unlink("dir/new"); }), 0u);
}

TEST_F(VnodeDirectory, R183_ReplacingASubdirectoryIsLink) {
    tree.mkdir("dir/sub2");
    EXPECT_EQ(after(NOTE_LINK, [&] { tree.rename("dir/sub", "dir/sub2"); }),
              1u * NOTE_WRITE | NOTE_LINK);
    EXPECT_EQ(after(NOTE_LINK, [&] { tree.rename("dir/sub2", "dir/sub"); }), 0u);
}

TEST_F(VnodeDirectory, R184_MovesFromAndToElsewhereAreExtend) {
    for (const unsigned mask : {1u * NOTE_EXTEND, 1u * NOTE_WRITE, kChanges}) {
        EXPECT_EQ(after(mask, [&] { tree.rename("dir/file", "other/x"); }),
                  1u * NOTE_WRITE | NOTE_EXTEND);
        EXPECT_EQ(after(mask, [&] { tree.rename("other/x", "dir/file"); }),
                  1u * NOTE_WRITE | NOTE_EXTEND);
        EXPECT_EQ(after(mask, [&] { tree.rename("dir/sub", "other/x"); }),
                  1u * NOTE_WRITE | NOTE_EXTEND | NOTE_LINK);
        EXPECT_EQ(after(mask, [&] { tree.rename("other/x", "dir/sub"); }),
                  1u * NOTE_WRITE | NOTE_EXTEND | NOTE_LINK);
    }
    EXPECT_EQ(after(NOTE_EXTEND, [&] { tree.rename("dir/file", "dir/new"); }), 0u);
    EXPECT_EQ(after(NOTE_EXTEND, [&] { tree.make("dir/file"); }), 0u);
}

TEST_F(VnodeDirectory, R184_BothDirectoriesOfAMoveAreTold) {
    const Fd other = tree.directory("other");
    ASSERT_EQ(add(dir, kChanges), 0);
    ASSERT_EQ(add(other, kChanges), 0);
    tree.rename("dir/file", "other/x");
    std::vector<Event> events = q.collect();
    ASSERT_EQ(events.size(), 2u);
    for (const Event& event : events)
        EXPECT_EQ(event.fflags, 1u * NOTE_WRITE | NOTE_EXTEND);
}

// The two halves of a move may be on either side of what is read at a time.
TEST_F(VnodeDirectory, R184_RenamesWithinAreNeverTakenForMoves) {
    for (int before = 0; before < 40; before += 3) {
        ASSERT_EQ(add(dir, NOTE_EXTEND), 0);
        for (int i = 0; i < 170 + before; i++) {
            tree.rename("dir/file", "dir/not_the_same_length");
            tree.rename("dir/not_the_same_length", "dir/file");
        }
        expect_nothing();
        ASSERT_EQ(apply(dir, EV_DELETE), 0);
    }
}

TEST_F(VnodeDirectory, R175_ItsOwnAttributes) {
    EXPECT_EQ(after(kChanges, [&] { tree.chmod("dir", 0700); }), 1u * NOTE_ATTRIB);
    EXPECT_EQ(after(kChanges, [&] { tree.touch("dir"); }), 1u * NOTE_ATTRIB);
    EXPECT_EQ(after(kChanges, [&] { tree.rename("dir", "dir2"); }), 1u * NOTE_RENAME);
    EXPECT_EQ(after(NOTE_OPEN, [&] { open_file(tree.path("dir2"), O_RDONLY); }), 1u * NOTE_OPEN);
}

// ---- its own end ----

class VnodeRmdir : public VnodeTest {
  protected:
    const Fd dir = tree.directory("dir");
};

TEST_F(VnodeRmdir, R185_IsDelete) {
    for (const unsigned mask : {1u * NOTE_DELETE, kChanges}) {
        const Fd victim = tree.directory("victim");
        ASSERT_EQ(add(victim, mask), 0);
        tree.rmdir("victim");
        expect(victim, NOTE_DELETE);
        tree.mkdir("victim");
        tree.rmdir("victim");
        expect_nothing();
    }
}

// What happened to it before must not hide its end, and the other way round.
TEST_F(VnodeRmdir, R185_R186_AfterItLostAnEntry) {
    for (const int flags : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH, EV_CLEAR | EV_DISABLE})
        for (const bool sub : {false, true}) {
            const Fd victim = tree.directory("victim");
            if (sub)
                tree.mkdir("victim/entry");
            else
                tree.make("victim/entry");
            ASSERT_EQ(add(victim, NOTE_WRITE | NOTE_DELETE, flags), 0);
            std::filesystem::remove_all(tree.path("victim"));
            if ((flags & EV_DISABLE) != 0) {
                expect_nothing();
                ASSERT_EQ(apply(victim, EV_ENABLE), 0);
            }
            expect(victim, NOTE_WRITE | NOTE_DELETE | (sub ? NOTE_LINK : 0), flags & ~EV_DISABLE);
            ASSERT_EQ(apply(victim, EV_DELETE), flags == EV_ONESHOT ? ENOENT : 0);
        }
}

TEST_F(VnodeRmdir, R185_R186_AfterItsAttributesChanged) {
    const Fd victim = tree.directory("victim");
    ASSERT_EQ(add(victim, kChanges), 0);
    tree.chmod("victim",
               on_linux() ? 0755 : 0700);  // which is the same; elsewhere that is not seen
    tree.rmdir("victim");
    expect(victim, NOTE_ATTRIB | NOTE_DELETE);
}

// The kernel tells a directory that is replaced of attributes, too.
TEST_F(VnodeRmdir, R185_BeingReplacedIsDeleteAlone) {
    KQ_OF(linux);
    ASSERT_EQ(add(dir, kChanges), 0);
    tree.mkdir("new");
    tree.rename("new", "dir");
    expect(dir, NOTE_DELETE);
}

// The directory it was in goes, too: nothing of that is about it.
TEST_F(VnodeRmdir, R179_MovedOutOfADirectoryThatIsRemoved) {
    KQ_OF(linux);
    tree.mkdir("a");
    tree.rename("dir", "a/dir");
    ASSERT_EQ(add(dir, kChanges), 0);
    tree.rename("a/dir", "dir");
    tree.rmdir("a");
    expect(dir, NOTE_RENAME);
    tree.rmdir("dir");
    expect(dir, NOTE_DELETE);
}

TEST_F(VnodeRmdir, R169_WhatWasBeforeIsNotReported) {
    KQ_OF(linux);
    ASSERT_EQ(add(dir, NOTE_OPEN | NOTE_ATTRIB), 0);
    const Fd again = tree.directory("dir");
    tree.chmod("dir", 0700);
    ASSERT_EQ(add(again, NOTE_OPEN | NOTE_ATTRIB), 0);
    expect(dir, NOTE_OPEN | NOTE_ATTRIB);
}

// A tree of watched directories: each says that it is no more.
TEST_F(VnodeRmdir, R185_ATreeOfWatchedDirectories) {
    const std::vector<std::string> names = {"t", "t/a", "t/a/b", "t/a/b/c", "t/d", "t/d/e"};
    for (const bool looks : {false, true}) {
        std::vector<Fd> fds;
        for (const std::string& name : names) {
            fds.push_back(tree.directory(name));
            tree.make(name + "/file");
            ASSERT_EQ(add(fds.back(), kChanges), 0);
        }
        (void)q.collect(64);
        std::map<uintptr_t, unsigned> seen;
        const auto collect = [&] {
            for (const Event& event : q.collect(64))
                seen[event.ident] |= event.fflags;
        };
        for (size_t i = names.size(); i-- > 0;) {
            tree.unlink(names[i] + "/file");
            tree.rmdir(names[i]);
            if (looks) collect();
        }
        collect();
        for (const Fd& fd : fds) {
            const unsigned notes = seen[static_cast<uintptr_t>(*fd)];
            EXPECT_EQ(notes & (NOTE_WRITE | NOTE_DELETE), 1u * NOTE_WRITE | NOTE_DELETE);
        }
    }
}

TEST_F(VnodeRmdir, R185_WakesASleeper) {
    ASSERT_EQ(add(dir, NOTE_DELETE), 0);
    std::vector<Event> events;
    Thread sleeper([&] { events = q.wait(); });
    sleeper.wait_until_asleep();
    tree.rmdir("dir");
    sleeper.join();
    expect_only(events, *dir, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_DELETE);
}

TEST_F(VnodeRmdir, R185_AfterItWasMoved) {
    tree.mkdir("a");
    tree.mkdir("b");
    ASSERT_EQ(add(dir, NOTE_DELETE), 0);
    tree.rename("dir", "a/dir");
    expect_nothing();
    tree.rename("a/dir", "b/dir");
    tree.rmdir("b/dir");  // before anybody has looked
    expect(dir, NOTE_DELETE);
}

TEST_F(VnodeRmdir, R185_TheNewParentTellsOfIt) {
    tree.mkdir("a");
    ASSERT_EQ(add(dir, NOTE_DELETE), 0);
    tree.rename("dir", "a/dir");
    expect_nothing();
    tree.rmdir("a/dir");
    expect(dir, NOTE_DELETE);
}

TEST_F(VnodeRmdir, R185_AnotherDirectoryTookItsPlace) {
    ASSERT_EQ(add(dir, NOTE_DELETE), 0);
    tree.mkdir("new");
    tree.rename("new", "dir");
    expect(dir, NOTE_DELETE);
}

TEST_F(VnodeRmdir, R185_OthersAroundItAreNotItsEnd) {
    ASSERT_EQ(add(dir, NOTE_DELETE), 0);
    tree.mkdir("neighbour");
    tree.rmdir("neighbour");
    tree.mkdir("dir/sub");
    tree.rmdir("dir/sub");
    tree.make("dir/file");
    tree.unlink("dir/file");
    expect_nothing();
}

// One inode, watched as itself and as the parent of another.
TEST_F(VnodeRmdir, R185_TheParentHasAKnoteOfItsOwn) {
    const Fd root = open_file(tree.root(), O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(add(dir, NOTE_DELETE), 0);
    ASSERT_EQ(add(root, NOTE_ATTRIB), 0);
    tree.make("file");
    expect_nothing();
    ASSERT_EQ(add(root, NOTE_WRITE), 0);
    tree.make("file2");
    expect(root, NOTE_WRITE);
    ASSERT_EQ(apply(root, EV_DELETE), 0);
    tree.rmdir("dir");
    expect(dir, NOTE_DELETE);
    ASSERT_EQ(apply(dir, EV_DELETE), 0);
    expect_silent(q);
}

TEST_F(VnodeRmdir, R185_TheOtherWayRound) {
    const Fd root = open_file(tree.root(), O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(add(root, NOTE_WRITE), 0);
    ASSERT_EQ(add(dir, NOTE_DELETE), 0);
    ASSERT_EQ(apply(dir, EV_DELETE), 0);
    tree.rmdir("dir");
    expect(root, NOTE_WRITE | NOTE_LINK);
}

// The kernel does not report the removal there: the library looks again and again
// (L-VNODE-UNREADABLE).
TEST_F(VnodeRmdir, R185_WhereTheParentMayNotBeRead) {
    if (::getuid() != 0) GTEST_SKIP() << "needs another user";
    tree.mkdir("locked");
    const Fd victim = tree.directory("locked/victim");
    tree.chmod("locked", 0311);
    ASSERT_EQ(::chmod(tree.root().c_str(), 0755), 0);
    Fd go_read, go_write;
    Pipe ready = make_pipe();
    Child child([&] {
        if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
        const Queue mine;
        for (const int flags : {EV_CLEAR, 0, EV_DISPATCH})
            if (mine.apply(change(*victim, EVFILT_VNODE, EV_ADD | flags, NOTE_DELETE)) != 0 ||
                !mine.collect().empty() ||
                mine.apply(change(*victim, EVFILT_VNODE, EV_DELETE)) != 0)
                return 2;
        if (mine.apply(change(*victim, EVFILT_VNODE, EV_ADD, NOTE_DELETE)) != 0) return 3;
        write_bytes(*ready.write, 1);
        for (int i = 0; i < 2; i++) {
            const std::vector<Event> events = mine.wait();
            if (events.size() != 1 || events[0].fflags != NOTE_DELETE) return 4;
        }
        return 0;
    });
    EXPECT_TRUE(wait_readable(*ready.read));
    tree.rmdir("locked/victim");
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

}  // namespace
}  // namespace kqtest
