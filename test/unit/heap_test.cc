// SPDX-License-Identifier: BSD-2-Clause
// Heap, compared with std::multiset: random pushes, removals of any element, the least on top.
#include "heap.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <vector>

namespace kq {
namespace {

struct Item {
    int64_t key = 0;
    uint32_t heap_place = kNotInHeap;
};

bool earlier(const Item& a, const Item& b) {
    return a.key < b.key;
}

TEST(Heap, EmptyHasNoTop) {
    Heap<Item> heap;
    EXPECT_TRUE(heap.empty());
    EXPECT_EQ(heap.top(), nullptr);
    EXPECT_EQ(heap.size(), 0u);
}

TEST(Heap, SortsWhatItIsGiven) {
    for (int count = 1; count <= 60; count++) {
        std::vector<Item> items(static_cast<size_t>(count));
        Heap<Item> heap;
        ASSERT_TRUE(heap.reserve(items.size()));
        for (int i = 0; i < count; i++) {
            items[static_cast<size_t>(i)].key = i * 37 % count;
            heap.push(&items[static_cast<size_t>(i)]);
        }
        for (int64_t last = INT64_MIN; Item* top = heap.top();) {
            EXPECT_GE(top->key, last);
            last = top->key;
            heap.remove(top);
            EXPECT_EQ(top->heap_place, kNotInHeap);
        }
        EXPECT_TRUE(heap.empty());
    }
}

// Removing any element, wherever it stands, keeps the order of the others.
TEST(Heap, RemovesFromTheMiddle) {
    constexpr size_t kCount = 40;
    for (size_t victim = 0; victim < kCount; victim++) {
        std::vector<Item> items(kCount);
        Heap<Item> heap;
        ASSERT_TRUE(heap.reserve(kCount));
        for (size_t i = 0; i < kCount; i++) {
            items[i].key = static_cast<int64_t>(i * 17 % kCount);
            heap.push(&items[i]);
        }
        heap.remove(&items[victim]);
        ASSERT_EQ(heap.size(), kCount - 1);
        for (int64_t expected = 0; Item* top = heap.top(); expected++) {
            if (expected == items[victim].key) expected++;
            ASSERT_EQ(top->key, expected);
            heap.remove(top);
        }
    }
}

// An element that becomes earlier or later than any others finds its place.
TEST(Heap, MovesFromAnywhereToAnywhere) {
    constexpr int64_t kCount = 40;
    for (size_t moving = 0; moving < kCount; moving++)
        for (int64_t key = -1; key <= kCount; key += 3) {
            std::vector<Item> items(kCount);
            Heap<Item> heap;
            ASSERT_TRUE(heap.reserve(kCount));
            for (int64_t i = 0; i < kCount; i++) {
                items[static_cast<size_t>(i)].key = i * 17 % kCount;
                heap.push(&items[static_cast<size_t>(i)]);
            }
            items[moving].key = key;
            heap.moved(&items[moving]);
            for (int64_t last = INT64_MIN; Item* top = heap.top();) {
                ASSERT_GE(top->key, last);
                last = top->key;
                heap.remove(top);
            }
        }
}

TEST(Heap, RandomOperationsAgreeWithMultiset) {
    constexpr uint64_t kSeed = 4711;
    std::mt19937_64 random(kSeed);
    std::vector<Item> items(300);
    Heap<Item> heap;
    ASSERT_TRUE(heap.reserve(items.size()));
    std::multiset<int64_t> model;
    for (int step = 0; step < 100000; step++) {
        Item& item = items[random() % items.size()];
        if (item.heap_place == kNotInHeap) {
            item.key = static_cast<int64_t>(random() % 200);  // with many equal keys
            heap.push(&item);
            model.insert(item.key);
        } else {
            heap.remove(&item);
            model.erase(model.find(item.key));
        }
        ASSERT_EQ(heap.size(), model.size()) << "seed " << kSeed << " step " << step;
        if (!model.empty()) {
            ASSERT_EQ(heap.top()->key, *model.begin()) << "seed " << kSeed << " step " << step;
        }
    }
}

TEST(Heap, ReserveKeepsWhatIsThere) {
    std::vector<std::unique_ptr<Item>> items;
    Heap<Item> heap;
    for (int i = 0; i < 1000; i++) {
        items.push_back(std::make_unique<Item>());
        items.back()->key = 1000 - i;
        ASSERT_TRUE(heap.reserve(static_cast<size_t>(i) + 1));
        heap.push(items.back().get());
        ASSERT_EQ(heap.top(), items.back().get());
    }
    EXPECT_FALSE(heap.reserve(kNotInHeap));
}

TEST(HeapDeathTest, RefusesMisuse) {
    Item a;
    Item b;
    Heap<Item> heap;
    EXPECT_DEATH(heap.push(&a), "broken invariant");  // no room was reserved
    ASSERT_TRUE(heap.reserve(2));
    heap.push(&a);
    EXPECT_DEATH(heap.push(&a), "broken invariant");
    EXPECT_DEATH(heap.remove(&b), "broken invariant");
}

}  // namespace
}  // namespace kq
