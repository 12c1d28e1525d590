// SPDX-License-Identifier: BSD-2-Clause
// Knotes and descriptors that come and go while other threads wait.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

#include "stress/storm.h"

namespace kqstress {
namespace {

// One registration. It ends when EV_DELETE or close() has returned. A call that begins later must
// not report it.
struct Registration {
    std::atomic<long> ended{0};  // 0: not yet; else the moment
    std::atomic<int> ident{-1};
};

// A pipe that race detectors do not follow. In these storms threads use numbers that now belong to
// another file. They do so on purpose.
struct WildPipe {
    WildPipe() { EXPECT_EQ(::syscall(SYS_pipe2, ends, O_CLOEXEC), 0); }
    WildPipe(const WildPipe&) = delete;
    ~WildPipe() {
        close(0);
        close(1);
    }
    void close(int end) {
        if (ends[end] < 0) return;
        EXPECT_EQ(close_in_use(ends[end]), 0);
        ends[end] = -1;
    }
    int ends[2] = {-1, -1};
};

class Reuse : public Storm {
  protected:
    static constexpr size_t kRemembered = 1 << 20;

    long moment() { return ++moments_; }

    Registration& begin(int ident) {
        Registration& one = registrations_[next_++ % kRemembered];
        one.ident = ident;
        one.ended = 0;
        return one;
    }
    void end(Registration& one) { one.ended = moment(); }

    // Collects until `stop`. No event may belong to a registration that had ended before the call.
    void watch(const Queue& q, const std::atomic<bool>& stop) {
        while (!stop) {
            const long began = moment();
            for (const Event& event : q.collect(4, milliseconds{10})) {
                const auto* one = static_cast<const Registration*>(event.udata);
                const long ended = one->ended;
                seen_++;
                EXPECT_EQ(event.ident, static_cast<uintptr_t>(one->ident)) << to_string(event);
                EXPECT_TRUE(ended == 0 || ended > began)
                    << to_string(event) << " ended at " << ended << ", call of " << began;
            }
        }
    }

    // Runs threads that wait, and threads that call `churn` while the storm lasts.
    void run(const Queue& q, int waiters, int churners, const std::function<void(int)>& churn) {
        std::atomic<bool> stop{false};
        std::vector<Thread> watching, churning;
        seen_ = 0;
        for (int i = 0; i < waiters; i++)
            watching.emplace_back([&] { watch(q, stop); });
        for (int i = 0; i < churners; i++)
            churning.emplace_back([&, i] {
                while (running() && !HasFailure())
                    churn(i);
            });
        for (Thread& thread : churning)
            thread.join(milliseconds{600'000});
        stop = true;
        watching.clear();
        if (!is_warming_up()) {
            EXPECT_GT(seen_, 0);
        }
        note("events seen", seen_);
    }

    Event with(Event event, Registration& one) const {
        event.udata = &one;
        return event;
    }

  private:
    std::atomic<long> moments_{0};
    std::atomic<size_t> next_{0};
    std::atomic<long> seen_{0};
    std::unique_ptr<Registration[]> registrations_{new Registration[kRemembered]};
};

// The numbers of closed descriptors are given out again at once, also to other threads.
TEST_F(Reuse, R304_NoEventOfADescriptorThatWasClosed) {
    rage([this] {
        const Queue q;
        run(q, 3, 3, [&](int thread) {
            WildPipe pipe;
            const int fd = pipe.ends[0];
            Registration& one = begin(fd);
            const int flags = thread == 0 ? EV_ADD : EV_ADD | EV_CLEAR;
            if (thread == 2) write_bytes(pipe.ends[1], 1);
            ASSERT_EQ(q.apply(with(change(fd, EVFILT_READ, flags), one)), 0);
            if (thread != 2) write_bytes(pipe.ends[1], 1);
            ::sched_yield();
            if (thread == 1) {
                ASSERT_EQ(q.apply(change(fd, EVFILT_READ, EV_DELETE)), 0);
                end(one);
            }
            if (thread != 1) {
                pipe.close(0);
                end(one);
            }
        });
    });
}

TEST_F(Reuse, R302_NoEventAfterDelete) {
    set_disposition(SIGUSR2, SIG_IGN);  // for signals that arrive after EV_DELETE
    rage([this] {
        const Queue q;
        const Pair pair = make_socketpair(SOCK_STREAM);
        const Pipe full = make_pipe();
        write_bytes(*full.write, 1);
        const std::vector<Event> kinds = {
            change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER),
            change(2, EVFILT_USER, EV_ADD, NOTE_TRIGGER),
            change(1, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, 50),
            change(*full.read, EVFILT_READ, EV_ADD),
            change(*pair.first, EVFILT_WRITE, EV_ADD | EV_CLEAR),
            change(SIGUSR2, EVFILT_SIGNAL, EV_ADD),
        };
        run(q, 3, static_cast<int>(kinds.size()), [&](int thread) {
            Event add = kinds[static_cast<size_t>(thread)];
            Registration& one = begin(static_cast<int>(add.ident));
            ASSERT_EQ(q.apply(with(add, one)), 0);
            if (add.filter == EVFILT_SIGNAL) send(SIGUSR2);
            ::sched_yield();
            ASSERT_EQ(q.apply(change(add.ident, add.filter, EV_DELETE)), 0);
            end(one);
        });
        expect_none(q.collect());
    });
}

// Threads change one key in any order. There are two states only: one knote, or none.
TEST_F(Reuse, R303_OneKeyHasOneKnote) {
    rage([this] {
        const Queue q;
        const Pipe pipe = make_pipe();
        write_bytes(*pipe.write, 1);
        long rounds = 0;
        for (; running() && !HasFailure(); rounds++) {
            Gate gate(3);
            in_threads(3, [&](int) {
                gate.pass();
                EXPECT_EQ(q.apply(change(7, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER),
                                  change(7, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 60'000),
                                  change(*pipe.read, EVFILT_READ, EV_ADD)),
                          0);
            });
            EXPECT_EQ(q.collect().size(), 2u);
            EXPECT_EQ(q.apply(change(7, EVFILT_USER, EV_DELETE), change(7, EVFILT_TIMER, EV_DELETE),
                              change(*pipe.read, EVFILT_READ, EV_DELETE)),
                      0);
            EXPECT_EQ(q.apply(change(7, EVFILT_USER, EV_DELETE)), ENOENT);
            EXPECT_EQ(q.apply(change(7, EVFILT_TIMER, EV_DELETE)), ENOENT);
            EXPECT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_DELETE)), ENOENT);
        }
        note("rounds", rounds);
    });
}

// The library frees the descriptors of closed queues in time, although it does not hear of the
// close.
TEST_F(Reuse, R4_QueuesComeAndGoUnder64Descriptors) {
    rlimit saved{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &saved), 0);
    const rlimit lowered{64, saved.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
    rage([this] {
        std::atomic<long> rounds{0};
        in_threads(3, [&](int) {
            for (; running() && !HasFailure(); rounds++) {
                const Queue q;
                const Pipe pipe = make_pipe();
                EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 60'000),
                                  change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER),
                                  change(*pipe.read, EVFILT_READ, EV_ADD),
                                  change(SIGUSR1, EVFILT_SIGNAL, EV_ADD)),
                          0);
                EXPECT_EQ(q.collect().size(), 1u);
            }
        });
        note("queues", rounds);
    });
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &saved), 0);
}

}  // namespace
}  // namespace kqstress
