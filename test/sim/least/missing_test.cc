// SPDX-License-Identifier: BSD-2-Clause
// A platform without capabilities: the filters that it refuses with a message, and what still
// works.
#include "../sim_test.h"

namespace sim {
namespace {

using SimLeast = Sim;

TEST_F(SimLeast, R40_FiltersOfMissingCapabilitiesAreRefused) {
    Queue queue;
    const int fd = regular(10);
    for (const int filter : {EVFILT_VNODE, EVFILT_PROC, EVFILT_SIGNAL}) {
        testing::internal::CaptureStderr();
        EXPECT_EQ(queue.change(static_cast<uintptr_t>(fd), filter, EV_ADD, NOTE_EXIT),
                  Errno::unimplemented);
        EXPECT_NE(testing::internal::GetCapturedStderr().find("FIXME -- UNIMPLEMENTED: EVFILT_"),
                  std::string::npos);
        EXPECT_EQ(queue.change(static_cast<uintptr_t>(fd), filter, EV_DELETE), Errno::no_entry);
    }
    EXPECT_FALSE(queue.kqueue().has_knotes());
}

// No kernel reports that the file grew, so the library looks at it.
TEST_F(SimLeast, R144_AFileThatGrowsWakesItsReader) {
    Queue queue;
    const int fd = regular(0);
    ASSERT_EQ(queue.change(static_cast<uintptr_t>(fd), EVFILT_READ, EV_ADD), Errno::ok);
    EXPECT_TRUE(queue.wait().empty());
    world().file(fd).size = 4;
    EXPECT_EQ(only_data(queue.wait(1, kq::kForever)), 4);
}

}  // namespace
}  // namespace sim
