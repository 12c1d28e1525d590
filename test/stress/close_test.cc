// SPDX-License-Identifier: BSD-2-Clause
// A kqueue is closed while threads wait in it and others change it. Its number is given to another
// file at once.
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>

#include "stress/storm.h"

namespace kqstress {
namespace {

enum class Heir { nobody, pipe, epoll, kqueue };

class CloseStorm : public Storm {
  protected:
    void round(int waiters, Heir heir);
    std::atomic<long> longest_ms_{0};

  private:
    static void change_until_closed(int kq, const std::atomic<bool>& stop);
    static void expect_untouched(Heir heir, int number);
};

// Triggers, timers, and knotes that come and go. When the number is no longer the queue's, the
// calls may return anything. But they must leave the new owner of the number alone.
void CloseStorm::change_until_closed(int kq, const std::atomic<bool>& stop) {
    const Event changes[] = {
        change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER),
        change(1, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, 500),
        change(1, EVFILT_USER, EV_DELETE),
        change(2, EVFILT_USER, EV_ADD | EV_DISABLE),
        change(2, EVFILT_USER, EV_DELETE),
    };
    while (!stop)
        for (const Event& one : changes)
            if (::kevent(kq, &one, 1, nullptr, 0, nullptr) != 0 && errno == EBADF) return;
}

Fd take_over(Heir heir, Fd& other_end) {
    if (heir == Heir::epoll) return Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (heir == Heir::kqueue) return Fd(::kqueue());
    if (heir == Heir::nobody) return Fd();
    Pipe pipe = make_pipe();
    other_end = std::move(pipe.write);
    return std::move(pipe.read);
}

void CloseStorm::expect_untouched(Heir heir, int number) {
    if (heir == Heir::epoll) {
        epoll_event event{};
        EXPECT_EQ(::epoll_wait(number, &event, 1, 0), 0) << "in the epoll set that has the number";
        return;
    }
    if (heir == Heir::pipe) {
        EXPECT_FALSE(wait_readable(number, milliseconds{0}));
    }
}

void CloseStorm::round(int waiters, Heir heir) {
    const int kq = ::kqueue();
    ASSERT_GE(kq, 0);
    std::atomic<bool> stop{false};
    std::atomic<bool> closed{false};
    std::atomic<int> refused{0};
    std::vector<Thread> threads;
    for (int i = 0; i < waiters; i++)
        threads.emplace_back([&] {
            Event event{};
            int n = 0;
            while (n >= 0 && !closed)
                n = ::kevent(kq, nullptr, 0, &event, 1, nullptr);
            if (n < 0 && errno == EBADF) refused++;
        });
    Thread changer([&] { change_until_closed(kq, stop); });
    for (int i = 0; i < 20; i++)
        ::sched_yield();
    Fd other_end;
    EXPECT_EQ(close_in_use(kq), 0);
    const Fd owner = take_over(heir, other_end);
    const auto start = now();
    // A thread that calls by the number from now on uses the new queue, by its own mistake. It gets
    // this event. Threads that sleep in the old queue must wake up by themselves.
    if (heir == Heir::kqueue) {
        closed = true;
        const Event here = change(9, EVFILT_USER, EV_ADD, NOTE_TRIGGER);
        EXPECT_EQ(::kevent(*owner, &here, 1, nullptr, 0, nullptr), 0);
    }
    for (Thread& thread : threads)
        thread.join();
    longest_ms_ = std::max<long>(longest_ms_, since(start).count());
    if (heir != Heir::kqueue) {
        EXPECT_EQ(refused, waiters);
    }
    stop = true;
    changer.join();
    if (owner) expect_untouched(heir, *owner);
}

TEST_F(CloseStorm, R298_TheNumberIsTakenOverAtOnce) {
    rage([this] {
        longest_ms_ = 0;
        long rounds = 0;
        for (; running() && !HasFailure(); rounds++) {
            const Heir heirs[] = {Heir::nobody, Heir::pipe, Heir::epoll, Heir::kqueue};
            round(1 + static_cast<int>(rounds % 8), heirs[rounds % 4]);
        }
        note("rounds", rounds);
        note("longest wait for EBADF (ms)", longest_ms_);
    });
}

}  // namespace
}  // namespace kqstress
