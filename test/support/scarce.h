// SPDX-License-Identifier: BSD-2-Clause
// For a while the process gets no new descriptors, as at its limit or at that of the user. A kqueue
// that then adds its first VNODE knote must use the inotify instance of another kqueue.
#ifndef KQTEST_SCARCE_H
#define KQTEST_SCARCE_H

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "support/fd.h"

namespace kqtest {

class NoDescriptors {
  public:
    NoDescriptors() {
        EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
        struct rlimit none = before_;
        none.rlim_cur = static_cast<rlim_t>(lowest_free_number());
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    }
    NoDescriptors(const NoDescriptors&) = delete;
    ~NoDescriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

  private:
    struct rlimit before_ {};
};

}  // namespace kqtest

#endif
