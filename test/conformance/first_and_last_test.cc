// SPDX-License-Identifier: BSD-2-Clause
// The first knote of a descriptor is added in one pass, and the only knote is deleted in one pass
// (src/fd_usual.h). These tests check what such a pass must not do, or must leave to the usual way.
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "support/gaps.h"
#include "support/kq.h"

namespace kqtest {
namespace {

class FirstAndLast : public KqTest {
  protected:
    Queue q;
    Pipe pipe = make_pipe();
};

TEST_F(FirstAndLast, R72_AddedAndDeletedAgainAndAgainItIsAsNew) {
    for (int i = 0; i < 5; i++) {
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD, 0, 0, tag(7))), 0);
        write_bytes(*pipe.write, 1);
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, i + 1, tag(7));
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
        EXPECT_FALSE(q.readable());
        expect_none(q.collect());
        EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), ENOENT);
        // Nothing is left of the deleted knote: no flags, no udata.
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, i + 1);
        expect_none(q.collect());
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
    }
}

// The first knote behaves as its flags say, for all flags that EV_ADD may have.
TEST_F(FirstAndLast, R88_TheFlagsOfTheFirstAreThoseOfAnyOther) {
    write_bytes(*pipe.write, 1);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_ENABLE | EV_ONESHOT)), 0);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_ONESHOT, 0, 1);
    EXPECT_FALSE(has_knote(q, *pipe.read, EVFILT_READ));

    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_DISABLE)), 0);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
    expect_none(q.collect());

    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_DISPATCH)), 0);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD | EV_DISPATCH, 0, 1);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);

    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD, NOTE_LOWAT, 2)), 0);
    expect_none(q.collect());
    write_bytes(*pipe.write, 1);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, 2);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
    expect_none(q.collect());
}

TEST_F(FirstAndLast, R69_RefusedOnesLeaveNothing) {
    EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_ENABLE | EV_DISABLE)), EINVAL);
    EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_KEEPUDATA)), EINVAL);
    EXPECT_FALSE(has_knote(q, *pipe.read, EVFILT_READ));
    // Values whose low byte is that of a filter.
    for (const int filter : {EVFILT_READ & 0xff, EVFILT_WRITE & 0xff, EVFILT_READ - 0x100}) {
        EXPECT_EQ(q.apply(change(*pipe.read, filter, EV_ADD)), EINVAL) << filter;
        EXPECT_FALSE(has_knote(q, *pipe.read, EVFILT_READ));
        EXPECT_FALSE(has_knote(q, *pipe.read, EVFILT_WRITE));
    }
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    for (const int filter : {EVFILT_READ & 0xff, EVFILT_READ - 0x100})
        EXPECT_EQ(q.apply(change(*pipe.read, filter, EV_DELETE)), EINVAL) << filter;
    EXPECT_TRUE(has_knote(q, *pipe.read, EVFILT_READ));
}

// An ident whose low half is the number of a descriptor that has a knote, or had one.
TEST_F(FirstAndLast, AnIdentThatIsTooLargeIsNoDescriptor) {
    if (sizeof(uintptr_t) <= 4) GTEST_SKIP() << "no ident is so large";
    const auto number = static_cast<uint64_t>(*pipe.read);
    const auto large = static_cast<uintptr_t>((uint64_t{1} << 32) + number);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    EXPECT_EQ(q.apply(change(large, EVFILT_READ, EV_DELETE)), EBADF);
    EXPECT_TRUE(has_knote(q, *pipe.read, EVFILT_READ));
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
    EXPECT_EQ(q.apply(change(large, EVFILT_READ, EV_ADD)), EBADF);
    EXPECT_FALSE(has_knote(q, *pipe.read, EVFILT_READ));
}

// A kqueue is no plain descriptor, even if the library knows all descriptors near it.
TEST_F(FirstAndLast, R63_AKqueueIsNoPlainDescriptor) {
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
    const Queue inner;
    EXPECT_EQ(q.apply(change(inner.fd(), EVFILT_WRITE, EV_ADD)), EINVAL);
    EXPECT_EQ(q.apply(change(q.fd(), EVFILT_READ, EV_ADD)), EINVAL);
    ASSERT_EQ(q.apply(change(inner.fd(), EVFILT_READ, EV_ADD)), 0);
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(inner.apply(change(i, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    expect_only(q.wait(), inner.fd(), EVFILT_READ, EV_ADD, 0, 3);
}

// ---- EV_DELETE of a knote that is not the only one, or not idle ----

TEST_F(FirstAndLast, R73_TheOnlyKnoteIsOfAnotherFilter) {
    ASSERT_EQ(q.apply(change(*pipe.write, EVFILT_WRITE, EV_ADD)), 0);
    EXPECT_EQ(q.apply(change(*pipe.write, EVFILT_READ, EV_DELETE)), ENOENT);
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].filter, EVFILT_WRITE);
}

TEST_F(FirstAndLast, R73_TheOtherOneStays) {
    const Pair sockets = make_socketpair(SOCK_STREAM);
    for (const int gone : {EVFILT_READ, EVFILT_WRITE}) {
        const int stays = gone == EVFILT_READ ? EVFILT_WRITE : EVFILT_READ;
        ASSERT_EQ(q.apply(change(*sockets.first, EVFILT_READ, EV_ADD)), 0);
        ASSERT_EQ(q.apply(change(*sockets.first, EVFILT_WRITE, EV_ADD)), 0);
        write_bytes(*sockets.second, 1);
        ASSERT_EQ(q.apply(change(*sockets.first, gone, EV_DELETE)), 0);
        std::vector<Event> events = q.wait();
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].filter, stays);
        ASSERT_EQ(q.apply(change(*sockets.first, stays, EV_DELETE)), 0);
        EXPECT_FALSE(q.readable());
        expect_none(q.collect());
    }
}

// The library has taken reports from the kernel that wait for room in the list, because the list
// has room for one event. They end with their knotes, and poll() must see that.
TEST_F(FirstAndLast, R87_WhatWaitedIsNotPendingAnyMore) {
    const Pipe other = make_pipe();
    for (const int flags : {EV_ADD, EV_ADD | EV_CLEAR, EV_ADD | EV_DISPATCH}) {
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
        for (const Pipe* one : {&std::as_const(pipe), &other}) {
            ASSERT_EQ(q.apply(change(*one->read, EVFILT_READ, flags)), 0);
            write_bytes(*one->write, 1);
        }
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        ASSERT_EQ(q.wait(1).size(), 1U);
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
        ASSERT_EQ(q.apply(change(*other.read, EVFILT_READ, EV_DELETE)), 0);
        for (const Event& event : q.collect())
            EXPECT_EQ(event.filter, EVFILT_USER);
        EXPECT_FALSE(q.readable());
        expect_none(q.collect());
    }
}

TEST_F(FirstAndLast, R87_ADisabledOneGoesToo) {
    write_bytes(*pipe.write, 1);
    for (const int flags : {EV_ADD, EV_ADD | EV_CLEAR, EV_ADD | EV_DISPATCH}) {
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, flags)), 0);
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DISABLE)), 0);
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
        EXPECT_FALSE(q.readable());
        expect_none(q.collect());
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
        expect_only(q.wait(), *pipe.read, EVFILT_READ, EV_ADD, 0, 1);
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
    }
}

#ifdef EV_UDATA_SPECIFIC
TEST_F(FirstAndLast, TheOnlyKnoteIsKnownByItsUdata) {
    constexpr int kAdd = EV_ADD | EV_UDATA_SPECIFIC;
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, kAdd, 0, 0, tag(1))), 0);
    EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE, 0, 0, tag(1))), ENOENT);
    write_bytes(*pipe.write, 1);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, kAdd, 0, 1, tag(1));
    // A plain knote beside it.
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD, 0, 0, tag(2))), 0);
    EXPECT_EQ(q.wait().size(), 2U);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
    expect_only(q.wait(), *pipe.read, EVFILT_READ, kAdd, 0, 1, tag(1));
}
#endif

#ifdef LIBKQUEUE_HAS_KEVENT64
// What kevent64() has attached to a knote ends with the knote, however the knote is deleted.
TEST_F(FirstAndLast, AnExtensionEndsWithItsKnote) {
    struct kevent64_s add {};
    EV_SET64(&add, static_cast<uint64_t>(*pipe.read), EVFILT_READ, EV_ADD, 0, 0, 0, 11, 12);
    write_bytes(*pipe.write, 1);
    struct kevent64_s event {};
    for (int i = 0; i < 3; i++) {
        add.ext[0] = 11 + static_cast<uint64_t>(i);
        ASSERT_EQ(::kevent64(q.fd(), &add, 1, nullptr, 0, 0, nullptr), 0);
        ASSERT_EQ(::kevent64(q.fd(), nullptr, 0, &event, 1, 0, kForever), 1);
        EXPECT_EQ(event.ext[0], add.ext[0]);
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
        ASSERT_EQ(::kevent64(q.fd(), nullptr, 0, &event, 1, 0, kForever), 1);
        EXPECT_EQ(event.ext[0], 0U);
        EXPECT_EQ(event.ext[1], 0U);
        ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
    }
}
#endif

// ---- errno, where the pass ends otherwise than usual ----

TEST_F(FirstAndLast, ErrnoStaysAsItWas) {
    const Pair sockets = make_socketpair(SOCK_STREAM);
    for (int i = 0; i < 2; i++) {
        for (const int flags : {EV_ADD, EV_DELETE}) {
            const Event one = change(*sockets.first, EVFILT_WRITE, flags);
            errno = EDOM;
            ASSERT_EQ(::kevent(q.fd(), &one, 1, nullptr, 0, nullptr), 0);
            EXPECT_EQ(errno, EDOM) << to_string(one);
        }
    }
}

}  // namespace
}  // namespace kqtest
