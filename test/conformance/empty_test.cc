// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_EMPTY: semantics 5.3. No kernel reports that all was read: the library looks, and the
// queue hears of it within 20 ms (L-EMPTY).
#include <cerrno>

#include "support/kq.h"
#include "support/library.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class Empty : public KqTest {
  protected:
    void SetUp() override {
        if (backend() == "solaris") GTEST_SKIP() << "EVFILT_EMPTY is refused there";
    }
    int add(int fd, int flags = 0) const {
        return q.apply(change(fd, EVFILT_EMPTY, EV_ADD | flags));
    }
    void expect_empty(int fd, int flags = 0, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE()) const {
        expect_only(q.wait(), fd, EVFILT_EMPTY, EV_ADD | flags, 0, 0, nullptr, file, line);
    }

    Pair unix_pair = make_socketpair(SOCK_STREAM);
    Queue q;
};

TEST_F(Empty, S53_AnEmptyBufferIsReportedByLevel) {
    ASSERT_EQ(add(*unix_pair.first), 0);
    expect_empty(*unix_pair.first);
    expect_empty(*unix_pair.first);
    write_bytes(*unix_pair.first, 3);
    expect_silent(q);
    read_bytes(*unix_pair.second, 3);
    expect_empty(*unix_pair.first);
}

TEST_F(Empty, S53_WithClearEachTimeItBecomesEmptyIsReported) {
    ASSERT_EQ(add(*unix_pair.first, EV_CLEAR), 0);
    expect_empty(*unix_pair.first, EV_CLEAR);
    expect_silent(q);
    write_bytes(*unix_pair.first, 3);
    expect_silent(q);
    read_bytes(*unix_pair.second, 2);
    expect_silent(q);
    read_bytes(*unix_pair.second, 1);
    expect_empty(*unix_pair.first, EV_CLEAR);
    expect_silent(q);
}

TEST_F(Empty, S53_ASleepingThreadIsWoken) {
    write_bytes(*unix_pair.first, 3);
    ASSERT_EQ(add(*unix_pair.first), 0);
    expect_silent(q);
    std::vector<Event> events;
    Thread waiter([&] { events = q.call({}, 16, kForever).events; });  // or join() aborts
    waiter.wait_until_asleep();
    read_bytes(*unix_pair.second, 3);
    waiter.join();
    expect_only(events, *unix_pair.first, EVFILT_EMPTY, EV_ADD);
}

TEST_F(Empty, S53_TcpIsEmptyWhenThePeerHasAcknowledged) {
    Pair tcp = make_tcp_pair();
    write_bytes(*tcp.first, 1000);
    ASSERT_EQ(add(*tcp.first, EV_ONESHOT), 0);
    expect_empty(*tcp.first, EV_ONESHOT);
    EXPECT_EQ(bytes_unsent(*tcp.first), 0);
    EXPECT_FALSE(has_knote(q, *tcp.first, EVFILT_EMPTY));
}

TEST_F(Empty, S53_APipeIsEmptyWhenItWasRead) {
    Pipe pipe = make_pipe();
    write_bytes(*pipe.write, 3);
    ASSERT_EQ(add(*pipe.write, EV_DISPATCH), 0);
    expect_silent(q);
    read_bytes(*pipe.read, 3);
    expect_empty(*pipe.write, EV_DISPATCH);
    expect_silent(q);
    ASSERT_EQ(q.apply(change(*pipe.write, EVFILT_EMPTY, EV_ENABLE)), 0);
    expect_empty(*pipe.write, EV_DISPATCH);
}

TEST_F(Empty, S53_AListenerIsAlwaysEmpty) {
    UnixListener listener;
    ASSERT_EQ(add(*listener.fd), 0);
    expect_empty(*listener.fd);
}

TEST_F(Empty, S53_WriteDoesNotNotice) {
    write_bytes(*unix_pair.first, 3);
    ASSERT_EQ(add(*unix_pair.first), 0);
    ASSERT_EQ(q.apply(change(*unix_pair.first, EVFILT_WRITE, EV_ADD | EV_ONESHOT)), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    expect_silent(q);
    EXPECT_TRUE(has_knote(q, *unix_pair.first, EVFILT_EMPTY));
}

TEST_F(Empty, S53_WhatItRefuses) {
    Pipe pipe = make_pipe();
    TempFile file;
    EXPECT_EQ(add(*pipe.read), EINVAL);
    EXPECT_EQ(add(*file.fd), EINVAL);
    EXPECT_EQ(add(q.fd()), EINVAL);
    EXPECT_EQ(add(-1), EBADF);
    EXPECT_EQ(q.apply(change(*unix_pair.first, EVFILT_EMPTY, EV_ADD, 1)), EINVAL);
    EXPECT_EQ(q.apply(change(-1, EVFILT_EMPTY, EV_ADD, 1)), EBADF);
    EXPECT_EQ(q.apply(change(*unix_pair.first, EVFILT_EMPTY, EV_DELETE)), ENOENT);
    expect_silent(q);
}

}  // namespace
}  // namespace kqtest
