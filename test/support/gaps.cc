#include "support/gaps.h"

#include <fnmatch.h>
#include <gtest/gtest-spi.h>

#include <memory>
#include <string>

#include "support/fd.h"

namespace kqtest {
namespace {

struct Row {
    const char* id;     // a heading of BUGS.md
    const char* tests;  // a pattern: "Suite.Test", with * and ?
};

constexpr Row kRows[] = {
#if defined(KQTEST_BACKEND_posix)
    #include "support/gaps_posix.inc"
#endif
    {"", ""}};  // matches none

const Row* row_of(const std::string& test) {
    for (const Row& row : kRows)
        if (::fnmatch(row.tests, test.c_str(), 0) == 0) return &row;
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

    // Called before the printer's.
    void OnTestEnd(const testing::TestInfo&) override {
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
            skip("known gap, see BUGS.md: " + std::string(row_->id) + "\n" + failure);
        else if (skipped != nullptr)
            skip(skipped);
        else
            ADD_FAILURE() << "known gap " << row_->id << " passes: its row in gaps.cc has to go";
    }

    static void skip(const std::string& why) { GTEST_SKIP() << why; }

    const Row* row_ = nullptr;
    std::unique_ptr<testing::TestPartResultArray> results_;
    std::unique_ptr<testing::ScopedFakeTestPartResultReporter> intercepted_;
};

// Before main(), which is GoogleTest's.
const bool added = [] {
    testing::UnitTest::GetInstance()->listeners().Append(new Gaps);
    return true;
}();

}  // namespace
}  // namespace kqtest
