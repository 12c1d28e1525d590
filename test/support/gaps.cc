// SPDX-License-Identifier: BSD-2-Clause
#include "support/gaps.h"

#include <gtest/gtest-spi.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/fd.h"
#include "support/world.h"

namespace kqtest {
namespace {

struct Row {
    const char* id;     // a heading of BUGS.md
    const char* tests;  // a pattern: "Suite.Test", with * and ?
    enum Kind { kAlways, kAtTimes, kLeftOut } kind = kAlways;
};
constexpr Row::Kind kAtTimes = Row::kAtTimes;  // which thread comes first decides whether it passes
constexpr Row::Kind kLeftOut = Row::kLeftOut;  // does not run: it could not, or would hang

constexpr Row kPosix[] = {
#include "support/gaps_posix.inc"
};
constexpr Row kSolaris[] = {
#include "support/gaps_solaris.inc"
};
constexpr Row kWindows[] = {
#include "support/gaps_windows.inc"
};
constexpr Row kWine[] = {
#include "support/gaps_wine.inc"
};
constexpr Row kUnix[] = {
#include "support/gaps_unix.inc"
};

// The tables of each backend that has any, and of Wine.
struct Table {
    std::string_view backend;
    std::span<const Row> rows;
    bool counts() const {
        return backend == "wine" ? world::on_wine() : backend == kqtest::backend();
    }
};
constexpr Table kTables[] = {{"posix", kPosix},  {"posix", kUnix},      {"solaris", kSolaris},
                             {"solaris", kUnix}, {"windows", kWindows}, {"wine", kWine}};

// Whether all of `text` is as the pattern says: * is anything, ? one character, [ab] or [!ab] one
// that is, or is not, among these.
bool matches(const char* pattern, const char* text) {
    if (*pattern == '\0') return *text == '\0';
    if (*pattern == '*') return matches(pattern + 1, text) || (*text && matches(pattern, text + 1));
    if (*text == '\0') return false;
    if (*pattern != '[') {
        const bool fits = *pattern == '?' || *pattern == *text;
        return fits && matches(pattern + 1, text + 1);
    }
    const std::string_view rest(pattern + 1);
    const std::string_view set = rest.substr(0, rest.find(']'));
    const bool others = set.starts_with('!');
    const bool found = set.substr(others ? 1 : 0).find(*text) != std::string_view::npos;
    return found != others && matches(pattern + 2 + set.size(), text + 1);
}

// The library is asked only about a test that is in some table. All other tests must find it as a
// program does that uses it for the first time.
const Row* row_of(const std::string& test) {
    for (const Table& table : kTables)
        for (const Row& row : table.rows)
            if (matches(row.tests, test.c_str()) && table.counts()) return &row;
    return nullptr;
}

// How long a test of a gap waits for events that may never come.
constexpr milliseconds kLittlePatience{300};

class Gaps : public testing::EmptyTestEventListener {
    void OnTestStart(const testing::TestInfo& info) override {
        row_ = row_of(std::string(info.test_suite_name()) + "." + info.name());
        if (row_ == nullptr) return;
        // A test that counts as skipped from the beginning only has its fixture made.
        if (row_->kind == kLeftOut) skip("left out, see BUGS.md: " + std::string(row_->id));
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
        if (row_->kind == kLeftOut) return;
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
        else if (row_->kind != kAtTimes)
            passed_.push_back({row_->id, std::string(test.test_suite_name()) + "." + test.name()});
    }

    // A test of a gap may pass once by chance: the gap has gone if the test passes every time. That
    // is tried in a process of its own, because in this one all tests have ended.
    void OnTestProgramEnd(const testing::UnitTest& /*all*/) override {
        for (const auto& [id, test] : passed_) {
            if (!world::passes_every_time(test)) continue;
            std::fprintf(
                stderr,
                "%s: Failure\nknown gap %s passes in %s: its row in gaps_<backend>.inc has to go\n",
                __FILE__, id, test.c_str());
            std::fflush(nullptr);
            std::_Exit(1);
        }
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
