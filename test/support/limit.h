// SPDX-License-Identifier: BSD-2-Clause
// Limits of the process, lowered for a while.
#ifndef KQTEST_LIMIT_H
#define KQTEST_LIMIT_H

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace kqtest {

// The soft limit on descriptor numbers. What is open above it stays open.
class DescriptorLimit {
  public:
    explicit DescriptorLimit(rlim_t limit) {
        EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &saved_), 0);
        const rlimit other{limit, saved_.rlim_max};
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &other), 0);
    }
    DescriptorLimit(const DescriptorLimit&) = delete;
    ~DescriptorLimit() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &saved_), 0); }

  private:
    rlimit saved_{};
};

}  // namespace kqtest

#endif
