// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_EMPTY on each kind of descriptor that can be written to and drained (semantics 5.3). The
// tests fill it until it takes no more, then drain it in part and as a whole, as NetBSD's tests of
// the filter do with sockets, pipes and FIFOs.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>
#include <string>

#include "support/kq.h"
#include "support/library.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

// One end writes, the other one reads.
struct Ends {
    Fd writer;
    Fd reader;
};

Ends of(Pair pair) {
    return {std::move(pair.first), std::move(pair.second)};
}

Ends make_fifo() {
    const TempFile name;
    const std::string path = name.path + "-fifo";
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    Ends ends;
    ends.reader = open_file(path, O_RDONLY | O_NONBLOCK);
    ends.writer = open_file(path, O_WRONLY | O_NONBLOCK);
    EXPECT_EQ(::unlink(path.c_str()), 0);
    return ends;
}

struct Kind {
    const char* name;
    Ends (*make)();
    bool tcp = false;     // the system sends and acknowledges when it likes
    bool socket = false;  // data that the peer has not read is lost when the peer closes
};

void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
}

const Kind kKinds[] = {
    {"stream", [] { return of(make_socketpair(SOCK_STREAM)); }, false, true},
    {"datagram", [] { return of(make_socketpair(SOCK_DGRAM)); }, false, true},
    {"seqpacket", [] { return of(make_socketpair(SOCK_SEQPACKET)); }, false, true},
    {"tcp", [] { return of(make_small_tcp_pair()); }, true, true},
    {"pipe",
     [] {
         Pipe pipe = make_pipe();
         return Ends{std::move(pipe.write), std::move(pipe.read)};
     }},
    {"fifo", make_fifo},
};

class EmptyKinds : public KqTest, public testing::WithParamInterface<Kind> {
  protected:
    void SetUp() override {
        if (backend() == "solaris") GTEST_SKIP() << "EVFILT_EMPTY is refused there";
    }
    void fill_it() const {
        if (GetParam().tcp)
            fill_up(*ends.writer, *ends.reader);
        else
            EXPECT_GT(fill(*ends.writer), 0u);
    }
    void drain_it() const {
        if (GetParam().tcp)
            drain_from(*ends.writer, *ends.reader);
        else
            EXPECT_GT(drain(*ends.reader), 0u);
    }
    // One read. It takes only a part of many writes.
    void drain_some() const {
        char bytes[512];
        EXPECT_GT(::read(*ends.reader, bytes, sizeof bytes), 0);
    }
    int add(const Queue& to, int flags = 0) const {
        return to.apply(change(*ends.writer, EVFILT_EMPTY, EV_ADD | flags));
    }
    void expect_empty(const Queue& from, int flags = 0, int line = __builtin_LINE()) const {
        expect_only(from.wait(), *ends.writer, EVFILT_EMPTY, EV_ADD | flags, 0, 0, nullptr,
                    __FILE__, line);
    }

    Ends ends = GetParam().make();
    Queue q;
};

TEST_P(EmptyKinds, S53_NewOnesAreEmpty) {
    ASSERT_EQ(add(q), 0);
    expect_empty(q);
    expect_empty(q);
}

TEST_P(EmptyKinds, S53_FilledItIsSilentUntilAllWasDrained) {
    fill_it();
    ASSERT_EQ(add(q), 0);
    expect_silent(q);
    drain_some();
    expect_sleeps(q, milliseconds{50});
    drain_it();
    expect_empty(q);
}

TEST_P(EmptyKinds, S53_FilledWhileItIsWatched) {
    ASSERT_EQ(add(q), 0);
    expect_empty(q);
    for (int i = 0; i < 3; i++) {
        fill_it();
        expect_silent(q);
        drain_it();
        expect_empty(q);
    }
}

TEST_P(EmptyKinds, S53_WithClearEachDrainingIsToldOnce) {
    fill_it();
    ASSERT_EQ(add(q, EV_CLEAR), 0);
    for (int i = 0; i < 3; i++) {
        expect_silent(q);
        drain_it();
        expect_empty(q, EV_CLEAR);
        expect_sleeps(q, milliseconds{50});
        fill_it();
    }
}

TEST_P(EmptyKinds, R74_SeveralKqueuesAreTold) {
    const Queue other;
    fill_it();
    ASSERT_EQ(add(q), 0);
    ASSERT_EQ(add(other, EV_ONESHOT), 0);
    expect_silent(q);
    expect_silent(other);
    drain_it();
    expect_empty(q);
    expect_empty(other, EV_ONESHOT);
    EXPECT_FALSE(has_knote(other, *ends.writer, EVFILT_EMPTY));
    expect_empty(q);
}

TEST_P(EmptyKinds, S53_ASleepingThreadIsWokenByTheLastRead) {
    fill_it();
    ASSERT_EQ(add(q), 0);
    std::vector<Event> events;
    Thread waiter([&] { events = q.call({}, 16, kForever).events; });  // or join() aborts
    waiter.wait_until_asleep();
    drain_some();
    drain_it();
    waiter.join();
    expect_only(events, *ends.writer, EVFILT_EMPTY, EV_ADD);
}

// No thread is in kevent(), where it could look.
TEST_P(EmptyKinds, R6_TheQueueBecomesReadable) {
    fill_it();
    ASSERT_EQ(add(q), 0);
    drain_it();
    EXPECT_TRUE(q.wait_until_readable());
    expect_empty(q);
    EXPECT_TRUE(q.wait_until_readable());
}

TEST_P(EmptyKinds, S53_RoomToWriteIsNotEmpty) {
    fill_it();
    ASSERT_EQ(add(q), 0);
    drain_it();
    write_bytes(*ends.writer, 1);  // there is room, and something to be sent
    if (!GetParam().tcp) {
        expect_silent(q);
        ASSERT_EQ(q.apply(change(*ends.writer, EVFILT_WRITE, EV_ADD | EV_ONESHOT)), 0);
        EXPECT_EQ(filters(q.wait()), "WRITE");
        expect_silent(q);
    }
    drain_it();
    expect_empty(q);
}

TEST_P(EmptyKinds, R83_DrainedWhileItIsDisabledIsToldLater) {
    fill_it();
    ASSERT_EQ(add(q), 0);
    ASSERT_EQ(q.apply(change(*ends.writer, EVFILT_EMPTY, EV_DISABLE)), 0);
    drain_it();
    expect_sleeps(q, milliseconds{50});
    ASSERT_EQ(q.apply(change(*ends.writer, EVFILT_EMPTY, EV_ENABLE)), 0);
    expect_empty(q);
}

TEST_P(EmptyKinds, R291_ClosedWhileItWaits) {
    fill_it();
    ASSERT_EQ(add(q), 0);
    const int number = *ends.writer;
    const Fd duplicate{::dup(number)};
    ends.writer.reset();
    expect_silent(q);
    EXPECT_EQ(q.apply(change(number, EVFILT_EMPTY, EV_DELETE)), EBADF);
    if (!GetParam().tcp) {
        EXPECT_GT(drain(*ends.reader), 0u);
    }
    expect_sleeps(q, milliseconds{50});
}

TEST_P(EmptyKinds, S53_WhatThePeerHasNotReadWhenItCloses) {
    fill_it();
    ASSERT_EQ(add(q), 0);
    ends.reader.reset();
    if (GetParam().socket)
        expect_empty(q);  // the system throws the data away
    else
        expect_sleeps(q, milliseconds{50});  // the data is unread, and another reader may come
}

INSTANTIATE_TEST_SUITE_P(Of, EmptyKinds, testing::ValuesIn(kKinds),
                         [](const testing::TestParamInfo<Kind>& kind) { return kind.param.name; });

// A UDP socket is empty at once, because a datagram leaves it immediately.
TEST(EmptyDatagrams, S53_UdpIsEmptyAfterEachDatagram) {
    if (backend() == "solaris") GTEST_SKIP() << "EVFILT_EMPTY is refused there";
    const Pair pair = make_udp_pair();
    const Queue q;
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_EMPTY, EV_ADD)), 0);
    for (int i = 0; i < 3; i++) {
        expect_only(q.wait(), *pair.first, EVFILT_EMPTY, EV_ADD);
        write_bytes(*pair.first, 100);
        ASSERT_TRUE(wait_for(*pair.second, POLLIN));
        EXPECT_EQ(read_bytes(*pair.second, 100).size(), 100u);
    }
}

}  // namespace
}  // namespace kqtest
