// SPDX-License-Identifier: BSD-2-Clause
// What happened to a file, and which notes a kqueue reports for that: vnode_hints.h.
#include "vnode_hints.h"

#include <gtest/gtest.h>
#include <sys/event.h>

#include <vector>

namespace kq::vnode {
namespace {

using Bits = std::vector<uint32_t>;

constexpr uint32_t bits(unsigned notes) {
    return notes;
}

Bits list(const Hints& hints) {
    return {hints.hint, hints.hint + hints.count};
}

class VnodeHints : public testing::Test {
  protected:
    static FileState file() {
        FileState state;
        state.size = 100;
        state.links = 1;
        state.name = 7;
        state.modified = state.changed = 1000;
        state.mode = 0644;
        state.named = true;
        return state;
    }
    static FileState directory() {
        FileState state = file();
        state.links = 3;
        state.directory = true;
        return state;
    }
    // What writing, or changing an attribute, does to the times.
    static FileState written(FileState state, int64_t size) {
        state.size = size;
        state.modified = state.changed = state.changed + 1;
        return state;
    }
    static FileState touched(FileState state) {
        state.changed++;
        return state;
    }
};

TEST_F(VnodeHints, ContentsBySize) {
    const FileState old = file();
    EXPECT_EQ(list(hints_for(old, written(old, 101), kModified)), Bits{NOTE_WRITE | NOTE_EXTEND});
    EXPECT_EQ(list(hints_for(old, written(old, 100), kModified)), Bits{NOTE_WRITE});
    EXPECT_EQ(list(hints_for(old, written(old, 99), kModified)),
              (Bits{NOTE_TRUNCATE | NOTE_ATTRIB, NOTE_WRITE}));
    EXPECT_EQ(list(hints_for(directory(), directory(), kModified)), Bits{});
}

// What is taken in one pass is what the general way posts and remembers, even if more has changed
// than was reported.
TEST_F(VnodeHints, AWriteInOnePassIsAsAnyOther) {
    constexpr uint32_t kAll = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK |
                              NOTE_RENAME | NOTE_REVOKE | NOTE_TRUNCATE;
    for (const int64_t size : {99, 100, 101})
        for (const uint64_t links : {0u, 1u, 2u})
            for (uint32_t wanted = 0; wanted <= kAll; wanted++) {
                if ((wanted & ~kAll) != 0) continue;
                FileState now = written(file(), size);
                now.links = links;
                now.mode = 0600;
                now.name = 8;
                FileState state = file();
                const uint32_t posted = take_written(state, now, wanted);
                uint32_t expected = 0;
                for (const uint32_t hint : list(hints_for(file(), now, kModified)))
                    if ((wanted & hint) != 0) expected |= hint;
                EXPECT_EQ(posted, expected) << "size " << size << ", wanted " << wanted;
                const FileState remembered = remember(file(), now, kModified);
                EXPECT_EQ(state.size, remembered.size);
                EXPECT_EQ(state.links, remembered.links);
                EXPECT_EQ(state.name, remembered.name);
                EXPECT_EQ(state.modified, remembered.modified);
                EXPECT_EQ(state.changed, remembered.changed);
                EXPECT_EQ(state.mode, remembered.mode);
                EXPECT_EQ(state.named, remembered.named);
            }
}

TEST_F(VnodeHints, AttributesOrLinks) {
    const FileState old = file();
    FileState now = touched(old);
    EXPECT_EQ(list(hints_for(old, now, kAttributes)), Bits{NOTE_ATTRIB});
    now.links = 2;
    EXPECT_EQ(list(hints_for(old, now, kAttributes)), Bits{NOTE_LINK});
    now.mode = 0600;
    EXPECT_EQ(list(hints_for(old, now, kAttributes)), (Bits{NOTE_LINK, NOTE_ATTRIB}));
    now.links = 0;
    EXPECT_EQ(list(hints_for(old, now, kAttributes)), (Bits{NOTE_DELETE, NOTE_ATTRIB}));
    now.mode = old.mode;
    EXPECT_EQ(list(hints_for(old, now, kAttributes)), Bits{NOTE_DELETE});
    now.modified++;
    EXPECT_EQ(list(hints_for(old, now, kAttributes)), (Bits{NOTE_DELETE, NOTE_ATTRIB}));
    EXPECT_EQ(list(hints_for(old, now, kAttributes | kModified)), (Bits{NOTE_WRITE, NOTE_DELETE}));
}

TEST_F(VnodeHints, RemovedIsToldOnceAndOnlyIfTrue) {
    for (const FileState& old : {file(), directory()}) {
        FileState now = old;
        EXPECT_EQ(list(hints_for(old, now, kRemoved)), Bits{});
        now.links = 0;
        EXPECT_EQ(list(hints_for(old, now, kRemoved)), Bits{NOTE_DELETE});
        const FileState next = remember(old, now, kRemoved);
        EXPECT_EQ(list(hints_for(next, now, kRemoved)), Bits{});
        EXPECT_EQ(list(hints_for(next, now, kAttributes)), Bits{NOTE_ATTRIB});
    }
}

TEST_F(VnodeHints, Entries) {
    const FileState d = directory();
    constexpr uint32_t kMove = NOTE_WRITE | NOTE_EXTEND;
    EXPECT_EQ(list(hints_for(d, d, kEntryChanged)), Bits{NOTE_WRITE});
    EXPECT_EQ(list(hints_for(d, d, kSubdirectoryChanged)), Bits{NOTE_WRITE | NOTE_LINK});
    EXPECT_EQ(list(hints_for(d, d, kEntryMoved)), Bits{kMove});
    EXPECT_EQ(list(hints_for(d, d, kSubdirectoryMoved)), Bits{kMove | NOTE_LINK});
    EXPECT_EQ(list(hints_for(d, d, kEntryRenamed)), Bits{NOTE_WRITE});
    FileState now = d;
    now.links--;
    EXPECT_EQ(list(hints_for(d, now, kEntryRenamed)), Bits{NOTE_WRITE | NOTE_LINK});
    EXPECT_EQ(list(hints_for(d, now, kSubdirectoryChanged | kEntryRenamed)),
              (Bits{NOTE_WRITE | NOTE_LINK, NOTE_WRITE}));
}

TEST_F(VnodeHints, TheRestIsAsTold) {
    const FileState old = file();
    EXPECT_EQ(list(hints_for(old, old, kMoved)), Bits{NOTE_RENAME});
    EXPECT_EQ(list(hints_for(old, old, kUnmounted)), Bits{NOTE_REVOKE});
    EXPECT_EQ(list(hints_for(old, old, kFileOpened | kFileRead | kFileClosed | kFileClosedWrite)),
              (Bits{NOTE_OPEN, NOTE_READ, NOTE_CLOSE, NOTE_CLOSE_WRITE}));
    EXPECT_EQ(list(hints_for(old, old, 0)), Bits{});
}

// A directory that lost an entry and then was removed: told of the entry first, it is looked at
// when it is gone, and is remembered so.
TEST_F(VnodeHints, TheEndOfADirectoryIsSeenWhateverWasTold) {
    FileState now = written(directory(), 100);
    now.links = 0;
    for (const uint32_t told : {kEntryChanged, kSubdirectoryChanged, kEntryMoved, kAttributes}) {
        const Bits hints = list(hints_for(directory(), now, told));
        EXPECT_EQ(hints[0], bits(NOTE_DELETE)) << told;
        EXPECT_EQ(hints.size(), 2u) << told;
        const FileState next = remember(directory(), now, told);
        EXPECT_EQ(list(hints_for(next, now, kRemoved)), Bits{});
    }
    EXPECT_EQ(list(hints_for(directory(), now, kEntryRenamed)), (Bits{NOTE_DELETE, NOTE_WRITE}));
}

// That of a file is told with its attributes, which are not told twice then.
TEST_F(VnodeHints, TheEndOfAFileIsToldByItsLinks) {
    FileState now = written(file(), 100);
    now.links = 0;
    EXPECT_EQ(list(hints_for(file(), now, kModified)), Bits{NOTE_WRITE});
    const FileState next = remember(file(), now, kModified);
    EXPECT_EQ(list(hints_for(next, now, kAttributes)), Bits{NOTE_DELETE});
}

TEST_F(VnodeHints, AttributesThatLinksDoNotExplain) {
    constexpr uint32_t kTwice = kAttributes | kAttributesAgain;
    FileState now = touched(file());
    now.links = 0;
    EXPECT_EQ(list(hints_for(file(), now, kTwice)), (Bits{NOTE_DELETE, NOTE_ATTRIB}));
    now.links = 2;
    EXPECT_EQ(list(hints_for(file(), now, kTwice)), (Bits{NOTE_LINK, NOTE_ATTRIB}));
    now.links = 3;
    EXPECT_EQ(list(hints_for(file(), now, kTwice)), Bits{NOTE_LINK});
}

TEST_F(VnodeHints, ReplacedIsAnAttributeUnlessItIsGone) {
    FileState now = touched(directory());
    EXPECT_EQ(list(hints_for(directory(), now, kReplaced)), Bits{NOTE_ATTRIB});
    now.links = 0;
    EXPECT_EQ(list(hints_for(directory(), now, kReplaced | kRemoved)), Bits{NOTE_DELETE});
    EXPECT_EQ(list(hints_for(directory(), now, kReplaced | kAttributes | kRemoved)),
              (Bits{NOTE_DELETE, NOTE_ATTRIB}));
}

// An entry that is no directory says nothing of the links, of which is still to be told.
TEST_F(VnodeHints, LinksOfADirectoryWaitForWhatTellsOfThem) {
    FileState now = written(directory(), 100);
    now.links--;
    const FileState next = remember(directory(), now, kEntryChanged);
    EXPECT_EQ(list(hints_for(next, now, kEntryRenamed)), Bits{NOTE_WRITE | NOTE_LINK});
}

TEST_F(VnodeHints, WhatIsFollowedAnewBeginsNow) {
    const FileState old = file();
    FileState now = written(old, 200);
    now.changed++;
    now.links = 0;
    now.mode = 0600;
    now.name = 8;
    const auto after = [&](uint32_t before, uint32_t wanted) {
        return list(hints_for(follow(old, now, before, wanted), now, kUnknown));
    };
    const Bits all = list(hints_for(old, now, kUnknown));
    EXPECT_EQ(all, (Bits{NOTE_WRITE | NOTE_EXTEND, NOTE_DELETE, NOTE_ATTRIB}));
    EXPECT_EQ(after(kModified, kModified), all);  // nothing is
    EXPECT_EQ(after(0, kModified), (Bits{NOTE_DELETE, NOTE_ATTRIB}));
    EXPECT_EQ(after(kModified, kModified | kAttributes), Bits{NOTE_WRITE | NOTE_EXTEND});
    EXPECT_EQ(after(kRemoved, kRemoved | kAttributes),
              (Bits{NOTE_WRITE | NOTE_EXTEND, NOTE_DELETE}));
    EXPECT_EQ(after(0, kModified | kAttributes | kRemoved), Bits{});
    now = directory();
    now.links = 0;
    EXPECT_EQ(follow(directory(), now, kRemoved, kRemoved | kEntryRenamed).links, 3u);
    EXPECT_EQ(follow(directory(), now, kEntryRenamed, kRemoved | kEntryRenamed).links, 0u);
    now.links = 5;
    EXPECT_EQ(follow(directory(), now, kRemoved, kRemoved | kEntryRenamed).links, 5u);
    EXPECT_EQ(follow(directory(), now, kEntryRenamed, kRemoved | kEntryRenamed).links, 3u);
}

// Nothing fits into more hints than there is room for.
TEST_F(VnodeHints, AllAtOnce) {
    FileState now = touched(directory());
    now.links = 0;
    now.mode = 0;
    EXPECT_LE(hints_for(directory(), now, ~uint32_t{0}).count, Hints::kMost);
    now = written(file(), 1);
    now.links = 5;
    now.mode = 0;
    EXPECT_LE(hints_for(file(), now, ~uint32_t{0}).count, Hints::kMost);
}

TEST_F(VnodeHints, UnknownIsFoundByComparing) {
    const FileState old = file();
    EXPECT_EQ(list(hints_for(old, old, kUnknown)), Bits{});
    EXPECT_EQ(list(hints_for(old, written(old, 100), kUnknown)), Bits{NOTE_WRITE});
    EXPECT_EQ(list(hints_for(old, written(old, 200), kUnknown)), Bits{NOTE_WRITE | NOTE_EXTEND});
    EXPECT_EQ(list(hints_for(old, touched(old), kUnknown)), Bits{NOTE_ATTRIB});
    FileState now = touched(old);
    now.links = 2;
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{NOTE_LINK});
    now.links = 0;
    now.name = 8;
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{NOTE_DELETE});
    now = old;
    now.name = 8;
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{NOTE_RENAME});
    now.name = 0;
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{});
}

TEST_F(VnodeHints, UnknownIsFoundByAnyPart) {
    const FileState old = file();
    FileState now = old;
    now.owner = 1;
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{NOTE_ATTRIB});
    now = old;
    now.group = 1;
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{NOTE_ATTRIB});
    now = old;
    now.size++;  // within a tick of the clock that files are stamped with
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{NOTE_WRITE | NOTE_EXTEND});
    now = written(old, 100);
    now.changed++;  // and then another time was set
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), (Bits{NOTE_WRITE, NOTE_ATTRIB}));
}

TEST_F(VnodeHints, UnknownOfADirectory) {
    const FileState old = directory();
    FileState now = written(old, 100);
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{NOTE_WRITE});
    now.links++;
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{NOTE_WRITE | NOTE_LINK});
    now = old;
    now.links = 0;
    EXPECT_EQ(list(hints_for(old, now, kUnknown)), Bits{NOTE_DELETE});
}

// Rather too much than too little.
TEST_F(VnodeHints, LostIsMoreThanUnknown) {
    const Bits unseen = {NOTE_OPEN, NOTE_READ, NOTE_CLOSE, NOTE_CLOSE_WRITE};
    EXPECT_EQ(list(hints_for(file(), file(), kLost)), unseen);
    Bits expected = {NOTE_WRITE, NOTE_ATTRIB};
    expected.insert(expected.end(), unseen.begin(), unseen.end());
    EXPECT_EQ(list(hints_for(file(), written(file(), 100), kLost)), expected);
    uint32_t all = 0;
    for (const uint32_t hint : list(hints_for(directory(), written(directory(), 100), kLost)))
        all |= hint;
    EXPECT_EQ(all & (NOTE_WRITE | NOTE_EXTEND | NOTE_LINK | NOTE_DELETE | NOTE_RENAME),
              bits(NOTE_WRITE | NOTE_EXTEND | NOTE_LINK));
}

TEST_F(VnodeHints, OnlyWhatWasToldIsRemembered) {
    const FileState old = file();
    FileState now = written(old, 200);
    now.links = 2;
    now.mode = 0600;
    now.name = 8;
    FileState next = remember(old, now, kModified);
    EXPECT_EQ(next.size, 200);
    EXPECT_EQ(next.links, 1u);
    EXPECT_EQ(next.mode, 0644u);
    EXPECT_EQ(next.name, 7u);
    next = remember(old, now, kAttributes | kMoved);
    EXPECT_EQ(next.size, 100);
    EXPECT_EQ(next.links, 2u);
    EXPECT_EQ(next.mode, 0600u);
    EXPECT_EQ(next.name, 8u);
    EXPECT_EQ(remember(old, now, kUnknown).size, 200);
}

TEST_F(VnodeHints, WhatTheKernelIsAskedFor) {
    constexpr uint32_t kAlways = kUnmounted;
    EXPECT_EQ(changes_for(0, false), kAlways);
    EXPECT_EQ(changes_for(NOTE_WRITE, false), kAlways | kModified);
    EXPECT_EQ(changes_for(NOTE_ATTRIB, false), kAlways | kModified | kAttributes);
    EXPECT_EQ(changes_for(NOTE_DELETE, false), kAlways | kRemoved);
    EXPECT_EQ(changes_for(NOTE_LINK, false), kAlways | kAttributes);
    EXPECT_EQ(changes_for(NOTE_OPEN | NOTE_CLOSE, false), kAlways | kFileOpened | kFileClosed);
    EXPECT_EQ(changes_for(NOTE_ATTRIB, true), kAlways | kAttributes);
    EXPECT_EQ(changes_for(NOTE_DELETE | NOTE_TRUNCATE, true), kAlways | kRemoved);
    EXPECT_EQ(changes_for(NOTE_EXTEND, true), kAlways | kEntryMoved | kSubdirectoryMoved);
    EXPECT_EQ(changes_for(NOTE_WRITE, true) & (kEntryChanged | kModified), bits(kEntryChanged));
    EXPECT_EQ(changes_for(NOTE_LINK, true) & (kEntryChanged | kSubdirectoryChanged),
              bits(kSubdirectoryChanged));
}

}  // namespace
}  // namespace kq::vnode
