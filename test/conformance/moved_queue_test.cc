// SPDX-License-Identifier: BSD-2-Clause
// Kqueues that are moved to another number: the program duplicates the descriptor, and closes the
// old one. R-11.
//
// The library is not told of that. When the program uses the new number, the kqueue must be there
// with all its knotes, whatever the library knows at that time, and however far away the new number
// is. (A descriptor is a reference to the kqueue on all BSDs.)
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "support/kq.h"
#include "support/net.h"
#include "support/process.h"
#include "support/thread.h"

namespace kqtest {
namespace {

// Far from where the low numbers are, and below every limit of descriptors.
constexpr int kFar = 200;

struct Way {
    const char* name;
    int (*to)(int fd, int number);  // the number it has then
};

int duplicate_and_close(int fd, int copy) {
    EXPECT_GE(copy, 0) << errno;
    EXPECT_EQ(::close(fd), 0);
    return copy;
}

constexpr Way kWays[] = {
    {"F_DUPFD", [](int fd, int n) { return duplicate_and_close(fd, ::fcntl(fd, F_DUPFD, n)); }},
    {"F_DUPFD_CLOEXEC",
     [](int fd, int n) { return duplicate_and_close(fd, ::fcntl(fd, F_DUPFD_CLOEXEC, n)); }},
    {"dup2", [](int fd, int n) { return duplicate_and_close(fd, ::dup2(fd, n)); }},
    {"twice",
     [](int fd, int n) {
         const int between = duplicate_and_close(fd, ::dup(fd));
         return duplicate_and_close(between, ::fcntl(between, F_DUPFD, n));
     }},
    {"down again",
     [](int fd, int n) {
         const int above = duplicate_and_close(fd, ::fcntl(fd, F_DUPFD, n + 40));
         return duplicate_and_close(above, ::fcntl(above, F_DUPFD, n));
     }},
};

// When its knotes are added, and whether the number between is used.
enum class When { before, after, both, before_and_used };
constexpr When kWhen[] = {When::before, When::after, When::both, When::before_and_used};

class MovedQueue : public KqTest, public testing::WithParamInterface<Way> {
  protected:
    MovedQueue() { libkqueue_drain_pending_close(); }
};

// A kqueue that is moved, with one knote of each of three kinds.
class Subject {
  public:
    Subject(const Way& way, When when, int number) {
        Queue low;
        if (when != When::after) {
            EXPECT_EQ(low.apply(source()), 0);
            EXPECT_EQ(low.apply(user(EV_ADD | EV_CLEAR)), 0);
        }
        const bool early = when == When::before || when == When::before_and_used;
        EXPECT_EQ(early ? low.apply(timer()) : 0, 0);
        if (when == When::before_and_used) expect_none(low.collect(0));
        low_ = low.fd();
        number_ = way.to(low_, number);
        forget(low);
        if (when == When::after) {
            EXPECT_EQ(apply(source()), 0);
            EXPECT_EQ(apply(user(EV_ADD | EV_CLEAR)), 0);
        }
        EXPECT_EQ(early ? 0 : apply(timer()), 0);
    }

    int low() const { return low_; }
    int number() const { return number_; }
    void close() { EXPECT_EQ(::close(number_), 0); }

    // All that was asked for comes, with the udata of this one.
    void expect_all(int line = __builtin_LINE()) {
        write_bytes(*pipe_.write, 1);
        EXPECT_EQ(apply(user(0, NOTE_TRIGGER)), 0) << "line " << line;
        std::string seen;
        const Clock::time_point start = now();
        while (seen != "RTU" && since(start) < time_limit()) {
            Event events[8];
            const timespec wait{1, 0};
            const int n = ::kevent(number_, nullptr, 0, events, 8, &wait);
            ASSERT_GE(n, 0) << "errno " << errno << ", line " << line;
            for (int i = 0; i < n; i++) {
                EXPECT_EQ(events[i].udata, this) << to_string(events[i]) << ", line " << line;
                const char c = events[i].filter == EVFILT_READ    ? 'R'
                               : events[i].filter == EVFILT_TIMER ? 'T'
                                                                  : 'U';
                if (c == 'R') read_bytes(*pipe_.read, 1);
                if (seen.find(c) == std::string::npos) seen += c;
            }
            std::sort(seen.begin(), seen.end());
        }
        EXPECT_EQ(seen, "RTU") << "line " << line;
    }

  private:
    // It has been closed.
    static void forget(Queue& queue) {
        EXPECT_EQ(queue.close(), -1);
        EXPECT_EQ(errno, EBADF);
    }
    Event source() { return change(*pipe_.read, EVFILT_READ, EV_ADD, 0, 0, this); }
    Event user(int flags, unsigned fflags = 0) {
        return change(1, EVFILT_USER, flags, fflags, 0, this);
    }
    Event timer() { return change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 5, this); }
    int apply(const Event& change) const {
        return ::kevent(number_, &change, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
    }

    Pipe pipe_ = make_pipe();
    int low_ = -1;
    int number_ = -1;
};

std::vector<std::unique_ptr<Subject>> make(const Way& way, When when, int count) {
    std::vector<std::unique_ptr<Subject>> all;
    for (int i = 0; i < count; i++)
        all.push_back(std::make_unique<Subject>(way, when, kFar + 3 * count + i));
    return all;
}

TEST_P(MovedQueue, R11_ManyInARowKeepTheirKnotes) {
    for (const When when : kWhen) {
        SCOPED_TRACE(static_cast<int>(when));
        auto all = make(GetParam(), when, 12);
        for (auto& subject : all)
            subject->expect_all();
        for (auto& subject : all)
            subject->close();
    }
}

// Each kqueue gets the number of the one before. The library did not see that one being closed.
TEST_P(MovedQueue, R11_OneAfterTheOtherAtTheSameNumber) {
    for (const When when : kWhen)
        for (int i = 0; i < 12; i++) {
            SCOPED_TRACE(static_cast<int>(when) * 100 + i);
            Subject subject(GetParam(), when, kFar);
            subject.expect_all();
            subject.close();
        }
}

// None is used before the last was made: what was closed is found by the kqueues that come after.
TEST_P(MovedQueue, R11_UsedLateAndInAnotherOrder) {
    auto all = make(GetParam(), When::before, 12);
    { const Queue another; }
    libkqueue_drain_pending_close();
    for (size_t i = all.size(); i-- > 0;)
        all[i]->expect_all();
    for (auto& subject : all)
        subject->close();
}

TEST_P(MovedQueue, R10_TheNumberItHadIsNoQueue) {
    Subject subject(GetParam(), When::before, kFar);
    Event event{};
    EXPECT_EQ(::kevent(subject.low(), nullptr, 0, &event, 1, &kAtOnce), -1);
    EXPECT_EQ(errno, EBADF);
    subject.expect_all();
    subject.close();
    EXPECT_EQ(::kevent(subject.number(), nullptr, 0, &event, 1, &kAtOnce), -1);
    EXPECT_EQ(errno, EBADF);
}

// Those that were closed and have no other number cost nothing for ever.
TEST_P(MovedQueue, ClosedOnesAreFreed) {
    const int before = count_descriptors();
    for (int i = 0; i < 30; i++) {
        Subject subject(GetParam(), When::before, kFar);
        if (i % 2 == 0) subject.expect_all();
        subject.close();
    }
    libkqueue_drain_pending_close();
    EXPECT_LE(count_descriptors(), before);
}

INSTANTIATE_TEST_SUITE_P(By, MovedQueue, testing::ValuesIn(kWays), [](const auto& test) {
    std::string name = test.param.name;
    std::replace(name.begin(), name.end(), ' ', '_');
    return name;
});

class Moved : public MovedQueue {
  protected:
    static int far_copy(const Queue& queue, int number = kFar) {
        const int copy = ::fcntl(queue.fd(), F_DUPFD_CLOEXEC, number);
        EXPECT_GE(copy, 0);
        return copy;
    }
    static Event user(int flags, unsigned fflags = 0, void* udata = nullptr) {
        return change(1, EVFILT_USER, flags, fflags, 0, udata);
    }
};

// More than there are marks to tell kernel queues apart by.
TEST_F(Moved, R11_MoreThanAHundredAreAllThere) {
    std::vector<Queue> all;
    for (int i = 0; i < 140; i++) {
        Queue low;
        ASSERT_EQ(low.apply(user(EV_ADD | EV_CLEAR, NOTE_TRIGGER, tag(1000u + unsigned(i)))), 0);
        all.emplace_back(far_copy(low, kFar + 200));
        low.close();
    }
    for (unsigned i = 0; i < all.size(); i++)
        expect_only(all[i].collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(1000u + i));
}

// Not even used when the number is known to be free again: an empty kqueue that was moved.
TEST_F(Moved, R11_EmptyOnesAreQueues) {
    std::vector<Queue> all;
    for (int i = 0; i < 12; i++) {
        Queue low;
        all.emplace_back(far_copy(low));
        low.close();
    }
    libkqueue_drain_pending_close();
    for (const Queue& queue : all) {
        ASSERT_EQ(queue.apply(user(EV_ADD | EV_CLEAR, NOTE_TRIGGER, tag(7))), 0);
        expect_only(queue.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(7));
    }
}

// A number that was known to be that of one kqueue is given to another.
TEST_F(Moved, R11_ADuplicateAtTheNumberOfAnother) {
    Queue first;
    Queue second;
    const Queue third;
    ASSERT_EQ(first.apply(user(EV_ADD | EV_CLEAR, 0, tag(1)),
                          change(1, EVFILT_TIMER, EV_ADD, 0, 3'600'000, tag(1))),
              0);
    ASSERT_EQ(second.apply(user(EV_ADD | EV_CLEAR, 0, tag(2))), 0);
    Queue seen(far_copy(third));  // the program duplicates
    ASSERT_EQ(seen.apply(user(EV_ADD)), 0);
    const Queue kept(far_copy(first));
    ASSERT_EQ(::dup2(second.fd(), first.fd()), first.fd());
    ASSERT_EQ(first.apply(user(0, NOTE_TRIGGER, tag(2))), 0);
    expect_only(second.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(2));
    ASSERT_EQ(first.apply(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 5, tag(2))), 0);
    second.close();
    expect_only(first.wait(), 1, EVFILT_TIMER, EV_ADD | EV_CLEAR | EV_ONESHOT, 0, 1, tag(2));
    ASSERT_EQ(kept.apply(user(0, NOTE_TRIGGER, tag(1))), 0);
    expect_only(kept.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(1));
    expect_none(first.collect());
}

// A thread sleeps on it while it is moved: it gets the event, or EBADF; and the number it has then
// works.
TEST_F(Moved, R11_WhileAThreadSleeps) {
    for (const bool reused : {false, true}) {
        SCOPED_TRACE(reused);
        Queue low;
        ASSERT_EQ(low.apply(user(EV_ADD | EV_CLEAR)), 0);
        const int number = low.fd();
        int answer = -2;
        int error = 0;
        Event event{};
        Thread waiter([&] {
            answer = ::kevent(number, nullptr, 0, &event, 1, kForever);
            error = answer < 0 ? errno : 0;
        });
        waiter.wait_until_asleep();
        const Queue high(far_copy(low));
        low.close();
        const Queue next = reused ? Queue() : Queue(-1);
        ASSERT_EQ(high.apply(user(0, NOTE_TRIGGER)), 0);
        waiter.join();
        if (answer == 1) {
            EXPECT_EQ(event.filter, EVFILT_USER);
        } else {
            EXPECT_EQ(answer, -1);
            EXPECT_EQ(error, EBADF);
            expect_only(high.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
        }
        ASSERT_EQ(high.apply(user(0, NOTE_TRIGGER)), 0);
        expect_only(high.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
        if (reused) expect_silent(next);
    }
}

// Each thread has kqueues of its own and moves them, at numbers that others had.
TEST_F(Moved, R11_ByManyThreads) {
    std::vector<Thread> threads;
    std::atomic<int> wrong{0};
    for (unsigned t = 0; t < 4; t++)
        threads.emplace_back([&wrong, t] {
            for (unsigned i = 0; i < 40; i++) {
                const int low = ::kqueue();
                void* const mine = tag(t * 1000 + i + 1);
                const Event add = user(EV_ADD | EV_CLEAR, 0, mine);
                const bool early = i % 2 == 0;
                if (early && ::kevent(low, &add, 1, nullptr, 0, nullptr) != 0) wrong++;
                const int high = ::fcntl(low, F_DUPFD_CLOEXEC, kFar);
                ::close(low);
                if (!early && ::kevent(high, &add, 1, nullptr, 0, nullptr) != 0) wrong++;
                const Event trigger = user(0, NOTE_TRIGGER, mine);
                Event event{};
                const timespec wait{10, 0};
                if (::kevent(high, &trigger, 1, &event, 1, &wait) != 1 || event.udata != mine ||
                    (event.flags & EV_ERROR) != 0)
                    wrong++;
                ::close(high);
            }
        });
    for (Thread& thread : threads)
        thread.join();
    EXPECT_EQ(wrong.load(), 0);
}

TEST_F(Moved, R307_TheInnerOfTwo) {
    const Queue outer;
    Queue low;
    ASSERT_EQ(low.apply(user(EV_ADD | EV_CLEAR)), 0);
    const Queue high(far_copy(low));
    low.close();
    const Queue next;  // has the number it had
    ASSERT_EQ(high.apply(user(0, 0)), 0);
    ASSERT_EQ(outer.apply(change(high.fd(), EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(high.apply(user(0, NOTE_TRIGGER)), 0);
    expect_only(outer.wait(), high.fd(), EVFILT_READ, EV_ADD, 0, 1);
    expect_only(high.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    expect_silent(outer);
    expect_silent(next);
}

// What the kernel itself reports is seen by poll() before the new number was used.
TEST_F(Moved, R6_PollSeesATimerOfOneThatWasNotUsedYet) {
    Queue low;
    ASSERT_EQ(low.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 5)), 0);
    const Queue high(far_copy(low));
    low.close();
    const Queue next;
    EXPECT_TRUE(high.wait_until_readable());
    const std::vector<Event> events = high.collect();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].filter, EVFILT_TIMER);
}

// With no descriptor left, closed ones give theirs back, and the moved one is not among them.
TEST_F(Moved, R11_WhenDescriptorsAreShort) {
    Child child([] {
        const int low = ::kqueue();
        const Event add = change(1, EVFILT_TIMER, EV_ADD, 0, 5);
        if (::kevent(low, &add, 1, nullptr, 0, nullptr) != 0) return 1;
        const int high = ::fcntl(low, F_DUPFD, 40);
        ::close(low);
        const rlimit limit{60, 60};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return 2;
        for (int i = 0; i < 300; i++) {
            const int another = ::kqueue();
            if (another < 0) return 3;
            if (::kevent(another, &add, 1, nullptr, 0, nullptr) != 0) return 4;
            ::close(another);
        }
        Event event{};
        const timespec wait{10, 0};
        return ::kevent(high, nullptr, 0, &event, 1, &wait) == 1 ? 0 : 5;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

}  // namespace
}  // namespace kqtest
