// SPDX-License-Identifier: BSD-2-Clause
// The first reports of the kernel go straight into the eventlist (src/scan.h). The events must be
// the same as otherwise, in the same order, each once, whatever else is reported in the same call.
#include <sys/socket.h>

#include <cerrno>
#include <map>
#include <utility>

#include "support/kq.h"

namespace kqtest {
namespace {

// Pipes with something to be read, in the order in which they became so.
std::vector<Pipe> make_readable(int count) {
    std::vector<Pipe> pipes;
    for (int i = 0; i < count; i++)
        pipes.push_back(make_pipe());
    return pipes;
}

class Straight : public KqTest {
  protected:
    void add_all(const std::vector<Pipe>& pipes, int flags = EV_ADD) {
        for (const Pipe& pipe : pipes)
            ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, flags)), 0);
        for (const Pipe& pipe : pipes)
            write_bytes(*pipe.write, 3);
        ASSERT_EQ(q.collect(64).size(), pipes.size());  // their kinds are known from here on
    }

    Queue q;
};

// The disabled pipe takes a place in the reports of the kernel, and is no event. If the library
// asked the kernel again, the kernel would report the first pipe once more.
TEST_F(Straight, R48_NoEventTwiceBesideADisabledOne) {
    const std::vector<Pipe> pipes = make_readable(2);
    add_all(pipes);
    ASSERT_EQ(q.apply(change(*pipes[1].read, EVFILT_READ, EV_DISABLE)), 0);
    expect_only(q.collect(2), *pipes[0].read, EVFILT_READ, EV_ADD, 0, 3);
    expect_only(q.collect(2), *pipes[0].read, EVFILT_READ, EV_ADD, 0, 3);
}

// Two knotes of one descriptor must go through the queue. Reports before and after them need not.
TEST_F(Straight, R48_EachOnceBesideADescriptorWithTwoKnotes) {
    const std::vector<Pipe> pipes = make_readable(2);
    const Pair pair = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_WRITE, EV_ADD)), 0);
    write_bytes(*pair.second, 5);
    for (const Pipe& pipe : pipes) {
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
        write_bytes(*pipe.write, 3);
    }
    for (int room = 4; room < 8; room++)
        for (int i = 0; i < 4; i++)
            EXPECT_EQ(q.collect(room).size(), 4U) << room;
}

// A knote with a mark goes back to the queue after its event, and what is queued after that is
// delivered in the same call.
TEST_F(Straight, R48_AMarkedOneOnceBesideADescriptorWithTwoKnotes) {
    const Pipe pipe = make_pipe();
    const Pair pair = make_socketpair(SOCK_STREAM);
    write_bytes(*pipe.write, 3);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD, NOTE_LOWAT, 1)), 0);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_WRITE, EV_ADD)), 0);
    write_bytes(*pair.second, 5);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(q.collect(8).size(), 3U);
}

// With less room than there are sources, each gets its turn.
TEST_F(Straight, R47_EachGetsItsTurnBesideAUserEvent) {
    const std::vector<Pipe> pipes = make_readable(5);
    add_all(pipes);
    ASSERT_EQ(q.apply(change(7, EVFILT_USER, EV_ADD)), 0);
    ASSERT_EQ(q.apply(change(7, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    std::map<std::pair<int, uintptr_t>, int> reports;
    for (int i = 0; i < 12; i++) {
        const std::vector<Event> events = q.collect(2);
        ASSERT_EQ(events.size(), 2U);
        for (const Event& event : events)
            reports[{event.filter, event.ident}]++;
    }
    for (const auto& [knote, count] : reports)
        EXPECT_GE(count, 2) << knote.second;
    EXPECT_EQ(reports.size(), 6U) << testing::PrintToString(reports);
}

// A new user event is delivered after those that were queued before it.
TEST_F(Straight, R47_NewsStandBehindWhatWaits) {
    for (uintptr_t ident = 1; ident <= 3; ident++)
        ASSERT_EQ(q.apply(change(ident, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    for (uintptr_t ident = 1; ident <= 3; ident++)
        ASSERT_EQ(q.apply(change(ident, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    expect_only(q.collect(1), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    expect_only(q.collect(1), 2, EVFILT_USER, EV_ADD | EV_CLEAR);
    expect_only(q.collect(1), 3, EVFILT_USER, EV_ADD | EV_CLEAR);
    expect_only(q.collect(1), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    expect_none(q.collect(1));
}

// A bug: a report that is no event took the only place, and the call returned nothing (2.3).
TEST_F(Straight, S23_NewsThatAreNoEventHideNoReadyPipe) {
    const TempFile file("x");
    const Pipe pipe = make_pipe();
    const int added = q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE));
    if (added == ENOSYS) GTEST_SKIP() << "no EVFILT_VNODE";
    ASSERT_EQ(added, 0);
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_DISABLE)), 0);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    write_bytes(*file.fd, 1);
    write_bytes(*pipe.write, 3);
    expect_only(q.collect(1), *pipe.read, EVFILT_READ, EV_ADD, 0, 3);
}

// A report has the same effect on its knote, on the straight way and through the queue.
TEST_F(Straight, R96_ClearReportsAnArrivalOnce) {
    const std::vector<Pipe> pipes = make_readable(3);
    add_all(pipes, EV_ADD | EV_CLEAR);
    expect_none(q.collect(8));
    write_bytes(*pipes[1].write, 1);
    expect_only(q.collect(8), *pipes[1].read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 4);
    expect_none(q.collect(8));
}

TEST_F(Straight, R91_DispatchReportsOnceUntilItIsEnabled) {
    const std::vector<Pipe> pipes = make_readable(3);
    add_all(pipes, EV_ADD | EV_DISPATCH);
    expect_none(q.collect(8));
    ASSERT_EQ(q.apply(change(*pipes[2].read, EVFILT_READ, EV_ENABLE)), 0);
    expect_only(q.collect(8), *pipes[2].read, EVFILT_READ, EV_ADD | EV_DISPATCH, 0, 3);
    expect_none(q.collect(8));
}

TEST_F(Straight, R88_OneshotIsGoneAfterItsReport) {
    const std::vector<Pipe> pipes = make_readable(2);
    add_all(pipes, EV_ADD | EV_ONESHOT);
    expect_none(q.collect(8));
    expect_failed(q.call({change(*pipes[0].read, EVFILT_READ, EV_DELETE)}, 0, kForever), ENOENT);
}

// The sending side of a socket is asked for each time, also when its space was told already.
TEST_F(Straight, R159_AWritableSocketWhoseSendingSideIsShutHasEnded) {
    const Pair pair = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_WRITE, EV_ADD)), 0);
    for (int i = 0; i < 3; i++) {
        const std::vector<Event> events = q.collect(4);
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].flags & EV_EOF, 0);
        EXPECT_GT(events[0].data, 1);
    }
    ASSERT_EQ(::shutdown(*pair.first, SHUT_WR), 0);
    const std::vector<Event> events = q.collect(4);
    ASSERT_EQ(events.size(), 1U);
    EXPECT_NE(events[0].flags & EV_EOF, 0);
}

}  // namespace
}  // namespace kqtest
