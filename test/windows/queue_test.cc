// SPDX-License-Identifier: BSD-2-Clause
// kqueue() and kevent() themselves, EVFILT_USER, EVFILT_TIMER.
#include "support.h"

namespace kqtest {
namespace {

TEST(Queue, R1_TwoAreIndependent) {
    Queue a;
    Queue b;
    EXPECT_NE(a.fd(), b.fd());
    EXPECT_EQ(a.change(1, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(a.change(1, EVFILT_USER, 0, NOTE_TRIGGER), 0);
    b.expect_none();
    EXPECT_EQ(a.one().ident, 1u);
}

TEST(Queue, R2_IsNotInherited) {
    Queue q;
    DWORD flags = HANDLE_FLAG_INHERIT;
    ASSERT_TRUE(GetHandleInformation(reinterpret_cast<HANDLE>(_get_osfhandle(q.fd())), &flags));
    EXPECT_EQ(flags & HANDLE_FLAG_INHERIT, 0u);
}

TEST(Queue, R9_CannotBeReadOrWritten) {
    const Queue q;
    char byte = 'x';
    EXPECT_EQ(_write(q.fd(), &byte, 1), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(_read(q.fd(), &byte, 1), -1);
    EXPECT_EQ(errno, EBADF);
}

TEST(Queue, R10_AfterCloseItIsBadAndTheNumberIsFree) {
    Queue q;
    const int number = q.fd();
    q.close();
    struct kevent event;
    EXPECT_EQ(kevent(number, nullptr, 0, &event, 1, nullptr), -1);
    EXPECT_EQ(errno, EBADF);
    Queue other;
    EXPECT_EQ(other.fd(), number);
    other.expect_none();
}

TEST(Queue, R14_R15_OtherNumbersAreBad) {
    struct kevent event;
    EXPECT_EQ(kevent(-1, nullptr, 0, &event, 1, nullptr), -1);
    EXPECT_EQ(errno, EBADF);
    const Pipe pipe;
    EXPECT_EQ(kevent(pipe.ends[0], nullptr, 0, &event, 1, nullptr), -1);
    EXPECT_EQ(errno, EBADF);
}

TEST(Queue, R13_ManyOpenedAndClosedLeaveNothing) {
    const auto next_handle = [] {
        void* event = CreateEventA(nullptr, FALSE, FALSE, nullptr);
        CloseHandle(event);
        return reinterpret_cast<uintptr_t>(event);
    };
    Pair pair;
    uintptr_t before = 0;
    for (int i = 0; i < 300; i++) {
        Queue q;
        EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
        EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, 1000), 0);
        q.expect_none();
        if (i == 50) before = next_handle();
    }
    // The system uses handle numbers again, the lowest first. If handles leaked, this one would be
    // large.
    EXPECT_LT(next_handle(), before + 4 * 60);
}

// A plug-in may have a copy of the library of its own. Both make pipes in one process.
TEST(Queue, R1_TwoCopiesOfTheLibrary) {
    HMODULE first = nullptr;
    char path[MAX_PATH];
    ASSERT_NE(GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                                     GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                                 reinterpret_cast<const char*>(&kqueuex), &first),
              0);
    const DWORD length = GetModuleFileNameA(first, path, MAX_PATH);
    ASSERT_TRUE(length > 0 && length < MAX_PATH);
    const std::string copy = temporary_name("copy") + ".dll";
    ASSERT_NE(CopyFileA(path, copy.c_str(), FALSE), 0);
    HMODULE second = LoadLibraryA(copy.c_str());
    ASSERT_NE(second, nullptr);
    EXPECT_NE(second, first);
    const auto other = reinterpret_cast<decltype(&kqueue)>(
        reinterpret_cast<void (*)()>(GetProcAddress(second, "kqueue")));
    ASSERT_NE(other, nullptr);
    const Queue q;
    for (int i = 0; i < 4; i++) {
        const int number = other();
        ASSERT_GE(number, 0) << "errno " << errno;
        EXPECT_EQ(_close(number), 0);
    }
    // The copy pins itself, so the file can go only later, in the directory of temporary files.
    (void)MoveFileExA(copy.c_str(), nullptr, MOVEFILE_DELAY_UNTIL_REBOOT);
}

TEST(Queue, R19_InvalidTimeouts) {
    Queue q;
    struct kevent event;
    const timespec invalid[] = {{-1, 0}, {0, -1}, {0, 1000000000}};
    for (const timespec& timeout : invalid) {
        EXPECT_EQ(kevent(q.fd(), nullptr, 0, &event, 1, &timeout), -1);
        EXPECT_EQ(errno, EINVAL);
    }
}

TEST(Queue, R22_TimeoutsAreNotTooShort) {
    Queue q;
    struct kevent event;
    const timespec timeout{0, 500000};
    for (int i = 0; i < 20; i++) {
        const auto begin = Clock::now();
        EXPECT_EQ(kevent(q.fd(), nullptr, 0, &event, 1, &timeout), 0);
        const auto took = Clock::now() - begin;
        EXPECT_GE(took, std::chrono::microseconds(500));
        EXPECT_LT(took, milliseconds(2000));
    }
}

TEST(Queue, R31_FailedChangesAreAnswered) {
    Queue q;
    int what = 0;
    struct kevent change;
    struct kevent answer;
    EV_SET(&change, 77, EVFILT_USER, EV_DELETE, 0, 0, &what);
    ASSERT_EQ(kevent(q.fd(), &change, 1, &answer, 1, nullptr), 1);
    EXPECT_EQ(answer.data, ENOENT);
    EXPECT_NE(answer.flags & EV_ERROR, 0);
    EXPECT_EQ(answer.udata, &what);
}

TEST(Queue, R40_WhatIsNotServedIsRefused) {
    Queue q;
    EXPECT_EQ(q.change(1, EVFILT_AIO, EV_ADD), ENOSYS);
    EXPECT_EQ(q.change(1, 0x7f, EV_ADD), EINVAL);
}

TEST(Queue, Kqueue1TakesTheFlagOfTheCLibrary) {
    const int fd = kqueue1(0);
    EXPECT_GE(fd, 0);
    EXPECT_EQ(_close(fd), 0);
    EXPECT_EQ(kqueue1(0x40000000), -1);
    EXPECT_EQ(errno, EINVAL);
}

// ---- EVFILT_USER ----

TEST(User, R25_ChangesComeBeforeEvents) {
    Queue q;
    struct kevent changes[2];
    EV_SET(&changes[0], 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, nullptr);
    EV_SET(&changes[1], 1, EVFILT_USER, 0, NOTE_TRIGGER | NOTE_FFOR | 0x12, 0, nullptr);
    struct kevent event;
    ASSERT_EQ(kevent(q.fd(), changes, 2, &event, 1, nullptr), 1);
    EXPECT_EQ(event.fflags, 0x12u);
    q.expect_none();
}

TEST(User, R49_FirstInFirstOut) {
    Queue q;
    for (uintptr_t i = 1; i <= 3; i++)
        EXPECT_EQ(q.change(i, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    for (const uintptr_t i : {3, 1, 2})
        EXPECT_EQ(q.change(i, EVFILT_USER, 0, NOTE_TRIGGER), 0);
    const auto events = q.collect();
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(events[0].ident, 3u);
    EXPECT_EQ(events[1].ident, 1u);
    EXPECT_EQ(events[2].ident, 2u);
}

TEST(User, R23_AnotherThreadWakesTheSleeper) {
    Queue q;
    EXPECT_EQ(q.change(1, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    for (int i = 0; i < 20; i++) {
        std::thread other([&q] {
            std::this_thread::sleep_for(milliseconds(5));
            EXPECT_EQ(q.change(1, EVFILT_USER, 0, NOTE_TRIGGER), 0);
        });
        EXPECT_EQ(q.one().ident, 1u);
        other.join();
    }
}

// ---- EVFILT_TIMER ----

TEST(Timer, R238_OneShot) {
    Queue q;
    const auto begin = Clock::now();
    EXPECT_EQ(q.change(5, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 50), 0);
    const struct kevent event = q.one();
    EXPECT_GE(Clock::now() - begin, milliseconds(50));
    EXPECT_EQ(event.data, 1);
    EXPECT_EQ(q.change(5, EVFILT_TIMER, EV_DELETE), ENOENT);
}

TEST(Timer, R239_ExpirationsAreCounted) {
    Queue q;
    const auto begin = Clock::now();
    const auto most = [begin] { return (Clock::now() - begin) / milliseconds(20); };
    EXPECT_EQ(q.change(5, EVFILT_TIMER, EV_ADD, 0, 20), 0);
    std::this_thread::sleep_for(milliseconds(210));
    const intptr_t first = q.one().data;
    EXPECT_GE(first, 9);
    EXPECT_LE(first, most());
    const intptr_t second = q.one().data;
    EXPECT_GE(second, 1);
    EXPECT_LE(first + second, most());
}

TEST(Timer, R242_Units) {
    Queue q;
    const struct {
        unsigned unit;
        intptr_t data;
    } rows[] = {{NOTE_USECONDS, 30000}, {NOTE_NSECONDS, 30000000}, {NOTE_MSECONDS, 30}};
    for (const auto& row : rows) {
        const auto begin = Clock::now();
        EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, row.unit, row.data), 0);
        EXPECT_EQ(q.one().ident, 1u);
        const auto took = Clock::now() - begin;
        EXPECT_GE(took, milliseconds(30));
        EXPECT_LT(took, milliseconds(3000));
    }
}

TEST(Timer, R242_LessThanAMillisecond) {
    Queue q;
    const auto twenty = [&q] {
        const auto begin = Clock::now();
        for (int i = 0; i < 20; i++) {
            EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_USECONDS, 300), 0);
            EXPECT_EQ(q.one().ident, 1u);
        }
        return Clock::now() - begin;
    };
    auto took = twenty();
    EXPECT_GE(took, std::chrono::microseconds(20 * 300));
    // With the system's tick the 20 timers would take 300 ms. The machine may stand still now and
    // then.
    for (int tries = 1; tries < 10 && took > milliseconds(250); tries++)
        took = twenty();
    EXPECT_LT(took, milliseconds(250));
}

TEST(Timer, R245_Absolute) {
    Queue q;
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    const auto then = std::chrono::duration_cast<milliseconds>(since_epoch).count() + 1000;
    const auto begin = Clock::now();
    EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_ABSOLUTE, then), 0);
    q.expect_none();
    EXPECT_EQ(q.one().ident, 1u);
    EXPECT_GE(Clock::now() - begin, milliseconds(990));
}

TEST(Timer, R236_AnEarlierOneOfAnotherThreadWakesTheSleepersInTime) {
    Queue q;
    std::vector<std::thread> sleepers;
    std::atomic<int> heard{0};
    for (int i = 0; i < 3; i++)
        sleepers.emplace_back([&] {
            if (q.wait(1).size() == 1) heard++;
        });
    std::this_thread::sleep_for(milliseconds(50));
    const auto begin = Clock::now();
    for (uintptr_t i = 0; i < 3; i++)
        EXPECT_EQ(q.change(i, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 60 - 20 * static_cast<int>(i)),
                  0);
    for (std::thread& thread : sleepers)
        thread.join();
    EXPECT_EQ(heard, 3);
    EXPECT_LT(Clock::now() - begin, milliseconds(3000));
}

}  // namespace
}  // namespace kqtest
