// SPDX-License-Identifier: BSD-2-Clause
// NOTE_LOWAT of EVFILT_READ: a threshold for one knote, not for the descriptor.
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

constexpr intptr_t kMark = 16;

class ReadLowat : public KqTest, public testing::WithParamInterface<DuplexKind> {
  protected:
    int add(intptr_t mark, int flags = 0) const { return add_to(q_, mark, flags); }
    int add_to(const Queue& q, intptr_t mark, int flags = 0) const {
        return q.apply(change(s_.fd(), EVFILT_READ, EV_ADD | flags, NOTE_LOWAT, mark));
    }
    int apply(int flags) const { return q_.apply(change(s_.fd(), EVFILT_READ, flags)); }
    void send(size_t bytes) const {
        const int goal = bytes_to_read(s_.fd()) + static_cast<int>(bytes);
        write_bytes(s_.peer(), bytes);
        eventually([&] { return bytes_to_read(s_.fd()) == goal; });
    }
    // fflags of the event are 0: R-103.
    void expect(int flags, intptr_t data, int line = __builtin_LINE()) const {
        expect_only(q_.wait(), s_.fd(), EVFILT_READ, EV_ADD | flags, 0, data, nullptr, __FILE__,
                    line);
    }

    Duplex s_ = GetParam().make();
    Queue q_;
};

TEST_P(ReadLowat, R122_BelowTheMarkIsSilentAndSleeps) {
    ASSERT_EQ(add(kMark), 0);
    send(8);
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
    send(16);
    expect(0, 24);
    expect(0, 24);
}

TEST_P(ReadLowat, R122_ExactlyTheMarkIsEnough) {
    ASSERT_EQ(add(kMark), 0);
    send(15);
    expect_none(q_.collect());
    send(1);
    expect(0, 16);
}

TEST_P(ReadLowat, R122_LevelEndsWhenReadBelowTheMark) {
    ASSERT_EQ(add(kMark), 0);
    send(12);
    send(12);
    expect(0, 24);
    read_bytes(s_.fd(), 12);
    expect_sleeps(q_);
    send(4);
    expect(0, 16);
}

TEST_P(ReadLowat, R122_DataBeforeAdd) {
    send(8);
    ASSERT_EQ(add(kMark), 0);
    expect_sleeps(q_);
    send(8);
    expect(0, 16);
}

TEST_P(ReadLowat, R122_ASleepingCallIsWokenAtTheMark) {
    ASSERT_EQ(add(kMark), 0);
    send(8);
    std::vector<Event> events;
    Thread waiter([&] { events = q_.wait(); });
    waiter.wait_until_asleep();
    write_bytes(s_.peer(), 8);
    waiter.join();
    expect_only(events, s_.fd(), EVFILT_READ, EV_ADD, 0, 16);
}

TEST_P(ReadLowat, R122_ReAddReplacesTheMark) {
    ASSERT_EQ(add(kMark), 0);
    send(8);
    expect_none(q_.collect());
    ASSERT_EQ(add(4), 0);
    expect(0, 8);
    ASSERT_EQ(add(100), 0);
    expect_sleeps(q_);
    ASSERT_EQ(q_.apply(change(s_.fd(), EVFILT_READ, EV_ADD)), 0);  // no mark at all
    expect(0, 8);
}

TEST_P(ReadLowat, R86_DisableAndEnableKeepTheMark) {
    ASSERT_EQ(add(kMark), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    send(8);
    expect_none(q_.collect());
    send(8);
    expect(0, 16);
}

TEST_P(ReadLowat, R122_ClearReportsEachArrivalFromTheMarkOn) {
    ASSERT_EQ(add(kMark, EV_CLEAR), 0);
    send(8);
    expect_sleeps(q_);
    send(8);
    expect(EV_CLEAR, 16);
    expect_sleeps(q_);
    send(1);
    expect(EV_CLEAR, 17);
    expect_none(q_.collect());
}

TEST_P(ReadLowat, R122_OneshotWaitsForTheMark) {
    ASSERT_EQ(add(kMark, EV_ONESHOT), 0);
    send(8);
    expect_sleeps(q_);
    EXPECT_EQ(apply(EV_ENABLE), 0);  // still there
    send(8);
    expect(EV_ONESHOT, 16);
    EXPECT_EQ(apply(EV_ENABLE), ENOENT);
}

TEST_P(ReadLowat, R122_DispatchWaitsForTheMark) {
    ASSERT_EQ(add(kMark, EV_DISPATCH), 0);
    send(8);
    expect_sleeps(q_);
    send(8);
    expect(EV_DISPATCH, 16);
    expect_none(q_.collect());
    drain(s_.fd());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    send(8);
    expect_sleeps(q_);
    send(8);
    expect(EV_DISPATCH, 16);
}

TEST_P(ReadLowat, R123_TwoQueuesHaveTheirOwnMarks) {
    const Queue low;
    ASSERT_EQ(add(kMark), 0);
    ASSERT_EQ(add_to(low, 4), 0);
    send(8);
    expect_only(low.wait(), s_.fd(), EVFILT_READ, EV_ADD, 0, 8);
    expect_sleeps(q_);
    send(8);
    expect_only(low.wait(), s_.fd(), EVFILT_READ, EV_ADD, 0, 16);
    expect(0, 16);
    ASSERT_EQ(apply(EV_DELETE), 0);
    read_bytes(s_.fd(), 8);
    drain(s_.fd());
    expect_none(low.collect());
    send(5);
    expect_only(low.wait(), s_.fd(), EVFILT_READ, EV_ADD, 0, 5);
}

TEST_P(ReadLowat, R124_TheOptionOfTheSocketIsUntouched) {
    ASSERT_EQ(add(kMark), 0);
    EXPECT_EQ(get_option(s_.fd(), SOL_SOCKET, SO_RCVLOWAT), 1);
    send(1);
    expect_none(q_.collect());
    EXPECT_TRUE(wait_readable(s_.fd(), milliseconds{0}));  // for everybody else
    char bytes[kMark];
    EXPECT_EQ(::recv(s_.fd(), bytes, sizeof bytes, 0), 1);
    EXPECT_EQ(get_option(s_.fd(), SOL_SOCKET, SO_RCVLOWAT), 1);
}

TEST_P(ReadLowat, R125_EofIsReportedBelowTheMark) {
    ASSERT_EQ(add(kMark), 0);
    send(3);
    expect_sleeps(q_);
    shut(s_.peer(), SHUT_WR);
    expect(EV_EOF, 3);
    read_bytes(s_.fd(), 3);
    expect(EV_EOF, 0);
}

TEST_P(ReadLowat, R125_EofBelowTheMarkWithOneshotAndClear) {
    const Queue other;
    ASSERT_EQ(add(kMark, EV_CLEAR), 0);
    ASSERT_EQ(add_to(other, kMark, EV_ONESHOT), 0);
    send(3);
    expect_sleeps(q_);
    s_.hang_up();
    expect(EV_CLEAR | EV_EOF, 3);
    expect_sleeps(q_);
    expect_only(other.wait(), s_.fd(), EVFILT_READ, EV_ADD | EV_ONESHOT | EV_EOF, 0, 3);
}

TEST_P(ReadLowat, R148_BesideALevelWrite) {
    ASSERT_EQ(add(kMark), 0);
    ASSERT_EQ(q_.apply(change(s_.fd(), EVFILT_WRITE, EV_ADD)), 0);
    send(8);
    EXPECT_EQ(filters(q_.collect()), "WRITE");
    EXPECT_EQ(filters(q_.collect()), "WRITE");
    send(8);
    EXPECT_EQ(filters(q_.collect()), "READ WRITE");
    read_bytes(s_.fd(), 8);
    EXPECT_EQ(filters(q_.collect()), "WRITE");
}

INSTANTIATE_TEST_SUITE_P(Kinds, ReadLowat, testing::ValuesIn(stream_kinds()), kind_name);

// ---- other descriptors ----

class ReadLowatOther : public KqTest {
  protected:
    Queue q_;
};

TEST_F(ReadLowatOther, R122_DatagramBelowTheMarkIsSilent) {
    for (const bool udp : {true, false}) {
        const Pair s = udp ? make_udp_pair() : make_socketpair(SOCK_DGRAM);
        const Queue q;
        ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_ADD, NOTE_LOWAT, kMark)), 0);
        write_bytes(*s.second, 3);
        ASSERT_TRUE(wait_readable(*s.first));
        expect_sleeps(q);
        read_bytes(*s.first, 3);
        write_bytes(*s.second, 20);
        expect_only(q.wait(), *s.first, EVFILT_READ, EV_ADD, 0, 20);
        EXPECT_EQ(get_option(*s.first, SOL_SOCKET, SO_RCVLOWAT), 1);
    }
}

// FreeBSD ignores the mark here, macOS honours it; so does this library.
TEST_F(ReadLowatOther, R122_PipeBelowTheMarkIsSilent) {
    Pipe p = make_pipe();
    ASSERT_EQ(q_.apply(change(*p.read, EVFILT_READ, EV_ADD, NOTE_LOWAT, kMark)), 0);
    write_bytes(*p.write, 8);
    expect_sleeps(q_);
    write_bytes(*p.write, 8);
    expect_only(q_.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 16);
    read_bytes(*p.read, 8);
    expect_none(q_.collect());
    p.write.reset();
    expect_only(q_.wait(), *p.read, EVFILT_READ, EV_ADD | EV_EOF, 0, 8);
}

TEST_F(ReadLowatOther, R125_ResetIsReportedBelowTheMark) {
    Pair tcp = make_tcp_pair();
    ASSERT_EQ(q_.apply(change(*tcp.first, EVFILT_READ, EV_ADD, NOTE_LOWAT, kMark)), 0);
    reset_on_close(*tcp.second);
    tcp.second.reset();
    expect_only(q_.wait(), *tcp.first, EVFILT_READ, EV_ADD | EV_EOF, ECONNRESET, 0);
}

}  // namespace
}  // namespace kqtest
