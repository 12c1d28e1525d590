// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ on sockets: what data says, for each address family and type.
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

class ReadSocket : public KqTest {
  protected:
    Queue q_;

    int add(const Fd& fd, int flags = 0) const {
        return q_.apply(change(*fd, EVFILT_READ, EV_ADD | flags));
    }
    void expect(const Fd& fd, int flags, intptr_t data, int line = __builtin_LINE()) const {
        expect_only(q_.wait(), *fd, EVFILT_READ, EV_ADD | flags, 0, data, nullptr, __FILE__, line);
    }
};

TEST_F(ReadSocket, R106_TcpOneByteUntilItIsRead) {
    const Pair tcp = make_tcp_pair();
    ASSERT_EQ(add(tcp.first), 0);
    expect_none(q_.collect());
    write_bytes(*tcp.second, 1);
    expect(tcp.first, 0, 1);
    expect(tcp.first, 0, 1);
    read_bytes(*tcp.first, 1);
    expect_none(q_.collect());
}

TEST_F(ReadSocket, R107_TcpTwoSendsAreOneEvent) {
    const Pair tcp = make_tcp_pair();
    ASSERT_EQ(add(tcp.first), 0);
    write_bytes(*tcp.second, 11);
    write_bytes(*tcp.second, 11);
    eventually([&] { return bytes_to_read(*tcp.first) == 22; });
    expect(tcp.first, 0, 22);
}

TEST_F(ReadSocket, R107_DataIsWhatIsLeftAfterAPartialRead) {
    const Pair tcp = make_tcp_pair();
    ASSERT_EQ(add(tcp.first), 0);
    write_bytes(*tcp.second, 22);
    read_bytes(*tcp.first, 5);
    eventually([&] { return bytes_to_read(*tcp.first) == 17; });
    expect(tcp.first, 0, 17);
}

TEST_F(ReadSocket, R107_DataCountsMoreThan64K) {
    const Pair s = make_socketpair(SOCK_STREAM);
    write_bytes(*s.second, 100'000);
    ASSERT_EQ(add(s.first), 0);
    expect(s.first, 0, 100'000);
}

TEST_F(ReadSocket, R126_UnixStreamByteAndEndOfFile) {
    Pair s = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(add(s.first), 0);
    write_bytes(*s.second, 1);
    expect(s.first, 0, 1);
    s.second.reset();
    expect(s.first, EV_EOF, 1);
    read_bytes(*s.first, 1);
    expect(s.first, EV_EOF, 0);
}

TEST_F(ReadSocket, R126_UnixSeqpacketCountsAllMessagesAndReportsEndOfFile) {
    Pair s = make_socketpair(SOCK_SEQPACKET);
    ASSERT_EQ(add(s.first), 0);
    write_bytes(*s.second, 3);
    write_bytes(*s.second, 2);
    expect(s.first, 0, 5);
    read_bytes(*s.first, 3);
    expect(s.first, 0, 2);
    s.second.reset();
    read_bytes(*s.first, 2);
    expect(s.first, EV_EOF, 0);
}

TEST_F(ReadSocket, R127_UnixDatagramOfFourBytes) {
    const Pair s = make_socketpair(SOCK_DGRAM);
    ASSERT_EQ(add(s.first), 0);
    write_bytes(*s.second, 4);
    expect(s.first, 0, 4);
    read_bytes(*s.first, 4);
    expect_none(q_.collect());
}

TEST_F(ReadSocket, R117_EmptyUdpDatagramIsAnEvent) {
    const Pair udp = make_udp_pair();
    ASSERT_EQ(add(udp.first), 0);
    ASSERT_EQ(send_bytes(*udp.second, 0), 0);
    ASSERT_TRUE(wait_readable(*udp.first));
    expect(udp.first, 0, 0);
    expect(udp.first, 0, 0);
    char byte;
    ASSERT_EQ(::recv(*udp.first, &byte, 1, MSG_DONTWAIT), 0);
    expect_none(q_.collect());
}

TEST_F(ReadSocket, R117_EmptyUdpDatagramsWithClearAreOneEventEach) {
    const Pair udp = make_udp_pair();
    ASSERT_EQ(add(udp.first, EV_CLEAR), 0);
    for (int i = 0; i < 3; i++) {  // what is queued already is never read
        ASSERT_EQ(send_bytes(*udp.second, 0), 0);
        expect(udp.first, EV_CLEAR, 0);
        expect_none(q_.collect());
    }
}

TEST_F(ReadSocket, R117_EmptyUnixDatagramIsAnEvent) {
    const Pair s = make_socketpair(SOCK_DGRAM);
    ASSERT_EQ(add(s.first), 0);
    ASSERT_EQ(send_bytes(*s.second, 0), 0);
    expect(s.first, 0, 0);
    char byte;
    ASSERT_EQ(::recv(*s.first, &byte, 1, MSG_DONTWAIT), 0);
    expect_none(q_.collect());
}

TEST_F(ReadSocket, R119_UdpPortUnreachableIsAnEventAndLeavesTheErrorToTheProgram) {
    const Fd udp = udp_to_nobody();
    ASSERT_EQ(add(udp), 0);
    expect_none(q_.collect());
    ASSERT_EQ(send_bytes(*udp, 1), 1);
    ASSERT_TRUE(wait_for(*udp, POLLIN));  // POLLERR
    expect(udp, 0, 0);
    expect(udp, 0, 0);
    char byte;
    EXPECT_EQ(::recv(*udp, &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, ECONNREFUSED);
    expect_sleeps(q_);
}

TEST_F(ReadSocket, R119_UdpPortUnreachableWithClearIsOneEvent) {
    const Fd udp = udp_to_nobody();
    ASSERT_EQ(add(udp, EV_CLEAR), 0);
    ASSERT_EQ(send_bytes(*udp, 1), 1);
    expect(udp, EV_CLEAR, 0);
    expect_sleeps(q_);
    EXPECT_EQ(take_error(*udp), ECONNREFUSED);
}

TEST_F(ReadSocket, R119_UdpWorksOnAfterPortUnreachable) {
    const Fd udp = udp_to_nobody();
    ASSERT_EQ(add(udp), 0);
    ASSERT_EQ(send_bytes(*udp, 1), 1);
    expect(udp, 0, 0);
    EXPECT_EQ(take_error(*udp), ECONNREFUSED);
    const Fd sender{::socket(AF_INET, SOCK_DGRAM, 0)};
    ASSERT_EQ(connect_to(*sender, address_of(*udp)), 0);
    ASSERT_EQ(connect_to(*udp, address_of(*sender)), 0);
    write_bytes(*sender, 7);
    expect(udp, 0, 7);
}

TEST_F(ReadSocket, R128_DescriptorAloneIsAnEventWithoutData) {
    const Pair s = make_socketpair(SOCK_DGRAM);
    ASSERT_EQ(add(s.first), 0);
    send_descriptor(*s.second, *s.first);
    expect(s.first, 0, 0);
    char byte;
    ASSERT_EQ(::recv(*s.first, &byte, 1, MSG_DONTWAIT), 0);
    expect_none(q_.collect());
}

TEST_F(ReadSocket, R73_ReadAndWriteAreTwoKnotes) {
    const Pair s = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(add(s.first), 0);
    ASSERT_EQ(q_.apply(change(*s.first, EVFILT_WRITE, EV_ADD)), 0);
    write_bytes(*s.second, 1);
    EXPECT_EQ(filters(q_.collect()), "READ WRITE");
    ASSERT_EQ(q_.apply(change(*s.first, EVFILT_WRITE, EV_DELETE)), 0);
    EXPECT_EQ(filters(q_.collect()), "READ");
    ASSERT_EQ(q_.apply(change(*s.first, EVFILT_WRITE, EV_ADD)), 0);
    ASSERT_EQ(q_.apply(change(*s.first, EVFILT_READ, EV_DELETE)), 0);
    EXPECT_EQ(filters(q_.collect()), "WRITE");
    EXPECT_EQ(q_.apply(change(*s.first, EVFILT_READ, EV_DELETE)), ENOENT);
}

TEST_F(ReadSocket, R147_WriteFirstAndReadLater) {
    const Pair s = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(q_.apply(change(*s.first, EVFILT_WRITE, EV_ADD)), 0);
    ASSERT_EQ(q_.apply(change(*s.first, EVFILT_WRITE, EV_DELETE)), 0);
    ASSERT_EQ(add(s.first), 0);
    expect_none(q_.collect());
    write_bytes(*s.second, 2);
    expect(s.first, 0, 2);
}

TEST_F(ReadSocket, R74_ADuplicateIsAnotherKnote) {
    const Pair s = make_socketpair(SOCK_STREAM);
    const Fd copy{::dup(*s.first)};
    ASSERT_EQ(add(s.first), 0);
    ASSERT_EQ(add(copy, EV_ONESHOT), 0);
    write_bytes(*s.second, 4);
    const std::vector<Event> events = q_.wait();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_NE(events[0].ident, events[1].ident);
    EXPECT_EQ(events[0].data, 4);
    EXPECT_EQ(events[1].data, 4);
    expect(s.first, 0, 4);
    EXPECT_EQ(q_.apply(change(*copy, EVFILT_READ, EV_DELETE)), ENOENT);
}

}  // namespace
}  // namespace kqtest
