// SPDX-License-Identifier: BSD-2-Clause
// ActiveQueue: order, markers, counts, and which knotes a walk takes.
#include "active_queue.h"

#include <gtest/gtest.h>

#include <vector>

namespace kq {
namespace {

class ActiveQueueTest : public testing::Test {
  protected:
    ActiveQueueTest() {
        for (uintptr_t i = 0; i < 4; i++)
            notes[i].ident = i;
    }

    // One walk.
    std::vector<uintptr_t> take_all() {
        std::vector<uintptr_t> idents;
        const ActiveQueue::Marker end(queue);
        while (const Knote* kn = queue.take(end))
            idents.push_back(kn->ident);
        return idents;
    }

    ActiveQueue queue;
    Knote notes[4];
};

TEST_F(ActiveQueueTest, IsAFifo) {
    for (const int i : {2, 0, 3})
        queue.activate(notes[i]);
    EXPECT_EQ(queue.size(), 3);
    EXPECT_TRUE(notes[2].has(kQueued) && notes[2].has(kActive));
    EXPECT_EQ(take_all(), (std::vector<uintptr_t>{2, 0, 3}));
    EXPECT_FALSE(notes[2].has(kQueued));
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.size(), 0);
    EXPECT_EQ(queue.unbacked(), 0);
}

TEST_F(ActiveQueueTest, TheOnlyOneIsTakenWithoutAMarker) {
    notes[1].set(kBacked);
    for (const int i : {0, 1}) {
        queue.activate(notes[i]);
        EXPECT_EQ(&queue.take_only(), &notes[i]);
        EXPECT_FALSE(notes[i].has(kQueued));
        EXPECT_TRUE(queue.empty());
        EXPECT_EQ(queue.size(), 0);
        EXPECT_EQ(queue.unbacked(), 0);
    }
}

// Which changes nothing: neither its place nor the number of activations.
TEST_F(ActiveQueueTest, IsActivatedOnceOnly) {
    queue.activate(notes[0]);
    queue.activate(notes[1]);
    const uint32_t before = queue.activations();
    queue.activate(notes[0]);
    EXPECT_EQ(queue.activations(), before);
    EXPECT_EQ(take_all(), (std::vector<uintptr_t>{0, 1}));
}

TEST_F(ActiveQueueTest, ADisabledKnoteIsActiveButNotQueued) {
    notes[0].set(kDisabled);
    queue.activate(notes[0]);
    EXPECT_TRUE(notes[0].has(kActive));
    EXPECT_FALSE(notes[0].has(kQueued));
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.activations(), 0u);
}

TEST_F(ActiveQueueTest, DeactivatingTakesItOff) {
    queue.activate(notes[0]);
    queue.activate(notes[1]);
    queue.deactivate(notes[0]);
    EXPECT_FALSE(notes[0].has(kActive) || notes[0].has(kQueued));
    queue.deactivate(notes[2]);  // was not there
    EXPECT_EQ(take_all(), (std::vector<uintptr_t>{1}));
}

TEST_F(ActiveQueueTest, CountsWhatIsNotBacked) {
    notes[0].set(kBacked);
    queue.activate(notes[0]);
    queue.activate(notes[1]);
    EXPECT_EQ(queue.unbacked(), 1);
    queue.set_backed(notes[0], false);
    queue.set_backed(notes[0], false);
    EXPECT_EQ(queue.unbacked(), 2);
    queue.set_backed(notes[1], true);
    queue.set_backed(notes[2], true);  // not queued
    EXPECT_EQ(queue.unbacked(), 1);
    queue.deactivate(notes[0]);
    EXPECT_EQ(queue.unbacked(), 0);
    EXPECT_EQ(queue.size(), 1);
    EXPECT_EQ(take_all(), (std::vector<uintptr_t>{1}));
}

// What is put back, and what becomes active, in a walk is for the next one.
TEST_F(ActiveQueueTest, AWalkTakesEachKnoteOnce) {
    queue.activate(notes[0]);
    queue.activate(notes[1]);
    const uint32_t before = queue.activations();
    {
        const ActiveQueue::Marker end(queue);
        Knote* first = queue.take(end);
        ASSERT_EQ(first, &notes[0]);
        queue.put_back(*first);
        queue.activate(notes[2]);
        EXPECT_EQ(queue.take(end), &notes[1]);
        EXPECT_EQ(queue.take(end), nullptr);
    }
    EXPECT_EQ(queue.activations(), before + 1);  // putting back is none
    EXPECT_EQ(take_all(), (std::vector<uintptr_t>{0, 2}));
}

}  // namespace
}  // namespace kq
