// SPDX-License-Identifier: BSD-2-Clause
// Tracing: the levels (NOTE_DEBUG, KQUEUE_DEBUG), and what the lines say. Where the lines go is in
// trace_output_test.cc.
#include <signal.h>
#include <stdlib.h>
#include <sys/event.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ostream>
#include <regex>
#include <string>

#include "support/kq.h"
#include "support/leave.h"
#include "support/library.h"
#include "support/trace.h"

namespace kqtest {
namespace {

class Trace : public TraceTest {
  protected:
    // What a program does that is in order: adds, waits, is told, deletes, closes without
    // EV_DELETE.
    void work() const {
        Pipe p = make_pipe();
        EXPECT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
        const timespec moment{0, 1000};
        (void)q.call({}, 1, &moment);
        write_bytes(*p.write, 1);
        expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 1);
        EXPECT_EQ(q.apply(change(*p.read, EVFILT_WRITE, EV_DELETE)), ENOENT);
        const int number = *p.read;
        p = make_pipe();
        ASSERT_GE(::dup2(*p.write, number), 0);
        EXPECT_EQ(q.apply(change(number, EVFILT_WRITE, EV_ADD | EV_ONESHOT)), 0);
        EXPECT_EQ(q.wait().size(), 1u);
        ::close(number);
    }
};

// ---- levels ----

TEST_F(Trace, ALevelIsAnsweredWithTheOneBefore) {
    testing::internal::CaptureStderr();
    const intptr_t original = set(NOTE_DEBUG, kTrouble);
    EXPECT_EQ(set(NOTE_DEBUG, kAll), kTrouble);
    EXPECT_EQ(set(NOTE_DEBUG, kEvents), kAll);
    EXPECT_EQ(set(NOTE_DEBUG, kOff), kEvents);
    EXPECT_EQ(set(NOTE_DEBUG, kOff), kOff);
    for (const intptr_t wrong : {-1, 4, 100}) {
        const Event c = change(0, EVFILT_LIBKQUEUE, EV_ADD, NOTE_DEBUG, wrong);
        expect_answers(q.call({c}, 1, &kAtOnce), {{c, EINVAL}});
    }
    EXPECT_EQ(set(NOTE_DEBUG, original), kOff);
    (void)testing::internal::GetCapturedStderr();
}

// Otherwise the user does not know whether level 1 is on while there is nothing to report.
TEST_F(Trace, SwitchingOnSaysWhatTheLevelsAre) {
    testing::internal::CaptureStderr();
    for (const intptr_t level : {kTrouble, kTrouble, kOff, kTrouble, kOff})
        set(NOTE_DEBUG, level);
    const std::string line =
        "KQ traces at level 1 (1: what fails, 2: and calls, changes, events, why none comes, 3: "
        "all)\n";
    EXPECT_EQ(testing::internal::GetCapturedStderr(), line + line);
}

// A server that sets NOTE_DEBUG is not to have its log flooded.
TEST_F(Trace, Level1IsSilentWhileAllIsInOrder) {
    EXPECT_EQ(traced(kTrouble, [this] { work(); }), "");
}

TEST_F(Trace, Level1TellsWhatIsRefusedAndWhatFails) {
    const Event wrong = change(1 << 20, EVFILT_READ, EV_ADD);
    for (const int room : {0, 1}) {
        const std::string said = traced_call(kTrouble, {wrong}, room, &kAtOnce);
        EXPECT_EQ(said, "KQ " + std::to_string(q.fd()) +
                            ": change {ident 1048576, EVFILT_READ, EV_ADD, fflags 0x0, data 0, "
                            "udata 0x0} -> EBADF\n");
    }
    EXPECT_EQ(without_times(traced_call(kTrouble, {}, -1, &kAtOnce)),
              "KQ " + std::to_string(q.fd()) + kRefused);
    EXPECT_EQ(without_times(traced(kTrouble,
                                   [] {
                                       Event event{};
                                       EXPECT_EQ(::kevent(-1, nullptr, 0, &event, 1, &kAtOnce), -1);
                                       struct kevent64_s wide {};
                                       EXPECT_EQ(::kevent64(-1, nullptr, 0, &wide, 1, 0, &kAtOnce),
                                                 -1);
                                       EXPECT_EQ(::kqueue1(-1), -1);
                                       EXPECT_EQ(::kqueuex(~0u), -1);
                                   })),
              "KQ -1: kevent(0 changes, room for 1) = -1 EBADF (this is no kqueue)\n"
              "KQ -1: kevent64(0 changes, room for 1) = -1 EBADF (this is no kqueue)\n"
              "KQ -1: kqueue1 -> EINVAL\nKQ -1: kqueuex -> EINVAL\n");
}

TEST_F(Trace, TheErrnoIsThatOfTheCallWhateverTheLineDid) {
    const std::string said = traced(kTrouble, [] {
        Event event{};
        errno = 0;
        EXPECT_EQ(::kevent(-1, nullptr, 0, &event, 1, &kAtOnce), -1);
        EXPECT_EQ(errno, EBADF);
    });
    EXPECT_NE(said, "");
}

TEST_F(Trace, Level1TellsThatTheKernelQueueWasReplaced) {
    KQ_OF(linux);
    Pipe p = make_pipe();
    const Fd duplicate(::dup(*p.read));
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    write_bytes(*p.write, 1);
    p.read = Fd();
    const std::string said = traced(kTrouble, [this] {
        for (int i = 0; i < 40; i++)
            expect_none(q.collect());
    });
    const std::string line = "KQ " + std::to_string(q.fd()) + ": has a new kernel queue, ";
    EXPECT_TRUE(says(said, line)) << said;
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST_F(Trace, Level2HasChangesAndEventsAndNotWhatTheKernelSays) {
    const std::string said = traced(kEvents, [this] { work(); });
    EXPECT_TRUE(says(said, ": change {ident ")) << said;
    EXPECT_TRUE(says(said, "EVFILT_WRITE, EV_DELETE, fflags 0x0, data 0, udata 0x0} -> ENOENT\n"))
        << said;
    EXPECT_TRUE(says(said, ": event {ident ")) << said;
    EXPECT_TRUE(says(said, " names another file now: its knotes are dropped\n")) << said;
    for (const char* more : {": kernel: ", ": sleep ", ": wake: "})
        EXPECT_FALSE(says(said, more)) << said;
}

TEST_F(Trace, Level3HasItAll) {
    const std::string said = traced(kAll, [this] { work(); });
    for (const char* what : {": change ", ": event ", ": sleep ", ": wake: "})
        EXPECT_TRUE(says(said, what)) << said;
}

// ---- what is normal at the end of a kqueue ----

// The child destroys its copies of the parent's kqueues, whose descriptors are closed there.
TEST_F(Trace, AForkedChildIsQuiet) {
    const Pipe p = make_pipe();
    const Pipe other = make_pipe();
    ASSERT_EQ(
        q.apply(change(*p.read, EVFILT_READ, EV_ADD), change(*other.write, EVFILT_WRITE, EV_ADD),
                change(1, EVFILT_TIMER, EV_ADD, 0, 100'000)),
        0);
    EXPECT_EQ(q.wait().size(), 1u);
    const std::string said = traced(kAll, [] {
        const pid_t pid = ::fork();
        if (pid == 0) leave(0);
        int status = -1;
        EXPECT_EQ(::waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
    });
    EXPECT_EQ(said, "");
}

TEST_F(Trace, AClosedKqueueIsQuiet) {
    const std::string said = traced(kAll, [] {
        const Queue other;
        const Pipe p = make_pipe();
        Event c = change(*p.read, EVFILT_READ, EV_ADD);
        (void)::kevent(other.fd(), &c, 1, nullptr, 0, nullptr);
    });
    const std::string swept = traced(kAll, [] { libkqueue_drain_pending_close(); });
    EXPECT_TRUE(says(said, ": change ")) << said;
    EXPECT_EQ(swept, "");
}

// ---- what they say ----

TEST_F(Trace, HasNamesForNumbers) {
    const Pipe p = make_pipe();
    const std::string number = std::to_string(*p.read);
    const std::string kq = "KQ " + std::to_string(q.fd()) + ": ";
    write_bytes(*p.write, 3);
    const std::string said =
        traced_call(kAll,
                    {change(*p.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, tag(16)),
                     change(7, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_FFCOPY | NOTE_TRIGGER | 3),
                     change(9, EVFILT_TIMER, EV_DELETE, NOTE_SECONDS | NOTE_ABSOLUTE)},
                    0, kForever);
    const auto says = [](const std::string& all, const std::string& line) {
        return all.find(line + "\n") != std::string::npos;
    };
    EXPECT_TRUE(says(said, kq + "change {ident " + number +
                               ", EVFILT_READ, EV_ADD|EV_CLEAR, fflags 0x0, data 0, udata 0x10}"))
        << said;
    EXPECT_TRUE(says(said, kq + "change {ident 7, EVFILT_USER, EV_ADD|EV_ONESHOT, "
                                "fflags NOTE_TRIGGER|NOTE_FFCOPY|0x3, data 0, udata 0x0}"))
        << said;
    EXPECT_TRUE(says(said, kq + "change {ident 9, EVFILT_TIMER, EV_DELETE, fflags "
                                "NOTE_SECONDS|NOTE_ABSOLUTE, data 0, udata 0x0} -> ENOENT"))
        << said;
    const std::string events = traced_call(kAll, {}, 2, &kAtOnce);
    EXPECT_TRUE(says(events, kq + "kernel: descriptor " + number + " readable")) << events;
    EXPECT_TRUE(says(events, kq + "event {ident " + number +
                                 ", EVFILT_READ, EV_ADD|EV_CLEAR, "
                                 "fflags 0x0, data 3, udata 0x10}"))
        << events;
    EXPECT_TRUE(says(events, kq + "event {ident 7, EVFILT_USER, EV_ADD|EV_ONESHOT, "
                                  "fflags 0x3, data 0, udata 0x0}"))
        << events;
}

TEST_F(Trace, TellsOfSleepAndWake) {
    const std::string kq = "KQ " + std::to_string(q.fd()) + ": ";
    const timespec moment{0, 1000};
    const std::string empty = traced_call(kAll, {}, 1, &moment);
    EXPECT_NE(empty.find(kq + "sleep for at most "), std::string::npos) << empty;
    EXPECT_NE(empty.find(kq + "wake: time is over\n"), std::string::npos) << empty;
    // Long enough for the call to fall asleep before it, however slow this machine is.
    std::string timer;
    for (intptr_t period = 20; period < 20'000; period *= 4) {
        timer = traced_call(kAll, {change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, period)}, 1,
                            kForever);
        if (timer.find(kq + "sleep") != std::string::npos) break;
    }
    EXPECT_NE(timer.find(kq + "wake: the kernel has something\n"), std::string::npos) << timer;
    EXPECT_NE(timer.find(kq + "kernel: timers\n"), std::string::npos) << timer;
}

TEST_F(Trace, TellsOfAnInterruption) {
    struct sigaction handler {};
    struct sigaction before {};
    handler.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGALRM, &handler, &before), 0);
    const itimerval often{{0, 20'000}, {0, 20'000}};  // one of them comes while it sleeps
    ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
    const std::string told = traced_call(kAll, {}, 1, kForever);
    const itimerval never{};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &never, nullptr), 0);
    ASSERT_EQ(::sigaction(SIGALRM, &before, nullptr), 0);
    EXPECT_NE(told.find(": wake: EINTR"), std::string::npos) << told;
}

TEST_F(Trace, NamesFilesAndWhatWasDropped) {
    const std::string kq = std::to_string(q.fd()) + ": ";
    const TempFile file;
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)), 0);
    write_bytes(*file.fd, 1);
    const std::string written = traced_call(kAll, {}, 1, kForever);
    EXPECT_NE(written.find("EVFILT_VNODE"), std::string::npos) << written;
    if (on_linux()) {  // elsewhere files are looked at
        EXPECT_NE(written.find(kq + "kernel: files changed\n"), std::string::npos) << written;
    }
    const Pipe first = make_pipe();
    const Pipe second = make_pipe();
    ASSERT_EQ(q.apply(change(*first.read, EVFILT_READ, EV_ADD)), 0);
    ASSERT_GE(::dup2(*second.read, *first.read), 0);
    const std::string reused =
        traced_call(kAll, {change(*first.read, EVFILT_READ, EV_ADD)}, 0, kForever);
    const std::string dropped = "descriptor " + std::to_string(*first.read) +
                                " names another file now: its knotes are dropped\n";
    EXPECT_NE(reused.find(kq + dropped), std::string::npos) << reused;
}

// GoogleTest's own matcher of regular expressions knows no sets and no groups on Windows.
class Matches : public testing::MatcherInterface<const std::string&> {
  public:
    explicit Matches(const char* pattern) : pattern_(pattern) {}
    bool MatchAndExplain(const std::string& said,
                         testing::MatchResultListener* /*listener*/) const override {
        return std::regex_search(said, std::regex(pattern_));
    }
    void DescribeTo(std::ostream* out) const override { *out << pattern_; }

  private:
    std::string pattern_;
};

// As a user does it: a program of its own, switched on from outside.
TEST_F(Trace, KqueueDebugInTheEnvironmentIsTheLevel) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto use = [] {
        const Queue other;
        ::exit(other.apply(change(1, EVFILT_USER, EV_ADD)));
    };
    const struct {
        const char* value;
        const char* said;
    } settings[] = {
        {"", "^$"},
        {"0", "^$"},
        {"1", "^KQ traces at level 1 [^\n]*\n$"},
        {"2",
         "^KQ traces at level 2 [^\n]*\n(KQ [0-9]+: kqueue.. = [0-9]+\n)+KQ [0-9]+: change .ident "
         "1, EVFILT_USER, EV_ADD, "},
        {"3", "^KQ traces at level 3 "},
        {"4", "^KQ traces at level 3 "},
        {"12", "^KQ traces at level 3 "},
        {"+1", "^KQ traces at level 3 "},
        {"yes", "^KQ traces at level 3 "},
    };
    for (const auto& setting : settings) {
        ::setenv("KQUEUE_DEBUG", setting.value, 1);
        EXPECT_EXIT(use(), testing::ExitedWithCode(0),
                    testing::MakeMatcher(new Matches(setting.said)))
            << setting.value;
    }
    ::unsetenv("KQUEUE_DEBUG");
}

}  // namespace
}  // namespace kqtest
