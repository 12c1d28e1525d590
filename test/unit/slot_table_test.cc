// SPDX-License-Identifier: BSD-2-Clause
// SlotTable: sparse numbers, zeroed elements, pointers that stay valid.
#include "slot_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace kq {
namespace {

struct Slot {
    int number;
    void* pointer;
};

TEST(SlotTable, FindsNothingBeforeItIsTouched) {
    SlotTable<Slot> table;
    for (const size_t index : {size_t{0}, size_t{63}, size_t{1} << 20, SIZE_MAX})
        EXPECT_EQ(table.find(index), nullptr);
    table.for_each([](size_t, Slot&) { ADD_FAILURE(); });
}

TEST(SlotTable, ElementsStartZeroAndStayPut) {
    SlotTable<Slot> table;
    std::map<size_t, Slot*> known;
    int n = 0;
    for (const size_t index : {5u, 0u, 63u, 64u, 1000u, 999999u, 128u, 70u, 1u << 20}) {
        Slot* slot = table.at(index);
        ASSERT_NE(slot, nullptr);
        EXPECT_EQ(slot->number, 0);
        EXPECT_EQ(slot->pointer, nullptr);
        slot->number = ++n;
        known[index] = slot;
    }
    n = 0;
    for (const size_t index : {5u, 0u, 63u, 64u, 1000u, 999999u, 128u, 70u, 1u << 20}) {
        EXPECT_EQ(table.find(index), known[index]);
        EXPECT_EQ(table.at(index), known[index]);
        EXPECT_EQ(known[index]->number, ++n);
    }
}

TEST(SlotTable, FindReachesNeighboursOnly) {
    SlotTable<Slot> table;
    ASSERT_NE(table.at(100), nullptr);
    EXPECT_NE(table.find(96), nullptr);
    EXPECT_NE(table.find(127), nullptr);
    EXPECT_EQ(table.find(95), nullptr);
    EXPECT_EQ(table.find(128), nullptr);
}

TEST(SlotTable, ForEachVisitsWhatExists) {
    SlotTable<Slot> table;
    for (const size_t index : {3u, 700u})
        table.at(index)->number = static_cast<int>(index);
    std::set<size_t> seen;
    size_t touched = 0;
    table.for_each([&](size_t index, Slot& slot) {
        EXPECT_TRUE(seen.insert(index).second);
        EXPECT_EQ(&slot, table.find(index));
        if (slot.number == 0) return;
        EXPECT_EQ(static_cast<size_t>(slot.number), index);
        touched++;
    });
    EXPECT_EQ(touched, 2u);
    EXPECT_EQ(seen.size(), 64u);  // two chunks
}

}  // namespace
}  // namespace kq
