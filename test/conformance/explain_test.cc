// SPDX-License-Identifier: BSD-2-Clause
// Tracing at level 2: a line for each call, and why no event comes. Each test runs a wrong program
// and checks what the trace tells it.
#include <fcntl.h>
#include <signal.h>
#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "support/kq.h"
#include "support/library.h"
#include "support/source.h"
#include "support/thread.h"
#include "support/trace.h"

namespace kqtest {
namespace {

class Explain : public TraceTest {
  protected:
    // What the library says of a call that finds nothing: the lines that say why.
    std::string why_nothing(const std::vector<Event>& changes = {}) const {
        return explanations(traced(kEvents, [&] { expect_nothing(q.call(changes, 8, &kAtOnce)); }));
    }
    static void expect_nothing(const Result& result) { EXPECT_EQ(result.ret, 0) << result; }
    static std::string explanations(const std::string& said) {
        std::string all;
        for (size_t at = 0; at < said.size();) {
            const size_t end = said.find('\n', at);
            const std::string line = said.substr(at, end - at);
            if (says(line, "no event: ")) all += line.substr(line.find("no event: ")) + "\n";
            at = end + 1;
        }
        return all;
    }
    static std::string of(const char* filter, int ident, const std::string& why) {
        return std::string("no event: ") + filter + " " + std::to_string(ident) + why + "\n";
    }
    // A pipe with 12 bytes in it.
    static Pipe written() {
        Pipe p = make_pipe();
        write_bytes(*p.write, 12);
        return p;
    }
};

// ---- why no event comes ----

TEST_F(Explain, NothingIsWatched) {
    EXPECT_EQ(why_nothing(), "no event: nothing is watched\n");
}

TEST_F(Explain, TheKnoteIsDisabled) {
    const Pipe p = written();
    EXPECT_EQ(why_nothing({change(*p.read, EVFILT_READ, EV_ADD | EV_DISABLE)}),
              of("EVFILT_READ", *p.read, " is readable (12), but disabled"));
}

TEST_F(Explain, TheKnoteWasDispatched) {
    const Pipe p = written();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_DISPATCH)), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_EQ(why_nothing(), of("EVFILT_READ", *p.read,
                                " is readable (12), but disabled, as EV_DISPATCH does after an "
                                "event"));
}

TEST_F(Explain, TheMarkIsTooHigh) {
    const Pipe p = written();
    EXPECT_EQ(why_nothing({change(*p.read, EVFILT_READ, EV_ADD, NOTE_LOWAT, 100)}),
              of("EVFILT_READ", *p.read, " is readable (12), but below its mark of 100"));
}

TEST_F(Explain, WhatWasToldWasNotDrained) {
    const Pipe p = written();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    std::string why;
    // The POSIX backend tells an edge again after a while.
    for (int i = 0; i < 100 && why.empty(); i++)
        why = explanations(traced(kEvents, [&] { (void)q.call({}, 1, &kAtOnce); }));
    EXPECT_EQ(why, of("EVFILT_READ", *p.read,
                      " is readable (12), but this was told already (EV_CLEAR), and nothing has "
                      "come since"));
}

TEST_F(Explain, ItIsTheWrongEndOfAPipe) {
    const Pipe p = written();
    EXPECT_EQ(why_nothing({change(*p.write, EVFILT_READ, EV_ADD)}),
              of("EVFILT_READ", *p.write, " is never readable: it is the wrong end of a pipe"));
    ASSERT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_DELETE)), 0);
    EXPECT_EQ(why_nothing({change(*p.read, EVFILT_WRITE, EV_ADD)}),
              of("EVFILT_WRITE", *p.read, " is never writable: it is the wrong end of a pipe"));
}

TEST_F(Explain, NothingHasTriggered) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    EXPECT_EQ(why_nothing({change(1, EVFILT_USER, 0, NOTE_FFOR | 1)}),
              of("EVFILT_USER", 1, " waits for a change with NOTE_TRIGGER"));
}

TEST_F(Explain, WhatHasTriggeredIsDisabled) {
    EXPECT_EQ(why_nothing({change(1, EVFILT_USER, EV_ADD | EV_DISABLE, NOTE_TRIGGER)}),
              of("EVFILT_USER", 1, " has something to tell, but is disabled"));
}

TEST_F(Explain, NothingIsAskedFor) {
    const TempFile file;
    EXPECT_EQ(why_nothing({change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR)}),
              of("EVFILT_VNODE", *file.fd, ": nothing is asked for in fflags"));
}

TEST_F(Explain, EachOfSeveralIsExplained) {
    const auto user = [](int flags, uintptr_t udata) {
        return change(1, EVFILT_USER, flags | EV_UDATA_SPECIFIC, 0, 0, tag(udata));
    };
    ASSERT_EQ(q.apply(user(EV_ADD, 1), user(EV_ADD | EV_DISPATCH | EV_DISABLE, 2)), 0);
    ASSERT_EQ(q.apply(user(EV_DELETE, 2)), EINPROGRESS);
    const std::string why = why_nothing();
    EXPECT_NE(why.find(of("EVFILT_USER", 1, " (udata 0x1) waits for a change with NOTE_TRIGGER")),
              std::string::npos)
        << why;
    EXPECT_NE(why.find(of("EVFILT_USER", 1,
                          " (udata 0x2) was deleted while it was disabled, and tells of that "
                          "after EV_ENABLE")),
              std::string::npos)
        << why;
}

TEST_F(Explain, ASignalHasItsName) {
    EXPECT_EQ(why_nothing({change(SIGTERM, EVFILT_SIGNAL, EV_ADD | EV_DISABLE)}),
              of("EVFILT_SIGNAL", SIGTERM, " SIGTERM is disabled"));
}

TEST_F(Explain, TheDescriptorWasClosed) {
    Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    expect_none(q.collect());
    const int number = *p.read;
    const std::string said = traced(kEvents, [&] {
        p.read = Fd();
        expect_nothing(q.call({}, 8, &kAtOnce));
    });
    const std::string line =
        "descriptor " + std::to_string(number) + " was closed: its knotes are dropped\n";
    EXPECT_TRUE(says(said, line)) << said;
}

#ifdef EV_VANISHED
// Only the explanation finds out that it was closed. A program that waits in poll() must hear that.
TEST_F(Explain, R6_AClosedDescriptorThatOwesEvVanished) {
    Result explained;
    // On POSIX the call itself finds it if 20 ms have passed since the last look. Then once more.
    for (int tries = 0; explained.ret != 0 && tries < 100; tries++) {
        const Queue fresh;
        const Pipe p = make_pipe();
        const Pipe silent = make_pipe();  // gets the number: a file that is ready would be noticed
        const Event owed = change(*p.read, EVFILT_READ, EV_ADD | EV_DISPATCH2 | EV_VANISHED);
        ASSERT_EQ(fresh.apply(owed), 0);
        ASSERT_EQ(::dup2(*silent.read, *p.read), *p.read);
        (void)traced(kEvents, [&] { explained = fresh.call({}, 8, &kAtOnce); });
        if (explained.ret != 0) continue;
        EXPECT_TRUE(fresh.wait_until_readable());
        const std::vector<Event> events = fresh.wait();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_NE(events[0].flags & EV_VANISHED, 0);
    }
    expect_nothing(explained);
}
#endif

TEST_F(Explain, TheNumberIsAnotherFileNow) {
    Pipe p = make_pipe();
    const Pipe other = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    expect_none(q.collect());
    const int number = *p.read;
    ASSERT_EQ(::dup2(*other.read, number), number);
    write_bytes(*other.write, 3);
    const std::string said = traced(kEvents, [&] { expect_nothing(q.call({}, 8, &kAtOnce)); });
    EXPECT_TRUE(says(said, "names another file now")) << said;
}

// ---- when a reason is printed ----

TEST_F(Explain, WhatIsInOrderIsNotExplained) {
    const Pipe p = make_pipe();
    const TempFile file;
    EXPECT_EQ(why_nothing({change(*p.read, EVFILT_READ, EV_ADD),
                           change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_DELETE),
                           change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 1000),
                           change(SIGUSR1, EVFILT_SIGNAL, EV_ADD)}),
              "");
}

// In a loop that polls, the same reason is not printed again and again.
TEST_F(Explain, EachReasonIsSaidOnceUntilItIsAnother) {
    const Pipe p = written();
    const std::string first = of("EVFILT_READ", *p.read, " is readable (12), but disabled");
    EXPECT_EQ(why_nothing({change(*p.read, EVFILT_READ, EV_ADD | EV_DISABLE)}), first);
    EXPECT_EQ(why_nothing(), "");
    write_bytes(*p.write, 1);
    EXPECT_EQ(why_nothing(), of("EVFILT_READ", *p.read, " is readable (13), but disabled"));
    EXPECT_EQ(why_nothing(), "");
}

// Looking for the reason does not change the knotes.
TEST_F(Explain, LookingChangesNothing) {
    const Pipe p = written();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_CLEAR | EV_DISABLE, NOTE_LOWAT, 13)),
              0);
    for (int i = 0; i < 3; i++)
        (void)why_nothing();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ENABLE)), 0);
    EXPECT_NE(why_nothing(), "");
    write_bytes(*p.write, 1);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 13);
}

// A program that hangs needs this most: a reason that arises while the call sleeps is printed, too.
TEST_F(Explain, ASleepingCallLooksAgain) {
    const Pipe p = make_pipe();
    const Pipe end = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_DISABLE),
                      change(*end.read, EVFILT_READ, EV_ADD)),
              0);
    // Lines go to a pipe, so that the other thread can wait for them.
    const Pipe lines = make_pipe();
    const int before = ::dup(STDERR_FILENO);
    ASSERT_EQ(::dup2(*lines.write, STDERR_FILENO), STDERR_FILENO);
    set(NOTE_DEBUG, kEvents);
    std::string said;
    {
        const Thread sleeper([this] { EXPECT_EQ(q.call({}, 1, kForever).ret, 1); });
        write_bytes(*p.write, 12);
        char c = 0;
        while (!says(said, "is readable (12), but disabled\n") && wait_readable(*lines.read) &&
               ::read(*lines.read, &c, 1) == 1)
            said += c;
        write_bytes(*end.write, 1);
    }
    set(NOTE_DEBUG, kOff);
    ASSERT_EQ(::dup2(before, STDERR_FILENO), STDERR_FILENO);
    ::close(before);
    EXPECT_TRUE(says(said, "is readable (12), but disabled\n")) << said;
}

// ---- a line for each call ----

TEST_F(Explain, ACallIsALine) {
    const std::string kq = "KQ " + std::to_string(q.fd()) + ": ";
    const timespec moment{0, 1'500'000};
    const Event user = change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER);
    const std::string one = traced_call(kEvents, {user}, 3, &moment);
    EXPECT_TRUE(
        says(without_times(one), kq + "kevent(1 change, room for 3, timeout 0.001500000 s) = 1\n"))
        << one;
    EXPECT_TRUE(std::regex_search(one, std::regex(std::string(kTimes) + "\n"))) << one;
    const std::string none = traced_call(kEvents, {user, user}, 0, nullptr);
    EXPECT_TRUE(says(without_times(none), kq + "kevent(2 changes, room for 0) = 0\n")) << none;
    const std::string wide = traced(kEvents, [this] {
        struct kevent64_s event {};
        EXPECT_EQ(::kevent64(q.fd(), nullptr, 0, &event, 1, KEVENT_FLAG_IMMEDIATE, nullptr), 1);
    });
    EXPECT_TRUE(says(without_times(wide),
                     kq + "kevent64(0 changes, room for 1, timeout 0.000000000 s) = 1\n"))
        << wide;
}

TEST_F(Explain, AKqueueIsALine) {
    std::string line;
    const std::string said = traced(kEvents, [&line] {
        const Queue other;
        const std::string number = std::to_string(other.fd());
        line = "KQ " + number + ": kqueue() = " + number + "\n";
    });
    EXPECT_EQ(said, line);
}

TEST_F(Explain, AWrongArgumentIsNamed) {
    const std::string kq = "KQ " + std::to_string(q.fd()) + ": ";
    const timespec never{-1, 0};
    EXPECT_EQ(without_times(traced_call(kTrouble, {}, 1, &never)),
              kq + "kevent(0 changes, room for 1, timeout {tv_sec -1, tv_nsec 0}) = -1 EINVAL "
                   "(the timeout is not valid)\n");
    EXPECT_EQ(without_times(traced(
                  kTrouble,
                  [this] {
                      EXPECT_EQ(::kevent64(q.fd(), nullptr, 0, nullptr, 0, 1 << 20, nullptr), -1);
                  })),
              kq + "kevent64(0 changes, room for 0) = -1 EINVAL (flags that are not known)\n");
    const Pipe p = make_pipe();
    const std::string number = std::to_string(*p.read);
    EXPECT_EQ(without_times(traced(kTrouble,
                                   [&p] {
                                       Event event{};
                                       EXPECT_EQ(::kevent(*p.read, nullptr, 0, &event, 1, nullptr),
                                                 -1);
                                       EXPECT_EQ(errno, EBADF);
                                   })),
              "KQ " + number + ": kevent(0 changes, room for 1) = -1 EBADF (this is no kqueue)\n");
}

TEST_F(Explain, AClosedKqueueIsNone) {
    Queue other;
    const int number = other.fd();
    ASSERT_EQ(other.apply(change(1, EVFILT_USER, EV_ADD)), 0);
    other.close();
    const std::string said = traced(kTrouble, [number] {
        Event event{};
        EXPECT_EQ(::kevent(number, nullptr, 0, &event, 1, &kAtOnce), -1);
        EXPECT_EQ(errno, EBADF);
    });
    EXPECT_TRUE(says(said, " = -1 EBADF (")) << said;
}

TEST_F(Explain, ACallThatIsInterruptedIsNoTrouble) {
    struct sigaction handler {};
    struct sigaction before {};
    handler.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGALRM, &handler, &before), 0);
    const std::string said = traced(kTrouble, [this] {
        const itimerval often{{0, 20'000}, {0, 20'000}};  // one of them comes while it sleeps
        EXPECT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
        expect_failed(q.call({}, 1, kForever), EINTR);
        const itimerval never{};
        EXPECT_EQ(::setitimer(ITIMER_REAL, &never, nullptr), 0);
    });
    ASSERT_EQ(::sigaction(SIGALRM, &before, nullptr), 0);
    EXPECT_EQ(said, "");
}

}  // namespace
}  // namespace kqtest
