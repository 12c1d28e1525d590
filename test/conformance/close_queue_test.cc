// SPDX-License-Identifier: BSD-2-Clause
// A watched file has outlived its descriptor, and the kqueue has therefore moved to a new queue of
// the kernel. What poll() and other kqueues see of the kqueue then.
#include <malloc.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "support/gaps.h"
#include "support/kq.h"
#include "support/thread.h"
#include "support/world.h"

namespace kqtest {
namespace {

class Closed : public KqTest {
  protected:
    // A readable file of this queue outlives its descriptor, and the queue finds that out. The file
    // stays open as long as the returned descriptor.
    static Fd haunt(const Queue& queue) {
        Pipe pipe = make_pipe();
        EXPECT_EQ(queue.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
        Fd copy(::dup(*pipe.read));
        pipe.read.reset();
        write_bytes(*pipe.write, 1);
        expect_none(queue.collect(16, milliseconds{200}));
        return copy;
    }
    Queue q;
};

// A queue that watches this kqueue goes on watching it.
TEST_F(Closed, R313_AWatchingQueueIsStillToldAfterAFileOutlivedItsDescriptor) {
    for (const int flags : {0, EV_CLEAR}) {
        const Queue outer;
        Queue inner;
        ASSERT_EQ(outer.apply(change(inner.fd(), EVFILT_READ, EV_ADD | flags)), 0);
        ASSERT_EQ(inner.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
        const Fd ghost = haunt(inner);
        expect_none(outer.collect(16, milliseconds{100}));
        for (int round = 0; round < 3; round++) {
            ASSERT_EQ(inner.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
            expect_only(outer.wait(), inner.fd(), EVFILT_READ, EV_ADD | flags, 0, 1);
            EXPECT_EQ(inner.collect().size(), 1U);
            expect_none(outer.collect());
        }
        EXPECT_EQ(outer.apply(change(inner.fd(), EVFILT_READ, EV_DELETE)), 0);
    }
}

// A change comes before the watching queue has heard that the other has moved.
TEST_F(Closed, R313_AChangeOfAWatchedQueueThatHasJustMoved) {
    const Event changes[] = {change(0, EVFILT_READ, EV_ADD | EV_CLEAR),
                             change(0, EVFILT_READ, EV_ADD, 0, 1),
                             change(0, EVFILT_READ, EV_ENABLE)};
    for (const Event& one : changes) {
        SCOPED_TRACE(to_string(one));
        const Queue outer;
        const Queue inner;
        const Queue bystander;  // does not move
        for (const Queue* watched : {&inner, &bystander}) {
            ASSERT_EQ(outer.apply(change(watched->fd(), EVFILT_READ, EV_ADD)), 0);
            ASSERT_EQ(watched->apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
        }
        const Fd ghost = haunt(inner);
        Event now = one;
        now.ident = static_cast<uintptr_t>(inner.fd());
        ASSERT_EQ(outer.apply(now), 0);
        for (const Queue* watched : {&inner, &bystander}) {
            ASSERT_EQ(watched->apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
            const auto events = outer.wait();
            ASSERT_EQ(events.size(), 1u);
            EXPECT_EQ(events[0].ident, static_cast<uintptr_t>(watched->fd()));
            EXPECT_EQ(watched->collect().size(), 1u);
            expect_none(outer.collect());
        }
    }
}

// Disabled, it is silent on the new queue as on the old, and can be enabled or deleted.
TEST_F(Closed, R313_ADisabledKnoteOfAQueueThatHasMoved) {
    for (const bool heard : {false, true})
        for (const int last : {EV_ENABLE, EV_DELETE}) {
            const Queue outer;
            const Queue inner;
            ASSERT_EQ(outer.apply(change(inner.fd(), EVFILT_READ, EV_ADD)), 0);
            ASSERT_EQ(outer.apply(change(inner.fd(), EVFILT_READ, EV_DISABLE)), 0);
            ASSERT_EQ(inner.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
            const Fd ghost = haunt(inner);
            ASSERT_EQ(inner.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
            if (heard) expect_none(outer.collect());
            ASSERT_EQ(outer.apply(change(inner.fd(), EVFILT_READ, last)), 0);
            EXPECT_EQ(outer.collect().size(), last == EV_ENABLE ? 1u : 0u);
        }
}

// More descriptors than are taken from the kernel at a time. Edges that were reported are not
// reported again.
TEST_F(Closed, R291_AllThatIsReadyMovesAlong) {
    constexpr size_t kMany = 150;
    std::vector<Pipe> pipes;
    for (size_t i = 0; i < kMany; i++) {
        pipes.push_back(make_pipe());
        ASSERT_EQ(q.apply(change(*pipes[i].read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
        write_bytes(*pipes[i].write, 1);
    }
    ASSERT_EQ(q.collect(2 * kMany).size(), kMany);
    const Fd ghost = haunt(q);
    for (const Pipe& pipe : pipes)
        write_bytes(*pipe.write, 1);
    std::vector<Event> told;
    for (auto events = q.collect(2 * kMany); !events.empty(); events = q.collect(2 * kMany))
        told.insert(told.end(), events.begin(), events.end());
    if (told.size() > kMany && skipped_edges_told_again(told)) return;
    EXPECT_EQ(told.size(), kMany);
}

// The program's own epoll set has the kqueue's file, not its number.
TEST_F(Closed, R313_AnEpollSetIsStillToldAfterAFileOutlivedItsDescriptor) {
    const Fd set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLIN;
    ASSERT_EQ(::epoll_ctl(*set, EPOLL_CTL_ADD, q.fd(), &event), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    Pipe pipe = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    Fd copy(::dup(*pipe.read));
    pipe.read.reset();
    write_bytes(*pipe.write, 1);
    for (int i = 0; i < 50; i++)
        expect_none(q.collect());
    copy.reset();  // the end of what wakes it for nothing
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    EXPECT_EQ(::epoll_wait(*set, &event, 1, 0), 1);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    EXPECT_EQ(::epoll_wait(*set, &event, 1, 0), 0);
}

// One thread sleeps in poll(), another collects.
TEST_F(Closed, R313_APollIsStillWokenAfterAFileOutlivedItsDescriptor) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    Pair pair = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    const Fd copy(::dup(*pair.first));
    pair.first.reset();
    std::atomic<bool> triggered{false};
    bool early = true;
    Thread waiter([&] {
        // Stale reports wake it, too.
        while (q.wait_until_readable() && !triggered)
            ::usleep(100);
        early = !triggered;
    });
    for (int i = 0; i < 100; i++) {
        write_bytes(*pair.second, 1);
        expect_none(q.collect());
        ::usleep(500);
    }
    waiter.wait_until_asleep();
    triggered = true;
    const auto start = Clock::now();
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    waiter.join();
    EXPECT_LT(since(start), milliseconds{1000});
    EXPECT_FALSE(early);
}

TEST_F(Closed, R291_AThreadAsleepIsStillWoken) {
    Pipe pipe = make_pipe();
    const Pipe other = make_pipe();
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD),
                      change(*other.read, EVFILT_READ, EV_ADD | EV_CLEAR)),
              0);
    const Fd copy(::dup(*pipe.read));
    pipe.read.reset();
    // The other one gets nothing in this time. P-EDGE: after 250 ms it might.
    const milliseconds patience{on_linux() ? 1000 : 200};
    auto last_write = Clock::now();
    for (int round = 1; round <= 5; round++) {
        std::vector<Event> first;
        std::vector<Event> second;
        const auto start = Clock::now();
        Thread waiter([&] { first = q.collect(1, patience); });
        Thread other_waiter([&] { second = q.collect(1, patience); });
        waiter.wait_until_asleep_or_ended();
        const auto written = Clock::now();
        write_bytes(*pipe.write, 1);
        write_bytes(*other.write, 1);
        const bool slow = since(last_write) > milliseconds{240} || since(start) > milliseconds{150};
        last_write = written;
        waiter.join();
        other_waiter.join();
        const bool late = !on_linux() && (slow || since(start) > milliseconds{240});
        EXPECT_GE(first.size() + second.size(), late ? 0U : 1U);
        EXPECT_LE(first.size() + second.size(), late ? 2U : 1U);
    }
}

TEST_F(Closed, R294_ManyCyclesLeakNothing) {
    Pair keep = make_socketpair(SOCK_STREAM);
    size_t heap = 0;
    size_t descriptors = 0;
    const int cycles = world::on_wine() ? 1'500 : 100'000;  // there it takes 50 times as long
    for (int i = 0; i < cycles; i++) {
        if (i == cycles / 2) {
            heap = ::mallinfo2().uordblks;
            descriptors = open_descriptors().size();
        }
        Pipe pipe = make_pipe();
        const int number = *pipe.read;
        ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD)), 0);
        write_bytes(*pipe.write, 1);
        ASSERT_EQ(q.collect().size(), 1U);
        if (i % 2 == 0) continue;
        const Fd copy(::dup(number));  // outlives it a little
        pipe.read.reset();
        expect_none(q.collect());
    }
    EXPECT_EQ(open_descriptors().size(), descriptors);
    EXPECT_LE(::mallinfo2().uordblks, heap + 4096);
}

}  // namespace
}  // namespace kqtest
