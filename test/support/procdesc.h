// SPDX-License-Identifier: BSD-2-Clause
// Shared by the tests of EVFILT_PROCDESC.
#ifndef KQTEST_PROCDESC_H
#define KQTEST_PROCDESC_H

#include <sys/syscall.h>
#include <unistd.h>

#include "support/kq.h"
#include "support/library.h"

namespace kqtest {

inline Fd open_process(pid_t pid) {
    return Fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

class ProcDescTest : public KqTest {
  protected:
    void SetUp() override {
        if (!on_linux()) GTEST_SKIP() << "EVFILT_PROCDESC is refused there: see missing_test.cc";
        if (!open_process(::getpid())) GTEST_SKIP() << "no pidfds";
    }
};

}  // namespace kqtest

#endif
