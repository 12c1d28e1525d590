// SPDX-License-Identifier: BSD-2-Clause
// Sockets before and during connect(): silent until they are connected, EV_EOF when refused.
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ostream>

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

struct Mode {
    const char* name;
    int flags;
};

void PrintTo(const Mode& mode, std::ostream* out) {
    *out << mode.name;
}

constexpr Mode kModes[] = {{"level", 0},
                           {"clear", EV_CLEAR},
                           {"oneshot", EV_ONESHOT},
                           {"dispatch", EV_DISPATCH},
                           {"dispatch_clear", EV_DISPATCH | EV_CLEAR}};

class Unconnected : public KqTest, public testing::WithParamInterface<Mode> {
  protected:
    int add(const Fd& fd, int filter) const {
        return q_.apply(change(*fd, filter, EV_ADD | GetParam().flags));
    }
    int both(const Fd& fd) const {
        const int error = add(fd, EVFILT_READ);
        return error != 0 ? error : add(fd, EVFILT_WRITE);
    }
    void expect_write(const Fd& fd, int line = __builtin_LINE()) const {
        const std::vector<Event> events = q_.wait();  // first: the buffer grows with the connection
        expect_between(events, *fd, EVFILT_WRITE, EV_ADD | GetParam().flags, 1, send_buffer(*fd),
                       __FILE__, line);
    }
    // The READ event of one byte; a level WRITE knote may report beside it.
    void expect_read(const Fd& fd, int line = __builtin_LINE()) const {
        wait_readable(*fd);
        const Event e = pick(q_.wait(), EVFILT_READ, __FILE__, line);
        expect_event(e, *fd, EVFILT_READ, EV_ADD | GetParam().flags, 0, 1, nullptr, __FILE__, line);
    }

    Queue q_;
};

TEST_P(Unconnected, R109_ReadOnATcpSocketIsSilentAndSleeps) {
    const Fd fd = tcp_socket();
    ASSERT_EQ(add(fd, EVFILT_READ), 0);
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
    EXPECT_TRUE(has_knote(q_, *fd, EVFILT_READ));
}

TEST_P(Unconnected, R152_WriteOnATcpSocketIsSilentAndSleeps) {
    const Fd fd = tcp_socket();
    ASSERT_EQ(add(fd, EVFILT_WRITE), 0);
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
    EXPECT_TRUE(has_knote(q_, *fd, EVFILT_WRITE));
}

TEST_P(Unconnected, R152_ConnectWakesBothTcpKnotes) {
    const Fd fd = tcp_socket();
    ASSERT_EQ(both(fd), 0);
    expect_sleeps(q_);
    const Listener listener = make_listener();
    const int error = connect_to(*fd, listener.address);
    ASSERT_TRUE(error == 0 || error == EINPROGRESS) << error;
    expect_write(fd);
    const Fd server = listener.accept();
    write_bytes(*server, 1);
    expect_read(fd);
}

TEST_P(Unconnected, R109_ReadAloneWorksAfterConnect) {
    const Fd fd = tcp_socket();
    ASSERT_EQ(add(fd, EVFILT_READ), 0);
    expect_none(q_.collect());
    const Listener listener = make_listener();
    const int error = connect_to(*fd, listener.address);
    ASSERT_TRUE(error == 0 || error == EINPROGRESS) << error;
    ASSERT_TRUE(wait_for(*fd, POLLOUT));
    expect_sleeps(q_);
    const Fd server = listener.accept();
    write_bytes(*server, 1);
    expect_read(fd);
}

TEST_P(Unconnected, R109_UnixStreamSocketIsSilentAndSleeps) {
    const Fd fd = unix_socket(SOCK_STREAM);
    ASSERT_EQ(both(fd), 0);
    expect_sleeps(q_);
    // Except for the moments in which the library looks at it again (L-UNIX-CONNECT).
    eventually([&] {
        expect_none(q_.collect());
        return !q_.readable();
    });
}

TEST_P(Unconnected, R152_ConnectWakesBothUnixKnotes) {
    const Fd fd = unix_socket(SOCK_STREAM);
    ASSERT_EQ(both(fd), 0);
    expect_none(q_.collect());
    const UnixListener listener;
    ASSERT_EQ(connect_to(*fd, listener.address), 0);
    expect_write(fd);
    const Fd server = listener.accept();
    write_bytes(*server, 1);
    expect_read(fd);
}

TEST_P(Unconnected, R152_DisabledKnotesOfAnUnconnectedSocketSleep) {
    const Fd fd = tcp_socket();
    ASSERT_EQ(both(fd), 0);
    for (const int filter : {EVFILT_READ, EVFILT_WRITE})
        ASSERT_EQ(q_.apply(change(*fd, filter, EV_DISABLE)), 0);
    expect_sleeps(q_);
    for (const int filter : {EVFILT_READ, EVFILT_WRITE})
        ASSERT_EQ(q_.apply(change(*fd, filter, EV_ENABLE)), 0);
    expect_sleeps(q_);
}

TEST_P(Unconnected, R152_DoesNotKeepOthersFromBeingReported) {
    const Fd fd = tcp_socket();
    ASSERT_EQ(both(fd), 0);
    const Pipe pipe = make_pipe();
    ASSERT_EQ(q_.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    expect_none(q_.collect());
    write_bytes(*pipe.write, 2);
    for (int i = 0; i < 3; i++)
        expect_only(q_.wait(1), *pipe.read, EVFILT_READ, EV_ADD, 0, 2);
}

INSTANTIATE_TEST_SUITE_P(Modes, Unconnected, testing::ValuesIn(kModes), kind_name);

// ---- refused ----

class Refused : public KqTest {
  protected:
    // Starts to connect; the answer has come when this returns.
    void connect() const {
        const int error = connect_to(*fd_, port_.address);
        ASSERT_EQ(error, EINPROGRESS);
        ASSERT_TRUE(wait_for(*fd_, POLLOUT));
    }
    int add(int filter, int flags = 0) const {
        return q_.apply(change(*fd_, filter, EV_ADD | flags));
    }
    static void expect_refused(const Event& e, int flags = 0) {
        EXPECT_EQ(e.flags, EV_ADD | EV_EOF | flags) << to_string(e);
        EXPECT_EQ(e.fflags, static_cast<unsigned>(ECONNREFUSED)) << to_string(e);
        if (e.filter == EVFILT_READ) {
            EXPECT_EQ(e.data, 0);
        }
    }

    DeadPort port_;
    Fd fd_ = tcp_socket();
    Queue q_;
};

TEST_F(Refused, R116_ReadSaysRefusedOnEveryCall) {
    connect();
    ASSERT_EQ(add(EVFILT_READ), 0);
    for (int i = 0; i < 3; i++)
        expect_only(q_.wait(), *fd_, EVFILT_READ, EV_ADD | EV_EOF, ECONNREFUSED, 0);
}

TEST_F(Refused, R154_WriteSaysRefusedOnEveryCall) {
    connect();
    ASSERT_EQ(add(EVFILT_WRITE), 0);
    for (int i = 0; i < 3; i++)
        expect_refused(pick(q_.wait(), EVFILT_WRITE));
}

TEST_F(Refused, R154_KnotesAddedBeforeConnect) {
    ASSERT_EQ(add(EVFILT_READ), 0);
    ASSERT_EQ(add(EVFILT_WRITE), 0);
    expect_none(q_.collect());
    connect();
    for (int i = 0; i < 3; i++) {
        const std::vector<Event> events = q_.wait();
        EXPECT_EQ(filters(events), "READ WRITE");
        for (const Event& e : events)
            expect_refused(e);
    }
}

TEST_F(Refused, R154_OneshotWriteIsReportedOnce) {
    ASSERT_EQ(add(EVFILT_WRITE, EV_ONESHOT), 0);
    connect();
    expect_refused(pick(q_.wait(), EVFILT_WRITE), EV_ONESHOT);
    expect_sleeps(q_);
    EXPECT_FALSE(has_knote(q_, *fd_, EVFILT_WRITE));
}

TEST_F(Refused, R154_ClearIsReportedOnceEach) {
    ASSERT_EQ(add(EVFILT_READ, EV_CLEAR), 0);
    ASSERT_EQ(add(EVFILT_WRITE, EV_CLEAR), 0);
    connect();
    const std::vector<Event> events = q_.wait();
    EXPECT_EQ(filters(events), "READ WRITE");
    for (const Event& e : events)
        expect_refused(e, EV_CLEAR);
    expect_sleeps(q_);
}

TEST_F(Refused, R116_DisabledIsQuietUntilEnabled) {
    ASSERT_EQ(add(EVFILT_READ, EV_DISABLE), 0);
    ASSERT_EQ(add(EVFILT_WRITE, EV_DISABLE), 0);
    connect();
    expect_sleeps(q_);
    ASSERT_EQ(q_.apply(change(*fd_, EVFILT_WRITE, EV_ENABLE)), 0);
    expect_refused(pick(q_.wait(), EVFILT_WRITE));
}

TEST_F(Refused, R116_StillEofAfterTheProgramTookTheError) {
    connect();
    EXPECT_EQ(take_error(*fd_), ECONNREFUSED);
    ASSERT_EQ(add(EVFILT_READ), 0);
    const Event e = pick(q_.wait(), EVFILT_READ);
    EXPECT_EQ(e.flags, EV_ADD | EV_EOF) << to_string(e);
}

TEST_F(Refused, R152_ConnectedAtLastIsNoEofForANewKnote) {
    ASSERT_EQ(add(EVFILT_WRITE, EV_ONESHOT), 0);
    connect();
    expect_refused(pick(q_.wait(), EVFILT_WRITE), EV_ONESHOT);
    port_.listen();
    // Linux first tells the failure once more. Other systems want a new socket.
    int error = connect_to(*fd_, port_.address);
    if (error == ECONNABORTED || error == ECONNREFUSED) error = connect_to(*fd_, port_.address);
    if (error != 0 && error != EINPROGRESS) GTEST_SKIP() << "cannot connect twice: " << error;
    ASSERT_EQ(add(EVFILT_WRITE), 0);
    const std::vector<Event> events = q_.wait();  // first: the buffer grows with the connection
    expect_between(events, *fd_, EVFILT_WRITE, EV_ADD, 1, send_buffer(*fd_));
}

// ---- no answer ----

#ifdef __linux__  // how to make a TCP port that does not answer
class Unanswered : public KqTest {
  protected:
    // Fills the queue of the listener until a client stays in SYN-SENT.
    Fd connecting() {
        for (int i = 0; i < 16; i++) {
            Fd fd = tcp_socket();
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

TEST_F(Unanswered, R153_ConnectingIsSilentUntilItIsConnected) {
    const Fd fd = connecting();
    ASSERT_EQ(q_.apply(change(*fd, EVFILT_READ, EV_ADD), change(*fd, EVFILT_WRITE, EV_ADD)), 0);
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
    for (size_t i = 0; i < others_.size(); i++)
        listener_.accept();  // room: the next SYN will be answered
    const Event e = pick(q_.wait(), EVFILT_WRITE);
    EXPECT_EQ(e.flags, EV_ADD) << to_string(e);
    EXPECT_EQ(tcp_state(*fd), static_cast<unsigned>(TCP_ESTABLISHED));
}
#endif

}  // namespace
}  // namespace kqtest
