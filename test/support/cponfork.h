// SPDX-License-Identifier: BSD-2-Clause
// A kqueue of which forked children get a copy.
#ifndef KQTEST_CPONFORK_H
#define KQTEST_CPONFORK_H

#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {

// Runs `body` in a child, for at most so long. If an expectation in `body` fails, the test fails.
template <class Body>
void in_child(Body body, milliseconds limit = milliseconds{20000}) {
    Child child([&body] {
        body();
        return testing::Test::HasFailure() ? 1 : 0;
    });
    EXPECT_EQ(child.wait(limit), 0) << child.errors();
}

// In a child, and after that here.
template <class Body>
void in_both(Body body) {
    in_child(body);
    body();
}

#ifdef KQUEUE_CPONFORK
class CpOnFork : public SignalTest {
  protected:
    Queue q{::kqueuex(KQUEUE_CPONFORK)};
};
#endif

}  // namespace kqtest

#endif
