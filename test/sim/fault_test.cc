// SPDX-License-Identifier: BSD-2-Clause
// The system refuses calls. The program must get this error. The failed change must leave no knote
// behind, and must not touch another knote.; semantics 2.2, 2.4.
#include "sim_test.h"

namespace sim {
namespace {

constexpr int kRead = EVFILT_READ;
constexpr int kWrite = EVFILT_WRITE;
constexpr Errno kReasons[] = {Errno::no_memory, Errno::too_many_open, static_cast<Errno>(ENOSPC)};

class Faults : public Sim {
  protected:
    Queue q;
};

//
TEST_F(Faults, AFailedAddLeavesNoKnote) {
    for (const Errno reason : kReasons) {
        const int fd = readable();
        world().fail(Fault::add, reason);
        EXPECT_EQ(q.change(fd, kRead, EV_ADD), reason);
        EXPECT_EQ(q.change(fd, kRead, EV_DELETE), Errno::no_entry);
        EXPECT_TRUE(q.wait().empty());
        ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_ONESHOT), Errno::ok);
        EXPECT_EQ(q.wait().size(), 1u);
    }
}

// The other knote of the descriptor must go on as before.
TEST_F(Faults, AFailedAddDoesNotTouchTheOtherDirection) {
    for (const unsigned mode : {0u, 1u * EV_CLEAR}) {
        const int fd = readable();
        world().room(fd, 10);
        ASSERT_EQ(q.change(fd, kRead, EV_ADD | mode), Errno::ok);
        world().fail(Fault::add, Errno::no_memory);
        EXPECT_EQ(q.change(fd, kWrite, EV_ADD), Errno::no_memory);
        EXPECT_EQ(q.wait().size(), 1u);
        EXPECT_EQ(q.wait().size(), mode == 0 ? 1u : 0u);
        world().feed(fd, 1);
        EXPECT_EQ(q.wait().size(), 1u);
        ASSERT_EQ(q.change(fd, kRead, EV_DELETE), Errno::ok);
    }
}

// the number names another file since a disabled knote was added. The refused EV_ADD of a
// second knote is the first to notice. This was a bug: the old knote became one of the new file.
TEST_F(Faults, R289_AFailedAddGivesNoOldKnoteANewFile) {
    for (const int filter : {kRead, kWrite})
        for (const unsigned specific : {0u, 1u * EV_UDATA_SPECIFIC}) {
            if (filter == kRead && specific == 0) continue;  // the same knote
            SCOPED_TRACE(testing::Message() << filter << " " << specific);
            const int fd = readable();
            ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_DISPATCH), Errno::ok);
            ASSERT_EQ(q.change(fd, kRead, EV_DISABLE), Errno::ok);
            (void)world().open(FdKind::unix_stream, fd);
            for (const Fault fault : {Fault::add, Fault::modify})
                world().fail(fault, Errno::no_memory);
            EXPECT_EQ(q.change(fd, filter, EV_ADD | specific), Errno::no_memory);
            for (const Fault fault : {Fault::add, Fault::modify})
                world().fail(fault, Errno::ok);
            EXPECT_EQ(q.change(fd, kRead, 0), Errno::no_entry);
            world().feed(fd, 5);
            EXPECT_TRUE(q.wait().empty());
            world().close(fd);
        }
}

// the failure is an entry, and the other changes of the list are applied.
TEST_F(Faults, AFailureInAListIsAnEntry) {
    int tag = 0;
    const int first = readable();
    const int second = readable();
    const int third = readable();
    world().fail(Fault::add, Errno::no_memory, 2);
    const Kevents events =
        q.wait(3, kForever,
               {change(first, kRead, EV_ADD), change(second, kRead, EV_ADD, 0, 0, &tag),
                change(third, kRead, EV_ADD)});
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].ident, static_cast<uintptr_t>(second));
    EXPECT_EQ(events[0].flags, EV_ADD | EV_ERROR);
    EXPECT_EQ(events[0].data, ENOMEM);
    EXPECT_EQ(events[0].udata, &tag);
    EXPECT_EQ(idents(q.wait()), (std::vector{first, third}));
}

// there is no room to report the failure, and the changes after it are not applied.
TEST_F(Faults, AFailureWithoutRoomEndsTheCall) {
    const int first = readable();
    const int second = readable();
    world().fail(Fault::add, Errno::no_memory, 1);
    EXPECT_EQ(q.apply({change(1, EVFILT_USER, EV_ADD), change(first, kRead, EV_ADD),
                       change(second, kRead, EV_ADD)}),
              Errno::no_memory);
    EXPECT_EQ(q.change(1, EVFILT_USER, EV_DELETE), Errno::ok);
    EXPECT_EQ(q.change(second, kRead, EV_DELETE), Errno::no_entry);
}

// If a change of a knote fails, the knote must stay as it was.
TEST_F(Faults, AFailedModifyKeepsTheKnote) {
    int tag = 0;
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, kRead, EV_ADD, 0, 0, &tag), Errno::ok);
    world().fail(Fault::modify, Errno::no_memory);
    EXPECT_EQ(q.change(fd, kRead, EV_ADD, NOTE_LOWAT, 100), Errno::no_memory);
    world().feed(fd, 1);
    const Kevents events = q.wait();
    EXPECT_EQ(only_data(events), 1);
    EXPECT_EQ(events.at(0).udata, &tag);
    EXPECT_EQ(q.change(fd, kRead, EV_DELETE), Errno::ok);
}

// An EV_ENABLE that fails does not enable the knote. The next one does.
TEST_F(Faults, AFailedEnableLeavesItDisabled) {
    const int fd = readable();
    ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_DISPATCH), Errno::ok);
    EXPECT_EQ(q.wait().size(), 1u);
    world().fail(Fault::modify, Errno::no_memory);
    EXPECT_EQ(q.change(fd, kRead, EV_ENABLE), Errno::no_memory);
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(q.change(fd, kRead, EV_ENABLE), Errno::ok);
    EXPECT_EQ(q.wait().size(), 1u);
}

TEST_F(Faults, ATimerWithoutAClock) {
    const auto moment = static_cast<intptr_t>(world().now(Clock::realtime) / kMillisecond) + 50;
    for (const unsigned fflags : {0u, 1u * NOTE_ABSOLUTE}) {
        world().fail(Fault::prepare_clock, Errno::too_many_open);
        const intptr_t data = fflags == 0 ? 10 : moment;
        EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, fflags, data), Errno::too_many_open);
        EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_DELETE), Errno::no_entry);
    }
    // If the timer cannot get another clock, it keeps its clock.
    ASSERT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, 10), Errno::ok);
    world().fail(Fault::prepare_clock, Errno::too_many_open);
    EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE, moment), Errno::too_many_open);
    world().advance(10 * kMillisecond);
    EXPECT_EQ(only_data(q.wait()), 1);
}

// The library must look again, but there is no clock for that. Then it looks before each sleep.
TEST_F(Faults, ARecheckWithoutAClock) {
    world().fail(Fault::prepare_clock, Errno::too_many_open, 1, 1000);
    const int fd = writable(10);
    ASSERT_EQ(q.change(fd, kWrite, EV_ADD, NOTE_LOWAT, 100), Errno::ok);
    EXPECT_TRUE(q.wait(8, kSecond).empty());
    world().room(fd, 200);
    EXPECT_EQ(only_data(q.wait(8, kSecond)), 210);
}

TEST_F(Faults, AKernelQueueThatFailsIsReported) {
    ASSERT_EQ(q.change(readable(), kRead, EV_ADD), Errno::ok);
    world().fail(Fault::collect, Errno::no_memory);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_EQ(q.error(), Errno::no_memory);
    EXPECT_EQ(q.wait().size(), 1u);
}

// This was a bug: the call failed after it had delivered queued events, and they were lost.
TEST_F(Faults, AKernelQueueThatFailsTakesNoEventWithIt) {
    ASSERT_EQ(q.change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER), Errno::ok);
    world().fail(Fault::collect, Errno::no_memory);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_EQ(q.error(), Errno::no_memory);
    EXPECT_EQ(q.wait().size(), 1u);
}

TEST_F(Faults, AKqueueThatCannotBeOpened) {
    for (const Errno reason : kReasons) {
        world().fail(Fault::open, reason);
        kq::Kqueue kqueue;
        EXPECT_EQ(kqueue.open(), reason);
        kqueue.close_unpublished();
    }
    // kqueue() tries again after it has freed what closed kqueues hold.
    world().fail(Fault::open, Errno::too_many_open, 1, 2);
    EXPECT_EQ(::kqueue(), -1);
    EXPECT_EQ(errno, EMFILE);
    world().fail(Fault::open, Errno::no_memory);
    EXPECT_EQ(::kqueue(), -1);
    EXPECT_EQ(errno, ENOMEM);
}

}  // namespace
}  // namespace sim
