// SPDX-License-Identifier: BSD-2-Clause
// EV_VANISHED: an event that says that the descriptor of a knote was closed (semantics 3.7).
// BUGS.md (N-VANISHED) says when the library notices that. A change of the knote always notices it.
#include <unistd.h>

#include <cerrno>

#include "support/gaps.h"
#include "support/kq.h"
#include "support/library.h"
#include "support/source.h"

#ifdef EV_VANISHED

namespace kqtest {
namespace {

constexpr int kKept = EV_ADD | EV_DISPATCH2;
constexpr int kGone = EV_DISPATCH2 | EV_ONESHOT | EV_VANISHED;
constexpr int kEnd = EV_DISPATCH2 | EV_ONESHOT | EV_DELETE;

class Vanished : public KqTest {
  protected:
    static Event read(int fd, int flags, uintptr_t udata = 1) {
        return change(fd, EVFILT_READ, flags | EV_UDATA_SPECIFIC, 0, 0, tag(udata));
    }
    // After EV_VANISHED: the knote is there until it is deleted and enabled.
    void expect_last(int fd, uintptr_t udata = 1, int line = __builtin_LINE()) const {
        const testing::ScopedTrace trace(__FILE__, line, "");
        expect_none(q.collect());
        EXPECT_EQ(q.apply(read(fd, EV_DELETE, udata)), EINPROGRESS);
        ASSERT_EQ(q.apply(read(fd, EV_ENABLE, udata)), 0);
        expect_only(q.wait(), fd, EVFILT_READ, kEnd, 0, 0, tag(udata));
        EXPECT_EQ(q.apply(read(fd, EV_ENABLE, udata)), EBADF);
        expect_silent(q);
    }
    Queue q;
};

TEST_F(Vanished, R339_OnlyWithAddAndDispatch2) {
    const Pipe p = make_pipe();
    for (const int flags : {0, EV_ADD, EV_ADD | EV_DISPATCH, EV_ADD | EV_UDATA_SPECIFIC,
                            +EV_DISPATCH2, EV_DELETE | EV_DISPATCH2})
        EXPECT_EQ(q.apply(change(*p.read, EVFILT_READ, flags | EV_VANISHED)), EINVAL) << flags;
    EXPECT_FALSE(has_knote(q, *p.read, EVFILT_READ));
    EXPECT_EQ(q.apply(change(*p.read, EVFILT_READ, kKept | EV_VANISHED)), 0);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, kKept | EV_VANISHED)), 0);
    EXPECT_EQ(q.apply(change(free_number(), EVFILT_READ, kKept | EV_VANISHED)), EBADF);
}

TEST_F(Vanished, R335_OtherEventsDoNotShowIt) {
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(read(*p.read, kKept | EV_VANISHED),
                      change(1, EVFILT_USER, kKept | EV_VANISHED, NOTE_TRIGGER)),
              0);
    expect_only(q.collect(), 1, EVFILT_USER, kKept);
    write_bytes(*p.write, 3);
    expect_only(q.wait(), *p.read, EVFILT_READ, kKept, 0, 3, tag(1));
}

TEST_F(Vanished, R344_ClosedAndFoundByEnable) {
    Pipe p = make_pipe();
    const int fd = *p.read;
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED)), 0);
    write_bytes(*p.write, 3);
    EXPECT_EQ(q.wait().size(), 1u);
    p.read.reset();
    expect_none(q.collect());  // it is disabled
    ASSERT_EQ(q.apply(read(fd, EV_ENABLE)), 0);
    EXPECT_TRUE(q.wait_until_readable());
    expect_only(q.wait(), fd, EVFILT_READ, kGone, 0, 0, tag(1));
    expect_last(fd);
}

// No event has disabled it. So nothing has to be armed again, and the kernel need not be asked.
TEST_F(Vanished, R345_ClosedWhileItIsDisabledByItself) {
    for (const int filter : {EVFILT_READ, EVFILT_WRITE, EVFILT_VNODE}) {
        TempFile file;
        Pair p = make_socketpair(SOCK_STREAM);
        const int fd = filter == EVFILT_VNODE ? *file.fd : *p.first;
        const auto with = [&](int flags) {
            return change(fd, filter, flags | EV_UDATA_SPECIFIC,
                          filter == EVFILT_VNODE ? NOTE_WRITE : 0, 0, tag(1));
        };
        ASSERT_EQ(q.apply(with(kKept | EV_VANISHED)), 0);
        ASSERT_EQ(q.apply(with(EV_DISABLE)), 0);
        (filter == EVFILT_VNODE ? file.fd : p.first).reset();
        ASSERT_EQ(q.apply(with(EV_ENABLE)), 0) << filter;
        EXPECT_TRUE(q.wait_until_readable()) << filter;
        expect_only(q.wait(), fd, filter, kGone, 0, 0, tag(1));
        ASSERT_EQ(q.apply(with(EV_DELETE | EV_ENABLE)), 0);
    }
}

TEST_F(Vanished, R344_ClosedAndFoundByAnotherAdd) {
    for (const int more : {EV_ENABLE, 0}) {
        Pipe p = make_pipe();
        const int fd = *p.read;
        ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED)), 0);
        p.read.reset();
        ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED | more)), 0);
        expect_only(q.wait(), fd, EVFILT_READ, kGone, 0, 0, tag(1));
        expect_last(fd);
    }
}

TEST_F(Vanished, R345_ClosedWhileItIsDisabledAndDeleted) {
    Pipe p = make_pipe();
    const int fd = *p.read;
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED | EV_DISABLE)), 0);
    p.read.reset();
    EXPECT_EQ(q.apply(read(fd, EV_DELETE)), EINPROGRESS);
    ASSERT_EQ(q.apply(read(fd, EV_ENABLE)), 0);
    expect_only(q.wait(), fd, EVFILT_READ, kEnd, 0, 0, tag(1));
    EXPECT_EQ(q.apply(read(fd, EV_DELETE)), EBADF);
}

TEST_F(Vanished, R344_DeletedWhileEnabledItTellsNothing) {
    for (const bool disabled : {false, true}) {
        Pipe p = make_pipe();
        const int fd = *p.read;
        ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED | (disabled ? EV_DISABLE : 0))), 0);
        p.read.reset();
        EXPECT_EQ(q.apply(read(fd, EV_DELETE | (disabled ? EV_ENABLE : 0))), 0);
        expect_none(q.collect());
        EXPECT_EQ(q.apply(read(fd, EV_DELETE)), EBADF);
    }
}

TEST_F(Vanished, R346_NotAskedForItIsNotTold) {
    Pipe p = make_pipe();
    const int fd = *p.read;
    ASSERT_EQ(q.apply(read(fd, kKept, 1), read(fd, kKept | EV_VANISHED | EV_DISABLE, 2),
                      read(fd, EV_ADD, 3), change(fd, EVFILT_READ, EV_ADD)),
              0);
    p.read.reset();
    ASSERT_EQ(q.apply(read(fd, EV_ENABLE, 2)), 0);
    expect_only(q.wait(), fd, EVFILT_READ, kGone, 0, 0, tag(2));
    EXPECT_EQ(q.apply(read(fd, EV_DELETE, 1)), EBADF);
    EXPECT_EQ(q.apply(read(fd, EV_DELETE, 3)), EBADF);
    expect_last(fd, 2);
}

TEST_F(Vanished, R344_AllThatAskedAreTold) {
    Pair pair = make_socketpair(SOCK_STREAM);
    const int fd = *pair.first;
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED | EV_DISABLE, 1),
                      read(fd, kKept | EV_VANISHED | EV_DISABLE, 2),
                      change(fd, EVFILT_WRITE, kKept | EV_VANISHED | EV_DISABLE, 0, 0, tag(1))),
              0);
    pair.first.reset();
    ASSERT_EQ(q.apply(read(fd, EV_ENABLE, 1), read(fd, EV_ENABLE, 2),
                      change(fd, EVFILT_WRITE, EV_ENABLE | EV_UDATA_SPECIFIC, 0, 0, tag(1))),
              0);
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 3u);
    for (const Event& event : events)
        EXPECT_EQ(event.flags, kGone);
    EXPECT_EQ(events[2].filter, EVFILT_WRITE);
    expect_none(q.collect());
}

// The number is given to another file. The old knote gets its event, and the new knote is not taken
// for the old one.
TEST_F(Vanished, R347_TheNumberIsGivenToAnotherFile) {
    Pipe p = make_pipe();
    Pipe next = make_pipe();
    const int fd = *p.read;
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED, 1)), 0);
    write_bytes(*next.write, 3);
    ASSERT_EQ(::dup2(*next.read, fd), fd);
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED, 2)), 0);
    std::vector<Event> events = q.wait();
    if (events.size() == 1) {
        const std::vector<Event> more = q.wait();
        events.insert(events.end(), more.begin(), more.end());
    }
    ASSERT_EQ(events.size(), 2u);
    const bool first = events[0].udata == tag(1);
    expect_event(events[first ? 0 : 1], fd, EVFILT_READ, kGone, 0, 0, tag(1));
    expect_event(events[first ? 1 : 0], fd, EVFILT_READ, kKept, 0, 3, tag(2));
    // While the old knote is there, a new one cannot have its udata.
    EXPECT_EQ(q.apply(read(fd, kKept | EV_VANISHED, 1)), 0);
    expect_none(q.collect());
    EXPECT_EQ(q.apply(read(fd, EV_DELETE | EV_ENABLE, 1)), 0);
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED, 1)), 0);
    expect_only(q.wait(), fd, EVFILT_READ, kKept, 0, 3, tag(1));
}

// A duplicate keeps the file open and ready. The library notices by the reports.
TEST_F(Vanished, R344_ADuplicateStaysOpen) {
    KQ_GAP("N-VANISHED");
    Pipe p = make_pipe();
    const int fd = *p.read;
    const Fd duplicate(::dup(fd));
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED)), 0);
    p.read.reset();
    write_bytes(*p.write, 3);
    expect_only(q.wait(), fd, EVFILT_READ, kGone, 0, 0, tag(1));
    expect_last(fd);
}

// N-VANISHED: poll() reports the close, so no change is needed.
TEST_F(Vanished, R344_FoundByPoll) {
    KQ_OF(posix);
    Pipe p = make_pipe();
    const int fd = *p.read;
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED, 1), read(fd, EV_ADD | EV_CLEAR, 2)), 0);
    expect_none(q.collect());
    p.read.reset();
    expect_only(q.wait(), fd, EVFILT_READ, kGone, 0, 0, tag(1));
    expect_last(fd);
}

TEST_F(Vanished, R344_ClosedWhileItsEventWaits) {
    Pipe p = make_pipe();
    Pipe other = make_pipe();
    const int fd = *p.read;
    ASSERT_EQ(q.apply(read(*other.read, EV_ADD | EV_CLEAR, 9), read(fd, kKept | EV_VANISHED)), 0);
    write_bytes(*p.write, 3);
    write_bytes(*other.write, 3);
    ASSERT_EQ(q.collect(1).size(), 1u);
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED | EV_ENABLE)), 0);
    p.read.reset();
    ASSERT_EQ(q.apply(read(fd, EV_ADD | EV_ENABLE | EV_DISPATCH2)), 0);
    for (const Event& event : q.wait())
        if (event.udata == tag(1)) {
            EXPECT_EQ(event.flags, kGone);
        }
}

TEST_F(Vanished, R345_DisabledAgainBeforeItWasTold) {
    Pipe p = make_pipe();
    const int fd = *p.read;
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED)), 0);
    p.read.reset();
    ASSERT_EQ(q.apply(read(fd, EV_ADD | EV_DISPATCH2)), 0);
    ASSERT_EQ(q.apply(read(fd, EV_DISABLE)), 0);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(read(fd, EV_ENABLE)), 0);
    expect_only(q.wait(), fd, EVFILT_READ, kGone, 0, 0, tag(1));
    expect_last(fd);
}

    #if LIBKQUEUE_HAS_VNODE
TEST_F(Vanished, R344_FilesToo) {
    TempFile file("abc");
    const int fd = *file.fd;
    const auto vnode = [fd](int flags) {
        return change(fd, EVFILT_VNODE, flags | EV_UDATA_SPECIFIC, NOTE_WRITE, 0, tag(4));
    };
    ASSERT_EQ(q.apply(vnode(kKept | EV_CLEAR | EV_VANISHED | EV_DISABLE),
                      read(fd, kKept | EV_VANISHED | EV_DISABLE)),
              0);
    file.fd.reset();
    ASSERT_EQ(q.apply(vnode(EV_ENABLE)), 0);
    expect_only(q.wait(), fd, EVFILT_VNODE, kGone, 0, 0, tag(4));
    ASSERT_EQ(q.apply(read(fd, EV_ENABLE)), 0);
    expect_only(q.wait(), fd, EVFILT_READ, kGone, 0, 0, tag(1));
}
    #endif

TEST_F(Vanished, R344_AWatchedKqueueToo) {
    Queue inner;
    const int fd = inner.fd();
    ASSERT_EQ(q.apply(read(fd, kKept | EV_VANISHED | EV_DISABLE)), 0);
    inner.close();
    ASSERT_EQ(q.apply(read(fd, EV_ENABLE)), 0);
    expect_only(q.wait(), fd, EVFILT_READ, kGone, 0, 0, tag(1));
}

// The queue is closed while it owes events.
TEST_F(Vanished, R344_TheQueueIsClosedFirst) {
    for (const int flags : {0, EV_DISABLE}) {
        Queue other;
        Pipe p = make_pipe();
        const int fd = *p.read;
        ASSERT_EQ(other.apply(read(fd, kKept | EV_VANISHED | flags)), 0);
        p.read.reset();
        ASSERT_EQ(other.apply(read(fd, EV_ADD | EV_DISPATCH2)), 0);
    }
}

// ---- the life of a dispatch source, as libdispatch drives it ----

// Armed once for all; disabled by each event, and enabled when the handler has returned. A source
// that is cancelled while its handler runs gets EINPROGRESS, is enabled when the handler has
// returned, and may be freed after the last event.
TEST_F(Vanished, TheLifeOfADispatchSource) {
    Pipe p = make_pipe();
    const int fd = *p.read;
    ASSERT_EQ(q.apply(read(fd, EV_ADD | EV_ENABLE | EV_DISPATCH2 | EV_VANISHED)), 0);
    for (int i = 0; i < 3; i++) {
        write_bytes(*p.write, 1);
        const std::vector<Event> events = q.wait();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].udata, tag(1));
        EXPECT_EQ(events[0].flags & (EV_DISPATCH2 | EV_VANISHED | EV_DELETE), EV_DISPATCH2);
        write_bytes(*p.write, 1);  // comes while the handler runs
        expect_none(q.collect());
        read_bytes(*p.read, 2);
        ASSERT_EQ(q.apply(read(fd, EV_ADD | EV_ENABLE | EV_DISPATCH2)), 0);
        expect_none(q.collect());
    }
    // Cancelled by its own handler.
    write_bytes(*p.write, 1);
    EXPECT_EQ(q.wait().size(), 1u);
    const Event remove = read(fd, EV_DELETE | EV_DISPATCH);
    expect_answers(q.call({remove}, 1, &kAtOnce), {{remove, EINPROGRESS}});
    ASSERT_EQ(q.apply(read(fd, EV_ADD | EV_ENABLE | EV_DISPATCH2)), 0);
    expect_only(q.wait(), fd, EVFILT_READ, kEnd, 0, 0, tag(1));
    // The source is suspended, its descriptor is closed, the source is resumed: an event says so.
    ASSERT_EQ(q.apply(read(fd, EV_ADD | EV_ENABLE | EV_DISPATCH2 | EV_VANISHED)), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    p.read.reset();
    ASSERT_EQ(q.apply(read(fd, EV_ADD | EV_ENABLE | EV_DISPATCH2)), 0);
    expect_only(q.wait(), fd, EVFILT_READ, kGone, 0, 0, tag(1));
    // What libdispatch does if it needs no last event.
    EXPECT_EQ(q.apply(read(fd, EV_DELETE | EV_ENABLE)), 0);
    EXPECT_EQ(q.apply(read(fd, EV_DELETE)), EBADF);
}

}  // namespace
}  // namespace kqtest

#endif
