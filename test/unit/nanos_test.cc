// SPDX-License-Identifier: BSD-2-Clause
// Nanos: sums and products that saturate, conversion from and to timespec.
#include "nanos.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace kq {
namespace {

constexpr Nanos kLeast = std::numeric_limits<Nanos>::min();
#ifdef __SIZEOF_INT128__
__extension__ typedef __int128 Wide;  // NOLINT: an alias cannot be marked as extension
#endif

constexpr time_t kMaxSeconds = std::numeric_limits<time_t>::max();

TEST(Nanos, SumsSaturate) {
    EXPECT_EQ(saturating_add(2, 3), 5);
    EXPECT_EQ(saturating_add(-2, -3), -5);
    EXPECT_EQ(saturating_add(kForever, 0), kForever);
    EXPECT_EQ(saturating_add(kForever, 1), kForever);
    EXPECT_EQ(saturating_add(1, kForever), kForever);
    EXPECT_EQ(saturating_add(kForever, kForever), kForever);
    EXPECT_EQ(saturating_add(kLeast, -1), kLeast);
    EXPECT_EQ(saturating_add(kLeast, kForever), -1);
}

TEST(Nanos, ProductsSaturate) {
    EXPECT_EQ(saturating_mul(3, kSecond), 3 * kSecond);
    EXPECT_EQ(saturating_mul(-3, kSecond), -3 * kSecond);
    EXPECT_EQ(saturating_mul(0, kForever), 0);
    EXPECT_EQ(saturating_mul(kForever, 2), kForever);
    EXPECT_EQ(saturating_mul(-2, kForever), kLeast);
    EXPECT_EQ(saturating_mul(kLeast, 2), kLeast);
    EXPECT_EQ(saturating_mul(kLeast, -1), kForever);
}

#ifdef __SIZEOF_INT128__
TEST(Nanos, AgreeWithWiderArithmetic) {
    std::mt19937_64 random(99);
    const auto clamp = [](Wide x) {
        return x > kForever ? kForever : x < kLeast ? kLeast : static_cast<Nanos>(x);
    };
    for (int i = 0; i < 100000; i++) {
        const auto a = static_cast<Nanos>(random()) >> (random() % 64);
        const auto b = static_cast<Nanos>(random()) >> (random() % 64);
        ASSERT_EQ(saturating_add(a, b), clamp(Wide{a} + b));
        ASSERT_EQ(saturating_mul(a, b), clamp(Wide{a} * b)) << a << " * " << b;
    }
}

#endif

// what kevent() refuses.
TEST(Nanos, TimespecValidity) {
    EXPECT_TRUE(is_valid({0, 0}));
    EXPECT_TRUE(is_valid({0, 999'999'999}));
    EXPECT_TRUE(is_valid({kMaxSeconds, 999'999'999}));
    EXPECT_FALSE(is_valid({-1, 0}));
    EXPECT_FALSE(is_valid({0, -1}));
    EXPECT_FALSE(is_valid({0, 1'000'000'000}));
    EXPECT_FALSE(is_valid({-1, 5}));
}

// what is too long is for ever, never short.
TEST(Nanos, FromTimespec) {
    EXPECT_EQ(to_nanos({0, 0}), 0);
    EXPECT_EQ(to_nanos({1, 5}), kSecond + 5);
    EXPECT_EQ(to_nanos({kMaxSeconds, 5}), saturating_add(saturating_mul(kMaxSeconds, kSecond), 5));
    if (sizeof(time_t) < sizeof(Nanos)) return;  // nothing is too long
    EXPECT_EQ(to_nanos({kMaxSeconds, 0}), kForever);
    EXPECT_EQ(to_nanos({kMaxSeconds, 999'999'999}), kForever);
    EXPECT_EQ(to_nanos({static_cast<time_t>(kForever / kSecond), 999'999'999}), kForever);
}

TEST(Nanos, ToTimespecAndBack) {
    for (const Nanos t : {Nanos{0}, Nanos{1}, kSecond - 1, kSecond, 12345678901234567, kForever}) {
        const timespec ts = to_timespec(t);
        EXPECT_TRUE(is_valid(ts));
        if (ts.tv_sec != kMaxSeconds) {
            EXPECT_EQ(to_nanos(ts), t);
        }
    }
}

}  // namespace
}  // namespace kq
