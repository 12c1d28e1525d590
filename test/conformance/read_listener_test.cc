// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ on listening sockets: data is the number of connections to accept.
#include <errno.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

class ReadListener : public KqTest, public testing::WithParamInterface<ReadEndKind> {
  protected:
    int add(int flags = 0, unsigned fflags = 0, intptr_t data = 0) const {
        return q_.apply(change(end_->fd(), EVFILT_READ, EV_ADD | flags, fflags, data));
    }
    void expect(int flags, intptr_t connections, int line = __builtin_LINE()) const {
        expect_only(q_.wait(), end_->fd(), EVFILT_READ, EV_ADD | flags, 0, connections, nullptr,
                    __FILE__, line);
    }

    std::unique_ptr<ReadEnd> end_ = GetParam().make();
    Queue q_;
};

TEST_P(ReadListener, R120_DataCountsTheWaitingConnections) {
    ASSERT_EQ(add(), 0);
    expect_none(q_.collect());
    for (int n = 1; n <= 5; n++) {
        end_->feed();
        expect(0, n);
    }
    for (int n = 4; n >= 1; n--) {
        end_->take();
        expect(0, n);
    }
    end_->take();
    expect_none(q_.collect());
}

TEST_P(ReadListener, R120_ConnectionsBeforeAddAreCounted) {
    end_->feed();
    end_->feed();
    ASSERT_EQ(add(EV_ONESHOT), 0);
    expect(EV_ONESHOT, 2);
}

TEST_P(ReadListener, R120_ClearReportsEachConnection) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    for (int n = 1; n <= 3; n++) {
        end_->feed();
        expect(EV_CLEAR, n);
        expect_none(q_.collect());
    }
    end_->take();
    expect_none(q_.collect());
}

TEST_P(ReadListener, R120_NoteLowatMeansNothing) {
    ASSERT_EQ(add(0, NOTE_LOWAT, 5), 0);
    end_->feed();
    expect(0, 1);
}

TEST_P(ReadListener, R155_WriteIsSilent) {
    for (const int flags : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        ASSERT_EQ(q_.apply(change(end_->fd(), EVFILT_WRITE, EV_ADD | flags)), 0);
        end_->feed();
        expect_sleeps(q_);
        ASSERT_EQ(q_.apply(change(end_->fd(), EVFILT_WRITE, EV_DELETE)), 0);
    }
}

TEST_P(ReadListener, R155_WriteIsSilentBesideRead) {
    ASSERT_EQ(q_.apply(change(end_->fd(), EVFILT_WRITE, EV_ADD)), 0);
    ASSERT_EQ(add(), 0);
    end_->feed();
    expect(0, 1);
    end_->drain();
    expect_sleeps(q_);
}

std::vector<ReadEndKind> listeners() {
    std::vector<ReadEndKind> kinds;
    for (const ReadEndKind& kind : read_ends())
        if (std::string(kind.name).ends_with("_listener")) kinds.push_back(kind);
    return kinds;
}

INSTANTIATE_TEST_SUITE_P(Kinds, ReadListener, testing::ValuesIn(listeners()), kind_name);

// ---- listen() comes after EV_ADD ----

class LateListener : public KqTest {
  protected:
    Queue q_;
};

TEST_F(LateListener, R121_TcpBecomesActiveAtTheFirstConnection) {
    const DeadPort port;
    ASSERT_EQ(q_.apply(change(*port.fd, EVFILT_READ, EV_ADD)), 0);
    expect_sleeps(q_);
    port.listen();
    expect_sleeps(q_);
    const Fd client = tcp_socket();
    connect_to(*client, port.address);
    expect_only(q_.wait(), *port.fd, EVFILT_READ, EV_ADD, 0, 1);
}

TEST_F(LateListener, R121_UnixBecomesActiveAtTheFirstConnection) {
    const UnixListener listener(-1);
    ASSERT_EQ(q_.apply(change(*listener.fd, EVFILT_READ, EV_ADD)), 0);
    expect_sleeps(q_);
    listener.listen();
    expect_sleeps(q_);
    const Fd client = listener.connect();
    expect_only(q_.wait(), *listener.fd, EVFILT_READ, EV_ADD, 0, 1);
}

TEST_F(LateListener, R121_WithOneshotAndClear) {
    for (const int flags : {EV_ONESHOT, EV_CLEAR, EV_DISPATCH}) {
        const DeadPort port;
        const Queue q;
        ASSERT_EQ(q.apply(change(*port.fd, EVFILT_READ, EV_ADD | flags)), 0);
        expect_none(q.collect());
        port.listen();
        const Fd client = tcp_socket();
        connect_to(*client, port.address);
        expect_only(q.wait(), *port.fd, EVFILT_READ, EV_ADD | flags, 0, 1);
        expect_none(q.collect());
    }
}

TEST_F(LateListener, R155_WriteStaysSilentAfterListen) {
    const DeadPort port;
    ASSERT_EQ(q_.apply(change(*port.fd, EVFILT_WRITE, EV_ADD)), 0);
    port.listen();
    expect_sleeps(q_);
    const Fd client = tcp_socket();
    connect_to(*client, port.address);
    ASSERT_TRUE(wait_readable(*port.fd));
    expect_sleeps(q_);
}

}  // namespace
}  // namespace kqtest
