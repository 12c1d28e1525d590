// SPDX-License-Identifier: BSD-2-Clause
// The error of a socket belongs to the program: whatever was reported before, SO_ERROR or the next
// call on the socket still returns it. `fflags` has the error, which the library infers.
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/endpoint.h"
#include "support/gaps.h"
#include "support/kq.h"
#include "support/net.h"

#ifndef IPPROTO_MPTCP
    #define IPPROTO_MPTCP 262
#endif

namespace kqtest {
namespace {

// TCP by another address family or protocol.
struct Kind {
    const char* name;
    int family;
    int protocol;
    bool mapped = false;  // an IPv4 peer of an IPv6 socket
};

void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
}

constexpr Kind kKinds[] = {
    {"ipv4", AF_INET, 0},
    {"ipv6", AF_INET6, 0},
    {"mapped", AF_INET6, 0, true},
#ifdef __linux__
    {"mptcp", AF_INET, IPPROTO_MPTCP},
#endif
};

class SocketError : public KqTest, public testing::WithParamInterface<Kind> {
  protected:
    void SetUp() override {
        KqTest::SetUp();
        const Fd one{new_socket()};
        available_ = bool(one) && make_address();
        if (!available_) GTEST_SKIP() << "not on this machine: " << ::strerror(errno);
    }

    static int new_socket() {
        const int fd = ::socket(GetParam().family, SOCK_STREAM, GetParam().protocol);
        if (fd >= 0) set_nonblock(fd);
        return fd;
    }

    // A port that belongs to this process, and on which no socket listens.
    bool make_address() {
        port_.reset(new_socket());
        auto* address = reinterpret_cast<sockaddr*>(&address_);
        if (GetParam().family == AF_INET) {
            auto& v4 = reinterpret_cast<sockaddr_in&>(address_);
            v4.sin_family = AF_INET;
            v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            size_ = sizeof v4;
        } else {
            auto& v6 = reinterpret_cast<sockaddr_in6&>(address_);
            v6.sin6_family = AF_INET6;
            v6.sin6_addr = in6addr_loopback;
            if (GetParam().mapped) {
                const unsigned char local[16] = {0, 0, 0,    0,    0,   0, 0, 0,
                                                 0, 0, 0xff, 0xff, 127, 0, 0, 1};
                ::memcpy(&v6.sin6_addr, local, sizeof local);
            }
            size_ = sizeof v6;
        }
        return ::bind(*port_, address, size_) == 0 && ::getsockname(*port_, address, &size_) == 0;
    }

    int connect(int fd) const {
        const auto* address = reinterpret_cast<const sockaddr*>(&address_);
        return ::connect(fd, address, size_) == 0 ? 0 : errno;
    }

    // Begins to connect; the refusal has come when this returns.
    Fd refused() const {
        Fd fd{new_socket()};
        EXPECT_EQ(connect(*fd), EINPROGRESS);
        EXPECT_TRUE(wait_for(*fd, POLLOUT));
        return fd;
    }

    Pair connected() const {
        EXPECT_EQ(::listen(*port_, 4), 0);
        Fd client{new_socket()};
        const int error = connect(*client);
        EXPECT_TRUE(error == 0 || error == EINPROGRESS) << error;
        EXPECT_TRUE(wait_readable(*port_));
        Fd server{::accept(*port_, nullptr, nullptr)};
        EXPECT_TRUE(bool(server));
        EXPECT_TRUE(wait_for(*client, POLLOUT));
        return {std::move(client), std::move(server)};
    }

    static void reset(Pair& pair) {
        reset_on_close(*pair.second);
        pair.second.reset();
        EXPECT_TRUE(wait_for(*pair.first, POLLRDHUP));  // or POLLHUP, POLLERR
        eventually([&] { return (look(*pair.first, 0) & POLLERR) != 0; });
    }

    int add(const Fd& fd, int filter, int flags = 0) const {
        return q_.apply(change(*fd, filter, EV_ADD | flags));
    }
    static void expect_end(const std::vector<Event>& events, int error,
                           int line = __builtin_LINE()) {
        EXPECT_FALSE(events.empty()) << "line " << line;
        for (const Event& e : events) {
            EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e) << " in line " << line;
            EXPECT_EQ(e.fflags, static_cast<unsigned>(error))
                << to_string(e) << " in line " << line;
        }
    }

    bool available_ = false;
    Fd port_;
    sockaddr_storage address_{};
    socklen_t size_ = 0;
    Queue q_;
};

TEST_P(SocketError, R116_ARefusalIsStillThereAfterRead) {
    const Fd fd = refused();
    ASSERT_EQ(add(fd, EVFILT_READ), 0);
    for (int i = 0; i < 3; i++)
        expect_end(q_.wait(), ECONNREFUSED);
    EXPECT_EQ(take_error(*fd), ECONNREFUSED);
}

TEST_P(SocketError, R154_ARefusalIsStillThereAfterWrite) {
    const Fd fd = refused();
    for (const int mode : {EV_ONESHOT, EV_CLEAR, 0}) {
        ASSERT_EQ(add(fd, EVFILT_WRITE, mode), 0);
        expect_end(q_.wait(), ECONNREFUSED);
    }
    EXPECT_EQ(take_error(*fd), ECONNREFUSED);
}

TEST_P(SocketError, R154_WatchedBeforeAndByTwoQueues) {
    const Fd fd{new_socket()};
    const Queue other;
    ASSERT_EQ(add(fd, EVFILT_WRITE), 0);
    ASSERT_EQ(add(fd, EVFILT_READ), 0);
    expect_none(q_.collect());
    ASSERT_EQ(connect(*fd), EINPROGRESS);
    ASSERT_EQ(other.apply(change(*fd, EVFILT_WRITE, EV_ADD | EV_CLEAR)), 0);
    eventually([&] { return (look(*fd, 0) & POLLERR) != 0; });
    expect_end(q_.wait(), ECONNREFUSED);
    expect_end(other.wait(), ECONNREFUSED);
    char byte = 0;
    EXPECT_EQ(::recv(*fd, &byte, 1, 0), -1);
    EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_P(SocketError, R116_TheEndStaysWhenTheProgramHasTakenTheError) {
    const Fd fd = refused();
    ASSERT_EQ(add(fd, EVFILT_READ), 0);
    expect_end(q_.wait(), ECONNREFUSED);
    ASSERT_EQ(add(fd, EVFILT_WRITE), 0);
    expect_end(q_.wait(), ECONNREFUSED);
    EXPECT_EQ(take_error(*fd), ECONNREFUSED);
    for (int i = 0; i < 3; i++)
        expect_end(q_.wait(), 0);
}

TEST_P(SocketError, R115_AResetIsStillThereAfterReadAndWrite) {
    for (const bool seen : {false, true}) {
        Pair pair = connected();
        if (seen) {
            ASSERT_EQ(add(pair.first, EVFILT_WRITE), 0);
            EXPECT_EQ(filters(q_.wait()), "WRITE");
        }
        reset(pair);
        ASSERT_EQ(add(pair.first, EVFILT_READ), 0);
        ASSERT_EQ(add(pair.first, EVFILT_WRITE), 0);
        for (int i = 0; i < 3; i++)
            expect_end(q_.wait(), ECONNRESET);
        EXPECT_EQ(take_error(*pair.first), ECONNRESET);
        expect_end(q_.wait(), 0);
        port_.reset();
        ASSERT_TRUE(make_address());
    }
}

TEST_P(SocketError, R115_ReadFailsAfterAReset) {
    Pair pair = connected();
    ASSERT_EQ(add(pair.first, EVFILT_READ, EV_CLEAR), 0);
    expect_none(q_.collect());
    reset(pair);
    expect_end(q_.wait(), ECONNRESET);
    char byte = 0;
    EXPECT_EQ(::read(*pair.first, &byte, 1), -1) << "an orderly end?";
    EXPECT_EQ(errno, ECONNRESET);
}

// The event of WRITE does not take the error away: the next send() still fails with it.
TEST_P(SocketError, R115_SendFailsAfterAReset) {
    Pair pair = connected();
    ASSERT_EQ(add(pair.first, EVFILT_WRITE), 0);
    EXPECT_EQ(filters(q_.wait()), "WRITE");
    reset(pair);
    expect_end(q_.wait(), ECONNRESET);
    EXPECT_EQ(::send(*pair.first, "x", 1, MSG_NOSIGNAL), -1);
    EXPECT_EQ(errno, ECONNRESET);
}

TEST_P(SocketError, R110_AnOrderlyEndIsNoError) {
    Pair pair = connected();
    ASSERT_EQ(add(pair.first, EVFILT_READ), 0);
    shut(*pair.second, SHUT_WR);
    expect_end(q_.wait(), 0);
    shut(*pair.first, SHUT_WR);
    expect_end(q_.wait(), 0);
    pair.second.reset();
    eventually([&] { return (look(*pair.first, 0) & POLLHUP) != 0; });
    expect_end(q_.wait(), 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SocketError, testing::ValuesIn(kKinds), kind_name);

// ---- AF_UNIX ----

struct Type {
    const char* name;
    int type;
};

constexpr Type kTypes[] = {{"stream", SOCK_STREAM}, {"seqpacket", SOCK_SEQPACKET}};

class LocalError : public KqTest, public testing::WithParamInterface<Type> {
  protected:
    Queue q_;
};

TEST_P(LocalError, R115_APeerThatLeftDataUnreadIsStillAReset) {
    for (const int filter : {EVFILT_READ, EVFILT_WRITE}) {
        Pair pair = make_socketpair(GetParam().type);
        write_bytes(*pair.first, 1);
        pair.second.reset();
        ASSERT_EQ(q_.apply(change(*pair.first, filter, EV_ADD)), 0);
        for (int i = 0; i < 3; i++) {
            const Event e = pick(q_.wait(), filter);
            EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e);
            EXPECT_EQ(e.fflags, static_cast<unsigned>(ECONNRESET)) << to_string(e);
        }
        char byte = 0;
        EXPECT_EQ(::read(*pair.first, &byte, 1), -1);
        EXPECT_EQ(errno, ECONNRESET);
        const Event e = pick(q_.wait(), filter);
        EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e);
        EXPECT_EQ(e.fflags, 0u) << to_string(e);
    }
}

INSTANTIATE_TEST_SUITE_P(Types, LocalError, testing::ValuesIn(kTypes), kind_name);

class DatagramError : public KqTest {
  protected:
    Queue q_;
};

// The peer of a datagram socket has connected to another socket. That is a pending error, and no
// end.
TEST_F(DatagramError, R119_ADisconnectedPeerIsAnEventAndLeftToTheProgram) {
    const Pair pair = make_socketpair(SOCK_DGRAM);
    const Pair other = make_socketpair(SOCK_DGRAM);
    ASSERT_EQ(q_.apply(change(*pair.first, EVFILT_READ, EV_ADD)), 0);
    write_bytes(*pair.first, 1);
    const sockaddr nobody{};  // AF_UNSPEC
    if (::connect(*pair.second, &nobody, sizeof nobody) != 0) GTEST_SKIP() << "cannot disconnect";
    if ((look(*pair.first, 0) & POLLERR) == 0) GTEST_SKIP() << "no error where the peer leaves";
    for (int i = 0; i < 2; i++) {
        const Event e = pick(q_.wait(), EVFILT_READ);
        EXPECT_EQ(e.flags & EV_EOF, 0) << to_string(e);
        EXPECT_EQ(e.fflags, 0u) << to_string(e);
    }
    EXPECT_EQ(take_error(*pair.first), ECONNRESET);
    expect_sleeps(q_);
}

TEST_F(DatagramError, R119_UdpErrorIsLeftByReadAndWrite) {
    const Fd udp = udp_to_nobody();
    ASSERT_EQ(send_bytes(*udp, 1), 1);
    ASSERT_TRUE(wait_for(*udp, POLLIN));  // POLLERR
    ASSERT_EQ(q_.apply(change(*udp, EVFILT_READ, EV_ADD), change(*udp, EVFILT_WRITE, EV_ADD)), 0);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(filters(q_.wait()), "READ WRITE");
    EXPECT_EQ(take_error(*udp), ECONNREFUSED);
}

// ---- silence ----

#ifdef __linux__  // how to make a TCP port that does not answer

// Fills the queue of a listener until a client stays in SYN-SENT.
class Silence : public KqTest {
  protected:
    Fd connecting() {
        for (int i = 0; i < 16; i++) {
            Fd fd = tcp_socket();
            set_option(*fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 100);
            const int error = connect_to(*fd, listener_.address);
            EXPECT_TRUE(error == 0 || error == EINPROGRESS) << error;
            if (!wait_for(*fd, POLLOUT, milliseconds{100}) && tcp_state(*fd) == TCP_SYN_SENT)
                return fd;
            others_.push_back(std::move(fd));
        }
        ADD_FAILURE() << "every connect() was answered";
        return {};
    }

    Listener listener_ = make_listener(0);
    std::vector<Fd> others_;
    Queue q_;
};

TEST_F(Silence, R116_NoAnswerIsATimeoutAndStillThere) {
    const Fd fd = connecting();
    ASSERT_EQ(q_.apply(change(*fd, EVFILT_WRITE, EV_ADD)), 0);
    expect_none(q_.collect());
    const Event e = pick(q_.wait(), EVFILT_WRITE);  // after a second: the first retransmission
    EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e);
    // Which error it is cannot be told there: BUGS.md.
    EXPECT_EQ(e.fflags, static_cast<unsigned>(on_linux() ? ETIMEDOUT : ECONNREFUSED))
        << to_string(e);
    EXPECT_EQ(take_error(*fd), ETIMEDOUT);
}

// The first connection of a socket says nothing about the second.
TEST_F(Silence, R154_RefusedAfterAnEarlierConnection) {
    const Fd fd = tcp_socket();
    const Listener listener = make_listener();
    const int error = connect_to(*fd, listener.address);
    ASSERT_TRUE(error == 0 || error == EINPROGRESS) << error;
    ASSERT_TRUE(wait_for(*fd, POLLOUT));
    const sockaddr nobody{};  // AF_UNSPEC
    ASSERT_EQ(::connect(*fd, &nobody, sizeof nobody), 0);
    (void)take_error(*fd);
    const DeadPort port;
    ASSERT_EQ(connect_to(*fd, port.address), EINPROGRESS);
    ASSERT_TRUE(wait_for(*fd, POLLOUT));
    ASSERT_EQ(q_.apply(change(*fd, EVFILT_WRITE, EV_ADD)), 0);
    const Event e = pick(q_.wait(), EVFILT_WRITE);
    EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e);
    EXPECT_EQ(e.fflags, static_cast<unsigned>(ECONNREFUSED)) << to_string(e);
    EXPECT_EQ(take_error(*fd), ECONNREFUSED);
}
#endif

}  // namespace
}  // namespace kqtest
