// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ at the end of a stream: half close, close, reset and local shutdown() on sockets.
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/endpoint.h"
#include "support/gaps.h"
#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

// What holds for TCP, AF_UNIX streams and AF_UNIX seqpacket sockets alike.
class EndOfStream : public KqTest, public testing::WithParamInterface<DuplexKind> {
  protected:
    int apply(int filter, int flags) const { return q_.apply(change(s_.fd(), filter, flags)); }
    void expect_read(int flags, intptr_t data, int line = __builtin_LINE()) const {
        expect_only(q_.wait(), s_.fd(), EVFILT_READ, EV_ADD | flags, 0, data, nullptr, __FILE__,
                    line);
    }
    // One event of this filter with(out) EV_EOF, fflags 0; other filters may report beside it.
    void expect_eof(int filter, bool eof, int line = __builtin_LINE()) const {
        const Event e = pick(q_.wait(), filter, __FILE__, line);
        EXPECT_EQ((e.flags & EV_EOF) != 0, eof) << to_string(e) << " in line " << line;
        EXPECT_EQ(e.fflags, 0u) << to_string(e) << " in line " << line;
    }

    void peer_ends() const {
        shut(s_.peer(), SHUT_WR);
        wait_for(s_.fd(), POLLIN);
    }

    Duplex s_ = GetParam().make();
    Queue q_;
};

TEST_P(EndOfStream, R110_HalfCloseIsEofOnEveryCall) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD), 0);
    expect_none(q_.collect());
    peer_ends();
    for (int i = 0; i < 3; i++)
        expect_read(EV_EOF, 0);
}

TEST_P(EndOfStream, R110_HalfCloseBeforeAdd) {
    peer_ends();
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD), 0);
    expect_read(EV_EOF, 0);
}

TEST_P(EndOfStream, R111_EofComesWithTheBufferedData) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD), 0);
    write_bytes(s_.peer(), 8);
    shut(s_.peer(), SHUT_WR);
    ASSERT_TRUE(wait_for(s_.fd(), POLLRDHUP));
    expect_read(EV_EOF, 8);
    read_bytes(s_.fd(), 8);
    expect_read(EV_EOF, 0);
}

TEST_P(EndOfStream, R111_DataFirstAndEofLater) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    s_.feed();
    expect_read(EV_CLEAR, 3);
    expect_none(q_.collect());
    shut(s_.peer(), SHUT_WR);
    expect_read(EV_CLEAR | EV_EOF, 3);
    expect_none(q_.collect());
}

TEST_P(EndOfStream, R112_ClearReportsShutdownAndCloseOnce) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    shut(s_.peer(), SHUT_WR);
    s_.hang_up();
    ASSERT_TRUE(wait_for(s_.fd(), POLLIN));
    expect_read(EV_CLEAR | EV_EOF, 0);
    expect_sleeps(q_);
}

TEST_P(EndOfStream, R110_OneshotEofIsReportedOnceAndGone) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD | EV_ONESHOT), 0);
    peer_ends();
    expect_read(EV_ONESHOT | EV_EOF, 0);
    EXPECT_EQ(apply(EVFILT_READ, EV_DELETE), ENOENT);
    expect_sleeps(q_);
}

TEST_P(EndOfStream, R110_DispatchEofIsReportedAtEachEnable) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD | EV_DISPATCH), 0);
    peer_ends();
    expect_read(EV_DISPATCH | EV_EOF, 0);
    expect_sleeps(q_);
    ASSERT_EQ(apply(EVFILT_READ, EV_ENABLE), 0);
    expect_read(EV_DISPATCH | EV_EOF, 0);
}

TEST_P(EndOfStream, R84_HangUpWhileDisabledIsQuietUntilEnabled) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD), 0);
    ASSERT_EQ(apply(EVFILT_READ, EV_DISABLE), 0);
    s_.hang_up();
    ASSERT_TRUE(wait_for(s_.fd(), POLLIN));
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
    ASSERT_EQ(apply(EVFILT_READ, EV_ENABLE), 0);
    expect_read(EV_EOF, 0);
}

TEST_P(EndOfStream, R84_HangUpWithBothDisabledIsQuietUntilEnabled) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD | EV_DISABLE), 0);
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD | EV_CLEAR | EV_DISABLE), 0);
    s_.hang_up();
    ASSERT_TRUE(wait_for(s_.fd(), POLLIN));
    expect_sleeps(q_);
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ENABLE), 0);
    EXPECT_EQ(filters(q_.wait()), "WRITE");
    expect_sleeps(q_);
    ASSERT_EQ(apply(EVFILT_READ, EV_ENABLE), 0);
    expect_read(EV_EOF, 0);
}

TEST_P(EndOfStream, R84_EofOfADisabledReadDoesNotDisturbABlockedWrite) {
    s_.block();
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD | EV_DISABLE), 0);
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD), 0);
    peer_ends();
    expect_sleeps(q_);
    s_.unblock();
    EXPECT_EQ(filters(q_.wait()), "WRITE");
}

TEST_P(EndOfStream, R157_HalfCloseOfThePeerIsNoEofForWrite) {
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD), 0);
    peer_ends();
    expect_eof(EVFILT_WRITE, false);
    expect_eof(EVFILT_WRITE, false);
}

TEST_P(EndOfStream, R157_HalfCloseOfThePeerDoesNotWakeAClearWrite) {
    KQ_GAP("L-FIN-WRITE");
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(filters(q_.collect()), "WRITE");
    peer_ends();
    expect_sleeps(q_);
}

// ---- local shutdown() ----

TEST_P(EndOfStream, R113_LocalShutdownOfReadingIsEof) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD), 0);
    expect_none(q_.collect());
    shut(s_.fd(), SHUT_RD);
    expect_read(EV_EOF, 0);
    expect_read(EV_EOF, 0);
}

TEST_P(EndOfStream, R113_LocalShutdownOfReadingBeforeAdd) {
    shut(s_.fd(), SHUT_RD);
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    expect_read(EV_CLEAR | EV_EOF, 0);
    expect_none(q_.collect());
}

TEST_P(EndOfStream, R113_LocalShutdownOfReadingIsNoEofForWrite) {
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD), 0);
    shut(s_.fd(), SHUT_RD);
    expect_eof(EVFILT_WRITE, false);
}

TEST_P(EndOfStream, R159_LocalShutdownOfWritingIsEofForWrite) {
    if (GetParam().name == std::string("unix_seqpacket")) KQ_GAP("L-PACKET-SHUT");
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD), 0);
    expect_eof(EVFILT_WRITE, false);
    shut(s_.fd(), SHUT_WR);
    expect_eof(EVFILT_WRITE, true);
    expect_eof(EVFILT_WRITE, true);
}

TEST_P(EndOfStream, R159_LocalShutdownOfWritingBeforeAdd) {
    if (GetParam().name == std::string("unix_seqpacket")) KQ_GAP("L-PACKET-SHUT");
    shut(s_.fd(), SHUT_WR);
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD), 0);
    expect_eof(EVFILT_WRITE, true);
}

TEST_P(EndOfStream, R159_LocalShutdownOfWritingWakesAClearWrite) {
    if (GetParam().name == std::string("unix_seqpacket")) KQ_GAP("L-PACKET-SHUT");
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
    expect_eof(EVFILT_WRITE, false);
    expect_none(q_.collect());
    shut(s_.fd(), SHUT_WR);
    expect_eof(EVFILT_WRITE, true);
#ifdef __linux__
    // The ACK of the FIN is news, too (on FreeBSD as well). It comes in its own time.
    if (GetParam().name == std::string("tcp")) {
        eventually([&] { return tcp_state(s_.fd()) == TCP_FIN_WAIT2; });
        size_t again = 0;
        for (int call = 0; call < 2; call++)
            again += q_.collect().size();
        EXPECT_LE(again, 1U);
        return;
    }
#endif
    expect_none(q_.collect());
}

TEST_P(EndOfStream, R159_LocalShutdownOfWritingWakesABlockedWrite) {
#ifdef __linux__
    if (GetParam().name != std::string("tcp"))
        GTEST_SKIP() << "a full AF_UNIX socket does not tell its own shutdown() to poll()";
#endif
    s_.block();
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD), 0);
    expect_none(q_.collect());
    shut(s_.fd(), SHUT_WR);
    expect_eof(EVFILT_WRITE, true);
}

TEST_P(EndOfStream, R159_LocalShutdownOfWritingIsNothingForRead) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD), 0);
    shut(s_.fd(), SHUT_WR);
    expect_sleeps(q_);
    s_.feed();
    expect_read(0, 3);
}

TEST_P(EndOfStream, R159_LocalShutdownOfBothIsEofForBoth) {
    ASSERT_EQ(apply(EVFILT_READ, EV_ADD), 0);
    ASSERT_EQ(apply(EVFILT_WRITE, EV_ADD), 0);
    shut(s_.fd(), SHUT_RDWR);
    for (const int filter : {EVFILT_READ, EVFILT_WRITE})
        expect_eof(filter, true);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EndOfStream, testing::ValuesIn(stream_kinds()), kind_name);

// ---- reset ----

class Reset : public KqTest {
  protected:
    // The peer resets the connection; the error is there.
    void reset(size_t unread = 0) {
        if (unread > 0) {
            write_bytes(*tcp_.second, unread);
            ASSERT_TRUE(wait_readable(*tcp_.first));
        }
        reset_on_close(*tcp_.second);
        tcp_.second.reset();
        ASSERT_TRUE(wait_for(*tcp_.first, POLLRDHUP));
    }
    int add(int filter, int flags = 0) const {
        return q_.apply(change(*tcp_.first, filter, EV_ADD | flags));
    }
    void expect_reset(int filter, int line = __builtin_LINE()) const {
        const Event e = pick(q_.wait(), filter, __FILE__, line);
        EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e) << " in line " << line;
        EXPECT_EQ(e.fflags, static_cast<unsigned>(ECONNRESET))
            << to_string(e) << " in line " << line;
    }

    Pair tcp_ = make_tcp_pair();
    Queue q_;
};

TEST_F(Reset, R114_ReadSaysConnectionReset) {
    ASSERT_EQ(add(EVFILT_READ), 0);
    reset();
    expect_only(q_.wait(), *tcp_.first, EVFILT_READ, EV_ADD | EV_EOF, ECONNRESET, 0);
}

TEST_F(Reset, R114_ResetBeforeAdd) {
    reset();
    ASSERT_EQ(add(EVFILT_READ), 0);
    expect_only(q_.wait(), *tcp_.first, EVFILT_READ, EV_ADD | EV_EOF, ECONNRESET, 0);
}

TEST_F(Reset, R114_TheErrorStaysInTheNextReports) {
    ASSERT_EQ(add(EVFILT_READ), 0);
    reset();
    for (int i = 0; i < 3; i++)
        expect_reset(EVFILT_READ);
}

TEST_F(Reset, R114_ReadAndWriteBothSayIt) {
    ASSERT_EQ(add(EVFILT_READ), 0);
    ASSERT_EQ(add(EVFILT_WRITE), 0);
    reset();
    const std::vector<Event> events = q_.wait();
    EXPECT_EQ(filters(events), "READ WRITE");
    for (const Event& e : events) {
        EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e);
        EXPECT_EQ(e.fflags, static_cast<unsigned>(ECONNRESET)) << to_string(e);
    }
    expect_reset(EVFILT_READ);
    expect_reset(EVFILT_WRITE);
}

TEST_F(Reset, R114_AKnoteAddedLaterSaysItToo) {
    ASSERT_EQ(add(EVFILT_READ, EV_ONESHOT), 0);
    reset();
    expect_reset(EVFILT_READ);
    ASSERT_EQ(add(EVFILT_WRITE, EV_ONESHOT), 0);
    const Event e = pick(q_.wait(), EVFILT_WRITE);
    EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e);
}

TEST_F(Reset, R114_ClearReportsItOnceAndThenSleeps) {
    ASSERT_EQ(add(EVFILT_READ, EV_CLEAR), 0);
    reset();
    expect_reset(EVFILT_READ);
    expect_sleeps(q_);
}

TEST_F(Reset, R114_DisabledIsQuietUntilEnabled) {
    ASSERT_EQ(add(EVFILT_READ, EV_DISABLE), 0);
    ASSERT_EQ(add(EVFILT_WRITE, EV_DISABLE), 0);
    reset();
    expect_sleeps(q_);
    ASSERT_EQ(q_.apply(change(*tcp_.first, EVFILT_READ, EV_ENABLE)), 0);
    expect_reset(EVFILT_READ);
}

TEST_F(Reset, R114_UnreadDataIsStillCounted) {
    ASSERT_EQ(add(EVFILT_READ), 0);
    reset(3);
    const int left = bytes_to_read(*tcp_.first);
    expect_only(q_.wait(), *tcp_.first, EVFILT_READ, EV_ADD | EV_EOF, ECONNRESET, left);
}

TEST_F(Reset, R116_ErrorTakenByTheProgramFirstIsStillEof) {
    reset();
    EXPECT_EQ(take_error(*tcp_.first), ECONNRESET);
    ASSERT_EQ(add(EVFILT_READ), 0);
#ifdef __linux__  // SO_ERROR is gone once it was read
    expect_only(q_.wait(), *tcp_.first, EVFILT_READ, EV_ADD | EV_EOF, 0, 0);
#else
    EXPECT_NE(pick(q_.wait(), EVFILT_READ).flags & EV_EOF, 0);
#endif
}

TEST_F(Reset, R114_TheErrorIsNotInheritedByTheNextSocketOfThatNumber) {
    ASSERT_EQ(add(EVFILT_READ), 0);
    reset();
    expect_reset(EVFILT_READ);
    const int number = *tcp_.first;
    tcp_ = make_tcp_pair();
    if (*tcp_.first != number) tcp_.first.reset(::dup2(*tcp_.first, number));
    ASSERT_EQ(add(EVFILT_READ), 0);
    expect_none(q_.collect());
    write_bytes(*tcp_.second, 1);
    expect_only(q_.wait(), number, EVFILT_READ, EV_ADD, 0, 1);
    tcp_.second.reset();
    read_bytes(number, 1);
    expect_only(q_.wait(), number, EVFILT_READ, EV_ADD | EV_EOF, 0, 0);
}

TEST_F(Reset, R158_WritingToAClosedPeerIsEofForWrite) {
    ASSERT_EQ(add(EVFILT_WRITE, EV_CLEAR), 0);
    EXPECT_EQ(filters(q_.collect()), "WRITE");
    tcp_.second.reset();
    ASSERT_TRUE(wait_for(*tcp_.first, POLLRDHUP));
    q_.collect();                              // whether this is an event is R-157's business
    ASSERT_EQ(send_bytes(*tcp_.first, 1), 1);  // answered by RST
    ASSERT_TRUE(wait_for(*tcp_.first, 0));     // POLLHUP
    const Event e = pick(q_.wait(), EVFILT_WRITE);
    EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e);
    EXPECT_TRUE(e.fflags == EPIPE || e.fflags == ECONNRESET) << to_string(e);
}

TEST_F(Reset, R114_UnixPeerThatLeftDataUnreadIsAReset) {
    Pair s = make_socketpair(SOCK_STREAM);
    write_bytes(*s.first, 5);
    ASSERT_EQ(q_.apply(change(*s.first, EVFILT_READ, EV_ADD)), 0);
    expect_none(q_.collect());
    s.second.reset();
#ifdef __linux__
    const unsigned error = ECONNRESET;
#else
    const unsigned error = 0;
#endif
    for (int i = 0; i < 2; i++)
        expect_only(q_.wait(), *s.first, EVFILT_READ, EV_ADD | EV_EOF, error, 0);
}

TEST_F(Reset, R167_UnixPeerCloseIsEofForWrite) {
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
        Pair s = make_socketpair(type);
        ASSERT_EQ(q_.apply(change(*s.first, EVFILT_WRITE, EV_ADD | EV_CLEAR)), 0);
        EXPECT_EQ(q_.collect().size(), 1u);
        expect_none(q_.collect());
        s.second.reset();
        const Event e = pick(q_.wait(), EVFILT_WRITE);
        EXPECT_EQ(e.flags, EV_ADD | EV_CLEAR | EV_EOF) << to_string(e);
        EXPECT_EQ(e.fflags, 0u) << to_string(e);
        expect_sleeps(q_);
    }
}

}  // namespace
}  // namespace kqtest
