// SPDX-License-Identifier: BSD-2-Clause
// The list of system calls in calls.cc has every call that the library makes, and no others. play()
// finds a call that is not in the list, when it plays a scenario.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faults/injector.h"
#include "faults/play.h"

namespace kqfaults {
namespace {

class Calls : public testing::Test {
  protected:
    void SetUp() override {
        if (!prepare()) GTEST_SKIP() << "system calls cannot be refused here";
        arm(What::nothing);
    }
};

TEST_F(Calls, OneThatIsNotInTheListIsFound) {
    {
        const Inside inside;
        (void)syscall(SYS_getppid);
    }
    EXPECT_EQ(take_unlisted(), "system call " + std::to_string(SYS_getppid));
    EXPECT_EQ(take_unlisted(), "");
    (void)syscall(SYS_getppid);
    EXPECT_EQ(take_unlisted(), "") << "not the library's";
}

TEST_F(Calls, EachOfTheListIsMadeInSomeScenario) {
    for (const Scenario& scenario : scenarios()) {
        if (!is_possible(scenario)) GTEST_SKIP() << scenario.name << ": L-PROC-NEWS";
        EXPECT_EQ(play(
                      scenario, [] {}, {}, Account::not_of_leaks),
                  "");
    }
    EXPECT_EQ(unused(), "");
}

}  // namespace
}  // namespace kqfaults
