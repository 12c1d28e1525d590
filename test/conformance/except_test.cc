// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_EXCEPT: semantics 5.4.
#include <cerrno>

#include "support/kq.h"
#include "support/library.h"
#include "support/net.h"
#include "support/thread.h"

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
    // Past the mark, where nothing urgent is left.
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
    Thread waiter([&] { events = q.wait(); });
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

TEST_F(Except, S54_WhatItRefuses) {
    EXPECT_EQ(add(0, NOTE_OOB | 0x10), EINVAL);
    TempFile file;
    EXPECT_EQ(q.apply(change(*file.fd, EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), EINVAL);
    EXPECT_EQ(q.apply(change(q.fd(), EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), EINVAL);
    EXPECT_EQ(q.apply(change(-1, EVFILT_EXCEPT, EV_ADD, NOTE_OOB)), EBADF);
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

}  // namespace
}  // namespace kqtest
