// SPDX-License-Identifier: BSD-2-Clause
// HashIndex, compared with std::unordered_map: random inserts, finds and removals, growth.
#include "hash_index.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <unordered_map>
#include <vector>

namespace kq {
namespace {

struct Entry {
    explicit Entry(uint64_t k) : key(k) {}
    Entry* chain = nullptr;
    uint64_t key;
    [[nodiscard]] uint64_t hash_key() const { return key; }
};

Entry* find(const HashIndex<Entry>& index, uint64_t key) {
    return index.find(key, [key](const Entry& e) { return e.key == key; });
}

TEST(HashIndex, StartsEmptyWithoutMemory) {
    HashIndex<Entry> index;
    EXPECT_EQ(index.size(), 0u);
    EXPECT_EQ(find(index, 0), nullptr);
    EXPECT_EQ(index.any(), nullptr);
    index.for_each([](Entry*) { ADD_FAILURE(); });
}

TEST(HashIndex, KeysThatCollideAreToldApart) {
    HashIndex<Entry> index;
    Entry same_a(7), same_b(7);
    ASSERT_TRUE(index.reserve());
    index.insert(&same_a);
    ASSERT_TRUE(index.reserve());
    index.insert(&same_b);
    for (Entry* wanted : {&same_a, &same_b})
        EXPECT_EQ(index.find(7, [wanted](const Entry& e) { return &e == wanted; }), wanted);
    EXPECT_EQ(index.find(7, [](const Entry&) { return false; }), nullptr);
    index.remove(&same_a);
    EXPECT_EQ(find(index, 7), &same_b);
}

TEST(HashIndex, GrowsAndKeepsAll) {
    // Idents as programs use them: consecutive numbers, pointers, and the extremes.
    for (const uint64_t step : {uint64_t{1}, uint64_t{64}, uint64_t{1} << 40}) {
        HashIndex<Entry> index;
        std::vector<std::unique_ptr<Entry>> entries;
        for (uint64_t i = 0; i < 5000; i++) {
            entries.push_back(std::make_unique<Entry>(i * step));
            ASSERT_TRUE(index.reserve());
            index.insert(entries.back().get());
        }
        EXPECT_EQ(index.size(), 5000u);
        for (const auto& entry : entries)
            ASSERT_EQ(find(index, entry->key), entry.get());
        EXPECT_EQ(find(index, 5000 * step), nullptr);
    }
}

TEST(HashIndex, RandomOperationsAgreeWithUnorderedMap) {
    constexpr uint64_t kSeed = 20261123;
    std::mt19937_64 random(kSeed);
    HashIndex<Entry> index;
    std::unordered_map<uint64_t, std::unique_ptr<Entry>> model;
    for (int i = 0; i < 100000; i++) {
        const uint64_t key = random() % 700 * 0x10001;
        const auto known = model.find(key);
        switch (random() % 3) {
            case 0:
                if (known != model.end()) break;
                ASSERT_TRUE(index.reserve());
                index.insert(model.emplace(key, std::make_unique<Entry>(key)).first->second.get());
                break;
            case 1:
                if (known == model.end()) break;
                index.remove(known->second.get());
                EXPECT_EQ(known->second->chain, nullptr);
                model.erase(known);
                break;
            default:
                ASSERT_EQ(find(index, key), known == model.end() ? nullptr : known->second.get())
                    << "seed " << kSeed << " step " << i;
        }
        ASSERT_EQ(index.size(), model.size());
    }
}

TEST(HashIndex, ForEachVisitsEachOnceAndMayRemoveIt) {
    HashIndex<Entry> index;
    std::set<Entry*> entries;
    for (uint64_t i = 0; i < 100; i++) {
        auto* entry = new Entry(i);
        entries.insert(entry);
        ASSERT_TRUE(index.reserve());
        index.insert(entry);
    }
    index.for_each([&](Entry* entry) {
        EXPECT_EQ(entries.erase(entry), 1u);
        index.remove(entry);
        delete entry;
    });
    EXPECT_TRUE(entries.empty());
    EXPECT_EQ(index.size(), 0u);
}

TEST(HashIndex, AnyEmptiesIt) {
    HashIndex<Entry> index;
    std::vector<std::unique_ptr<Entry>> entries;
    for (uint64_t i = 0; i < 50; i++) {
        entries.push_back(std::make_unique<Entry>(i));
        ASSERT_TRUE(index.reserve());
        index.insert(entries.back().get());
    }
    int taken = 0;
    for (; Entry* entry = index.any(); taken++)
        index.remove(entry);
    EXPECT_EQ(taken, 50);
}

TEST(HashIndexDeathTest, RefusesToRemoveAStranger) {
    HashIndex<Entry> index;
    Entry a(1), b(2);
    ASSERT_TRUE(index.reserve());
    index.insert(&a);
    EXPECT_DEATH(index.remove(&b), "broken invariant");
}

}  // namespace
}  // namespace kq
