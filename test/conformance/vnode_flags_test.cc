// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE and the flags of a knote: accumulated notes, repeated events, modes, disabling, and
// changes of the mask.
#include "support/gaps.h"
#include "support/tree.h"

namespace kqtest {
namespace {

class VnodeFlags : public VnodeTest {
  protected:
    void append() const { tree.append("file", 1); }
    void touch() const { tree.touch("file"); }
    void truncate(off_t size) const { ASSERT_EQ(::ftruncate(*file, size), 0); }

    const Fd file = tree.file("file", "content");
    static constexpr unsigned kGrown = NOTE_WRITE | NOTE_EXTEND;
};

TEST_F(VnodeFlags, R186_ChangesAccumulate) {
    KQ_GAP("P-VNODE-TOUCH");
    ASSERT_EQ(add(file, NOTE_ATTRIB | NOTE_EXTEND, 0), 0);
    touch();
    truncate(100);
    expect(file, NOTE_ATTRIB | kGrown, 0);
}

TEST_F(VnodeFlags, R186_AlsoBetweenCalls) {
    ASSERT_EQ(add(file, kChanges, 0), 0);
    touch();
    expect(file, NOTE_ATTRIB, 0);
    append();
    expect(file, NOTE_ATTRIB | kGrown, 0);
    tree.rename("file", "other");
    expect(file, NOTE_ATTRIB | kGrown | NOTE_RENAME, 0);
}

TEST_F(VnodeFlags, R187_WithoutClearItRepeats) {
    ASSERT_EQ(add(file, NOTE_WRITE, 0), 0);
    append();
    for (int i = 0; i < 3; i++) {
        EXPECT_TRUE(q.readable());
        expect(file, kGrown, 0);
    }
    ASSERT_EQ(apply(file, EV_DELETE), 0);
    expect_nothing();
    EXPECT_FALSE(q.readable());
}

TEST_F(VnodeFlags, R188_WithClearItIsToldOnce) {
    ASSERT_EQ(add(file, kChanges), 0);
    for (int i = 0; i < 3; i++) {
        touch();
        EXPECT_TRUE(q.readable());
        expect(file, NOTE_ATTRIB);
        expect_nothing();
        EXPECT_FALSE(q.readable());
    }
}

TEST_F(VnodeFlags, R188_OneshotIsGoneAfterwards) {
    ASSERT_EQ(add(file, NOTE_ATTRIB, EV_ONESHOT), 0);
    touch();
    expect(file, NOTE_ATTRIB, EV_ONESHOT);
    touch();
    expect_nothing();
    EXPECT_EQ(apply(file, EV_DELETE), ENOENT);
    ASSERT_EQ(add(file, NOTE_ATTRIB), 0);
    expect_nothing();
    touch();
    expect(file, NOTE_ATTRIB);
}

TEST_F(VnodeFlags, R189_AnotherMaskCountsFromNowOn) {
    ASSERT_EQ(add(file, NOTE_ATTRIB), 0);
    ASSERT_EQ(add(file, NOTE_DELETE), 0);
    touch();
    expect_nothing();
    tree.unlink("file");
    expect(file, NOTE_DELETE);
}

TEST_F(VnodeFlags, R189_WhatIsPendingStays) {
    ASSERT_EQ(add(file, NOTE_ATTRIB), 0);
    touch();  // the event is not collected yet
    ASSERT_EQ(add(file, NOTE_DELETE), 0);
    expect(file, NOTE_ATTRIB);
    touch();
    expect_nothing();
}

// What was not followed until now must not look like a change.
TEST_F(VnodeFlags, R189_NewBitsBeginHere) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    tree.link("file", "link");
    tree.chmod("file", 0600);
    ASSERT_EQ(add(file, kChanges), 0);
    expect_nothing();
    tree.chmod("file", 0644);
    expect(file, NOTE_ATTRIB);
    ASSERT_EQ(add(file, NOTE_ATTRIB | NOTE_LINK), 0);
    truncate(100);
    expect_nothing();
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    ASSERT_EQ(::pwrite(*file, "x", 1, 0), 1);
    expect(file, NOTE_WRITE);
}

TEST_F(VnodeFlags, R189_AddingAgainLosesNothing) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    append();
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    expect(file, kGrown);
}

TEST_F(VnodeFlags, R190_ChangesWhileDisabledAreKept) {
    for (const int flags : {0, EV_CLEAR}) {
        ASSERT_EQ(add(file, kChanges, flags), 0);
        ASSERT_EQ(apply(file, EV_DISABLE), 0);
        touch();
        expect_nothing();
        EXPECT_FALSE(q.readable());
        append();
        expect_nothing();
        ASSERT_EQ(apply(file, EV_ENABLE), 0);
        expect(file, NOTE_ATTRIB | kGrown, flags);
        ASSERT_EQ(apply(file, EV_DELETE), 0);
    }
}

TEST_F(VnodeFlags, R190_DisabledBeforeItWasReported) {
    ASSERT_EQ(add(file, kChanges, 0), 0);
    touch();
    EXPECT_TRUE(q.readable());
    ASSERT_EQ(apply(file, EV_DISABLE), 0);
    expect_nothing();
    ASSERT_EQ(apply(file, EV_ENABLE), 0);
    expect(file, NOTE_ATTRIB, 0);
}

TEST_F(VnodeFlags, R190_AddedDisabled) {
    ASSERT_EQ(add(file, kChanges, EV_CLEAR | EV_DISABLE), 0);
    append();
    expect_nothing();
    ASSERT_EQ(apply(file, EV_ENABLE), 0);
    expect(file, kGrown);
}

TEST_F(VnodeFlags, R191_Dispatch) {
    ASSERT_EQ(add(file, NOTE_ATTRIB, EV_DISPATCH), 0);
    touch();
    expect(file, NOTE_ATTRIB, EV_DISPATCH);
    touch();
    expect_nothing();
    ASSERT_EQ(apply(file, EV_ENABLE | EV_DISPATCH), 0);
    expect(file, NOTE_ATTRIB, EV_DISPATCH);
    expect_nothing();
}

TEST_F(VnodeFlags, R191_DispatchWithClear) {
    ASSERT_EQ(add(file, kChanges, EV_DISPATCH | EV_CLEAR), 0);
    touch();
    expect(file, NOTE_ATTRIB, EV_DISPATCH | EV_CLEAR);
    ASSERT_EQ(apply(file, EV_ENABLE), 0);
    expect_nothing();
    append();
    expect(file, kGrown, EV_DISPATCH | EV_CLEAR);
    touch();
    ASSERT_EQ(apply(file, EV_ENABLE), 0);
    expect(file, NOTE_ATTRIB, EV_DISPATCH | EV_CLEAR);
}

TEST_F(VnodeFlags, R86_DisableAndEnableLeaveTheMaskAlone) {
    ASSERT_EQ(add(file, NOTE_ATTRIB), 0);
    ASSERT_EQ(apply(file, EV_DISABLE, 0), 0);
    ASSERT_EQ(apply(file, EV_ENABLE, 0), 0);
    touch();
    expect(file, NOTE_ATTRIB);
}

// 2.2 as amended: no kernel looks at them.
TEST_F(VnodeFlags, S22_BitsThatNoSystemDefinesAreIgnored) {
    constexpr unsigned kNoSystems = 0xfffff000;
    ASSERT_EQ(add(file, kNoSystems), 0) << "asks for nothing";
    touch();
    expect_none(q.collect());
    ASSERT_EQ(add(file, NOTE_ATTRIB | kNoSystems), 0);
    touch();
    expect(file, NOTE_ATTRIB);
    ASSERT_EQ(apply(file, EV_DELETE), 0);
    ASSERT_EQ(add(file, NOTE_ATTRIB | 0x10000), 0) << "by the change that makes the knote, too";
    touch();
    expect(file, NOTE_ATTRIB);
}

TEST_F(VnodeFlags, R187_ManyFilesTakeTurns) {
    std::vector<Fd> files;
    for (int i = 0; i < 8; i++) {
        files.push_back(tree.file("file" + std::to_string(i)));
        ASSERT_EQ(add(files.back(), NOTE_WRITE, 0), 0);
        write_bytes(*files.back(), 1);
    }
    std::map<uintptr_t, int> seen;
    for (int i = 0; i < 16; i++)
        for (const Event& event : q.collect(2))
            seen[event.ident]++;
    ASSERT_EQ(seen.size(), 8u);
    for (const auto& [ident, count] : seen)
        EXPECT_EQ(count, 4) << ident;
}

}  // namespace
}  // namespace kqtest
