// SPDX-License-Identifier: BSD-2-Clause
// Signals on the simulated system: the hub counts, mailboxes are rung, knotes compare.
#include "signal_hub.h"
#include "sim_test.h"

namespace sim {
namespace {

constexpr int kNumber = 10;

class Signals : public Sim {
  protected:
    Queue q;
};

TEST_F(Signals, EachQueueIsRungAndCountsForItself) {
    Queue other;
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);
    EXPECT_TRUE(kq::signal_hub::arrived(kNumber));
    ASSERT_EQ(other.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);  // too late for that one
    EXPECT_FALSE(other.readable());
    EXPECT_TRUE(kq::signal_hub::arrived(kNumber));
    EXPECT_TRUE(q.readable());
    EXPECT_TRUE(other.readable());
    EXPECT_EQ(only_data(q.wait()), 2);
    EXPECT_FALSE(q.readable());
    EXPECT_TRUE(other.readable());
    EXPECT_EQ(only_data(other.wait()), 1);
    EXPECT_TRUE(q.wait().empty());
}

TEST_F(Signals, AnotherSignalRingsNobody) {
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);
    EXPECT_FALSE(kq::signal_hub::arrived(kNumber + 1));
    EXPECT_FALSE(q.readable());
}

// Heard, so that the default action is not taken; but not announced.
TEST_F(Signals, ADisabledKnoteIsCountedAndNotRung) {
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ADD | EV_DISABLE), Errno::ok);
    EXPECT_TRUE(kq::signal_hub::arrived(kNumber));
    EXPECT_FALSE(q.readable());
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ENABLE), Errno::ok);
    EXPECT_TRUE(q.readable());
    EXPECT_EQ(only_data(q.wait()), 1);
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_DISABLE), Errno::ok);
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ENABLE), Errno::ok);
    EXPECT_FALSE(q.readable());
    EXPECT_TRUE(q.wait().empty());
}

TEST_F(Signals, NobodyHearsWhatNobodyWatches) {
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_DELETE), Errno::ok);
    EXPECT_FALSE(kq::signal_hub::arrived(kNumber));
    {
        Queue closed;
        ASSERT_EQ(closed.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);
        world().close(closed.backend().descriptor());
        EXPECT_FALSE(kq::signal_hub::arrived(kNumber)) << "the number is free";
    }
    EXPECT_FALSE(kq::signal_hub::arrived(kNumber));
}

// More mailboxes than the first chunk has.
TEST_F(Signals, ManyQueues) {
    std::vector<std::unique_ptr<Queue>> queues;
    for (int i = 0; i < 100; i++) {
        queues.push_back(std::make_unique<Queue>());
        ASSERT_EQ(queues.back()->change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);
    }
    EXPECT_TRUE(kq::signal_hub::arrived(kNumber));
    for (const auto& queue : queues)
        EXPECT_EQ(only_data(queue->wait()), 1);
}

}  // namespace
}  // namespace sim
