// SPDX-License-Identifier: BSD-2-Clause
// KQ_CHECK: silent if the condition is true; otherwise one line, and abort().
#include "check.h"

#include <gtest/gtest.h>

#include <csignal>

namespace kq {
namespace {

TEST(Check, TrueIsSilentAndEvaluatedOnce) {
    int evaluated = 0;
    KQ_CHECK(++evaluated == 1);
    EXPECT_EQ(evaluated, 1);
}

TEST(CheckDeathTest, SaysWhatAndWhereThenAborts) {
    const int two = 2;
    EXPECT_EXIT(KQ_CHECK(two == 3), testing::KilledBySignal(SIGABRT),
                "^libkqueue: broken invariant: two == 3 \\(.*check_test\\.cc:[0-9]+\\)\n");
}

TEST(CheckDeathTest, PrintsFileAndLineAsGiven) {
    EXPECT_DEATH(broken_invariant("x > y", "file.cc", 12), "invariant: x > y \\(file\\.cc:12\\)");
}

}  // namespace
}  // namespace kq
