// SPDX-License-Identifier: BSD-2-Clause
// The system refuses a call or an allocation, at every position of a scenario. The library's call
// reports the error, or works without. The same call succeeds afterwards, the events come, and
// nothing leaks.; semantics 2.2, 2.4.
//
// KQ_FAULTS=<scenario> plays only that scenario. KQ_FAULT=<position> refuses only there.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

#include "faults/driver.h"
#include "faults/injector.h"
#include "faults/play.h"

namespace kqfaults {
namespace {

const char* variable(const char* name) {
    const char* value = getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

class Faults : public testing::TestWithParam<Scenario> {
  protected:
    void SetUp() override {
        const char* only = variable("KQ_FAULTS");
        if (only != nullptr && std::string(only) != GetParam().name) GTEST_SKIP();
        (void)prepare();
        if (!is_possible(GetParam())) GTEST_SKIP() << "not possible here";
        // Everything that is kept for the rest of the process is made here. Room for kqueues is
        // made, too: if a refusal hides that a kqueue was closed, it stays for a while.
        keep_room_for_kqueues();
        for (int i = 0; i < 2; i++)
            wrong_ = play(GetParam());
        ASSERT_EQ(wrong_, "");
    }
    void TearDown() override { arm(What::nothing); }

    Report inject(What what, unsigned position, unsigned reason) {
        arm(what, position, reason);
        const std::string wrong = play(GetParam());
        Report happened = report();
        injected_ += happened.fired ? 1 : 0;
        EXPECT_EQ(wrong, "") << happened.what;
        return happened;
    }

    std::string wrong_;
    unsigned injected_ = 0;
};

TEST_P(Faults, EverySystemCallOnce) {
    if (!prepare()) GTEST_SKIP() << "system calls cannot be refused here";
    const char* only = variable("KQ_FAULT");
    unsigned position = only == nullptr ? 1 : static_cast<unsigned>(strtoul(only, nullptr, 10));
    for (bool reached = true; reached && !HasFatalFailure(); position++) {
        for (unsigned reason = 0; reason < kMostReasons; reason++) {
            const Report happened = inject(What::system_call, position, reason);
            reached = happened.reached;
            if (!happened.fired) break;
        }
        if (only != nullptr) break;
    }
    if (only == nullptr)
        printf("%u system calls refused, at %u positions\n", injected_, position - 2);
    EXPECT_GT(injected_, 0u);
}

TEST_P(Faults, EveryAllocationOnce) {
    unsigned position = 1;
    while (inject(What::allocation, position, 0).reached)
        position++;
    printf("%u allocations refused\n", injected_);
    EXPECT_GT(injected_, 0u);
}

// /proc is not mounted. A call that needs it is refused, or works without. After a refusal /proc
// comes back, and the same call succeeds.
TEST_P(Faults, WithoutProc) {
    if (!prepare()) GTEST_SKIP() << "system calls cannot be refused here";
    arm(What::proc);
    EXPECT_EQ(play(GetParam(), [] { arm(What::nothing); }), "");
}

// Every limit of descriptors from 3 up, until no limit is met. A limit is lifted when a call met
// it.
TEST_P(Faults, EveryLimitOfDescriptors) {
    rlimit usual{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const auto lift = [&usual] { (void)setrlimit(RLIMIT_NOFILE, &usual); };
    int refused = 0;
    // A scenario that works with too few descriptors meets no limit. So some more limits are tried,
    // until all descriptors can be had.
    constexpr int kMore = 8;
    for (rlim_t limit = 3, unmet = 0; unmet < kMore; limit++) {
        rlimit low = usual;
        low.rlim_cur = limit;
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
        arm(What::limit);
        bool lifted = false;
        const std::string wrong = play(GetParam(), [&] {
            lift();
            lifted = true;
        });
        lift();
        EXPECT_EQ(wrong, "") << "with " << limit << " descriptors";
        refused += lifted ? 1 : 0;
        unmet = lifted ? 0 : unmet + 1;
    }
    printf("%d limits met\n", refused);
    EXPECT_GT(refused, 0);
}

// From some call on no new descriptor can be had. A program that locks itself in does so:
// setrlimit() closes no open descriptor.
TEST_P(Faults, TheLimitFallsBeforeEachCall) {
    rlimit usual{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
    rlimit none = usual;
    none.rlim_cur = 0;
    unsigned refused = 0;
    unsigned position = 1;
    for (unsigned calls = position; calls >= position; position++) {
        calls = 0;
        arm(What::limit);
        const auto lift = [&usual] { (void)setrlimit(RLIMIT_NOFILE, &usual); };
        bool lifted = false;
        const std::string wrong = play(
            GetParam(),
            [&] {
                lift();
                lifted = true;
            },
            [&] {
                if (++calls == position) (void)setrlimit(RLIMIT_NOFILE, &none);
            });
        lift();
        EXPECT_EQ(wrong, "") << "before call " << position;
        refused += lifted ? 1 : 0;
    }
    printf("%u limits fell, %u were met\n", position - 2, refused);
}

INSTANTIATE_TEST_SUITE_P(Each, Faults, testing::ValuesIn(scenarios()),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace kqfaults
