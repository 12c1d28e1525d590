// SPDX-License-Identifier: BSD-2-Clause
// A call goes on until its eventlist is full or everything pending was looked at once (2.3 as
// amended; ). The sizes of the library's own buffers must not show.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "support/kq.h"
#include "support/limit.h"
#include "support/thread.h"
#include "support/world.h"

namespace kqtest {
namespace {

const int kMany = world::on_wine() ? 300 : 3000;  // there a socket takes 10 ms

rlim_t all_allowed() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max;
}

class FullList : public KqTest {
  protected:
    void SetUp() override {
        if (all_allowed() < static_cast<rlim_t>(kMany) + 200)
            GTEST_SKIP() << "too few descriptors are allowed";
    }

    // Pairs of sockets with `count` ends in all. Each end is readable and writable.
    std::vector<Pair> make_ready(int count) {
        std::vector<Pair> pairs;
        for (int i = 0; i < count / 2; i++) {
            pairs.push_back(make_socketpair(SOCK_STREAM));
            write_bytes(*pairs.back().first, 1);
            write_bytes(*pairs.back().second, 1);
        }
        return pairs;
    }
    static void empty(const std::vector<Pair>& pairs) {
        for (const Pair& pair : pairs)
            for (const int fd : {*pair.first, *pair.second})
                read_bytes(fd, 1);
    }
    void add(const std::vector<Pair>& pairs, int filter, int flags) const {
        for (const Pair& pair : pairs)
            for (const int fd : {*pair.first, *pair.second})
                ASSERT_EQ(q.apply(change(fd, filter, flags)), 0);
    }
    // One call reports `count` knotes, each of them once.
    void expect_all(size_t count, int room, const char* file = __builtin_FILE(),
                    int line = __builtin_LINE()) const {
        const testing::ScopedTrace trace(file, line, "");
        const std::vector<Event> events = q.collect(room);
        EXPECT_EQ(events.size(), count);
        std::set<std::pair<int, uintptr_t>> knotes;
        for (const Event& event : events)
            EXPECT_TRUE(knotes.emplace(event.filter, event.ident).second) << to_string(event);
    }

    const DescriptorLimit limit{all_allowed()};
    Queue q;
};

TEST_F(FullList, S23_EachReadyDescriptor) {
    const std::vector<Pair> pairs = make_ready(kMany);
    add(pairs, EVFILT_READ, EV_ADD);
    expect_all(kMany, kMany);
    expect_all(kMany, kMany);
    expect_all(kMany, 2 * kMany);
    expect_all(kMany - 1, kMany - 1);
    expect_all(kMany, kMany);
    add(pairs, EVFILT_WRITE, EV_ADD);
    expect_all(2 * kMany, 2 * kMany);
}

TEST_F(FullList, S23_EachEdge) {
    const std::vector<Pair> pairs = make_ready(kMany);
    add(pairs, EVFILT_READ, EV_ADD | EV_CLEAR);
    expect_all(kMany, kMany);
    empty(pairs);
    expect_none(q.collect());
    for (const Pair& pair : pairs)
        write_bytes(*pair.first, 1);
    expect_all(kMany / 2, kMany);
}

TEST_F(FullList, S23_WhatIsReportedOnce) {
    const std::vector<Pair> pairs = make_ready(kMany);
    add(pairs, EVFILT_READ, EV_ADD | EV_ONESHOT);
    add(pairs, EVFILT_WRITE, EV_ADD | EV_DISPATCH);
    expect_all(2 * kMany, 3 * kMany);
    expect_silent(q);
}

// READ and WRITE in different modes, all of them or a few beside many of one mode.
TEST_F(FullList, S23_MixedModes) {
    const std::vector<Pair> pairs = make_ready(kMany);
    add(pairs, EVFILT_READ, EV_ADD | EV_CLEAR);
    add(pairs, EVFILT_WRITE, EV_ADD);
    expect_all(2 * kMany, 2 * kMany);
    empty(pairs);
    expect_all(kMany, 2 * kMany);
    for (size_t i = 2; i < pairs.size(); i++)
        for (const int fd : {*pairs[i].first, *pairs[i].second})
            ASSERT_EQ(q.apply(change(fd, EVFILT_READ, EV_DELETE)), 0);
    expect_all(kMany, 2 * kMany);
    expect_all(kMany, 2 * kMany);
}

TEST_F(FullList, S23_TheFewByLevelDoNotHideTheManyInAnotherMode) {
    const std::vector<Pair> pairs = make_ready(kMany);
    const std::vector<Pair> few = make_ready(2);
    add(few, EVFILT_READ, EV_ADD);
    add(pairs, EVFILT_READ, EV_ADD | EV_CLEAR);
    add(pairs, EVFILT_WRITE, EV_ADD);  // these go elsewhere
    expect_all(2 * kMany + 2, 3 * kMany);
    empty(pairs);
    expect_all(kMany + 2, 3 * kMany);
}

TEST_F(FullList, S23_EachTrigger) {
    for (int i = 0; i < kMany; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, EV_ADD | (i % 2 == 0 ? EV_CLEAR : 0)),
                          change(i, EVFILT_USER, 0, NOTE_TRIGGER)),
                  0);
    expect_all(kMany, kMany);
    expect_all(kMany / 2, kMany);
}

TEST_F(FullList, S23_EachTimer) {
    for (int i = 0; i < kMany; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_TIMER, EV_ADD | EV_ONESHOT,
                                 i % 2 == 0 ? NOTE_NSECONDS : NOTE_ABSOLUTE, 1)),
                  0);
    std::this_thread::sleep_for(milliseconds{2});  // until it is later, on both clocks
    expect_all(kMany, kMany);
    expect_silent(q);
}

TEST_F(FullList, S23_EachFileThatChanged) {
    const TempFile file("abc");
    std::vector<Fd> numbers;
    for (int i = 0; i < kMany; i++) {
        numbers.emplace_back(::fcntl(*file.fd, F_DUPFD_CLOEXEC, 3));
        ASSERT_EQ(q.apply(change(*numbers.back(), EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)), 0);
    }
    write_bytes(*file.fd, 1);
    expect_all(kMany, kMany);
}

// The program moves back in the files with lseek(). No kernel reports that.
TEST_F(FullList, S23_EachFileThatCanBeRead) {
    const TempFile file("abc");
    std::vector<Fd> numbers;
    for (int i = 0; i < 300; i++) {
        numbers.push_back(open_file(file.path, O_RDONLY));
        ASSERT_EQ(q.apply(change(*numbers.back(), EVFILT_READ, EV_ADD)), 0);
        ASSERT_EQ(::lseek(*numbers.back(), 0, SEEK_END), 3);
    }
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    expect_all(1, kMany);
    for (const Fd& fd : numbers)
        ASSERT_EQ(::lseek(*fd, 0, SEEK_SET), 0);
    expect_all(301, 1000);
}

TEST_F(FullList, S23_EachKqueue) {
    std::vector<std::unique_ptr<Queue>> queues;
    for (int i = 0; i < 300; i++) {
        queues.push_back(std::make_unique<Queue>());
        ASSERT_EQ(queues.back()->apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
        ASSERT_EQ(q.apply(change(queues.back()->fd(), EVFILT_READ, EV_ADD)), 0);
    }
    expect_all(300, 1000);
    expect_all(300, 1000);
}

// The event of a watched kqueue says how many knotes are pending there.
TEST_F(FullList, S43_AllThatIsPendingInAnotherOneIsCounted) {
    const std::vector<Pair> pairs = make_ready(kMany);
    add(pairs, EVFILT_READ, EV_ADD);
    const Queue outer;
    ASSERT_EQ(outer.apply(change(q.fd(), EVFILT_READ, EV_ADD)), 0);
    expect_only(outer.collect(), q.fd(), EVFILT_READ, EV_ADD, 0, kMany);
}

// Enough knotes to fill the list are queued, but are not true any more. Their room in the list is
// used for other events.
TEST_F(FullList, S23_WhatIsNotTrueAnyMoreTakesNoRoom) {
    const std::vector<Pair> early = make_ready(200);
    add(early, EVFILT_READ, EV_ADD | EV_CLEAR);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    EXPECT_EQ(q.collect(1).size(), 1u);
    empty(early);
    const std::vector<Pair> late = make_ready(kMany);
    add(late, EVFILT_READ, EV_ADD);
    for (int i = 0; i < 3; i++)
        expect_all(150, 150);
    expect_all(kMany + 1, 2 * kMany);
}

// R-47 holds with a large list, too.
TEST_F(FullList, R47_AllTakeTurns) {
    const std::vector<Pair> pairs = make_ready(kMany);
    add(pairs, EVFILT_READ, EV_ADD);
    std::map<uintptr_t, int> times;
    for (int i = 0; i < 15; i++)
        for (const Event& event : q.collect(kMany / 5))
            times[event.ident]++;
    EXPECT_EQ(times.size(), static_cast<size_t>(kMany));
    for (const auto& [ident, n] : times)
        EXPECT_EQ(n, 3) << ident;
}

// Descriptors become ready again and again while a call collects. Each is reported once, and the
// call ends.
TEST_F(FullList, R48_WhatIsReadyAgainAtOnce) {
    const std::vector<Pair> pairs = make_ready(300);
    add(pairs, EVFILT_READ, EV_ADD | EV_CLEAR);
    std::atomic<bool> done{false};
    std::vector<Thread> writers;
    for (int t = 0; t < 2; t++)
        writers.emplace_back([&] {
            char bytes[64];
            while (!done)
                for (const Pair& pair : pairs)
                    for (const int fd : {*pair.first, *pair.second}) {
                        (void)!::send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
                        (void)!::recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
                    }
        });
    for (int i = 0; i < 300; i++) {
        const std::vector<Event> events = q.collect(100'000);
        std::set<uintptr_t> idents;
        for (const Event& event : events)
            idents.insert(event.ident);
        EXPECT_EQ(idents.size(), events.size());
    }
    done = true;
}

TEST_F(FullList, R258_AFastTimerIsOneOfMany) {
    const std::vector<Pair> pairs = make_ready(kMany);
    add(pairs, EVFILT_READ, EV_ADD);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, 1)), 0);
    int times = 0;
    for (int i = 0; i < 20; i++) {
        const int got = static_cast<int>(q.collect(2 * kMany).size());
        EXPECT_TRUE(got == kMany || got == kMany + 1) << got;
        times += got - kMany;
    }
    EXPECT_GT(times, 0);
}

#ifdef LIBKQUEUE_HAS_KEVENT64
TEST_F(FullList, S15_Kevent64HasNoOtherLimit) {
    const std::vector<Pair> pairs = make_ready(kMany);
    for (size_t i = 0; i < pairs.size(); i++)
        for (const int fd : {*pairs[i].first, *pairs[i].second}) {
            const auto number = static_cast<uint64_t>(fd);
            struct kevent64_s add;
            EV_SET64(&add, number, EVFILT_READ, EV_ADD, 0, 0, number + 1, number + 2, number + 3);
            if (i % 2 != 0) add.ext[0] = add.ext[1] = 0;
            if (i % 3 == 0) add.flags |= EV_ONESHOT;
            ASSERT_EQ(::kevent64(q.fd(), &add, 1, nullptr, 0, 0, nullptr), 0);
        }
    std::vector<struct kevent64_s> events(2 * static_cast<size_t>(kMany));
    for (const int expected : {kMany, kMany * 2 / 3}) {
        const int n = ::kevent64(q.fd(), nullptr, 0, events.data(), 2 * kMany, 0, &kAtOnce);
        ASSERT_EQ(n, expected);
        std::set<uint64_t> idents;
        for (int i = 0; i < n; i++) {
            const struct kevent64_s& event = events[static_cast<size_t>(i)];
            EXPECT_TRUE(idents.insert(event.ident).second);
            EXPECT_EQ(event.udata, event.ident + 1);
            EXPECT_EQ(event.data, 1);
            if (event.ext[0] == 0) continue;
            EXPECT_EQ(event.ext[0], event.ident + 2);
            EXPECT_EQ(event.ext[1], event.ident + 3);
        }
    }
}

// Everything that can be pending: reports of the kernel by level, by edge and once, in both lanes,
// and events of the library itself. The test makes as many changes, and gets as many answers.
TEST_F(FullList, S15_Kevent64AppliesAndReportsAsManyAsKevent) {
    const std::vector<Pair> pairs = make_ready(kMany);
    std::vector<struct kevent64_s> changes;
    const auto want = [&changes](uint64_t ident, int filter, unsigned flags, unsigned fflags = 0) {
        struct kevent64_s add;
        EV_SET64(&add, ident, static_cast<int16_t>(filter), static_cast<uint16_t>(EV_ADD | flags),
                 fflags, 1, ident, ident, 0);
        changes.push_back(add);
    };
    for (size_t i = 0; i < pairs.size(); i++)
        for (const int fd : {*pairs[i].first, *pairs[i].second}) {
            const auto number = static_cast<uint64_t>(fd);
            want(number, EVFILT_READ, i % 3 == 0 ? EV_CLEAR : i % 3 == 1 ? EV_ONESHOT : 0);
            want(number, EVFILT_WRITE, i % 2 == 0 ? EV_DISPATCH : 0);
            want(number, EVFILT_USER, i % 2 == 0 ? EV_CLEAR : 0, NOTE_TRIGGER);
            want(number, EVFILT_TIMER, EV_ONESHOT, NOTE_NSECONDS);
        }
    const auto count = static_cast<int>(changes.size());
    std::vector<struct kevent64_s> events(changes.size() + 100);
    ASSERT_EQ(::kevent64(q.fd(), changes.data(), count, nullptr, 0, 0, nullptr), 0);
    std::this_thread::sleep_for(milliseconds{2});  // until it is later
    ASSERT_EQ(::kevent64(q.fd(), nullptr, 0, events.data(), count + 100, 0, &kAtOnce), count);
    std::set<std::pair<int, uint64_t>> knotes;
    for (int i = 0; i < count; i++) {
        const struct kevent64_s& event = events[static_cast<size_t>(i)];
        EXPECT_TRUE(knotes.emplace(event.filter, event.ident).second);
        EXPECT_EQ(event.ext[0], event.ident);
    }
    for (struct kevent64_s& change : changes)
        change.flags |= EV_RECEIPT;
    ASSERT_EQ(::kevent64(q.fd(), changes.data(), count, events.data(), count, 0, nullptr), count);
    for (int i = 0; i < count; i++)
        EXPECT_EQ(events[static_cast<size_t>(i)].data, 0);
}

// As S23_WhatIsNotTrueAnyMoreTakesNoRoom.
TEST_F(FullList, S15_Kevent64FillsItsListToo) {
    const std::vector<Pair> early = make_ready(200);
    add(early, EVFILT_READ, EV_ADD | EV_CLEAR);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER)), 0);
    EXPECT_EQ(q.collect(1).size(), 1u);
    empty(early);
    const std::vector<Pair> late = make_ready(kMany);
    add(late, EVFILT_READ, EV_ADD);
    std::vector<struct kevent64_s> events(2 * static_cast<size_t>(kMany));
    EXPECT_EQ(::kevent64(q.fd(), nullptr, 0, events.data(), 150, 0, &kAtOnce), 150);
    EXPECT_EQ(::kevent64(q.fd(), nullptr, 0, events.data(), 2 * kMany, 0, &kAtOnce), kMany + 1);
}
#endif

}  // namespace
}  // namespace kqtest
