// SPDX-License-Identifier: BSD-2-Clause
// The number of a closed kqueue is given to another file: the library does not take that file for
// the queue, and does nothing to it. The system does not tell a sleeping call that another
// thread has closed its queue, so the call must look: what that costs.
#include <fcntl.h>
#include <sys/resource.h>

#include <atomic>
#include <cstring>
#include <fstream>

#include "support/endpoint.h"
#include "support/net.h"
#include "support/thread.h"

#ifdef __linux__
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/single_threaded.h>

namespace kqtest {
namespace {

// What the queue had when it was closed.
struct Before {
    const char* name;
    void (*prepare)(const Queue& q, const Pipe& pipe);
};

void nothing(const Queue&, const Pipe&) {}
void one_event(const Queue& q, const Pipe&) {
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
}
void leftovers(const Queue& q, const Pipe&) {
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(q.apply(change(i, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    EXPECT_EQ(q.collect(1).size(), 1u);
}
void descriptors(const Queue& q, const Pipe& pipe) {
    EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD),
                      change(*pipe.write, EVFILT_WRITE, EV_ADD | EV_CLEAR)),
              0);
}
// A one-shot that was reported leaves a silent registration behind.
void one_shots(const Queue& q, const Pipe& pipe) {
    write_bytes(*pipe.write, 1);
    EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD | EV_ONESHOT)), 0);
    EXPECT_EQ(q.collect().size(), 1u);
}
// Then the kqueue has memory for what it knows of all descriptors with numbers near this one.
void a_former_knote(const Queue& q, const Pipe& pipe) {
    EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), 0);
}
void timers(const Queue& q, const Pipe&) {
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 60'000)), 0);
}

// A closed queue, and an epoll set that has its number and watches one pipe.
class Closed : public KqTest, public testing::WithParamInterface<Before> {
  protected:
    Closed() {
        Queue q;
        GetParam().prepare(q, watched_);
        number_ = q.fd();
        q.close();
        epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
        EXPECT_EQ(*epoll_, number_) << "the system did not reuse the number";
    }

    void put_in(uint64_t data) const {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = data;
        EXPECT_EQ(::epoll_ctl(number_, EPOLL_CTL_ADD, *own_.read, &event), 0);
    }
    // How many descriptors are registered in the set.
    int registered() const {
        std::ifstream info("/proc/self/fdinfo/" + std::to_string(number_));
        std::string line;
        int count = 0;
        while (std::getline(info, line))
            count += line.starts_with("tfd:");
        return count;
    }
    void expect_refused(const std::vector<Event>& changes, int nevents, const timespec* timeout) {
        std::vector<Event> events(static_cast<size_t>(nevents) + 1);
        errno = 0;
        EXPECT_EQ(::kevent(number_, changes.data(), static_cast<int>(changes.size()), events.data(),
                           nevents, timeout),
                  -1);
        EXPECT_EQ(errno, EBADF);
    }

    int number_ = -1;
    Fd epoll_;
    Pipe watched_ = make_pipe();
    Pipe own_ = make_pipe();
};

TEST_P(Closed, R10_AddingIsRefused) {
    put_in(1);
    expect_refused({change(*own_.write, EVFILT_WRITE, EV_ADD)}, 0, nullptr);
    expect_refused({change(*watched_.read, EVFILT_READ, EV_ADD)}, 1, &kAtOnce);
    expect_refused({change(7, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)}, 1, &kAtOnce);
    expect_refused({change(7, EVFILT_TIMER, EV_ADD, 0, 1)}, 1, nullptr);
    EXPECT_EQ(registered(), 1);
}

TEST_P(Closed, R10_NothingIsTakenThatIsReportedByLevel) {
    // The data that programs give to epoll_ctl(): the number, a pointer, all bits.
    const uint64_t tags[] = {3, reinterpret_cast<uintptr_t>(this), ~uint64_t{0}, uint64_t{3} << 60,
                             (uint64_t{1} << 60) + 5};
    if (GetParam().prepare == one_event || GetParam().prepare == leftovers)
        GTEST_SKIP() << "gets what was pending: L-KQ-CLOSED";
    put_in(tags[0]);
    write_bytes(*own_.write, 1);
    for (const uint64_t tag : tags) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = tag;
        ASSERT_EQ(::epoll_ctl(number_, EPOLL_CTL_MOD, *own_.read, &event), 0);
        expect_refused({}, 4, &kAtOnce);
        ASSERT_EQ(::epoll_wait(number_, &event, 1, 0), 1);
        EXPECT_EQ(event.data.u64, tag);
    }
    EXPECT_EQ(registered(), 1);
}

// The calls may return events that were pending, and then fail with EBADF. The test checks only
// that they do nothing to the epoll set.
TEST_P(Closed, R10_TheOwnerOfTheNumberNoticesNothing) {
    put_in(1);
    Event event{};
    for (int i = 0; i < 6; i++)
        ::kevent(number_, nullptr, 0, &event, 1, &kAtOnce);
    EXPECT_EQ(registered(), 1);
    EXPECT_FALSE(wait_readable(number_, milliseconds{0}));
    write_bytes(*own_.write, 1);
    EXPECT_TRUE(wait_readable(number_));
}

TEST_P(Closed, R10_WaitingIsRefused) {
    if (GetParam().prepare == one_event || GetParam().prepare == leftovers)
        GTEST_SKIP() << "gets what was pending: L-KQ-CLOSED";
    put_in(1);
    const timespec minute{60, 0};
    const auto start = now();
    expect_refused({}, 1, &minute);
    EXPECT_LT(since(start), milliseconds{30'000});
    expect_refused({}, 1, kForever);
    EXPECT_EQ(registered(), 1);
}

INSTANTIATE_TEST_SUITE_P(With, Closed,
                         testing::Values(Before{"Nothing", nothing}, Before{"OneEvent", one_event},
                                         Before{"Leftovers", leftovers},
                                         Before{"Descriptors", descriptors},
                                         Before{"OneShots", one_shots},
                                         Before{"AFormerKnote", a_former_knote},
                                         Before{"Timers", timers}),
                         kind_name);

// READ and WRITE have different modes, and both are silent because they were reported. Arming one
// again must not touch the queue that has the number.
TEST(ClosedNumber, R10_ASpentOneshotBesideAnEdge) {
    Queue q;
    const Pair pair = make_socketpair(SOCK_STREAM);
    const Event again = change(*pair.first, EVFILT_WRITE, EV_ADD | EV_ONESHOT);
    write_bytes(*pair.second, 1);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_READ, EV_ADD | EV_CLEAR), again), 0);
    ASSERT_EQ(q.collect().size(), 2u);
    const int number = q.fd();
    q.close();
    EXPECT_EQ(::kevent(number, &again, 1, nullptr, 0, nullptr), -1);
    EXPECT_EQ(errno, EBADF);
}

// The program closes all descriptors, including those of the library. Then it opens a file of the
// same kind, which gets one of these numbers.
TEST(ClosedNumber, R6_AnEventfdOfTheProgramIsNotTakenForOurs) {
    Child child([] {
        { const Queue before; }
        ::closefrom(3);
        const Fd own(::eventfd(0, EFD_CLOEXEC));
        const Queue q;
        if (q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)) != 0) return 1;
        if (!q.readable()) return 2;
        return q.apply(change(*own, EVFILT_READ, EV_ADD)) == 0 && q.readable() ? 0 : 3;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

// One thread uses the number of a closed queue, while other threads make queues that get the
// number.
TEST(ClosedInUse, R13_NewQueuesAreMadeWhileTheirNumbersAreUsed) {
    const Event one = change(1, EVFILT_USER, EV_ADD);
    const int number = ::kqueue();
    ASSERT_GE(number, 0);
    ::close(number);
    std::atomic<bool> done{false};
    Thread user([&] {
        while (!done)
            ::kevent(number, &one, 1, nullptr, 0, nullptr);
    });
    for (int i = 0; i < 20'000; i++) {
        const int kq = ::kqueue();
        ASSERT_GE(kq, 0) << std::strerror(errno) << ", round " << i;
        ASSERT_EQ(::kevent(kq, &one, 1, nullptr, 0, nullptr), 0) << "round " << i;
        ASSERT_EQ(close_in_use(kq), 0);
    }
    done = true;
}

// ---- what it costs ----

class Idle : public KqTest {};

long switches(int who) {
    rusage usage{};
    EXPECT_EQ(::getrusage(who, &usage), 0);
    return usage.ru_nvcsw;
}

TEST_F(Idle, R298_AProcessWithOneThreadSleepsWithoutWakingUp) {
    if (!__libc_single_threaded) GTEST_SKIP() << "this process has had threads";
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD), change(1, EVFILT_TIMER, EV_ADD, 0, 60'000)),
              0);
    const timespec time{1, 500'000'000};
    const long before = switches(RUSAGE_SELF);
    EXPECT_EQ(q.call({}, 1, &time).ret, 0);
    EXPECT_LE(switches(RUSAGE_SELF) - before, 2);  // the sleep itself; and one for bad luck
}

TEST_F(Idle, R298_AThreadAmongOthersWakesUpTenTimesASecond) {
    long woken = 0;
    Thread waiter([&] {
        const Queue q;
        const timespec time{1, 0};
        const long before = switches(RUSAGE_THREAD);
        EXPECT_EQ(q.call({}, 1, &time).ret, 0);
        woken = switches(RUSAGE_THREAD) - before;
    });
    waiter.join();
    EXPECT_LE(woken, 12);
}

}  // namespace
}  // namespace kqtest
#endif
