// EVFILT_LIBKQUEUE.
#include <signal.h>
#include <stdlib.h>
#include <sys/event.h>
#include <sys/time.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "support/kq.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class Libkqueue : public KqTest {
  protected:
    static Event question(unsigned code, intptr_t data = 0, void* udata = nullptr,
                          int flags = EV_ADD) {
        return change(17, EVFILT_LIBKQUEUE, flags, code, data, udata);
    }
    // The answer: the change itself, EV_RECEIPT added; data and udata are what was asked for.
    Event ask(const Event& c) const {
        const Result result = q.call({c}, 1, kForever);
        if (result.ret != 1) {
            ADD_FAILURE() << to_string(c) << " " << result;
            return Event{};
        }
        Event expected = c;
        expected.flags |= EV_RECEIPT;
        expected.data = result.events[0].data;
        expected.udata = result.events[0].udata;
        EXPECT_TRUE(same(result.events[0], expected)) << to_string(result.events[0]);
        return result.events[0];
    }
    // Sets; says what was set before.
    intptr_t set(unsigned code, intptr_t data, void* udata = nullptr) const {
        return ask(question(code, data, udata)).data;
    }
    // What the library says about one call.
    std::string traced_call(const std::vector<Event>& changes, int nevents,
                            const timespec* timeout) const {
        testing::internal::CaptureStderr();
        set(NOTE_DEBUG, 1);
        (void)q.call(changes, nevents, timeout);
        set(NOTE_DEBUG, 0);
        return testing::internal::GetCapturedStderr();
    }
    Queue q;
};

TEST_F(Libkqueue, R317_VersionNumber) {
    const Event answer = ask(question(NOTE_VERSION, 99, tag(5)));
    EXPECT_GT(answer.data, 0x01000000);  // 0xMMmmpprr
    EXPECT_LE(answer.data, 0x7fffffff);
    EXPECT_NE(answer.data, 99);
    EXPECT_EQ(answer.udata, tag(5));
    EXPECT_EQ(ask(question(NOTE_VERSION)).data, answer.data);
}

TEST_F(Libkqueue, R318_VersionText) {
    const Event answer = ask(question(NOTE_VERSION_STR));
    ASSERT_NE(answer.udata, nullptr);
    const char* text = static_cast<const char*>(answer.udata);
    EXPECT_GT(std::strlen(text), 0u);
    EXPECT_EQ(ask(question(NOTE_VERSION_STR)).udata, answer.udata) << "a static string";
}

TEST_F(Libkqueue, R317_VersionTextAndNumberAgree) {
    const auto number = static_cast<unsigned>(ask(question(NOTE_VERSION)).data);
    const std::string text = static_cast<const char*>(ask(question(NOTE_VERSION_STR)).udata);
    const std::string expected =
        std::to_string(number >> 24) + "." + std::to_string((number >> 16) & 0xff) + ".";
    EXPECT_NE(text.find(expected), std::string::npos) << text << " " << expected;
}

// A program that asked with an entry it had got EV_ERROR in was answered with EV_ERROR, as if the
// question had failed with the version for its errno. Found by the fuzzer.
TEST_F(Libkqueue, R317_WhatIsOfTheLibraryToSayIsNotEchoed) {
    const int flags = EV_ADD | EV_ERROR | EV_EOF;
    const Result result = q.call({question(NOTE_VERSION, 0, nullptr, flags)}, 1, kForever);
    ASSERT_EQ(result.ret, 1);
    EXPECT_EQ(result.events[0].flags, EV_ADD | EV_RECEIPT);
}

#if defined(KQTEST_BACKEND_posix)
TEST_F(Libkqueue, R319_FilePollIntervalIsSet) {
    for (const intptr_t data : {50'000'000, 0}) {
        const Event c = question(NOTE_FILE_POLL_INTERVAL, data);
        const Result result = q.call({c}, 1, kForever);
        ASSERT_EQ(result.ret, 1);
        EXPECT_EQ(result.events[0].flags & EV_ERROR, 0);
    }
    const Event negative = question(NOTE_FILE_POLL_INTERVAL, -1);
    expect_answers(q.call({negative}, 1, kForever), {{negative, EINVAL}});
}

// A thread that sleeps looks at files that often.
TEST_F(Libkqueue, R319_FilesAreLookedAtInThisInterval) {
    const milliseconds interval{400};
    const TempFile file;
    ASSERT_EQ(
        q.call({question(NOTE_FILE_POLL_INTERVAL, interval.count() * 1'000'000)}, 1, kForever).ret,
        1);
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)), 0);
    expect_none(q.collect());
    Child writer([&] {
        std::this_thread::sleep_for(milliseconds{50});
        return ::write(*file.fd, "x", 1) == 1 ? 0 : 1;
    });
    const auto start = now();
    EXPECT_EQ(q.wait().size(), 1U);
    EXPECT_GE(since(start), milliseconds{200});
    EXPECT_EQ(q.call({question(NOTE_FILE_POLL_INTERVAL, 0)}, 1, kForever).ret, 1);
}
#else
TEST_F(Libkqueue, R319_FilePollIntervalIsNotForThisSystem) {
    for (const intptr_t data : {0, 50'000'000}) {
        const Event c = question(NOTE_FILE_POLL_INTERVAL, data);
        expect_answers(q.call({c}, 1, kForever), {{c, ENOSYS}});
        expect_failed(q.call({c}, 0, kForever), ENOSYS);
    }
}
#endif

TEST_F(Libkqueue, SwitchesAnswerWithTheirOldValue) {
    for (const unsigned code : {unsigned{NOTE_FORK_CLEANUP}, unsigned{NOTE_DEBUG}}) {
        SCOPED_TRACE(code);
        const intptr_t original = set(code, 1);
        EXPECT_TRUE(original == 0 || original == 1) << original;
        EXPECT_EQ(set(code, 0), 1);
        EXPECT_EQ(set(code, 0), 0);
        EXPECT_EQ(set(code, original), 0);
    }
}

TEST_F(Libkqueue, ThreadSafetyIsOnOrOff) {
    const intptr_t original = set(NOTE_THREAD_SAFE, 1);
    EXPECT_TRUE(original == 0 || original == 1) << original;
    EXPECT_EQ(set(NOTE_THREAD_SAFE, 1), 1);
    set(NOTE_THREAD_SAFE, original);
}

TEST_F(Libkqueue, R69_ASwitchIsNotSetToWhatIsNoSetting) {
    for (const unsigned code :
         {unsigned{NOTE_THREAD_SAFE}, unsigned{NOTE_FORK_CLEANUP}, unsigned{NOTE_DEBUG}}) {
        SCOPED_TRACE(code);
        const intptr_t original = set(code, 1);
        for (const intptr_t wrong : {2, -1}) {
            const auto answers =
                q.call({change(0, EVFILT_LIBKQUEUE, EV_ADD, code, wrong)}, 1, &kAtOnce);
            ASSERT_EQ(answers.ret, 1) << answers;
            EXPECT_NE(answers.events[0].flags & EV_ERROR, 0);
            EXPECT_EQ(answers.events[0].data, EINVAL);
        }
        EXPECT_EQ(set(code, original), 1);
    }
}

std::atomic<int> traced{0};
extern "C" void count_trace(const char*, ...) {
    traced++;
}

TEST_F(Libkqueue, DebugOutputGoesToTheFunctionThatWasSet) {
    void* const function = reinterpret_cast<void*>(&count_trace);
    const intptr_t old_function = set(NOTE_DEBUG_FUNC, 0, function);
    static char prefix[] = "prefix";
    const intptr_t old_prefix = set(NOTE_DEBUG_PREFIX, 0, prefix);
    traced = 0;
    testing::internal::CaptureStderr();
    const intptr_t old_debug = set(NOTE_DEBUG, 1);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER)), 0);
    EXPECT_EQ(q.collect().size(), 1u);
    set(NOTE_DEBUG, old_debug);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_GT(traced, 0);
    EXPECT_EQ(set(NOTE_DEBUG_FUNC, 0, reinterpret_cast<void*>(old_function)),
              reinterpret_cast<intptr_t>(function));
    EXPECT_EQ(set(NOTE_DEBUG_PREFIX, 0, reinterpret_cast<void*>(old_prefix)),
              reinterpret_cast<intptr_t>(prefix));

    const int calls = traced;
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD)), 0);
    EXPECT_EQ(traced, calls) << "switched off";
}

TEST_F(Libkqueue, DebugOutputGoesToStderrWithItsPrefix) {
    static char prefix[] = "prefix-of-this-test";
    const intptr_t old_prefix = set(NOTE_DEBUG_PREFIX, 0, prefix);
    testing::internal::CaptureStderr();
    const intptr_t old_debug = set(NOTE_DEBUG, 1);
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER)), 0);
    EXPECT_EQ(q.collect().size(), 1u);
    set(NOTE_DEBUG, old_debug);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find(prefix), std::string::npos) << said;
    set(NOTE_DEBUG_PREFIX, 0, reinterpret_cast<void*>(old_prefix));
}

TEST_F(Libkqueue, DebugOutputHasNamesForNumbers) {
    const Pipe p = make_pipe();
    const std::string number = std::to_string(*p.read);
    const std::string kq = "KQ " + std::to_string(q.fd()) + ": ";
    write_bytes(*p.write, 3);
    const std::string said =
        traced_call({change(*p.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, tag(16)),
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
    const std::string events = traced_call({}, 2, &kAtOnce);
    EXPECT_TRUE(says(events, kq + "kernel: descriptor " + number + " readable")) << events;
    EXPECT_TRUE(says(events, kq + "event {ident " + number +
                                 ", EVFILT_READ, EV_ADD|EV_CLEAR, "
                                 "fflags 0x0, data 3, udata 0x10}"))
        << events;
    EXPECT_TRUE(says(events, kq + "event {ident 7, EVFILT_USER, EV_ADD|EV_ONESHOT, "
                                  "fflags 0x3, data 0, udata 0x0}"))
        << events;
}

TEST_F(Libkqueue, DebugOutputTellsOfSleepAndWake) {
    const std::string kq = "KQ " + std::to_string(q.fd()) + ": ";
    const timespec moment{0, 1000};
    const std::string empty = traced_call({}, 1, &moment);
    EXPECT_NE(empty.find(kq + "sleep for at most "), std::string::npos) << empty;
    EXPECT_NE(empty.find(kq + "wake: time is over\n"), std::string::npos) << empty;
    // Long enough for the call to fall asleep before it, however slow this machine is.
    std::string timer;
    for (intptr_t period = 20; period < 20'000; period *= 4) {
        timer = traced_call({change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, period)}, 1, kForever);
        if (timer.find(kq + "sleep") != std::string::npos) break;
    }
    EXPECT_NE(timer.find(kq + "wake: the kernel has something\n"), std::string::npos) << timer;
    EXPECT_NE(timer.find(kq + "kernel: timers\n"), std::string::npos) << timer;
}

TEST_F(Libkqueue, DebugOutputTellsOfAnInterruption) {
    struct sigaction handler {};
    struct sigaction before {};
    handler.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGALRM, &handler, &before), 0);
    const itimerval often{{0, 20'000}, {0, 20'000}};  // one of them comes while it sleeps
    ASSERT_EQ(::setitimer(ITIMER_REAL, &often, nullptr), 0);
    const std::string told = traced_call({}, 1, kForever);
    const itimerval never{};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &never, nullptr), 0);
    ASSERT_EQ(::sigaction(SIGALRM, &before, nullptr), 0);
    EXPECT_NE(told.find(": wake: EINTR"), std::string::npos) << told;
}

TEST_F(Libkqueue, DebugNamesFilesAndWhatWasDropped) {
    const std::string kq = std::to_string(q.fd()) + ": ";
    const TempFile file;
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)), 0);
    write_bytes(*file.fd, 1);
    const std::string written = traced_call({}, 1, kForever);
    EXPECT_NE(written.find("EVFILT_VNODE"), std::string::npos) << written;
#ifdef KQTEST_BACKEND_linux  // elsewhere files are looked at
    EXPECT_NE(written.find(kq + "kernel: files changed\n"), std::string::npos) << written;
#endif
    const Pipe first = make_pipe();
    const Pipe second = make_pipe();
    ASSERT_EQ(q.apply(change(*first.read, EVFILT_READ, EV_ADD)), 0);
    ASSERT_GE(::dup2(*second.read, *first.read), 0);
    const std::string reused = traced_call({change(*first.read, EVFILT_READ, EV_ADD)}, 0, kForever);
    const std::string dropped =
        "descriptor " + std::to_string(*first.read) + " is another file now, knotes dropped\n";
    EXPECT_NE(reused.find(kq + dropped), std::string::npos) << reused;
}

// The library needs no call to be ready; old programs make this one.
TEST_F(Libkqueue, InitDoesNothingThatCanBeSeen) {
    libkqueue_init();
    libkqueue_init();
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    expect_only(q.wait(), 1, EVFILT_USER, EV_ADD);
}

// As a user does it: a program of its own, switched on from outside.
TEST_F(Libkqueue, KqueueDebugInTheEnvironmentSwitchesItOn) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto use = [] {
        const Queue other;
        ::exit(other.apply(change(1, EVFILT_USER, EV_ADD)));
    };
    for (const char* off : {"", "0"}) {
        ::setenv("KQUEUE_DEBUG", off, 1);
        EXPECT_EXIT(use(), testing::ExitedWithCode(0), "^$") << off;
    }
    ::setenv("KQUEUE_DEBUG", "1", 1);
    EXPECT_EXIT(use(), testing::ExitedWithCode(0), "change .ident 1, EVFILT_USER, EV_ADD, ");
    ::unsetenv("KQUEUE_DEBUG");
}

TEST_F(Libkqueue, AQuestionWithoutRoomForTheAnswerIsEfault) {
    for (const unsigned code : {unsigned{NOTE_VERSION}, unsigned{NOTE_VERSION_STR}})
        expect_failed(q.call({question(code)}, 0, kForever), EFAULT);
    expect_failed(q.call({question(NOTE_VERSION), question(NOTE_VERSION)}, 1, kForever), EFAULT);
}

TEST_F(Libkqueue, AnUnknownCodeIsEinval) {
    for (const unsigned code : {0u, 9u, 0xffu, 0x101u, 0x80000001u, 0xffffffffu}) {
        const Event c = question(code);
        expect_answers(q.call({c}, 1, kForever), {{c, EINVAL}});
        expect_failed(q.call({c}, 0, kForever), EINVAL);
    }
}

TEST_F(Libkqueue, ThereAreNoKnotes) {
    ask(question(NOTE_VERSION));
    for (const int flags : {EV_DELETE, EV_ENABLE, EV_DISABLE, 0}) {
        const Event c = question(NOTE_VERSION, 0, nullptr, flags);
        expect_answers(q.call({c}, 1, kForever), {{c, ENOENT}});
    }
    expect_silent(q);
}

// An answer is an entry for a change: nothing is collected, nothing awaited.
TEST_F(Libkqueue, R35_AnswersSuppressCollection) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER)), 0);
    const Result result = q.call({question(NOTE_VERSION), change(2, EVFILT_USER, EV_ADD),
                                  change(2, EVFILT_USER, EV_RECEIPT), question(NOTE_VERSION)},
                                 8, kForever);
    ASSERT_EQ(result.ret, 3) << result;
    EXPECT_EQ(result.events[0].filter, EVFILT_LIBKQUEUE);
    EXPECT_EQ(result.events[1].filter, EVFILT_USER);
    EXPECT_EQ(result.events[2].filter, EVFILT_LIBKQUEUE);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

}  // namespace
}  // namespace kqtest
