// SPDX-License-Identifier: BSD-2-Clause
// Signals on the simulated system. The hub counts signals and rings mailboxes. Knotes compare the
// counts.
#include "signal_hub.h"
#include "sim_test.h"

namespace sim {
namespace {

constexpr int kNumber = 10;

class Signals : public Sim {
  protected:
    // The mailbox of the queue, in a state as if no earlier test had used it.
    static kq::Mailbox& fresh_mailbox_of(Queue& queue) KQ_NO_ANALYSIS {
        kq::Mailbox& mailbox = *queue.kqueue().mailbox();
        mailbox.has_subscribed = false;
        return mailbox;
    }
    Queue q;
};

TEST_F(Signals, EachQueueIsRungAndCountsForItself) {
    Queue other;
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);
    EXPECT_TRUE(kq::signal_hub::arrived(kNumber));
    ASSERT_EQ(other.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);  // after the first signal
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

// The signal is counted, so its default action is not taken. But the queue is not rung.
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

// The count of a disabled knote has grown, and the queue is rung for another reason.
TEST_F(Signals, R224_ADisabledKnoteKeepsItsCountWhenItIsRungForNothing) {
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_DISABLE), Errno::ok);
    (void)fresh_mailbox_of(q);
    EXPECT_TRUE(kq::signal_hub::arrived(kNumber));
    ASSERT_EQ(kq::Backend::post(q.backend().descriptor(), q.kqueue().serial()), Errno::ok);
    EXPECT_TRUE(q.readable());
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ENABLE), Errno::ok);
    EXPECT_EQ(only_data(q.wait()), 1);
}

// One ring reports both a signal and a watched queue that has moved.
TEST_F(Signals, R308_AMovedQueueIsFollowedBesideASignal) {
    ASSERT_EQ(q.change(kNumber, EVFILT_SIGNAL, EV_ADD), Errno::ok);
    kq::Mailbox& mailbox = fresh_mailbox_of(q);
    mailbox.queue_was_renewed = true;
    EXPECT_TRUE(kq::signal_hub::arrived(kNumber));
    EXPECT_EQ(only_data(q.wait()), 1);
    EXPECT_FALSE(mailbox.queue_was_renewed) << "no call has looked at it";
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
