// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_EXCEPT: semantics 5.4.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "support/kq.h"
#include "support/library.h"
#include "support/net.h"
#include "support/thread.h"
#include "support/tree.h"

namespace kqtest {
namespace {

class Except : public KqTest {
  protected:
    int add(int flags = 0, unsigned fflags = NOTE_OOB) const {
        return q.apply(change(*tcp.first, EVFILT_EXCEPT, EV_ADD | flags, fflags));
    }
    void send_urgent(char c = '!') const {
        ASSERT_EQ(::send(*tcp.second, &c, 1, MSG_OOB | MSG_NOSIGNAL), 1);
        ASSERT_TRUE(wait_for(*tcp.first, POLLPRI));
    }
    void take_urgent() const {
        char c = 0;
        ASSERT_EQ(::recv(*tcp.first, &c, 1, MSG_OOB), 1);
    }
    // Reads past the mark. Then no urgent data is left.
    void read_all() const {
        char bytes[64];
        while (::recv(*tcp.first, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
        }
    }
    void expect_urgent(int flags = 0, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) const {
        expect_only(q.wait(), *tcp.first, EVFILT_EXCEPT, EV_ADD | flags, NOTE_OOB, 0, nullptr, file,
                    line);
    }

    Pair tcp = make_tcp_pair();
    Queue q;
};

TEST_F(Except, S54_UrgentDataAreReportedUntilTheyAreRead) {
    ASSERT_EQ(add(), 0);
    expect_silent(q);
    send_urgent();
    expect_urgent();
    expect_urgent();
    take_urgent();
    read_all();
    write_bytes(*tcp.second, 1);
    ASSERT_TRUE(wait_for(*tcp.first, POLLIN));
    read_all();
    expect_silent(q);
}

TEST_F(Except, S54_OrdinaryDataAreNot) {
    ASSERT_EQ(add(), 0);
    write_bytes(*tcp.second, 3);
    ASSERT_TRUE(wait_for(*tcp.first, POLLIN));
    expect_silent(q);
}

TEST_F(Except, S54_WhatWasThereBeforeEvAddIsReported) {
    send_urgent();
    ASSERT_EQ(add(EV_CLEAR), 0);
    expect_urgent(EV_CLEAR);
    expect_silent(q);
}

TEST_F(Except, S54_WithClearEachArrivalIsReportedOnce) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    for (int i = 0; i < 3; i++) {
        send_urgent();
        expect_urgent(EV_CLEAR);
        expect_silent(q);
        take_urgent();
        write_bytes(*tcp.second, 1);  // behind the mark
        ASSERT_TRUE(wait_for(*tcp.first, POLLIN));
        read_all();
        expect_silent(q);
    }
}

TEST_F(Except, S54_OneshotAndDispatch) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    send_urgent();
    expect_urgent(EV_ONESHOT);
    expect_silent(q);
    EXPECT_FALSE(has_knote(q, *tcp.first, EVFILT_EXCEPT));
    ASSERT_EQ(add(EV_DISPATCH), 0);
    expect_urgent(EV_DISPATCH);
    expect_silent(q);
    ASSERT_EQ(q.apply(change(*tcp.first, EVFILT_EXCEPT, EV_ENABLE)), 0);
    expect_urgent(EV_DISPATCH);
}

TEST_F(Except, S54_ASleepingThreadIsWoken) {
    ASSERT_EQ(add(), 0);
    std::vector<Event> events;
    Thread waiter([&] { events = q.call({}, 16, kForever).events; });  // or join() aborts
    waiter.wait_until_asleep();
    send_urgent();
    waiter.join();
    expect_only(events, *tcp.first, EVFILT_EXCEPT, EV_ADD, NOTE_OOB);
}

TEST_F(Except, R6_TheQueueIsReadable) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    EXPECT_FALSE(q.readable());
    send_urgent();
    EXPECT_TRUE(q.wait_until_readable());
    expect_urgent(EV_CLEAR);
    EXPECT_FALSE(q.readable());
}

TEST_F(Except, R148_ReadAndWriteDoNotNotice) {
    ASSERT_EQ(q.apply(change(*tcp.first, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    ASSERT_EQ(q.apply(change(*tcp.first, EVFILT_WRITE, EV_ADD | EV_CLEAR)), 0);
    EXPECT_EQ(q.wait().at(0).filter, EVFILT_WRITE);
    ASSERT_EQ(add(), 0);
    write_bytes(*tcp.second, 2);
    ASSERT_TRUE(wait_for(*tcp.first, POLLIN));
    expect_only(q.wait(), *tcp.first, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 2);
    ASSERT_EQ(q.apply(change(*tcp.first, EVFILT_EXCEPT, EV_DELETE)), 0);
    expect_silent(q);
}

// Unread data behind the urgent byte must not be taken for the end of the connection.
TEST_F(Except, S54_DataBehindUrgentDataAreNoEnd) {
    send_urgent();
    write_bytes(*tcp.second, 3);
    ASSERT_TRUE(wait_for(*tcp.first, POLLIN));
    ASSERT_EQ(add(), 0);
    expect_urgent();
    ASSERT_EQ(add(0, 0), 0);
    expect_silent(q);
    read_all();
    tcp.second.reset();
    ASSERT_TRUE(wait_for(*tcp.first, POLLIN));
    expect_only(q.wait(), *tcp.first, EVFILT_EXCEPT, EV_ADD | EV_EOF);
}

// Adding, changing or deleting another knote of the descriptor gives no event to the first one.
TEST_F(Except, R336_ANeighbourIsNoNews) {
    const auto beside = [this](int flags, unsigned fflags = NOTE_OOB) {
        return q.apply(
            change(*tcp.first, EVFILT_EXCEPT, flags | EV_UDATA_SPECIFIC, fflags, 0, tag(1)));
    };
    ASSERT_EQ(add(EV_CLEAR), 0);
    send_urgent();
    expect_urgent(EV_CLEAR);
    ASSERT_EQ(beside(EV_ADD | EV_CLEAR), 0);
    expect_only(q.wait(), *tcp.first, EVFILT_EXCEPT, EV_ADD | EV_CLEAR | EV_UDATA_SPECIFIC,
                NOTE_OOB, 0, tag(1));
    expect_silent(q);
    ASSERT_EQ(beside(0, 0), 0);
    expect_silent(q);
    ASSERT_EQ(beside(EV_DELETE), 0);
    expect_silent(q);
}

TEST_F(Except, S54_TheEndOfThePeerIsEof) {
    ASSERT_EQ(add(0, 0), 0);
    expect_silent(q);
    send_urgent();
    expect_silent(q);  // not asked for
    tcp.second.reset();
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].flags, EV_ADD | EV_EOF);
    EXPECT_EQ(events[0].fflags, 0u);
}

// The end comes while the urgent byte, which was reported, is still there.
TEST_F(Except, S54_WithClearTheEndIsNewsAfterUrgentData) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    send_urgent();
    expect_urgent(EV_CLEAR);
    tcp.second.reset();
    take_urgent();
    read_all();
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].flags, EV_ADD | EV_CLEAR | EV_EOF);
}

// poll() says POLLHUP of such a socket.
TEST_F(Except, S54_ASocketThatWasNeverConnectedHasNoEnd) {
    const UnixListener listener;
    const Fd connecting{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    for (const int domain : {AF_INET, AF_UNIX}) {
        const Fd idle{::socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        ASSERT_EQ(q.apply(change(*idle, EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), 0);
        expect_silent(q);
    }
    ASSERT_EQ(q.apply(change(*connecting, EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), 0);
    expect_silent(q);
    ASSERT_EQ(connect_to(*connecting, listener.address), 0);
    expect_silent(q);
    Fd peer = listener.accept();
    peer.reset();
    expect_only(q.wait(), *connecting, EVFILT_EXCEPT, EV_ADD | EV_EOF);
}

// It is one queue within another for the kernel, as READ is.
TEST_F(Except, D40_NestedTooDeeplyIsInvalid) {
    if (!on_linux()) GTEST_SKIP() << "other backends do not nest kernel queues for it";
    std::vector<Queue> chain(12);
    for (size_t i = 1; i < chain.size(); i++)
        if (chain[i].apply(change(chain[i - 1].fd(), EVFILT_READ, EV_ADD)) != 0) break;
    EXPECT_EQ(chain[0].apply(change(*tcp.first, EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), EINVAL);
    EXPECT_FALSE(has_knote(chain[0], *tcp.first, EVFILT_EXCEPT));
}

TEST_F(Except, S54_WhatItRefuses) {
    EXPECT_EQ(add(0, NOTE_OOB | 0x10), EINVAL);
    TempFile file;
    EXPECT_EQ(q.apply(change(*file.fd, EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), EINVAL);
    EXPECT_EQ(q.apply(change(q.fd(), EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), EINVAL);
    EXPECT_EQ(q.apply(change(-1, EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), EBADF);
    EXPECT_EQ(q.apply(change(-1, EVFILT_EXCEPT, EV_ADD, NOTE_OOB | 0x10)), EBADF);
    EXPECT_EQ(q.apply(change(*tcp.first, EVFILT_EXCEPT, EV_DELETE)), ENOENT);
    expect_silent(q);
}

TEST_F(Except, R193_AClosedDescriptorHasNoKnote) {
    ASSERT_EQ(add(), 0);
    send_urgent();
    const int number = *tcp.first;
    tcp.first.reset();
    Pair other = make_tcp_pair();
    expect_silent(q);
    EXPECT_NE(q.apply(change(number, EVFILT_EXCEPT, EV_DELETE)), 0);
}

// All open files of one FIFO look alike to fstat().
TEST_F(Except, R290_TheSameFifoUnderTheSameNumberAgain) {
    const Tree tree;
    const std::string path = tree.path("fifo");
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    for (int round = 0; round < 3; round++) {
        Fd reader{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
        Fd writer{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
        ASSERT_TRUE(writer);
        ASSERT_EQ(q.apply(change(*reader, EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), 0);
        if (round == 1) continue;  // closed before anything happened
        expect_silent(q);
        writer.reset();
        const std::vector<Event> events = q.wait();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].ident, static_cast<uintptr_t>(*reader));
        EXPECT_EQ(events[0].flags, EV_ADD | EV_EOF);
    }
}

}  // namespace
}  // namespace kqtest
