// SPDX-License-Identifier: BSD-2-Clause
// Owned, make<T>() and grow_array(); Errno and Result beside them.
#include "alloc.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "result.h"

namespace kq {
namespace {

struct Counted {
    explicit Counted(int* n) : alive(n) { ++*alive; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --*alive; }
    int* alive;
};

TEST(Owned, DestroysWhatItHoldsOnce) {
    int alive = 0;
    {
        Owned<Counted> one = make<Counted>(&alive);
        ASSERT_TRUE(one);
        EXPECT_EQ(alive, 1);
        Owned<Counted> two = std::move(one);
        EXPECT_FALSE(one);  // NOLINT: moved from is empty, by contract
        EXPECT_EQ(two->alive, &alive);
        two.reset(make<Counted>(&alive).release());
        EXPECT_EQ(alive, 1);
        two = Owned<Counted>();
        EXPECT_EQ(alive, 0);
        two = make<Counted>(&alive);
        Owned<Counted> three(two.release());
        EXPECT_FALSE(two);
        EXPECT_EQ(three.get(), &*three);
    }
    EXPECT_EQ(alive, 0);
}

TEST(GrowArray, KeepsContentsAndGrowsGeometrically) {
    int* array = nullptr;
    size_t capacity = 0;
    int moves = 0;
    for (size_t i = 0; i < 10000; i++) {
        const size_t old = capacity;
        ASSERT_TRUE(grow_array(array, capacity, i + 1));
        ASSERT_GE(capacity, i + 1);
        if (capacity != old) moves++;
        array[i] = static_cast<int>(i);
    }
    EXPECT_LT(moves, 40);
    for (size_t i = 0; i < 10000; i++)
        ASSERT_EQ(array[i], static_cast<int>(i));
    free(array);
}

TEST(Result, IsAValueOrAReason) {
    const Result<int> good = 5;
    EXPECT_TRUE(good.ok());
    EXPECT_EQ(good.value(), 5);
    EXPECT_EQ(good.error(), Errno::ok);
    const Result<int> bad = Errno::busy;
    EXPECT_FALSE(bad.ok());
    EXPECT_EQ(to_int(bad.error()), EBUSY);
    errno = ENOTTY;
    EXPECT_EQ(to_int(last_errno()), ENOTTY);
}

}  // namespace
}  // namespace kq
