// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_TIMER after EV_ADD: periods, units, moments, counts.; D-16.
// Later changes of a timer are in timer_change_test.cc.
#include <cerrno>
#include <chrono>
#include <numeric>
#include <thread>

#include "support/absolute.h"
#include "support/kq.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::system_clock;

constexpr int kPeriodic = EV_ADD | EV_CLEAR;  // the flags reported
constexpr int kOnce = EV_ADD | EV_CLEAR | EV_ONESHOT;

// When something happened: between these two.
struct Moment {
    Clock::time_point before = now();
    Clock::time_point after{};
};

template <class F>
Moment moment_of(F&& action) {
    Moment m;
    action();
    m.after = now();
    return m;
}

// A timer armed then and read now has ticked once per whole period between.
void expect_ticks(intptr_t ticks, nanoseconds period, const Moment& armed, const Moment& read) {
    EXPECT_GE(ticks, (read.before - armed.after) / period);
    EXPECT_LE(ticks, (read.after - armed.before) / period);
}

class Timer : public KqTest {
  protected:
    int add(int flags, intptr_t data, unsigned fflags = 0) const {
        return q.apply(change(1, EVFILT_TIMER, EV_ADD | flags, fflags, data));
    }
    Queue q;
};

TEST_F(Timer, R236_TheFirstEventComesAfterThePeriod) {
    const auto start = now();
    ASSERT_EQ(add(0, 1000), 0);
    expect_silent(q);
    expect_expiries(q, 1, kPeriodic, milliseconds{1000}, start);
    EXPECT_GE(since(start), milliseconds{1000});
    EXPECT_LT(since(start), milliseconds{2000});
}

TEST_F(Timer, R237_APeriodicTimerGoesOnUntilDeleted) {
    const auto start = now();
    ASSERT_EQ(add(0, 200), 0);
    intptr_t ticks = 0;
    while (ticks < 5) {
        const auto events = q.wait();
        ASSERT_EQ(events.size(), 1u);
        expect_event(events[0], 1, EVFILT_TIMER, kPeriodic, 0, events[0].data);
        EXPECT_GE(events[0].data, 1);
        ticks += events[0].data;
        EXPECT_GE(since(start), milliseconds{200} * ticks);
    }
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
    expect_none(q.collect(4, milliseconds{500}));
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), ENOENT);
}

TEST_F(Timer, R237_DeleteDropsATickThatIsPending) {
    ASSERT_EQ(add(0, 1), 0);
    ASSERT_TRUE(q.wait_until_readable());
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
    expect_silent(q);
    EXPECT_FALSE(q.readable());
}

TEST_F(Timer, R238_AOneshotTimerFiresOnce) {
    const auto start = now();
    ASSERT_EQ(add(EV_ONESHOT, 300), 0);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_GE(since(start), milliseconds{300});
    expect_none(q.collect(4, milliseconds{1000}));
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), ENOENT);
}

// Deleted after its delivery, not after its expiry: and it expires only once.
TEST_F(Timer, R238_AnExpiredOneshotTimerExistsUntilItIsDelivered) {
    ASSERT_EQ(add(EV_ONESHOT, 1), 0);
    ASSERT_TRUE(q.wait_until_readable());
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
    expect_silent(q);
    ASSERT_EQ(add(EV_ONESHOT, 1), 0);
    std::this_thread::sleep_for(milliseconds{50});
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
}

TEST_F(Timer, R239_MissedTicksAreCounted) {
    const Moment armed = moment_of([&] { ASSERT_EQ(add(0, 50), 0); });
    std::this_thread::sleep_for(milliseconds{500});
    std::vector<Event> events;
    const Moment read = moment_of([&] { events = q.collect(); });
    ASSERT_EQ(events.size(), 1u);
    expect_event(events[0], 1, EVFILT_TIMER, kPeriodic, 0, events[0].data);
    EXPECT_GE(events[0].data, 8);
    expect_ticks(events[0].data, milliseconds{50}, armed, read);
}

TEST_F(Timer, R240_TheCountStartsAgainAfterAnEvent) {
    const Moment armed = moment_of([&] { ASSERT_EQ(add(0, 50), 0); });
    std::this_thread::sleep_for(milliseconds{300});
    intptr_t first = 0;
    for (const Event& e : q.collect())
        first += e.data;
    EXPECT_GE(first, 5);
    std::vector<Event> events;
    const Moment read = moment_of([&] { events = q.wait(); });
    ASSERT_EQ(events.size(), 1u);
    EXPECT_GE(events[0].data, 1);
    EXPECT_LE(first + events[0].data, (read.after - armed.before) / milliseconds{50});
}

TEST_F(Timer, R241_ThePeriodDoesNotDrift) {
    constexpr milliseconds kPeriod{5};
    const Moment armed = moment_of([&] { ASSERT_EQ(add(0, 5), 0); });
    intptr_t ticks = 0;
    while (ticks < 200)
        for (const Event& e : q.wait())
            ticks += e.data;
    const Moment read = moment_of([&] {
        for (const Event& e : q.collect())
            ticks += e.data;
    });
    expect_ticks(ticks, kPeriod, armed, read);
}

TEST_F(Timer, R242_Units) {
    struct {
        unsigned unit;
        intptr_t data;
        nanoseconds time;
    } const cases[] = {
        {NOTE_SECONDS, 1, std::chrono::seconds{1}},
        {NOTE_USECONDS, 50'000, microseconds{50'000}},
        {NOTE_NSECONDS, 50'000'000, nanoseconds{50'000'000}},
        {0, 50, milliseconds{50}},
        {NOTE_USECONDS, 1'000'001, microseconds{1'000'001}},
        {NOTE_NSECONDS, 1'000'000'001, nanoseconds{1'000'000'001}},
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.unit);
        const auto start = now();
        ASSERT_EQ(add(EV_ONESHOT, c.data, c.unit), 0);
        expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);  // no unit in fflags
        EXPECT_GE(now() - start, c.time);
        EXPECT_LT(now() - start, c.time + std::chrono::seconds{2});
    }
}

TEST_F(Timer, R243_AnEmptyPeriodIsOneUnit) {
    const auto start = now();
    ASSERT_EQ(add(0, 0), 0);
    intptr_t ticks = 0;
    while (ticks < 20) {
        for (const Event& e : q.wait())
            ticks += e.data;
        EXPECT_LE(ticks, since(start).count());
    }
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);

    const auto again = now();
    ASSERT_EQ(add(0, 0, NOTE_SECONDS), 0);
    expect_silent(q);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_GE(since(again), milliseconds{1000});
    EXPECT_LT(since(again), milliseconds{5000});
}

TEST_F(Timer, R243_AnEmptyOneshotFiresAtOnce) {
    for (const unsigned unit : {0u, unsigned{NOTE_SECONDS}, unsigned{NOTE_NSECONDS}}) {
        SCOPED_TRACE(unit);
        const auto start = now();
        ASSERT_EQ(add(EV_ONESHOT, 0, unit), 0);
        expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
        EXPECT_LT(since(start), milliseconds{900});
        EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), ENOENT);
    }
}

TEST_F(Timer, R243_AnEmptyOneshotIsThereForTheSameCall) {
    const Result result = q.call({change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 0)}, 1, &kAtOnce);
    expect_only(result.events, 1, EVFILT_TIMER, kOnce, 0, 1);
}

TEST_F(Timer, R244_AnEnormousPeriodDoesNotFireEarly) {
    for (const unsigned unit :
         {unsigned{NOTE_SECONDS}, 0u, unsigned{NOTE_USECONDS}, unsigned{NOTE_NSECONDS}}) {
        for (const intptr_t data : {INTPTR_MAX, INTPTR_MAX / 2, INTPTR_MAX / 1000 + 1}) {
            for (const int flags : {0, EV_ONESHOT}) {
                SCOPED_TRACE(testing::Message() << unit << " " << data << " " << flags);
                if (!kWideData && unit == NOTE_NSECONDS) continue;  // two seconds at most
                const int error = add(flags, data, unit);
                if (error != 0) {
                    EXPECT_EQ(error, EINVAL);
                    continue;
                }
                expect_none(q.collect(1, milliseconds{20}));
                EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
            }
        }
    }
}

// D-16: fires once, and says so.
TEST_F(Timer, R245_R246_AMomentToCome) {
    const Absolute deadline = absolute(system_clock::now() + milliseconds{1000});
    ASSERT_EQ(add(0, deadline.data, deadline.fflags), 0);
    expect_silent(q);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
    EXPECT_GE(system_clock::now(), deadline.at);
    EXPECT_LT(system_clock::now(), deadline.at + std::chrono::seconds{5});
    expect_none(q.collect(4, milliseconds{300}));
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), ENOENT);
}

TEST_F(Timer, R245_AMomentThatIsPast) {
    const Absolute past = absolute(system_clock::now() - std::chrono::seconds{5});
    for (const int flags : {0, EV_ONESHOT}) {
        const auto start = now();
        ASSERT_EQ(add(flags, past.data, past.fflags), 0);
        expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
        EXPECT_LT(since(start), milliseconds{3000});
        expect_none(q.collect(4, milliseconds{50}));
    }
    ASSERT_EQ(add(0, 1, NOTE_ABSOLUTE | NOTE_SECONDS), 0);  // 1970
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
}

TEST_F(Timer, R245_AMomentInAnotherUnit) {
    const auto deadline = system_clock::now() + milliseconds{150};
    const Absolute cases[] = {
        absolute_in<microseconds>(NOTE_USECONDS, deadline),
        absolute_in<nanoseconds>(NOTE_NSECONDS, deadline),
        absolute_in<std::chrono::seconds>(NOTE_SECONDS, deadline),
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.fflags);
        if (!kWideData && (c.fflags & NOTE_SECONDS) == 0) continue;  // does not fit: L-DATA-32
        ASSERT_EQ(add(0, c.data, c.fflags), 0);
        expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
        EXPECT_GE(system_clock::now(), c.at);
    }
}

TEST_F(Timer, R245_AnEnormousMomentDoesNotFire) {
    for (const unsigned unit : {0u, unsigned{NOTE_SECONDS}, unsigned{NOTE_NSECONDS}}) {
        SCOPED_TRACE(unit);
        if (!kWideData && unit != NOTE_SECONDS) continue;  // is past: L-DATA-32
        const int error = add(0, INTPTR_MAX, NOTE_ABSOLUTE | unit);
        if (error != 0) {
            EXPECT_EQ(error, EINVAL);
            continue;
        }
        expect_none(q.collect(1, milliseconds{50}));
        EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
    }
}

TEST_F(Timer, R256_QueuesAreIndependent) {
    const Queue other;
    ASSERT_EQ(add(EV_ONESHOT, 30), 0);
    ASSERT_EQ(other.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 10, tag(2))), 0);
    expect_only(q.wait(), 1, EVFILT_TIMER, kOnce, 0, 1);
    expect_silent(q);
    const auto events = other.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].udata, tag(2));
    EXPECT_EQ(other.apply(change(1, EVFILT_TIMER, EV_DELETE)), 0);
}

TEST_F(Timer, R257_EveryIdentIsValidAndNoDescriptor) {
    const Pipe p = make_pipe();
    const Event read = change(*p.read, EVFILT_READ, EV_ADD, 0, 0, tag(1));
    ASSERT_EQ(q.apply(read), 0);
    for (const uintptr_t ident : {uintptr_t{0}, uintptr_t{1}, static_cast<uintptr_t>(*p.read),
                                  uintptr_t{1} << 31, UINTPTR_MAX}) {
        SCOPED_TRACE(ident);
        ASSERT_EQ(q.apply(change(ident, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1, tag(2))), 0);
        expect_only(q.wait(), ident, EVFILT_TIMER, kOnce, 0, 1, tag(2));
    }
    write_bytes(*p.write, 1);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 1, tag(1));
}

TEST_F(Timer, R258_AVeryShortPeriodStarvesNothing) {
    for (const unsigned unit : {unsigned{NOTE_USECONDS}, unsigned{NOTE_NSECONDS}}) {
        SCOPED_TRACE(unit);
        const Pipe p = make_pipe();
        write_bytes(*p.write, 1);
        ASSERT_EQ(add(0, 1, unit), 0);
        ASSERT_EQ(q.apply(change(2, EVFILT_USER, EV_ADD, NOTE_TRIGGER),
                          change(*p.read, EVFILT_READ, EV_ADD)),
                  0);
        int timer = 0, user = 0, read = 0;
        for (int call = 0; call < 300; call++) {
            const auto events = q.collect(1, time_limit());
            ASSERT_EQ(events.size(), 1u);
            timer += events[0].filter == EVFILT_TIMER;
            user += events[0].filter == EVFILT_USER;
            read += events[0].filter == EVFILT_READ;
        }
        EXPECT_GE(timer, 50);
        EXPECT_GE(user, 50);
        EXPECT_GE(read, 50);
        EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE), change(2, EVFILT_USER, EV_DELETE)),
                  0);
    }
}

TEST_F(Timer, R259_TimersAddedAndDeletedByManyThreads) {
    std::atomic<bool> stop{false};
    std::vector<Thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([&, t] {
            for (int i = 0; !stop; i++) {
                const int ident = (t * 7 + i) % 32;
                q.apply(change(ident, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, 1 + i % 100));
                if (i % 3 == 0) q.collect(8);
                q.apply(change(ident, EVFILT_TIMER, EV_DELETE));
            }
        });
    }
    std::this_thread::sleep_for(milliseconds{500});
    stop = true;
    for (Thread& thread : threads)
        thread.join();
    for (int ident = 0; ident < 32; ident++)
        EXPECT_EQ(q.apply(change(ident, EVFILT_TIMER, EV_DELETE)), ENOENT) << ident;
    expect_none(q.collect(4, milliseconds{50}));
}

TEST_F(Timer, R260_TimersTickWhileNobodyLooks) {
    constexpr int kTimers = 20;
    const Moment armed = moment_of([&] {
        for (int i = 0; i < kTimers; i++)
            ASSERT_EQ(q.apply(change(i, EVFILT_TIMER, EV_ADD, 0, 1 + i)), 0);
    });
    std::this_thread::sleep_for(milliseconds{300});
    std::vector<Event> events;
    const Moment read = moment_of([&] { events = q.collect(64); });
    EXPECT_EQ(events.size(), size_t{kTimers});
    for (const Event& e : events)
        expect_ticks(e.data, milliseconds{1 + static_cast<int>(e.ident)}, armed, read);
}

TEST_F(Timer, R49_TimersComeInTheOrderOfTheirDeadlines) {
    // On a machine that stops between two of these changes the deadlines may have another order.
    Clock::time_point start;
    do {
        start = now();
        for (const int ms : {500, 100, 400, 200, 300})
            ASSERT_EQ(q.apply(change(ms, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, ms)), 0);
    } while (since(start) >= milliseconds{100});
    std::this_thread::sleep_for(milliseconds{550});
    EXPECT_EQ(idents(q.collect()), (std::vector<uintptr_t>{100, 200, 300, 400, 500}));
}

// Each timer is earlier than all before. The library need not tell the kernel of each, but no timer
// may be late.
TEST_F(Timer, R236_ABurstOfEverEarlierTimersFiresInTime) {
    constexpr int kTimers = 100;
    ASSERT_EQ(q.apply(change(kTimers, EVFILT_TIMER, EV_ADD, 0, 60'000)),
              0);  // what it may wait for
    const auto start = now();
    for (int i = 0; i < kTimers; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 500 - 3 * i)), 0);
    for (int left = kTimers; left > 0;) {
        for (const Event& event : q.wait()) {
            left--;
            const milliseconds due{500 - 3 * static_cast<int>(event.ident)};
            EXPECT_GE(since(start), due) << event.ident;
            EXPECT_LT(since(start), due + milliseconds{5000}) << event.ident;
        }
        ASSERT_LT(since(start), time_limit());
    }
}

// The last timer after the burst is the earliest. poll() must hear of it.
TEST_F(Timer, R6_PollHearsOfTheEarliestOfABurst) {
    for (int i = 0; i < 50; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 60'000 - 1'000 * i)), 0);
    ASSERT_EQ(q.apply(change(99, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 50)), 0);
    const auto start = now();
    while (since(start) < time_limit()) {
        ASSERT_TRUE(q.wait_until_readable());
        const std::vector<Event> events = q.collect();
        if (events.empty()) continue;  // L-STALE-POLL
        expect_only(events, 99, EVFILT_TIMER, EV_ADD | EV_CLEAR | EV_ONESHOT, 0, 1);
        return;
    }
    FAIL() << "no event";
}

TEST_F(Timer, R12_ThousandsOfTimersNeedNoDescriptors) {
    constexpr int kMany = 5000;
    const size_t descriptors = open_descriptors().size();
    for (int i = 0; i < kMany; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0,
                                 i % 10 == 0 ? 100 : 3'600'000 + i)),
                  0)
            << i;
    EXPECT_LE(open_descriptors().size(), descriptors + 8);
    size_t fired = 0;
    while (fired < kMany / 10) {
        const auto events = q.wait(1000);
        ASSERT_FALSE(events.empty());
        for (const Event& e : events)
            EXPECT_EQ(e.ident % 10, 0u);
        fired += events.size();
    }
    for (int i = 0; i < kMany; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_TIMER, EV_DELETE)), i % 10 == 0 ? ENOENT : 0) << i;
    expect_silent(q);
}

}  // namespace
}  // namespace kqtest
