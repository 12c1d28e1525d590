// SPDX-License-Identifier: BSD-2-Clause
// One kqueue, many threads: every activation reaches exactly one thread (R-300, R-301, R-302,
//
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

#include "stress/storm.h"
#include "support/library.h"

namespace kqstress {
namespace {

class SharedQueue : public Storm {};

// Collects until `stop`, and gives each event to its lane.
void serve(int kq, const std::atomic<bool>& stop, int nevents) {
    const timespec brief{0, 20'000'000};
    std::vector<Event> events(static_cast<size_t>(nevents));
    while (!stop) {
        const int n = ::kevent(kq, nullptr, 0, events.data(), nevents, &brief);
        if (n < 0 && errno == EINTR) continue;
        ASSERT_GE(n, 0) << errno;
        for (int i = 0; i < n; i++)
            Lane::receive(events[static_cast<size_t>(i)]);
    }
}

// The lanes of one queue: one knote of each kind. Each activation must go to one thread.
class Lanes {
  public:
    explicit Lanes(const Queue& q, bool with_signals = true);

    std::vector<std::unique_ptr<Lane>> all;

  private:
    template <class... A>
    Lane& make(A&&... arguments) {
        all.push_back(std::make_unique<Lane>(std::forward<A>(arguments)...));
        return *all.back();
    }
    void change(uintptr_t ident, int filter, int flags, unsigned fflags, intptr_t data,
                Lane& lane) const {
        EXPECT_EQ(q_.apply(kqtest::change(ident, filter, flags, fflags, data, &lane)), 0);
    }
    void add_user_lanes();
    void add_timer_lane();
    void add_descriptor_lanes();

    const Queue& q_;
    Pipe pipe_ = make_pipe();
    Pipe once_ = make_pipe();
    Pair pair_ = make_socketpair(SOCK_STREAM);
};

Lanes::Lanes(const Queue& q, bool with_signals) : q_(q) {
    add_user_lanes();
    add_timer_lane();
    add_descriptor_lanes();
    if (!with_signals) return;
    Lane& signal = make("SIGNAL", [] { send(SIGUSR1); });
    change(SIGUSR1, EVFILT_SIGNAL, EV_ADD, 0, 0, signal);
}

void Lanes::add_user_lanes() {
    Lane& clear = make("USER CLEAR", [this] {
        EXPECT_EQ(q_.apply(kqtest::change(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, all[0].get())), 0);
    });
    change(1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, clear);
    make("USER ONESHOT",
         [this] { change(2, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER, 0, *all[1]); });
    Lane& dispatch = make("USER DISPATCH",
                          [this] { change(3, EVFILT_USER, EV_ENABLE, NOTE_TRIGGER, 0, *all[2]); });
    change(3, EVFILT_USER, EV_ADD | EV_DISPATCH | EV_CLEAR | EV_DISABLE, 0, 0, dispatch);
}

void Lanes::add_timer_lane() {
    make("TIMER ONESHOT",
         [this] { change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, 100, *all[3]); });
}

void Lanes::add_descriptor_lanes() {
    // P-EDGE: if a thread does not run between its call and its read(), another one may be told
    // again, and read the byte.
    ASSERT_EQ(::fcntl(*pipe_.read, F_SETFL, O_NONBLOCK), 0);
    Lane& edge = make(
        "READ CLEAR", [this] { write_bytes(*pipe_.write, 1); },
        [this] {
            char byte = 0;
            if (::read(*pipe_.read, &byte, 1) == 1) return true;
            EXPECT_NE(backend(), "linux") << "an edge was reported twice";
            return false;
        });
    change(static_cast<uintptr_t>(*pipe_.read), EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, edge);
    make(
        "READ ONESHOT",
        [this] {
            write_bytes(*once_.write, 1);
            change(static_cast<uintptr_t>(*once_.read), EVFILT_READ, EV_ADD | EV_ONESHOT, 0, 0,
                   *all[5]);
        },
        [this] { return read_bytes(*once_.read, 1).size() == 1; });
    const auto socket = static_cast<uintptr_t>(*pair_.first);
    Lane& write = make("WRITE DISPATCH",
                       [this, socket] { change(socket, EVFILT_WRITE, EV_ENABLE, 0, 0, *all[6]); });
    change(socket, EVFILT_WRITE, EV_ADD | EV_DISPATCH | EV_DISABLE, 0, 0, write);
}

// Adds and deletes knotes that never become active, beside the others. They must cause no event.
void disturb(const Queue& q, int base) {
    const Pipe pipe = make_pipe();
    EXPECT_EQ(
        q.apply(change(base, EVFILT_USER, EV_ADD | EV_CLEAR),
                change(base, EVFILT_TIMER, EV_ADD, 0, 60'000),
                change(*pipe.read, EVFILT_READ, EV_ADD), change(base, EVFILT_USER, EV_DISABLE),
                change(base, EVFILT_USER, 0, NOTE_TRIGGER), change(base, EVFILT_USER, EV_DELETE),
                change(base, EVFILT_TIMER, EV_DELETE), change(*pipe.read, EVFILT_READ, EV_DELETE)),
        0);
}

TEST_F(SharedQueue, R301_EachActivationReachesExactlyOneThread) {
    rage([this] {
        const Queue q;
        Lanes lanes(q);
        std::atomic<bool> stop{false};
        std::vector<Thread> waiters, drivers;
        for (const int nevents : {1, 1, 3, 16})
            waiters.emplace_back([&, nevents] { serve(q.fd(), stop, nevents); });
        for (const auto& lane : lanes.all)
            drivers.emplace_back([&] {
                while (running() && lane->drive()) {
                }
            });
        drivers.emplace_back([&] {
            for (int i = 0; running(); i++)
                disturb(q, 1000 + i % 100);
        });
        for (Thread& driver : drivers)
            driver.join(milliseconds{600'000});
        stop = true;
        waiters.clear();
        for (const auto& lane : lanes.all)
            lane->expect_all_delivered();
        expect_none(q.collect());
        long sent = 0;
        for (const auto& lane : lanes.all)
            sent += lane->sent();
        note("activations", sent);
    });
}

// Ticks of a periodic timer: all threads together get as many as one thread alone would get.
TEST_F(SharedQueue, R301_TicksAreCountedOnce) {
    rage([this] {
        const Queue q;
        std::atomic<bool> stop{false};
        std::atomic<long> ticks{0};
        const auto start = now();
        ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 1)), 0);
        const auto armed = now();
        std::vector<Thread> waiters;
        for (int i = 0; i < 4; i++)
            waiters.emplace_back([&] {
                while (!stop)
                    for (const Event& event : q.collect(2, milliseconds{20}))
                        ticks += event.data;
            });
        const timespec nap{0, 5'000'000};
        while (running())
            ::nanosleep(&nap, nullptr);
        stop = true;
        const long shortest = since(armed).count();
        waiters.clear();
        for (const Event& event : q.collect())
            ticks += event.data;
        const long longest = since(start).count() + 1;
        EXPECT_GE(ticks, shortest);
        EXPECT_LE(ticks, longest);
        note("ticks", ticks);
    });
}

// ThreadSanitizer keeps a signal until the thread that it came to calls a function. It forgets the
// signal if the thread is canceled before that.
#if defined(__SANITIZE_THREAD__)
constexpr bool kSignalsSurviveCanceling = false;
#else
constexpr bool kSignalsSurviveCanceling = true;
#endif

// A canceled waiter takes no event with it.
TEST_F(SharedQueue, R54_CanceledWaitersTakeNothingWithThem) {
    rage([this] {
        const Queue q;
        Lanes lanes(q, kSignalsSurviveCanceling);
        std::atomic<bool> stop{false};
        Thread stays([&] { serve(q.fd(), stop, 1); });
        std::vector<Thread> drivers;
        for (const auto& lane : lanes.all)
            drivers.emplace_back([&] {
                while (running() && lane->drive()) {
                }
            });
        long canceled = 0;
        while (running()) {
            Thread goes([&] {
                Event event{};
                int old = 0;
                for (;;) {
                    const int n = ::kevent(q.fd(), nullptr, 0, &event, 1, nullptr);
                    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
                    if (n == 1) Lane::receive(event);
                    ::pthread_setcancelstate(old, nullptr);
                }
            });
            ::sched_yield();
            goes.cancel();
            goes.join();
            EXPECT_TRUE(goes.was_canceled());
            canceled++;
        }
        for (Thread& driver : drivers)
            driver.join(milliseconds{600'000});
        stop = true;
        stays.join();
        for (const auto& lane : lanes.all)
            lane->expect_all_delivered();
        note("canceled", canceled);
    });
}

// Two queues, and one watches the other: events of the inner queue are noticed through the outer
// one.
TEST_F(SharedQueue, R307_NothingIsLostThroughANestedQueue) {
    rage([this] {
        const Queue inner, outer;
        Lanes lanes(inner);
        ASSERT_EQ(outer.apply(change(inner.fd(), EVFILT_READ, EV_ADD)), 0);
        std::atomic<bool> stop{false};
        std::vector<Thread> threads, drivers;
        for (int i = 0; i < 3; i++)
            threads.emplace_back([&] {
                while (!stop)
                    if (!outer.collect(1, milliseconds{20}).empty())
                        for (const Event& event : inner.collect(2))
                            Lane::receive(event);
            });
        threads.emplace_back([&] {
            while (!stop) {
                const Queue other;
                const Queue top;
                EXPECT_EQ(other.apply(change(inner.fd(), EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
                EXPECT_EQ(top.apply(change(other.fd(), EVFILT_READ, EV_ADD)), 0);
                other.collect(1);
                top.collect(1);
            }
        });
        for (const auto& lane : lanes.all)
            drivers.emplace_back([&] {
                while (running() && lane->drive()) {
                }
            });
        for (Thread& driver : drivers)
            driver.join(milliseconds{600'000});
        stop = true;
        threads.clear();
        long sent = 0;
        for (const auto& lane : lanes.all) {
            lane->expect_all_delivered();
            sent += lane->sent();
        }
        note("activations", sent);
    });
}

}  // namespace
}  // namespace kqstress
