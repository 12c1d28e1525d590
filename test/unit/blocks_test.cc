// SPDX-License-Identifier: BSD-2-Clause
// Blocks: memory for many objects of one size.
#include "blocks.h"

#include <gtest/gtest.h>
#include <stdint.h>

#include <algorithm>
#include <random>
#include <vector>

namespace kq {
namespace {

struct Node {
    uint8_t place = 0;
    int64_t number = 7;
    void* rest[8] = {};
};

TEST(Blocks, GivesEachObjectMemoryOfItsOwn) {
    constexpr int kMany = 1000;
    Blocks blocks;
    std::vector<Node*> nodes;
    for (int i = 0; i < kMany; i++) {
        nodes.push_back(blocks.make<Node>());
        ASSERT_NE(nodes.back(), nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(nodes.back()) % alignof(Node), 0u);
        EXPECT_EQ(nodes.back()->number, 7);
        nodes.back()->number = i;
        for (void*& place : nodes.back()->rest)
            place = nodes.back();
    }
    for (int i = 0; i < kMany; i++) {
        EXPECT_EQ(nodes[static_cast<size_t>(i)]->number, i);
        blocks.destroy(nodes[static_cast<size_t>(i)]);
    }
}

// Memory that was given back is used again, and is as new. Nothing is freed twice or lost: the
// checkers of memory see that.
TEST(Blocks, TakeBackInAnyOrder) {
    constexpr int kRounds = 20'000;
    std::mt19937 random(1);
    Blocks blocks;
    std::vector<Node*> nodes;
    for (int i = 0; i < kRounds; i++) {
        // Long runs of each kind, so that chunks become full, and become empty.
        const bool grows = (i / 500) % 2 == 0;
        if (nodes.empty() || random() % 8 < (grows ? 6u : 2u)) {
            nodes.push_back(blocks.make<Node>());
            ASSERT_NE(nodes.back(), nullptr);
            ASSERT_EQ(nodes.back()->number, 7);
            ASSERT_EQ(std::ranges::count(nodes.back()->rest, nullptr), 8);
            nodes.back()->number = i;
            nodes.back()->rest[7] = nodes.back();
            continue;
        }
        std::swap(nodes[random() % nodes.size()], nodes.back());
        ASSERT_EQ(nodes.back()->rest[7], nodes.back());
        blocks.destroy(nodes.back());
        nodes.pop_back();
    }
    for (Node* node : nodes)
        blocks.destroy(node);
}

}  // namespace
}  // namespace kq
