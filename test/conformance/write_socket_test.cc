// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_WRITE on sockets: data is the free room of the send buffer. With NOTE_LOWAT the event
// comes only with so much free room.
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class WriteSocket : public KqTest, public testing::WithParamInterface<DuplexKind> {
  protected:
    int add(int flags = 0, unsigned fflags = 0, intptr_t data = 0) const {
        return q_.apply(change(s_.fd(), EVFILT_WRITE, EV_ADD | flags, fflags, data));
    }
    // One WRITE event with this much room or more.
    intptr_t expect(int flags, intptr_t least = 1, int line = __builtin_LINE()) const {
        const std::vector<Event> events = q_.wait();
        expect_between(events, s_.fd(), EVFILT_WRITE, EV_ADD | flags, least, send_buffer(s_.fd()),
                       __FILE__, line);
        return events.empty() ? 0 : events[0].data;
    }

    Duplex s_ = GetParam().make();
    Queue q_;
};

TEST_P(WriteSocket, R149_ConnectedIsWritableAtOnce) {
    ASSERT_EQ(add(), 0);
    expect_between(q_.collect(), s_.fd(), EVFILT_WRITE, EV_ADD, 1, send_buffer(s_.fd()));
}

TEST_P(WriteSocket, R149_DataGetsLessWithEachByteThatIsNotReceived) {
    ASSERT_EQ(add(), 0);
    const intptr_t empty = expect(0);
    s_.block();
    read_bytes(s_.peer(), 1);  // whatever became free, it is not all
    if (look(s_.fd(), POLLOUT) == 0) {
        expect_none(q_.collect());
    } else {
        EXPECT_LT(expect(0), empty);
    }
    s_.unblock();
    expect(0, empty / 2);
}

TEST_P(WriteSocket, R151_FilledIsSilentUntilThePeerReads) {
    ASSERT_EQ(add(), 0);
    s_.block();
    expect_sleeps(q_);
    s_.unblock();
    expect(0);
}

TEST_P(WriteSocket, R150_ClearIsNotWokenByIncomingData) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    expect(EV_CLEAR);
    s_.feed();
    expect_sleeps(q_);
}

TEST_P(WriteSocket, R160_MoreThanTheBufferNeverComes) {
    ASSERT_EQ(add(0, NOTE_LOWAT, send_buffer(s_.fd()) + 4096), 0);
    expect_sleeps(q_);
    ASSERT_EQ(add(0, NOTE_LOWAT, 1), 0);
    expect(0);
    ASSERT_EQ(add(0, NOTE_LOWAT, INTPTR_MAX), 0);
    expect_sleeps(q_);
    ASSERT_EQ(add(), 0);  // no mark at all
    expect(0);
}

TEST_P(WriteSocket, R160_LowatWaitsForTheMarkAsThePeerDrains) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    const intptr_t mark = expect(EV_ONESHOT);  // all that is free in an empty buffer
    s_.block();
    ASSERT_EQ(add(0, NOTE_LOWAT, mark), 0);
    expect_sleeps(q_);
    s_.unblock();
    expect(0, mark);
    expect(0, mark);
}

TEST_P(WriteSocket, R160_LowatIsSilentWhileWritableBelowTheMark) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    const intptr_t mark = expect(EV_ONESHOT);
    write_bytes(s_.fd(), 1000);
    eventually([&] { return bytes_to_read(s_.peer()) == 1000; });
    if (GetParam().name == std::string("tcp") || bytes_unsent(s_.fd()) == 0)
        GTEST_SKIP() << "what was received takes no room once it is acknowledged";
    ASSERT_NE(look(s_.fd(), POLLOUT), 0);
    ASSERT_EQ(add(0, NOTE_LOWAT, mark), 0);
    expect_sleeps(q_);
    s_.unblock();
    expect(0, mark);
}

TEST_P(WriteSocket, R160_LowatWithClearAndOneshot) {
    for (const int mode : {EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        const Queue q;
        const Duplex s = GetParam().make();
        ASSERT_EQ(q.apply(change(s.fd(), EVFILT_WRITE, EV_ADD)), 0);
        const intptr_t mark = pick(q.wait(), EVFILT_WRITE).data;
        ASSERT_EQ(q.apply(change(s.fd(), EVFILT_WRITE, EV_DELETE)), 0);
        s.block();
        ASSERT_EQ(q.apply(change(s.fd(), EVFILT_WRITE, EV_ADD | mode, NOTE_LOWAT, mark)), 0);
        expect_sleeps(q);
        s.unblock();
        expect_between(q.wait(), s.fd(), EVFILT_WRITE, EV_ADD | mode, mark, send_buffer(s.fd()));
        expect_sleeps(q);
    }
}

TEST_P(WriteSocket, R160_LowatWakesASleepingThread) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    const intptr_t mark = expect(EV_ONESHOT);
    s_.block();
    ASSERT_EQ(add(0, NOTE_LOWAT, mark), 0);
    std::vector<Event> events;
    Thread waiter([&] { events = q_.wait(); });
    waiter.wait_until_asleep();
    s_.unblock();
    waiter.join();
    expect_between(events, s_.fd(), EVFILT_WRITE, EV_ADD, mark, send_buffer(s_.fd()));
}

TEST_P(WriteSocket, R160_TwoQueuesHaveTheirOwnMarks) {
    const Queue other;
    ASSERT_EQ(add(0, NOTE_LOWAT, send_buffer(s_.fd()) + 1), 0);
    ASSERT_EQ(other.apply(change(s_.fd(), EVFILT_WRITE, EV_ADD, NOTE_LOWAT, 1)), 0);
    expect_between(other.wait(), s_.fd(), EVFILT_WRITE, EV_ADD, 1, send_buffer(s_.fd()));
    expect_sleeps(q_);
}

INSTANTIATE_TEST_SUITE_P(Kinds, WriteSocket, testing::ValuesIn(stream_kinds()), kind_name);

// ---- datagrams ----

class WriteDatagram : public KqTest {
  protected:
    void expect(const Fd& fd, int flags, int line = __builtin_LINE()) const {
        expect_between(q_.collect(), *fd, EVFILT_WRITE, EV_ADD | flags, 1, send_buffer(*fd),
                       __FILE__, line);
    }
    Queue q_;
};

TEST_F(WriteDatagram, R156_UnconnectedUdpIsWritableAtOnce) {
    const Fd udp{::socket(AF_INET, SOCK_DGRAM, 0)};
    ASSERT_EQ(q_.apply(change(*udp, EVFILT_WRITE, EV_ADD)), 0);
    expect(udp, 0);
    expect(udp, 0);
}

TEST_F(WriteDatagram, R156_UnconnectedUnixDatagramIsWritableAtOnce) {
    const Fd fd = unix_socket(SOCK_DGRAM);
    ASSERT_EQ(q_.apply(change(*fd, EVFILT_WRITE, EV_ADD | EV_ONESHOT)), 0);
    expect(fd, EV_ONESHOT);
}

TEST_F(WriteDatagram, R150_UdpWithClearReportsOnce) {
    const Pair udp = make_udp_pair();
    ASSERT_EQ(q_.apply(change(*udp.first, EVFILT_WRITE, EV_ADD | EV_CLEAR)), 0);
    expect(udp.first, EV_CLEAR);
    write_bytes(*udp.second, 3);
    ASSERT_TRUE(wait_readable(*udp.first));
    expect_sleeps(q_);
}

TEST_F(WriteDatagram, R119_PortUnreachableIsNoEofForWrite) {
    const Fd udp = udp_to_nobody();
    ASSERT_EQ(q_.apply(change(*udp, EVFILT_WRITE, EV_ADD)), 0);
    expect(udp, 0);
    ASSERT_EQ(send_bytes(*udp, 1), 1);
    ASSERT_TRUE(wait_for(*udp, 0));  // POLLERR
    expect(udp, 0);
    EXPECT_EQ(take_error(*udp), ECONNREFUSED);
    expect(udp, 0);
}

}  // namespace
}  // namespace kqtest
