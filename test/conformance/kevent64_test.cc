// SPDX-License-Identifier: BSD-2-Clause
// kevent64(): the knotes and rules of kevent(), in struct kevent64_s (semantics 1.1, 1.5, 5.13).
#include <sys/event.h>

#ifdef LIBKQUEUE_HAS_KEVENT64

    #include <pthread.h>
    #include <unistd.h>

    #include <cerrno>
    #include <cstring>
    #include <thread>

    #include "support/kq.h"

namespace kqtest {
namespace {

using Wide = struct kevent64_s;

Wide wide(uint64_t ident, int filter, int flags, unsigned fflags = 0, int64_t data = 0,
          uint64_t udata = 0, uint64_t ext0 = 0, uint64_t ext1 = 0) {
    Wide kev;
    EV_SET64(&kev, ident, static_cast<int16_t>(filter), static_cast<uint16_t>(flags), fflags, data,
             udata, ext0, ext1);
    return kev;
}

struct Answers {
    int ret = -1;
    int error = 0;
    std::vector<Wide> events;
};

class Kevent64 : public KqTest {
  protected:
    Answers call(const std::vector<Wide>& changes, int nevents, const timespec* timeout = &kAtOnce,
                 unsigned flags = 0) const {
        Answers answers;
        answers.events.resize(static_cast<size_t>(nevents));
        errno = 0;
        answers.ret = ::kevent64(q.fd(), changes.data(), static_cast<int>(changes.size()),
                                 answers.events.data(), nevents, flags, timeout);
        answers.error = answers.ret < 0 ? errno : 0;
        answers.events.resize(answers.ret < 0 ? 0 : static_cast<size_t>(answers.ret));
        return answers;
    }
    int apply(const Wide& change) const {
        const Answers answers = call({change}, 0);
        return answers.ret == 0 ? 0 : answers.error;
    }
    static void expect_one(const Answers& got, const Wide& expected,
                           const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
        const testing::ScopedTrace trace(file, line, "");
        ASSERT_EQ(got.ret, 1) << std::strerror(got.error);
        const Wide& e = got.events[0];
        EXPECT_EQ(e.ident, expected.ident);
        EXPECT_EQ(e.filter, expected.filter);
        EXPECT_EQ(e.flags, expected.flags);
        EXPECT_EQ(e.fflags, expected.fflags);
        EXPECT_EQ(e.data, expected.data);
        EXPECT_EQ(e.udata, expected.udata);
        EXPECT_EQ(e.ext[0], expected.ext[0]);
        EXPECT_EQ(e.ext[1], expected.ext[1]);
    }

    static constexpr int kUser = EV_ADD | EV_CLEAR;
    static constexpr uint64_t kHigh = 0xfedcba9876543210u;
    Queue q;
};

TEST_F(Kevent64, S15_ChangesAndEvents) {
    const Pipe p = make_pipe();
    ASSERT_EQ(apply(wide(static_cast<uint64_t>(*p.read), EVFILT_READ, EV_ADD, 0, 0, 5)), 0);
    EXPECT_EQ(call({}, 4).ret, 0);
    write_bytes(*p.write, 3);
    expect_one(call({}, 4, kForever),
               wide(static_cast<uint64_t>(*p.read), EVFILT_READ, EV_ADD, 0, 3, 5));
    ASSERT_EQ(apply(wide(static_cast<uint64_t>(*p.read), EVFILT_READ, EV_DELETE)), 0);
    EXPECT_EQ(apply(wide(static_cast<uint64_t>(*p.read), EVFILT_READ, EV_DELETE)), ENOENT);
    EXPECT_EQ(call({}, 4).ret, 0);
}

// The fields that struct kevent lacks belong to the caller, like udata.
TEST_F(Kevent64, S11_ExtAndUdataComeBack) {
    expect_one(call({wide(1, EVFILT_USER, kUser, NOTE_TRIGGER, 7, kHigh, 8, kHigh)}, 1),
               wide(1, EVFILT_USER, kUser, 0, 7, kHigh, 8, kHigh));
    // They stay from event to event. The last change sets them, also to 0.
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_KEEPUDATA, NOTE_TRIGGER)), 0);
    expect_one(call({}, 1), wide(1, EVFILT_USER, kUser, 0, 0, kHigh, 8, kHigh));
    expect_one(call({wide(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, 5, 6)}, 1),
               wide(1, EVFILT_USER, kUser, 0, 0, 5, 6));
    expect_one(call({wide(1, EVFILT_USER, EV_KEEPUDATA, NOTE_TRIGGER, 0, 9, 9, 9)}, 1),
               wide(1, EVFILT_USER, kUser, 0, 0, 5, 6));
    expect_one(call({wide(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, 5)}, 1),
               wide(1, EVFILT_USER, kUser, 0, 0, 5));
}

TEST_F(Kevent64, S11_EachPartOfWhatIsTheCallersComesBackAlone) {
    for (const Wide& one : {wide(1, EVFILT_USER, kUser, NOTE_TRIGGER, 0, 0, 5),
                            wide(1, EVFILT_USER, kUser, NOTE_TRIGGER, 0, 0, 0, 6),
                            wide(1, EVFILT_USER, kUser, NOTE_TRIGGER, 0, kHigh)}) {
        expect_one(call({one}, 1),
                   wide(1, EVFILT_USER, kUser, 0, 0, one.udata, one.ext[0], one.ext[1]));
        // The change that deletes the knote has such a field, too. The field is not kept.
        EXPECT_EQ(apply(wide(1, EVFILT_USER, EV_DELETE, 0, 0, 0, 5)), 0);
        // A receipt has the fields of the change.
        const Wide added = wide(1, EVFILT_USER, kUser | EV_RECEIPT, 0, 0, 3, 1, 2);
        expect_one(call({added}, 1),
                   wide(1, EVFILT_USER, kUser | EV_RECEIPT | EV_ERROR, 0, 0, 3, 1, 2));
        EXPECT_EQ(apply(wide(1, EVFILT_USER, EV_DELETE)), 0);
    }
    // The library's own filter has no knotes that could keep such a field.
    const Answers version = call({wide(0, EVFILT_LIBKQUEUE, EV_ADD, NOTE_VERSION, 0, 0, 1)}, 1);
    ASSERT_EQ(version.ret, 1);
    EXPECT_NE(version.events[0].data, 0);
}

TEST_F(Kevent64, S11_ExtGoesWithItsKnote) {
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(apply(wide(1, EVFILT_USER, EV_ADD, 0, 0, 0, 1, 2)), 0);
        ASSERT_EQ(apply(wide(1, EVFILT_USER, EV_DELETE, 0, 0, 0, 3, 4)), 0);
        expect_one(call({wide(1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER, 0, 0, 5)}, 1),
                   wide(1, EVFILT_USER, EV_ADD | EV_ONESHOT, 0, 0, 0, 5));
        expect_one(call({wide(1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER)}, 1),
                   wide(1, EVFILT_USER, EV_ADD | EV_ONESHOT));
    }
    // The fields end with a descriptor that is closed. A new file with that number has none.
    Pipe p = make_pipe();
    const int number = *p.read;
    ASSERT_EQ(apply(wide(static_cast<uint64_t>(number), EVFILT_READ, EV_ADD, 0, 0, 0, 1, 2)), 0);
    const Pipe other = make_pipe();
    p.read.reset();
    p.read.reset(::dup2(*other.read, number));
    write_bytes(*other.write, 3);
    expect_one(call({wide(static_cast<uint64_t>(number), EVFILT_READ, EV_ADD)}, 1, kForever),
               wide(static_cast<uint64_t>(number), EVFILT_READ, EV_ADD, 0, 3));
}

TEST_F(Kevent64, S11_ManyKnotesWithExt) {
    constexpr int kMany = 300;
    std::vector<Wide> changes;
    for (uint64_t i = 0; i < kMany; i++)
        changes.push_back(wide(i, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER, 0, i, i + 1, i));
    ASSERT_EQ(call(changes, 0).ret, 0);
    uint64_t next = 0;
    while (next < kMany) {
        const Answers got = call({}, kMany);
        ASSERT_GT(got.ret, 0);
        for (const Wide& e : got.events) {
            EXPECT_EQ(e.ident, next);
            EXPECT_EQ(e.udata, next);
            EXPECT_EQ(e.ext[0], next + 1);
            EXPECT_EQ(e.ext[1], next);
            next++;
        }
    }
    expect_silent(q);
}

TEST_F(Kevent64, S15_KnotesAreThoseOfKevent) {
    ASSERT_EQ(apply(wide(1, EVFILT_USER, kUser, 0, 0, 7, 1, 2)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, tag(7))), 0);
    expect_only(q.collect(), 1, EVFILT_USER, kUser, 0, 0, tag(7));
    ASSERT_EQ(q.apply(change(2, EVFILT_USER, kUser, NOTE_TRIGGER, 0, tag(8))), 0);
    expect_one(call({}, 4), wide(2, EVFILT_USER, kUser, 0, 0, 8));
}

TEST_F(Kevent64, R33_AnswersAreTheChanges) {
    const Wide bad = wide(77, EVFILT_USER, EV_DELETE, 1, 2, kHigh, 4, 5);
    const Wide good = wide(1, EVFILT_USER, kUser | EV_RECEIPT, NOTE_TRIGGER, 2, kHigh, 4, 5);
    const Answers got = call({bad, good, wide(2, EVFILT_USER, EV_ADD), bad}, 8, kForever);
    ASSERT_EQ(got.ret, 3) << "answers suppress collection";
    for (const size_t i : {size_t{0}, size_t{1}, size_t{2}}) {
        Wide expected = i == 1 ? good : bad;
        expected.flags |= EV_ERROR;
        expected.data = i == 1 ? 0 : ENOENT;
        EXPECT_EQ(std::memcmp(&got.events[i], &expected, sizeof expected), 0) << i;
    }
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
}

TEST_F(Kevent64, R32_WithoutRoomTheFirstErrorEndsTheCall) {
    const Wide bad = wide(77, EVFILT_USER, EV_DELETE);
    const Answers got = call({bad, wide(1, EVFILT_USER, EV_ADD)}, 0);
    EXPECT_EQ(got.ret, -1);
    EXPECT_EQ(got.error, ENOENT);
    EXPECT_FALSE(has_knote(q, 1, EVFILT_USER));
    const Answers two = call({bad, bad, wide(1, EVFILT_USER, EV_ADD)}, 1);
    EXPECT_EQ(two.ret, -1);
    EXPECT_FALSE(has_knote(q, 1, EVFILT_USER));
    // There is no room for the receipt: this change is applied, the next one is not (D-43).
    const Answers receipt =
        call({wide(2, EVFILT_USER, EV_ADD | EV_RECEIPT), wide(3, EVFILT_USER, EV_ADD)}, 0);
    EXPECT_EQ(receipt.ret, 0);
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
    EXPECT_FALSE(has_knote(q, 3, EVFILT_USER));
}

TEST_F(Kevent64, S513_Immediate) {
    EXPECT_EQ(call({}, 1, kForever, KEVENT_FLAG_IMMEDIATE).ret, 0);
    ASSERT_EQ(apply(wide(1, EVFILT_USER, kUser, NOTE_TRIGGER)), 0);
    EXPECT_EQ(call({}, 1, kForever, KEVENT_FLAG_IMMEDIATE).ret, 1);
}

TEST_F(Kevent64, S513_ErrorEvents) {
    ASSERT_EQ(apply(wide(1, EVFILT_USER, kUser, NOTE_TRIGGER)), 0);
    EXPECT_EQ(call({}, 4, kForever, KEVENT_FLAG_ERROR_EVENTS).ret, 0);
    const Answers got = call({wide(9, EVFILT_USER, EV_DELETE), wide(2, EVFILT_USER, EV_ADD)}, 4,
                             kForever, KEVENT_FLAG_ERROR_EVENTS);
    ASSERT_EQ(got.ret, 1);
    EXPECT_EQ(got.events[0].data, ENOENT);
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
    EXPECT_EQ(call({}, 4).ret, 1);
}

TEST_F(Kevent64, S24_WhatIsInvalid) {
    EXPECT_EQ(call({}, 1, &kAtOnce, 4).error, EINVAL);
    EXPECT_EQ(::kevent64(q.fd(), nullptr, -1, nullptr, 0, 0, nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
    Wide event;
    EXPECT_EQ(::kevent64(q.fd(), nullptr, 0, &event, -1, 0, nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(::kevent64(free_number(), nullptr, 0, nullptr, 0, 0, nullptr), -1);
    EXPECT_EQ(errno, EBADF);
    const timespec bad{0, 1'000'000'000};
    EXPECT_EQ(call({}, 1, &bad).error, EINVAL);
    if (sizeof(uintptr_t) < sizeof(uint64_t)) {
        EXPECT_EQ(apply(wide(uint64_t{1} << 32, EVFILT_USER, EV_ADD)), EINVAL);
    }
}

TEST_F(Kevent64, OneArrayMayBeBothLists) {
    Wide list[4] = {wide(9, EVFILT_USER, EV_DELETE, 0, 0, 1, 2, 3),
                    wide(1, EVFILT_USER, EV_ADD | EV_RECEIPT, 0, 0, 1, 2, 3),
                    wide(8, EVFILT_USER, EV_DELETE), wide(2, EVFILT_USER, EV_ADD)};
    ASSERT_EQ(::kevent64(q.fd(), list, 4, list, 4, 0, kForever), 3);
    EXPECT_EQ(list[0].ident, 9u);
    EXPECT_EQ(list[1].ident, 1u);
    EXPECT_EQ(list[2].ident, 8u);
    EXPECT_TRUE(has_knote(q, 2, EVFILT_USER));
}

// A thread sleeps in kevent64(). Events that another thread takes in this time are not in its list.
TEST_F(Kevent64, R301_SleepsWhileOthersCollect) {
    ASSERT_EQ(apply(wide(1, EVFILT_USER, kUser, 0, 0, 0, 1, 2)), 0);
    Answers got;
    std::thread sleeper([&] { got = call({}, 1, kForever); });
    for (int i = 0; i < 50; i++) {
        ASSERT_EQ(q.apply(change(2, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER)), 0);
        (void)q.collect();
    }
    ASSERT_EQ(apply(wide(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, 0, 3, 4)), 0);
    ASSERT_EQ(apply(wide(2, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER)), 0);
    sleeper.join();
    EXPECT_EQ(got.ret, 1);
}

TEST_F(Kevent64, IsACancellationPoint) {
    std::thread sleeper([&] { (void)call({}, 1, kForever); });
    // The call is cancelled before it sleeps, or in its sleep. It must give back all that it holds.
    ASSERT_EQ(::pthread_cancel(sleeper.native_handle()), 0);
    sleeper.join();
    expect_one(call({wide(1, EVFILT_USER, kUser, NOTE_TRIGGER, 0, 0, 1)}, 1),
               wide(1, EVFILT_USER, kUser, 0, 0, 0, 1));
}

// In a process that has had a second thread the library tells the kernel after it has released the
// mutex. kevent64() does that, too.
TEST_F(Kevent64, R6_ReadableWhenTheTriggerReturns) {
    std::thread([] {}).join();
    ASSERT_EQ(apply(wide(1, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(apply(wide(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        EXPECT_TRUE(q.readable());
        EXPECT_EQ(call({}, 4).ret, 1);
        EXPECT_FALSE(q.readable());
    }
}

}  // namespace
}  // namespace kqtest

#endif  // LIBKQUEUE_HAS_KEVENT64
