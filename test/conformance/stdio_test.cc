// SPDX-License-Identifier: BSD-2-Clause
// Programs that run with their standard streams closed: no descriptor of the library gets the
// number of such a stream (semantics 1.6).
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#ifdef __linux__
    #include <sys/eventfd.h>
#endif

#include <cerrno>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/gaps.h"
#include "support/kq.h"
#include "support/limit.h"
#include "support/process.h"
#include "support/signals.h"
#include "support/thread.h"

namespace kqtest {
namespace {

using Numbers = std::vector<int>;

constexpr char kMessage[] = "some message of the program\n";

// In a child: closes the streams, and opens them again at the end. While they are closed no message
// can be written, so the findings are kept.
class WithoutStreams {
  public:
    explicit WithoutStreams(const Numbers& closed) : closed_(closed) {
        for (const int number : closed) {
            saved_.emplace_back(::fcntl(number, F_DUPFD_CLOEXEC, 100));
            ::close(number);
        }
    }
    WithoutStreams(const WithoutStreams&) = delete;
    ~WithoutStreams() {
        for (size_t i = 0; i < closed_.size(); i++)
            ::dup2(*saved_[i], closed_[i]);
        for (const std::string& problem : problems_)
            ADD_FAILURE() << problem;
    }

    void expect(bool right, const std::string& what) {
        if (!right) problems_.push_back(what + " (errno " + std::to_string(errno) + ")");
    }
    // A kqueue, which may have one of the numbers: the lowest that is free.
    int open_queue() {
        const int lowest = lowest_free_number();
        const int kq = ::kqueue();
        expect(kq == lowest, "kqueue() is " + std::to_string(kq));
        queues_.push_back(kq);
        return kq;
    }
    // No file except a kqueue has one of these numbers.
    void expect_untaken(const std::string& when) {
        for (const int number : closed_)
            if (!is_queue(number))
                expect(::fcntl(number, F_GETFD) == -1, when + ": took " + std::to_string(number));
    }
    // The program prints to the closed streams and reads from them. These calls must fail.
    void print() {
        for (const int number : closed_)
            for (int i = 0; i < 40; i++) {
                char byte = 0;
                expect(::write(number, kMessage, sizeof kMessage - 1) == -1, "it was written");
                if (is_queue(number)) continue;
                expect(::read(number, &byte, 1) == -1 && errno == EBADF, "it was read");
            }
    }
    void apply(int kq, const Event& change, const std::string& what) {
        const int ret = ::kevent(kq, &change, 1, nullptr, 0, nullptr);
        const bool done = ret == 0 || (change.filter == EVFILT_PROC && errno == ENOTSUP);
        expect(done, what);
        expect_untaken(what);
    }
    // Until so many knotes have reported.
    void wait(int kq, size_t count, const std::string& what) {
        std::set<std::pair<int, uintptr_t>> knotes;
        while (knotes.size() < count) {
            Event events[16];
            const timespec limit = kqtest::to_timespec(kUsualLimit);
            const int n = ::kevent(kq, nullptr, 0, events, 16, &limit);
            expect(n > 0, what + ": " + std::to_string(knotes.size()) + " events");
            if (n <= 0) break;
            for (int i = 0; i < n; i++)
                knotes.emplace(events[i].filter, events[i].ident);
        }
        expect_untaken(what);
    }

  private:
    [[nodiscard]] bool is_queue(int number) const {
        for (const int kq : queues_)
            if (kq == number) return true;
        return false;
    }

    Numbers closed_;
    std::vector<Fd> saved_;
    Numbers queues_;
    std::vector<std::string> problems_;
};

void in_child(const std::function<void()>& body) {
    Child child([&] {
        body();
        return testing::Test::HasFailure() ? 1 : 0;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

// Things to watch. They are made while the streams are open, so they have none of these numbers.
struct Things {
    Pair pair = make_socketpair(SOCK_STREAM);
    TempFile file{"abc"};
    Sleeper sleeper;
};

// Makes the library open all that it opens for a kqueue, one after the other.
void use_everything(WithoutStreams& streams, int kq, Things& things) {
    const auto& [pair, file, sleeper] = things;
    streams.apply(kq, change(1, EVFILT_USER, EV_ADD | EV_CLEAR), "USER");
    streams.apply(kq, change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1), "a clock");
    streams.apply(kq, change(3, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_ABSOLUTE, 1), "the other");
    streams.apply(kq, change(*pair.first, EVFILT_READ, EV_ADD), "READ");
    streams.apply(kq, change(*pair.first, EVFILT_WRITE, EV_ADD | EV_CLEAR), "WRITE by edge");
    streams.apply(kq, change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE), "VNODE");
    block(SIGUSR1);
    streams.apply(kq, signals::add(SIGUSR1), "SIGNAL");
    streams.apply(kq, change(sleeper.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT), "PROC");
    streams.apply(kq, change(::getpid(), EVFILT_PROC, EV_ADD, NOTE_FORK), "NOTE_FORK");
    streams.apply(kq, change(1, EVFILT_USER, 0, NOTE_TRIGGER), "NOTE_TRIGGER");
    write_bytes(*pair.second, 1);
    write_bytes(*file.fd, 1);
    send(SIGUSR1);
    things.sleeper.go();
    streams.print();
    streams.wait(kq, 8, "an event of each");
    streams.apply(kq, change(::getpid(), EVFILT_PROC, EV_ADD), "NOTE_FORK no more");
}

// Printing into closed streams wakes no thread, and stops nothing.
void expect_undisturbed(WithoutStreams& streams) {
    const int kq = streams.open_queue();
    streams.apply(kq, change(7, EVFILT_USER, EV_ADD | EV_CLEAR), "USER");
    streams.apply(kq, change(7, EVFILT_TIMER, EV_ADD, 0, 3'600'000), "TIMER");
    streams.print();
    Event event;
    const auto start = now();
    const timespec while_nothing_comes{0, 50'000'000};
    streams.expect(::kevent(kq, nullptr, 0, &event, 1, &while_nothing_comes) == 0, "an event");
    streams.expect(since(start) >= milliseconds{50}, "woken");
    streams.expect(!wait_readable(kq, milliseconds{0}), "readable");
    streams.apply(kq, change(7, EVFILT_USER, 0, NOTE_TRIGGER), "NOTE_TRIGGER");
    streams.expect(wait_readable(kq, milliseconds{0}), "not readable");
    streams.wait(kq, 1, "the event");
    ::close(kq);
}

// A file that outlives its number makes the library move to another kernel queue.
void be_haunted(WithoutStreams& streams, Pair& pair) {
    const int kq = streams.open_queue();
    const Fd other(::fcntl(*pair.first, F_DUPFD_CLOEXEC, 100));
    streams.apply(kq, change(*pair.first, EVFILT_READ, EV_ADD), "READ");
    streams.apply(kq, change(1, EVFILT_USER, EV_ADD | EV_CLEAR), "USER");
    pair.first.reset();
    write_bytes(*pair.second, 1);
    for (int i = 0; i < 30; i++) {
        Event event;
        streams.expect(::kevent(kq, nullptr, 0, &event, 1, &kAtOnce) == 0, "a ghost");
        streams.expect_untaken("a ghost");
    }
    streams.apply(kq, change(1, EVFILT_USER, 0, NOTE_TRIGGER), "NOTE_TRIGGER");
    streams.wait(kq, 1, "the event");
    ::close(kq);
}

// A number that the library does not know: it must find out which queue the number names.
void be_duplicated(WithoutStreams& streams) {
    const int kq = streams.open_queue();
    streams.apply(kq, change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER), "USER");
    const Fd other(::fcntl(kq, F_DUPFD_CLOEXEC, 100));
    streams.wait(*other, 1, "a duplicate");
    ::close(kq);
    streams.wait(*other, 1, "what is left");
}

class Stdio : public KqTest, public testing::WithParamInterface<Numbers> {};

TEST_P(Stdio, A_NoHelperDescriptorHasTheNumberOfAStream) {
    in_child([] {
        Things things;
        WithoutStreams streams(GetParam());
        use_everything(streams, streams.open_queue(), things);
    });
}

TEST_P(Stdio, A_OfTwoQueuesEachMayHaveOne) {
    in_child([] {
        Things things;
        Things others;
        WithoutStreams streams(GetParam());
        const int inner = streams.open_queue();
        const int outer = streams.open_queue();
        streams.apply(outer, change(inner, EVFILT_READ, EV_ADD), "nested");
        use_everything(streams, inner, things);
        use_everything(streams, outer, others);
    });
}

TEST_P(Stdio, A_WhatIsPrintedDisturbsNothing) {
    in_child([] {
        WithoutStreams streams(GetParam());
        expect_undisturbed(streams);
    });
}

TEST_P(Stdio, A_NorAfterTheKernelQueueWasReplaced) {
    in_child([] {
        Pair pair = make_socketpair(SOCK_STREAM);
        WithoutStreams streams(GetParam());
        be_haunted(streams, pair);
        expect_undisturbed(streams);
    });
}

TEST_P(Stdio, A_NorADuplicate) {
    in_child([] {
        WithoutStreams streams(GetParam());
        be_duplicated(streams);
    });
}

TEST_P(Stdio, A_WhatTheProgramClosedIsNotMadeThereAgain) {
    in_child([] {
        Event add = change(1, EVFILT_USER, EV_ADD);
        ASSERT_EQ(::kevent(::kqueue(), &add, 1, nullptr, 0, nullptr), 0);
        for (int number = 3; number < 100; number++)
            ::close(number);  // as daemons do
        Things things;
        WithoutStreams streams(GetParam());
        expect_undisturbed(streams);
        use_everything(streams, streams.open_queue(), things);
    });
}

INSTANTIATE_TEST_SUITE_P(Closed, Stdio,
                         testing::Values(Numbers{0}, Numbers{1}, Numbers{2}, Numbers{0, 1, 2}),
                         [](const auto& numbers) {
                             std::string name = "Of";
                             for (const int number : numbers.param)
                                 name += std::to_string(number);
                             return name;
                         });

// ---- where only their numbers are free ----

class StdioFull : public KqTest {};

// Opens what it can up to some number, so that none is free below it.
std::vector<Fd> open_up_to(int number) {
    std::vector<Fd> all;
    for (int fd = 0; (fd = ::fcntl(2, F_DUPFD_CLOEXEC, 3)) < number;)
        all.emplace_back(fd);
    all.emplace_back(::fcntl(2, F_DUPFD_CLOEXEC, 3));
    return all;
}

TEST_F(StdioFull, R3_TheLastNumbersAreNotForHelpers) {
    in_child([] {
        for (const Numbers& closed : {Numbers{0}, Numbers{0, 1}, Numbers{0, 1, 2}}) {
            const std::vector<Fd> rest = open_up_to(99);
            WithoutStreams streams(closed);
            const DescriptorLimit limit(100);
            const auto before = open_descriptors();
            // This process has not made a kqueue before.
            streams.expect(::kqueue() == -1 && errno == EMFILE, "kqueue() without room");
            streams.expect(open_descriptors() == before, "a leak");
        }
    });
}

// This holds even if the limit allows no other numbers.
TEST_F(StdioFull, R3_NorIfNoOthersAreAllowed) {
    in_child([] {
        WithoutStreams streams({0, 1, 2});
        for (const rlim_t limit : {1, 2, 3}) {
            const DescriptorLimit few(limit);
            streams.expect(::kqueue() == -1 && errno == EMFILE, "kqueue() without room");
            streams.expect_untaken("kqueue() without room");
        }
    });
}

TEST_F(StdioFull, R3_WhatNeedsAHelperIsRefused) {
    in_child([] {
        const TempFile file("abc");
        const Sleeper sleeper;
        const Pair pair = make_socketpair(SOCK_STREAM);
        const Queue q;
        const std::vector<Event> changes = {
            change(2, EVFILT_TIMER, EV_ADD, 0, 60'000),
            change(3, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE, INT32_MAX),
            change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE),
            change(sleeper.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT),
            change(*pair.first, EVFILT_READ, EV_ADD),
            change(*pair.first, EVFILT_WRITE, EV_ADD | EV_CLEAR),
        };
        const std::vector<Fd> rest = open_up_to(99);
        WithoutStreams streams({0, 1, 2});
        const DescriptorLimit limit(100);
        const auto before = open_descriptors();
        for (const Event& add : changes) {
            const int ret = ::kevent(q.fd(), &add, 1, nullptr, 0, nullptr);
            streams.expect(ret == 0 || errno == EMFILE || errno == ENOMEM, to_string(add));
            streams.expect(open_descriptors() == before, to_string(add) + ": taken");
        }
    });
}

// Not even for a moment, in which another thread might print: with room enough these would be told
// exactly, by a descriptor that is closed again.
TEST_F(StdioFull, A_NoTemporaryOneEither) {
    KQ_OF(linux);
    in_child([] {
        const Queue q;
        const Fd counter(::eventfd(5, EFD_CLOEXEC));
        const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;  // and a name of the kernel's choice
        socklen_t size = sizeof address.sun_family;
        ASSERT_EQ(::bind(*listener, reinterpret_cast<const sockaddr*>(&address), size), 0);
        ASSERT_EQ(::listen(*listener, 8), 0);
        size = sizeof address;
        ASSERT_EQ(::getsockname(*listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
        std::vector<Fd> clients;
        for (int i = 0; i < 2; i++) {
            clients.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
            ASSERT_EQ(::connect(*clients.back(), reinterpret_cast<const sockaddr*>(&address), size),
                      0);
        }
        const auto look = [&](int fd) {
            Event event = change(fd, EVFILT_READ, EV_ADD | EV_ONESHOT);
            return ::kevent(q.fd(), &event, 1, &event, 1, &kAtOnce) == 1 ? event.data : -1;
        };
        ASSERT_EQ(look(*counter), 5);
        ASSERT_EQ(look(*listener), 2);
        const Fd unknown(::fcntl(q.fd(), F_DUPFD_CLOEXEC, 3));
        const std::vector<Fd> rest = open_up_to(99);
        WithoutStreams streams({0, 1, 2});
        const DescriptorLimit limit(100);
        streams.expect(look(*counter) == 1, "an eventfd was counted");
        streams.expect(look(*listener) == 1, "connections were counted");
        Event event;
        // What tells it takes no descriptor.
        streams.expect(::kevent(*unknown, nullptr, 0, &event, 1, &kAtOnce) == 0, "a duplicate");
    });
}

}  // namespace
}  // namespace kqtest
