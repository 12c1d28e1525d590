// A system that refuses, at every position: the call reports it or copes, the same call succeeds
// afterwards, the events come, nothing leaks.; semantics 2.2, 2.4.
//
// KQ_FAULTS=<scenario> plays only that; KQ_FAULT=<position> only there.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

#include "faults/driver.h"
#include "faults/injector.h"
#include "support/kq.h"

namespace kqfaults {
namespace {

void drain() {
    const Inside inside;
    libkqueue_drain_pending_close();
}

// Whether kevent() may report this, for what was refused.
bool is_due(int error, int otherwise) {
    const Report happened = report();
    if (!happened.fired) return false;
    if (error == otherwise) return true;
    const bool short_of_memory = happened.error == ENOSPC || happened.error == ENOBUFS;
    return error == happened.error || (short_of_memory && error == ENOMEM) ||
           (happened.error == ENOENT && error == ENOTSUP);
}

std::map<int, std::string> all_descriptors() {
    const Unlimited unlimited;
    return kqtest::open_descriptors();
}

// Plays it once, and takes account. Empty, or what is wrong.
std::string play(const Scenario& scenario, std::function<void()> relieve) {
    const auto descriptors = all_descriptors();
    const long blocks = live_blocks();
    std::string wrong;
    try {
        const int otherwise = scenario.otherwise;
        Driver driver([otherwise](int error) { return is_due(error, otherwise); },
                      std::move(relieve));
        scenario.run(driver);
    } catch (const Broken& broken) {
        wrong = broken.what();
    }
    drain();
    if (!wrong.empty()) return wrong;
    for (const auto& [fd, what] : all_descriptors())
        if (!descriptors.contains(fd)) return "left open: " + std::to_string(fd) + ", " + what;
    const long left = live_blocks() - blocks;
    return left == 0 ? "" : "blocks of memory left: " + std::to_string(left);
}

const char* variable(const char* name) {
    const char* value = getenv(name);
    return value != nullptr && *value != '\0' ? value : nullptr;
}

class Faults : public testing::TestWithParam<Scenario> {
  protected:
    void SetUp() override {
        const char* only = variable("KQ_FAULTS");
        if (only != nullptr && std::string(only) != GetParam().name) GTEST_SKIP();
        // What is kept for good is made here.
        for (int i = 0; i < 2; i++)
            wrong_ = play(GetParam(), [] {});
        ASSERT_EQ(wrong_, "");
    }
    void TearDown() override { arm(What::nothing); }

    Report inject(What what, unsigned position, unsigned reason) {
        arm(what, position, reason);
        const std::string wrong = play(GetParam(), [] {});
        Report happened = report();
        injected_ += happened.fired ? 1 : 0;
        EXPECT_EQ(wrong, "") << happened.what;
        return happened;
    }

    std::string wrong_;
    unsigned injected_ = 0;
};

TEST_P(Faults, EverySystemCallOnce) {
    if (!prepare()) GTEST_SKIP() << "no seccomp filters here";
    const char* only = variable("KQ_FAULT");
    unsigned position = only == nullptr ? 1 : static_cast<unsigned>(strtoul(only, nullptr, 10));
    for (bool reached = true; reached && !HasFatalFailure(); position++) {
        for (unsigned reason = 0; reason < 3; reason++) {
            const Report happened = inject(What::system_call, position, reason);
            reached = happened.reached;
            if (!happened.fired) break;
        }
        if (only != nullptr) break;
    }
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

// It is not mounted: what needs it is refused or done without. Where a call was refused /proc comes
// back, and the same call succeeds.
TEST_P(Faults, WithoutProc) {
    if (!prepare()) GTEST_SKIP() << "no seccomp filters here";
    arm(What::proc);
    EXPECT_EQ(play(GetParam(), [] { arm(What::nothing); }), "");
}

// Every limit of descriptors from 3 up, until it is never met. It is lifted where it was.
TEST_P(Faults, EveryLimitOfDescriptors) {
    rlimit usual{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual), 0);
    const auto lift = [&usual] { (void)setrlimit(RLIMIT_NOFILE, &usual); };
    int refused = 0;
    for (rlim_t limit = 3; limit < 48; limit++) {
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
    }
    printf("%d limits met\n", refused);
    EXPECT_GT(refused, 0);
}

INSTANTIATE_TEST_SUITE_P(Each, Faults, testing::ValuesIn(scenarios()),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace kqfaults
