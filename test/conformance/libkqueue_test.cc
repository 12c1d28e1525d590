// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_LIBKQUEUE.
#include <sys/event.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "support/kq.h"
#include "support/library.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class Libkqueue : public KqTest {
  protected:
    static Event question(unsigned code, intptr_t data = 0, void* udata = nullptr,
                          int flags = EV_ADD) {
        return change(17, EVFILT_LIBKQUEUE, flags, code, data, udata);
    }
    // The answer is the change with EV_RECEIPT. Its data and udata are what the change asks for.
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
    // Sets a value. Returns the value that was set before.
    intptr_t set(unsigned code, intptr_t data, void* udata = nullptr) const {
        return ask(question(code, data, udata)).data;
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

// From this text the suite knows which gaps to expect. CTest says in the environment which backend
// is meant: if the loader had found another library, every test would test the wrong one.
TEST_F(Libkqueue, R318_VersionTextNamesTheBackend) {
    EXPECT_TRUE(backend() == "linux" || backend() == "posix" || backend() == "solaris" ||
                backend() == "windows")
        << static_cast<const char*>(ask(question(NOTE_VERSION_STR)).udata);
    const char* meant = std::getenv("KQTEST_BACKEND");
    EXPECT_EQ(backend(), meant == nullptr ? backend() : meant);
}

TEST_F(Libkqueue, R317_VersionTextAndNumberAgree) {
    const auto number = static_cast<unsigned>(ask(question(NOTE_VERSION)).data);
    const std::string text = static_cast<const char*>(ask(question(NOTE_VERSION_STR)).udata);
    const std::string expected =
        std::to_string(number >> 24) + "." + std::to_string((number >> 16) & 0xff) + ".";
    EXPECT_NE(text.find(expected), std::string::npos) << text << " " << expected;
}

// A bug: if the entry of the question had EV_ERROR from an earlier answer, the new answer had
// EV_ERROR, too, as if the question had failed with the version as its errno. Found by the fuzzer.
TEST_F(Libkqueue, R317_WhatIsOfTheLibraryToSayIsNotEchoed) {
    const int flags = EV_ADD | EV_ERROR | EV_EOF;
    const Result result = q.call({question(NOTE_VERSION, 0, nullptr, flags)}, 1, kForever);
    ASSERT_EQ(result.ret, 1);
    EXPECT_EQ(result.events[0].flags, EV_ADD | EV_RECEIPT);
}

TEST_F(Libkqueue, R319_FilePollIntervalIsSet) {
    KQ_OF(posix);
    for (const intptr_t data : {50'000'000, 0}) {
        const Event c = question(NOTE_FILE_POLL_INTERVAL, data);
        const Result result = q.call({c}, 1, kForever);
        ASSERT_EQ(result.ret, 1);
        EXPECT_EQ(result.events[0].flags & EV_ERROR, 0);
    }
    const Event negative = question(NOTE_FILE_POLL_INTERVAL, -1);
    expect_answers(q.call({negative}, 1, kForever), {{negative, EINVAL}});
}

// A thread that sleeps looks at files once in each interval.
TEST_F(Libkqueue, R319_FilesAreLookedAtInThisInterval) {
    KQ_OF(posix);
    const milliseconds interval{400};
    const TempFile file;
    ASSERT_EQ(
        q.call({question(NOTE_FILE_POLL_INTERVAL, interval.count() * 1'000'000)}, 1, kForever).ret,
        1);
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)), 0);
    expect_none(q.collect());
    Child writer([&] {
        if (!wait_until_asleep(::getppid())) return 2;
        return ::write(*file.fd, "x", 1) == 1 ? 0 : 1;
    });
    const auto start = now();
    EXPECT_EQ(q.wait().size(), 1U);
    EXPECT_GE(since(start), milliseconds{200});
    EXPECT_EQ(q.call({question(NOTE_FILE_POLL_INTERVAL, 0)}, 1, kForever).ret, 1);
}

TEST_F(Libkqueue, R319_FilePollIntervalIsNotForThisSystem) {
    if (!on_linux()) GTEST_SKIP() << "which looks at files";
    for (const intptr_t data : {0, 50'000'000}) {
        const Event c = question(NOTE_FILE_POLL_INTERVAL, data);
        expect_answers(q.call({c}, 1, kForever), {{c, ENOSYS}});
        expect_failed(q.call({c}, 0, kForever), ENOSYS);
    }
}

TEST_F(Libkqueue, SwitchesAnswerWithTheirOldValue) {
    const intptr_t original = set(NOTE_FORK_CLEANUP, 1);
    EXPECT_TRUE(original == 0 || original == 1) << original;
    EXPECT_EQ(set(NOTE_FORK_CLEANUP, 0), 1);
    EXPECT_EQ(set(NOTE_FORK_CLEANUP, 0), 0);
    EXPECT_EQ(set(NOTE_FORK_CLEANUP, original), 0);
}

// ---- NOTE_COUNT_DATA: no rule of any BSD ----

TEST_F(Libkqueue, CountDataIsTheSettingOfOneKqueue) {
    const Queue other;
    EXPECT_EQ(set(NOTE_COUNT_DATA, 0), 1);
    EXPECT_EQ(set(NOTE_COUNT_DATA, 0), 0);
    const Event wrong = question(NOTE_COUNT_DATA, 2);
    expect_answers(q.call({wrong}, 1, kForever), {{wrong, EINVAL}});
    const Pipe p = make_pipe();
    write_bytes(*p.write, 5);
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(other.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    EXPECT_EQ(q.wait().size(), 1U);  // known to be a pipe from here on
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 1);
    expect_only(other.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 5);
    expect_only(other.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 5);
    EXPECT_EQ(set(NOTE_COUNT_DATA, 1), 0);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 5);
}

TEST_F(Libkqueue, UncountedIsNotTrueWhenAllIsRead) {
    set(NOTE_COUNT_DATA, 0);
    for (const int clear : {0, EV_CLEAR}) {
        const Pipe p = make_pipe();
        ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | clear)), 0);
        for (int i = 0; i < 3; i++) {
            write_bytes(*p.write, 5);
            EXPECT_EQ(q.wait().size(), 1U);
            read_bytes(*p.read, 5);
            expect_none(q.collect());
        }
    }
}

TEST_F(Libkqueue, UncountedPipesStillEndAndHaveMarks) {
    set(NOTE_COUNT_DATA, 0);
    Pipe p = make_pipe();
    write_bytes(*p.write, 5);
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD, NOTE_LOWAT, 6)), 0);
    expect_none(q.collect());
    write_bytes(*p.write, 1);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 6);
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    p.write.reset();
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD | EV_EOF, 0, 6);
}

TEST_F(Libkqueue, UncountedPipesAreWritableAndLoseTheirReaders) {
    set(NOTE_COUNT_DATA, 0);
    Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.write, EVFILT_WRITE, EV_ADD)), 0);
    EXPECT_EQ(q.wait().size(), 1U);
    expect_only(q.wait(), *p.write, EVFILT_WRITE, EV_ADD, 0, 1);
    p.read.reset();
    const auto events = q.wait();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_NE(events[0].flags & EV_EOF, 0);
}

TEST_F(Libkqueue, UncountedSocketsEndAndListenersCount) {
    set(NOTE_COUNT_DATA, 0);
    const Listener listener = make_listener();
    ASSERT_EQ(q.apply(change(*listener.fd, EVFILT_READ, EV_ADD)), 0);
    const Fd one = listener.connect();
    const Fd two = listener.connect();
#ifdef __linux__
    eventually([&] { return has_tcp_connections(*listener.fd, 2); });
#endif
    for (int i = 0; i < 2; i++) {
        const auto events = q.wait();
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].data, on_linux() ? 2 : 1);
    }
    ASSERT_EQ(q.apply(change(*listener.fd, EVFILT_READ, EV_DELETE)), 0);
    Pair s = make_socketpair(SOCK_STREAM);
    write_bytes(*s.first, 7);
    ASSERT_EQ(q.apply(change(*s.second, EVFILT_READ, EV_ADD)), 0);
    EXPECT_EQ(q.wait().size(), 1U);  // known to be a connection from here on
    expect_only(q.wait(), *s.second, EVFILT_READ, EV_ADD, 0, 1);
    s.first.reset();
    expect_only(q.wait(), *s.second, EVFILT_READ, EV_ADD | EV_EOF, 0, 7);
}

// The environment variable is for programs that cannot be changed.
TEST_F(Libkqueue, CountDataInTheEnvironmentIsWhereAKqueueBegins) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto use = [] {
        const Queue other;
        const Event asked = question(NOTE_COUNT_DATA, 1);
        ::exit(static_cast<int>(other.call({asked}, 1, kForever).events[0].data));
    };
    const std::pair<const char*, int> settings[] = {{"0", 0}, {"1", 1}, {"", 1}, {"00", 1}};
    for (const auto& [value, counts] : settings) {
        ::setenv("KQUEUE_COUNT_DATA", value, 1);
        EXPECT_EXIT(use(), testing::ExitedWithCode(counts), "") << value;
    }
    ::unsetenv("KQUEUE_COUNT_DATA");
}

TEST_F(Libkqueue, ThreadSafetyIsOnOrOff) {
    const intptr_t original = set(NOTE_THREAD_SAFE, 1);
    EXPECT_TRUE(original == 0 || original == 1) << original;
    EXPECT_EQ(set(NOTE_THREAD_SAFE, 1), 1);
    set(NOTE_THREAD_SAFE, original);
}

TEST_F(Libkqueue, R69_ASwitchIsNotSetToWhatIsNoSetting) {
    for (const unsigned code : {unsigned{NOTE_THREAD_SAFE}, unsigned{NOTE_FORK_CLEANUP}}) {
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

// The library needs no call to be ready; old programs make this one.
TEST_F(Libkqueue, InitDoesNothingThatCanBeSeen) {
    libkqueue_init();
    libkqueue_init();
    EXPECT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    expect_only(q.wait(), 1, EVFILT_USER, EV_ADD);
}

TEST_F(Libkqueue, AQuestionWithoutRoomForTheAnswerIsEfault) {
    for (const unsigned code : {unsigned{NOTE_VERSION}, unsigned{NOTE_VERSION_STR}})
        expect_failed(q.call({question(code)}, 0, kForever), EFAULT);
    expect_failed(q.call({question(NOTE_VERSION), question(NOTE_VERSION)}, 1, kForever), EFAULT);
}

TEST_F(Libkqueue, AnUnknownCodeIsEinval) {
    for (const unsigned code : {0u, 10u, 0xffu, 0x101u, 0x80000001u, 0xffffffffu}) {
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

// An answer is an entry for a change. So the call does not collect events, and does not wait.
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
