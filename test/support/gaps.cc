// SPDX-License-Identifier: BSD-2-Clause
#include "support/gaps.h"

#include <fnmatch.h>
#include <gtest/gtest-spi.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "support/fd.h"

namespace kqtest {
namespace {

struct Row {
    const char* id;     // a heading of BUGS.md
    const char* tests;  // a pattern: "Suite.Test", with * and ?
    bool at_times = false;
};
constexpr bool kAtTimes = true;  // which thread comes first decides whether it passes

constexpr Row kPosix[] = {
#include "support/gaps_posix.inc"
};
constexpr Row kSolaris[] = {
#include "support/gaps_solaris.inc"
};
constexpr Row kUnix[] = {
#include "support/gaps_unix.inc"
};

// The tables of each backend that has any.
struct Table {
    std::string_view backend;
    std::span<const Row> rows;
};
constexpr Table kTables[] = {
    {"posix", kPosix}, {"posix", kUnix}, {"solaris", kSolaris}, {"solaris", kUnix}};

// The library is asked only about a test that is in some table. All other tests must find it as a
// program does that uses it for the first time.
const Row* row_of(const std::string& test) {
    for (const Table& table : kTables)
        for (const Row& row : table.rows)
            if (::fnmatch(row.tests, test.c_str(), 0) == 0 && table.backend == backend())
                return &row;
    return nullptr;
}

// How long a test waits for what does not come.
constexpr milliseconds kLittlePatience{300};

class Gaps : public testing::EmptyTestEventListener {
    void OnTestStart(const testing::TestInfo& info) override {
        row_ = row_of(std::string(info.test_suite_name()) + "." + info.name());
        if (row_ == nullptr) return;
        set_time_limit(kLittlePatience);
        results_ = std::make_unique<testing::TestPartResultArray>();
        intercepted_ = std::make_unique<testing::ScopedFakeTestPartResultReporter>(
            testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, results_.get());
    }

    // Called before the OnTestEnd() of the printer.
    void OnTestEnd(const testing::TestInfo& test) override {
        if (row_ == nullptr) return;
        intercepted_.reset();
        set_time_limit(kUsualLimit);
        const char* failure = nullptr;
        const char* skipped = nullptr;
        for (int i = 0; i < results_->size(); i++) {
            const testing::TestPartResult& result = results_->GetTestPartResult(i);
            if (result.failed() && failure == nullptr) failure = result.message();
            if (result.skipped()) skipped = result.message();
        }
        if (failure != nullptr)
            skip("known gap, see BUGS.md: " + std::string(row_->id) +
                 (std::getenv("KQ_SHOW_GAPS") == nullptr ? "" : std::string("\n") + failure));
        else if (skipped != nullptr)
            skip(skipped);
        else if (!row_->at_times)
            passed_.push_back({row_->id, std::string(test.test_suite_name()) + "." + test.name()});
    }

    // A test of a gap may pass once by chance: the gap has gone if the test passes every time. That
    // is tried in a process of its own, because in this one all tests have ended.
    void OnTestProgramEnd(const testing::UnitTest& /*all*/) override {
        for (const auto& [id, test] : passed_) {
            if (!passes_every_time(test)) continue;
            std::fprintf(
                stderr,
                "%s: Failure\nknown gap %s passes in %s: its row in gaps_<backend>.inc has to go\n",
                __FILE__, id, test.c_str());
            std::fflush(nullptr);
            std::_Exit(1);
        }
    }

    static bool passes_every_time(const std::string& test) {
        std::error_code error;
        const std::string self = std::filesystem::read_symlink("/proc/self/exe", error);
        const std::string again =
            "export GTEST_TOTAL_SHARDS=1 GTEST_SHARD_INDEX=0 KQ_NO_GAPS=1\n"
            "for i in 1 2 3 4 5 6 7 8 9 10; do '" +
            self + "' '--gtest_filter=" + test + "' >/dev/null 2>&1 || exit 1; done";
        return std::system(again.c_str()) == 0;
    }

    static void skip(const std::string& why) { GTEST_SKIP() << why; }

    const Row* row_ = nullptr;
    std::vector<std::pair<const char*, std::string>> passed_;  // gap, test
    std::unique_ptr<testing::TestPartResultArray> results_;
    std::unique_ptr<testing::ScopedFakeTestPartResultReporter> intercepted_;
};

// Runs before main(), which is GoogleTest's.
const bool added = [] {
    if (std::getenv("KQ_NO_GAPS") != nullptr) return false;
    testing::UnitTest::GetInstance()->listeners().Append(new Gaps);
    return true;
}();

}  // namespace
}  // namespace kqtest
