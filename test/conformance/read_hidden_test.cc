// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ where FIONREAD does not count everything: datagrams behind the first one, bytes
// behind TCP's urgent mark, and queues of errors, from which read() gets nothing.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#ifdef __linux__
    #include <linux/net_tstamp.h>
#endif

#include <algorithm>
#include <string>

#include "support/gaps.h"
#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

class ReadHidden : public KqTest {
  protected:
    int add(const Fd& fd, int flags = 0, unsigned fflags = 0, intptr_t data = 0) const {
        return q_.apply(change(*fd, EVFILT_READ, EV_ADD | flags, fflags, data));
    }
    // Datagrams of these sizes are there when this returns.
    static void send(const Pair& pair, const std::vector<size_t>& sizes) {
        for (const size_t size : sizes) {
#ifdef __linux__
            const int64_t before = memory_of_datagrams(*pair.first);
#endif
            ASSERT_EQ(send_bytes(*pair.second, size), static_cast<ssize_t>(size));
#ifdef __linux__
            if (before >= 0) eventually([&] { return memory_of_datagrams(*pair.first) > before; });
#endif
        }
        ASSERT_TRUE(wait_readable(*pair.first));
    }
    // Reads as a program does that trusts `data`, until no event comes. How many were read.
    size_t read_what_is_told(const Fd& fd, milliseconds patience) const {
        static char bytes[1 << 16];
        size_t count = 0;
        for (auto events = q_.wait(); !events.empty(); events = q_.collect(16, patience)) {
            intptr_t left = pick(events, EVFILT_READ).data;
            do {
                const ssize_t n = ::recv(*fd, bytes, sizeof bytes, MSG_DONTWAIT);
                if (n < 0) break;
                count++;
                left -= n;
            } while (left > 0);
        }
        return count;
    }

    Queue q_;
};

// ---- datagrams ----

TEST_F(ReadHidden, R118_UdpDataIsTheSumAtLeast) {
    static char bytes[1 << 16];
    for (const auto& sizes : {std::vector<size_t>{3, 5},
                              {5, 3},
                              {4, 4},
                              {1000, 1000, 1000, 1},
                              {600, 600},
                              {1500, 1},
                              {1, 1500},
                              {4000, 9000},
                              {9000, 4000}}) {
        const Pair udp = make_udp_pair();
        ASSERT_EQ(add(udp.first), 0);
        send(udp, sizes);
        size_t sum = 0;
        for (const size_t size : sizes)
            sum += size;
        for (const size_t size : sizes) {
            const Event e = pick(q_.wait(), EVFILT_READ);
            EXPECT_GE(e.data, static_cast<intptr_t>(sum));
            ASSERT_EQ(::recv(*udp.first, bytes, sizeof bytes, 0), static_cast<ssize_t>(size));
            sum -= size;
        }
        expect_none(q_.collect());
    }
}

TEST_F(ReadHidden, R118_UdpDataOfOneIsExact) {
    const Pair udp = make_udp_pair();
    set_option(*udp.second, SOL_SOCKET, SO_SNDBUF, 1 << 18);
    set_option(*udp.first, SOL_SOCKET, SO_RCVBUF, 1 << 18);
    static char bytes[1 << 16];
    for (const int flags : {0, EV_CLEAR}) {
        ASSERT_EQ(add(udp.first, flags), 0);
        for (const size_t size : {0, 1, 100, 512, 1000, 1232, 1472, 4000, 9000, 20000, 60000}) {
            send(udp, {size});
            expect_only(q_.wait(), *udp.first, EVFILT_READ, EV_ADD | flags, 0,
                        static_cast<intptr_t>(size));
            ASSERT_EQ(::recv(*udp.first, bytes, sizeof bytes, 0), static_cast<ssize_t>(size));
            expect_none(q_.collect());
        }
        ASSERT_EQ(q_.apply(change(*udp.first, EVFILT_READ, EV_DELETE)), 0);
    }
}

TEST_F(ReadHidden, R118_WhoReadsByDataWithClearGetsAllUdp) {
    for (const auto& sizes : {std::vector<size_t>{3, 5}, {4, 4}, {7, 7, 7, 7}, {900, 2, 1400}}) {
        const Pair udp = make_udp_pair();
        ASSERT_EQ(add(udp.first, EV_CLEAR), 0);
        send(udp, sizes);
        EXPECT_EQ(read_what_is_told(udp.first, milliseconds{on_linux() ? 50 : 1000}), sizes.size());
    }
}

// The next datagram is reported at once if it has another size, and after a while if it has the
// same.
TEST_F(ReadHidden, R118_WhoReadsByDataWithClearGetsAllLocalDatagrams) {
    for (const auto& sizes : {std::vector<size_t>{3, 5}, {5, 3, 1}, {0, 2}, {4, 4}}) {
        const Pair pair = make_socketpair(SOCK_DGRAM);
        ASSERT_EQ(add(pair.first, EV_CLEAR), 0);
        send(pair, sizes);
        EXPECT_EQ(read_what_is_told(pair.first, milliseconds{1000}), sizes.size());
    }
}

TEST_F(ReadHidden, R97_ALocalDatagramThatIsLeftIsNotToldInEachCall) {
    const Pair pair = make_socketpair(SOCK_DGRAM);
    ASSERT_EQ(add(pair.first, EV_CLEAR), 0);
    send(pair, {4});
    expect_only(q_.wait(), *pair.first, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 4);
    const auto start = now();
    int told = 0;
    int calls = 0;
    for (; since(start) < milliseconds{600}; calls++)
        told += static_cast<int>(q_.collect(16, milliseconds{10}).size());
    EXPECT_LE(told, 3);
    EXPECT_GT(calls, told);
    // Another datagram is a new event.
    send(pair, {4});
    expect_only(q_.wait(), *pair.first, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 4);
}

TEST_F(ReadHidden, R83_ALeftoverIsSilentWhileDisabled) {
    const Pair pair = make_socketpair(SOCK_DGRAM);
    ASSERT_EQ(add(pair.first, EV_CLEAR), 0);
    send(pair, {4, 5});
    EXPECT_EQ(pick(q_.wait(), EVFILT_READ).data, 4);
    ASSERT_EQ(q_.apply(change(*pair.first, EVFILT_READ, EV_DISABLE)), 0);
    read_bytes(*pair.first, 4);
    expect_sleeps(q_, milliseconds{400});
    ASSERT_EQ(q_.apply(change(*pair.first, EVFILT_READ, EV_ENABLE)), 0);
    expect_only(q_.wait(), *pair.first, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 5);
    ASSERT_EQ(q_.apply(change(*pair.first, EVFILT_READ, EV_DELETE)), 0);
    expect_sleeps(q_, milliseconds{400});
}

// ---- the urgent mark ----

class Urgent : public ReadHidden, public testing::WithParamInterface<int> {
  protected:
    // One byte was urgent, and taken; more came behind it.
    void make_mark(const Pair& tcp) const {
        ASSERT_EQ(::send(*tcp.second, "!", 1, MSG_OOB), 1);
        char byte = 0;
        eventually([&] { return ::recv(*tcp.first, &byte, 1, MSG_OOB) == 1; });
        EXPECT_EQ(byte, '!');
    }
    void send_behind(const Pair& tcp, size_t count) const {
        write_bytes(*tcp.second, count);
        ASSERT_TRUE(wait_readable(*tcp.first));
        if (bytes_to_read(*tcp.first) != 0) GTEST_SKIP() << "FIONREAD counts behind the mark";
    }
};

TEST_P(Urgent, R106_BytesBehindTheMarkAreAnEvent) {
    const Pair tcp = make_tcp_pair();
    ASSERT_EQ(add(tcp.first, GetParam()), 0);
    make_mark(tcp);
    expect_none(q_.collect());
    send_behind(tcp, 2);
    const Event e = pick(q_.wait(), EVFILT_READ);
    EXPECT_GE(e.data, 1);
    EXPECT_EQ(e.flags & EV_EOF, 0);
    char bytes[9];
    EXPECT_EQ(::recv(*tcp.first, bytes, sizeof bytes, MSG_DONTWAIT), 2);
    expect_sleeps(q_);
    write_bytes(*tcp.second, 3);
    if ((GetParam() & EV_ONESHOT) != 0) return;
    ASSERT_TRUE(wait_readable(*tcp.first));
    EXPECT_EQ(pick(q_.wait(), EVFILT_READ).data, 3);
}

TEST_P(Urgent, R111_TheEndComesWithWhatIsBehindTheMark) {
    const Pair tcp = make_tcp_pair();
    make_mark(tcp);
    send_behind(tcp, 2);
    shut(*tcp.second, SHUT_WR);
    ASSERT_TRUE(wait_for(*tcp.first, POLLRDHUP));
    ASSERT_EQ(add(tcp.first, GetParam()), 0);
    const Event e = pick(q_.wait(), EVFILT_READ);
    EXPECT_NE(e.flags & EV_EOF, 0);
    EXPECT_GE(e.data, 1);
    if ((GetParam() & EV_ONESHOT) != 0) return;
    read_bytes(*tcp.first, 2);
    if (GetParam() != 0) return;
    expect_only(q_.wait(), *tcp.first, EVFILT_READ, EV_ADD | EV_EOF, 0, 0);
}

INSTANTIATE_TEST_SUITE_P(Modes, Urgent, testing::Values(0, EV_CLEAR, EV_ONESHOT));

TEST_F(ReadHidden, R106_BytesBehindTheUrgentMarkAreCounted) {
    const Pair tcp = make_tcp_pair();
    ASSERT_EQ(add(tcp.first), 0);
    ASSERT_EQ(::send(*tcp.second, "!", 1, MSG_OOB), 1);
    char byte = 0;
    eventually([&] { return ::recv(*tcp.first, &byte, 1, MSG_OOB) == 1; });
    write_bytes(*tcp.second, 20);
    ASSERT_TRUE(wait_readable(*tcp.first));
    expect_only(q_.wait(), *tcp.first, EVFILT_READ, EV_ADD, 0, 20);
    shut(*tcp.second, SHUT_WR);
    ASSERT_TRUE(wait_for(*tcp.first, POLLRDHUP));
    expect_only(q_.wait(), *tcp.first, EVFILT_READ, EV_ADD | EV_EOF, 0, 20);
}

TEST_F(ReadHidden, R122_LowatCountsBehindTheUrgentMark) {
    const Pair tcp = make_tcp_pair();
    ASSERT_EQ(add(tcp.first, 0, NOTE_LOWAT, 16), 0);
    ASSERT_EQ(::send(*tcp.second, "!", 1, MSG_OOB), 1);
    char byte = 0;
    eventually([&] { return ::recv(*tcp.first, &byte, 1, MSG_OOB) == 1; });
    write_bytes(*tcp.second, 8);
    ASSERT_TRUE(wait_readable(*tcp.first));
    expect_sleeps(q_);
    write_bytes(*tcp.second, 16);
    expect_only(q_.wait(), *tcp.first, EVFILT_READ, EV_ADD, 0, 24);
}

// ---- queues of errors ----

#ifdef __linux__

class ErrorQueue : public KqTest {
  protected:
    // Events in this time. A busy loop has thousands.
    int events_in(milliseconds time) const {
        const auto start = now();
        int count = 0;
        while (since(start) < time)
            count += static_cast<int>(q_.collect(16, milliseconds{20}).size());
        return count;
    }

    // poll() says POLLERR all the time.
    static bool wait_for_room(int fd, milliseconds limit) {
        for (const auto start = now(); since(start) < limit; ::usleep(1000))
            if ((look(fd, POLLOUT) & POLLOUT) != 0) return true;
        return false;
    }

    Queue q_;
};

TEST_F(ErrorQueue, R119_TimeStampsAreNothingToRead) {
    for (const int mode : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        const Pair udp = make_udp_pair();
        set_option(*udp.first, SOL_SOCKET, SO_TIMESTAMPING,
                   SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
        ASSERT_EQ(q_.apply(change(*udp.first, EVFILT_READ, EV_ADD | mode)), 0);
        ASSERT_EQ(send_bytes(*udp.first, 1), 1);
        if (!wait_for(*udp.first, 0)) GTEST_SKIP() << "no time stamps here";
        expect_sleeps(q_);
        // And nothing is in the way of what comes.
        write_bytes(*udp.second, 5);
        EXPECT_GE(pick(q_.wait(), EVFILT_READ).data, 5);
    }
}

TEST_F(ErrorQueue, R119_QueuedErrorsDoNotSpin) {
    const Fd udp = udp_to_nobody();
    set_option(*udp, IPPROTO_IP, IP_RECVERR, 1);
    ASSERT_EQ(q_.apply(change(*udp, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(send_bytes(*udp, 1), 1);
    ASSERT_TRUE(wait_for(*udp, 0));  // POLLERR
    const Event e = pick(q_.wait(), EVFILT_READ);
    EXPECT_EQ(e.data, 0);
    EXPECT_EQ(e.flags & EV_EOF, 0);
    char byte = 0;
    EXPECT_EQ(::recv(*udp, &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, ECONNREFUSED);
    // The error is still in the queue, and the program does not read it.
    expect_sleeps(q_);
    EXPECT_LE(events_in(milliseconds{500}), 1);
    // Now the program reads it. The next error is reported.
    msghdr message{};
    EXPECT_GE(::recvmsg(*udp, &message, MSG_ERRQUEUE | MSG_DONTWAIT), 0);
    expect_sleeps(q_, milliseconds{100});
    ASSERT_EQ(send_bytes(*udp, 1), 1);
    EXPECT_EQ(pick(q_.wait(), EVFILT_READ).data, 0);
}

TEST_F(ErrorQueue, R149_NoRoomAndTimeStampsAreNoEventOfWrite) {
    const Pair tcp = make_small_tcp_pair();
    set_option(*tcp.first, SOL_SOCKET, SO_TIMESTAMPING,
               SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    write_bytes(*tcp.first, 1);
    if (!wait_for(*tcp.first, 0)) GTEST_SKIP() << "no time stamps here";
    set_option(*tcp.first, SOL_SOCKET, SO_TIMESTAMPING, 0);
    // On a busy machine the peer's kernel makes room late, which is an event.
    ASSERT_EQ(q_.apply(change(*tcp.first, EVFILT_WRITE, EV_ADD)), 0);
    do
        fill(*tcp.first);
    while (!q_.collect(1, milliseconds{200}).empty() && (look(*tcp.first, POLLOUT) & POLLOUT) != 0);
    expect_sleeps(q_);
    drain_from(*tcp.first, *tcp.second);
    EXPECT_EQ(filters(q_.wait()), "WRITE");
}

#endif

}  // namespace
}  // namespace kqtest
