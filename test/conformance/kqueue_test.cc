// SPDX-License-Identifier: BSD-2-Clause
// kqueue() and its descriptor.
#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <unistd.h>

#include <cerrno>
#include <numeric>

#include "support/gaps.h"
#include "support/kq.h"
#include "support/limit.h"

namespace kqtest {
namespace {

class Kqueue : public KqTest {};

short poll_events(int fd, int events) {
    pollfd p{fd, static_cast<short>(events), 0};
    EXPECT_GE(::poll(&p, 1, 0), 0);
    return p.revents;
}

bool select_readable(int fd, timeval timeout) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    const int n = ::select(fd + 1, &set, nullptr, nullptr, &timeout);
    EXPECT_GE(n, 0);
    return n == 1 && FD_ISSET(fd, &set);
}

TEST_F(Kqueue, R1_EachQueueIsNewAndEmpty) {
    const Queue a;
    const Queue b;
    ASSERT_GE(a.fd(), 0);
    ASSERT_GE(b.fd(), 0);
    EXPECT_NE(a.fd(), b.fd());
    EXPECT_EQ(a.call({}, 4, &kAtOnce).ret, 0);
    EXPECT_EQ(b.call({}, 4, &kAtOnce).ret, 0);

    ASSERT_EQ(
        a.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR), change(1, EVFILT_USER, 0, NOTE_TRIGGER)),
        0);
    expect_none(b.collect());
    EXPECT_FALSE(has_knote(b, 1, EVFILT_USER));
    expect_only(a.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(Kqueue, R2_TheDescriptorIsCloseOnExec) {
    const Queue q;
    const int flags = ::fcntl(q.fd(), F_GETFD);
    ASSERT_GE(flags, 0);
    EXPECT_NE(flags & FD_CLOEXEC, 0);
}

TEST_F(Kqueue, R2_HelperDescriptorsAreCloseOnExec) {
    const auto before = open_descriptors();
    const Queue q;
    const Pipe p = make_pipe();
    ASSERT_EQ(
        q.apply(change(*p.read, EVFILT_READ, EV_ADD), change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER),
                change(1, EVFILT_TIMER, EV_ADD, 0, 1),
                change(2, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE, 1)),
        0);
    EXPECT_GE(q.wait().size(), 1u);
    for (const auto& [number, what] : open_descriptors()) {
        if (before.contains(number) || number == *p.read || number == *p.write) continue;
        EXPECT_NE(::fcntl(number, F_GETFD) & FD_CLOEXEC, 0) << number << ": " << what;
    }
}

TEST_F(Kqueue, R3_AFullDescriptorTableGivesEmfileAndLeaksNothing) {
    const auto before = open_descriptors();
    for (int room = 0; room < 5; room++) {
        SCOPED_TRACE(room);
        const int lowest = lowest_free_number();
        int kq = -1;
        int error = 0;
        {
            const DescriptorLimit limit(static_cast<rlim_t>(lowest + room));
            kq = ::kqueue();
            error = errno;
        }
        if (kq < 0) {
            EXPECT_EQ(error, EMFILE);
        } else {
            EXPECT_GT(room, 0);
            ::close(kq);
        }
        libkqueue_drain_pending_close();
        EXPECT_EQ(open_descriptors(), before);
    }
    const Queue q;  // all is well again
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_ONESHOT),
                      change(1, EVFILT_USER, 0, NOTE_TRIGGER)),
              0);
    EXPECT_EQ(q.collect().size(), 1u);
}

// A knote is refused if it needs a helper descriptor and there is no free number. It can be added
// later.
TEST_F(Kqueue, R3_KnotesWithoutRoomForHelperDescriptors) {
    const Event changes[] = {
        change(7, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1),
        change(7, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_ABSOLUTE, 1),
        change(7, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER),
    };
    for (const Event& add : changes) {
        SCOPED_TRACE(to_string(add));
        const Queue q;
        int error = 0;
        {
            const DescriptorLimit limit(static_cast<rlim_t>(lowest_free_number()));
            error = q.apply(add);
        }
        if (error != 0) {
            EXPECT_TRUE(error == EMFILE || error == ENOMEM) << error;
            EXPECT_FALSE(has_knote(q, 7, add.filter));
            ASSERT_EQ(q.apply(add), 0);
        }
        const auto events = q.wait();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].ident, 7u);
    }
}

TEST_F(Kqueue, R4_ClosedQueuesGiveTheirDescriptorsBack) {
    const DescriptorLimit limit(32);
    for (int i = 0; i < 3 * 32; i++) {
        const Queue q;
        ASSERT_GE(q.fd(), 0) << "queue " << i;
        ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 60'000)), 0) << "queue " << i;
    }
}

TEST_F(Kqueue, R5_CloseFreesLiveKnotes) {
    const Pipe p = make_pipe();
    const auto before = open_descriptors();
    {
        const Queue q;
        write_bytes(*p.write, 1);
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD), change(1, EVFILT_USER, 0, NOTE_TRIGGER),
                          change(2, EVFILT_USER, EV_ADD | EV_DISABLE, NOTE_TRIGGER),
                          change(1, EVFILT_TIMER, EV_ADD, 0, 1),
                          change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 60'000),
                          change(*p.read, EVFILT_READ, EV_ADD),
                          change(*p.write, EVFILT_WRITE, EV_ADD | EV_CLEAR)),
                  0);
        EXPECT_GE(q.wait().size(), 3u);
    }
    libkqueue_drain_pending_close();
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(drain(*p.read), 1u);  // borrowed, not owned
}

TEST_F(Kqueue, R5_DrainingTwiceIsHarmless) {
    Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 1)), 0);
    q.close();
    libkqueue_drain_pending_close();
    libkqueue_drain_pending_close();
    const Queue other;
    ASSERT_EQ(other.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    libkqueue_drain_pending_close();
    EXPECT_EQ(other.collect().size(), 1u);
}

TEST_F(Kqueue, R296_TheQueueAndWhatItWatchesMayBeClosedInEitherOrder) {
    const auto before = open_descriptors();
    for (const bool queue_first : {true, false}) {
        Pipe p = make_pipe();
        Queue q;
        write_bytes(*p.write, 1);
        ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD),
                          change(*p.write, EVFILT_WRITE, EV_ADD | EV_CLEAR)),
                  0);
        EXPECT_EQ(q.collect().size(), 2u);
        if (queue_first) q.close();
        p.read.reset();
        p.write.reset();
        if (!queue_first) {
            expect_none(q.collect());
            q.close();
        }
        libkqueue_drain_pending_close();
        EXPECT_EQ(open_descriptors(), before) << (queue_first ? "queue first" : "pipe first");
    }
}

TEST_F(Kqueue, R6_PollSeesAnExpiredTimer) {
    const Queue q;
    EXPECT_FALSE(q.readable());
    const auto start = now();
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1000)), 0);
    EXPECT_FALSE(q.readable());
    EXPECT_TRUE(wait_readable(q.fd(), milliseconds{6000}));
    EXPECT_GE(since(start), milliseconds{1000});
    expect_only(q.collect(), 1, EVFILT_TIMER, EV_ADD | EV_CLEAR | EV_ONESHOT, 0, 1);
    EXPECT_FALSE(q.readable());
}

TEST_F(Kqueue, R6_SelectSeesAnExpiredTimer) {
    const Queue q;
    EXPECT_FALSE(select_readable(q.fd(), timeval{0, 0}));
    const auto start = now();
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1000)), 0);
    EXPECT_TRUE(select_readable(q.fd(), timeval{6, 0}));
    EXPECT_GE(since(start), milliseconds{1000});
    expect_only(q.collect(), 1, EVFILT_TIMER, EV_ADD | EV_CLEAR | EV_ONESHOT, 0, 1);
    EXPECT_FALSE(select_readable(q.fd(), timeval{0, 0}));
}

TEST_F(Kqueue, R6_PollSeesAUserEvent) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    for (int round = 0; round < 3; round++) {
        SCOPED_TRACE(round);
        EXPECT_FALSE(q.readable());
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        EXPECT_TRUE(q.readable());
        EXPECT_TRUE(q.readable()) << "poll() consumes nothing";
        EXPECT_EQ(q.collect().size(), 1u);
    }
    EXPECT_FALSE(q.readable());
}

TEST_F(Kqueue, R6_PollSeesWhatDidNotFitIntoTheEventlist) {
    const Queue q;
    for (int i = 1; i <= 3; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    for (int i = 1; i <= 3; i++) {
        EXPECT_TRUE(q.readable()) << i;
        EXPECT_EQ(q.collect(1).size(), 1u);
    }
    EXPECT_FALSE(q.readable());
}

TEST_F(Kqueue, R6_PollFollowsALevelKnote) {
    const Queue q;
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    EXPECT_FALSE(q.readable());
    write_bytes(*p.write, 1);
    EXPECT_TRUE(q.wait_until_readable());
    EXPECT_EQ(q.collect().size(), 1u);
    EXPECT_TRUE(q.readable()) << "reported, but still true";
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_DELETE)), 0);
    expect_none(q.collect());
    EXPECT_FALSE(q.readable());
}

TEST_F(Kqueue, R7_PollNeverReportsWritable) {
    const Queue q;
    EXPECT_EQ(poll_events(q.fd(), POLLOUT), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    EXPECT_EQ(poll_events(q.fd(), POLLIN | POLLOUT), POLLIN);
    EXPECT_EQ(poll_events(q.fd(), POLLOUT), 0);
}

TEST_F(Kqueue, R8_AnEventWhoseReasonIsGoneIsNotReported) {
    const Queue q;
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    write_bytes(*p.write, 1);
    ASSERT_TRUE(q.wait_until_readable());
    read_bytes(*p.read, 1);
    expect_silent(q);
    EXPECT_FALSE(q.readable());
    write_bytes(*p.write, 2);  // and it is not lost for the future
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 2);
}

TEST_F(Kqueue, R9_ReadAndWriteFailAndChangeNothing) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    char bytes[64] = {};
    EXPECT_EQ(::read(q.fd(), bytes, sizeof bytes), -1);
    EXPECT_EQ(::write(q.fd(), bytes, sizeof bytes), -1);
    EXPECT_TRUE(q.readable());
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    expect_silent(q);
}

TEST_F(Kqueue, R10_AClosedQueueIsNoQueue) {
    Queue q;
    const int number = q.fd();
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    q.close();
    Event event{};
    EXPECT_EQ(::kevent(number, nullptr, 0, &event, 1, &kAtOnce), -1);
    EXPECT_EQ(errno, EBADF);
    const Event add = change(2, EVFILT_USER, EV_ADD);
    EXPECT_EQ(::kevent(number, &add, 1, nullptr, 0, nullptr), -1);
    EXPECT_EQ(errno, EBADF);
}

TEST_F(Kqueue, R10_TheNumberOfAClosedQueueIsFreeForOthers) {
    const Pipe p = make_pipe();
    Queue q;
    const int number = q.fd();
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER),
                      change(1, EVFILT_TIMER, EV_ADD, 0, 1)),
              0);
    q.close();
    const Fd taken{::dup2(*p.read, number)};
    ASSERT_EQ(*taken, number);

    Event event{};
    EXPECT_EQ(::kevent(number, nullptr, 0, &event, 1, &kAtOnce), -1);
    EXPECT_EQ(errno, EBADF);
    { const Queue other; }  // whatever is reclaimed now must not touch the new owner of the number
    libkqueue_drain_pending_close();
    ASSERT_GE(::fcntl(number, F_GETFD), 0);
    write_bytes(*p.write, 3);
    EXPECT_EQ(read_bytes(number, 3), "xxx");

    const Queue watcher;  // and the number can be watched
    ASSERT_EQ(watcher.apply(change(number, EVFILT_READ, EV_ADD)), 0);
    write_bytes(*p.write, 2);
    expect_only(watcher.wait(), number, EVFILT_READ, EV_ADD, 0, 2);
}

TEST_F(Kqueue, R11_ADuplicateIsTheSameQueue) {
    const Queue q;
    Queue copy(::dup(q.fd()));
    ASSERT_GE(copy.fd(), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    ASSERT_EQ(copy.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    EXPECT_TRUE(q.readable());
    EXPECT_TRUE(copy.readable());
    expect_only(copy.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    copy.close();
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(Kqueue, R12_8192UserKnotes) {
    constexpr int kMany = 8192;
    const size_t descriptors = open_descriptors().size();
    Queue q;
    for (int i = 0; i < kMany; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, EV_ADD | EV_CLEAR)), 0) << i;
    for (int i = 0; i < kMany; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, 0, NOTE_TRIGGER)), 0) << i;
    EXPECT_LE(open_descriptors().size(), descriptors + 8) << "descriptors per knote";
    std::vector<uintptr_t> all(kMany);
    std::iota(all.begin(), all.end(), uintptr_t{0});
    EXPECT_EQ(idents(q.collect(kMany)), all);
    expect_silent(q);
    EXPECT_EQ(q.close(), 0);
}

TEST_F(Kqueue, R13_AReusedNumberStartsEmpty) {
    const Pipe p = make_pipe();
    write_bytes(*p.write, 1);
    Queue old;
    const int number = old.fd();
    ASSERT_EQ(
        old.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER),
                  change(2, EVFILT_TIMER, EV_ADD, 0, 20), change(*p.read, EVFILT_READ, EV_ADD)),
        0);
    old.close();
    const Queue q;
    ASSERT_EQ(q.fd(), number) << "the system did not reuse the number";
    expect_silent(q);
    EXPECT_FALSE(has_knote(q, 1, EVFILT_USER));
    EXPECT_FALSE(has_knote(q, 2, EVFILT_TIMER));
    EXPECT_FALSE(has_knote(q, *p.read, EVFILT_READ));
    expect_none(q.collect(16, milliseconds{100}));  // long after the old timer
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

}  // namespace
}  // namespace kqtest
