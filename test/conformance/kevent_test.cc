// SPDX-License-Identifier: BSD-2-Clause
// kevent() itself: its arguments, the order of its work, what it writes. to
//
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <map>

#include "support/kq.h"

namespace kqtest {
namespace {

class Kevent : public KqTest {};

// Room for `count` events that ends where memory ends: the byte after the last event, and the byte
// before the page of the first, cannot be touched.
class GuardedEvents {
  public:
    explicit GuardedEvents(size_t count) {
        const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
        size_ = 3 * page;
        void* map =
            ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        EXPECT_NE(map, MAP_FAILED);
        base_ = static_cast<char*>(map);
        EXPECT_EQ(::mprotect(base_, page, PROT_NONE), 0);
        EXPECT_EQ(::mprotect(base_ + 2 * page, page, PROT_NONE), 0);
        events_ = static_cast<Event*>(static_cast<void*>(base_ + 2 * page)) - count;
        for (size_t i = 0; i < count; i++)
            events_[i] = untouched();
    }
    GuardedEvents(const GuardedEvents&) = delete;
    ~GuardedEvents() { ::munmap(base_, size_); }

    static Event untouched() { return change(77, 77, 77, 77, 77, tag(77)); }
    Event* get() const { return events_; }
    Event& operator[](size_t i) const { return events_[i]; }

  private:
    size_t size_ = 0;
    char* base_ = nullptr;
    Event* events_ = nullptr;
};

void add_triggered(const Queue& q, std::initializer_list<int> numbers, int flags = EV_CLEAR) {
    for (const int i : numbers)
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, EV_ADD | flags, NOTE_TRIGGER)), 0);
}

TEST_F(Kevent, R14_NoDescriptorIsEbadf) {
    Event event = GuardedEvents::untouched();
    for (const int bad : {-1, INT_MIN, INT_MAX, free_number()}) {
        SCOPED_TRACE(bad);
        errno = 0;
        EXPECT_EQ(::kevent(bad, nullptr, 0, &event, 1, &kAtOnce), -1);
        EXPECT_EQ(errno, EBADF);
        errno = 0;
        EXPECT_EQ(::kevent(bad, nullptr, 0, nullptr, 0, nullptr), -1);
        EXPECT_EQ(errno, EBADF);
    }
    EXPECT_TRUE(same(event, GuardedEvents::untouched()));
}

TEST_F(Kevent, R15_ADescriptorThatIsNoKqueueIsEbadf) {
    const Pipe p = make_pipe();
    const TempFile file;
    const Pair sockets = make_socketpair(SOCK_STREAM);
    for (const int bad : {*p.read, *p.write, *file.fd, *sockets.first}) {
        SCOPED_TRACE(bad);
        Event event{};
        errno = 0;
        EXPECT_EQ(::kevent(bad, nullptr, 0, &event, 1, &kAtOnce), -1);
        EXPECT_EQ(errno, EBADF);
        const Event add = change(1, EVFILT_USER, EV_ADD);
        errno = 0;
        EXPECT_EQ(::kevent(bad, &add, 1, nullptr, 0, nullptr), -1);
        EXPECT_EQ(errno, EBADF);
    }
}

TEST_F(Kevent, R16_WithoutEventlistNothingIsAwaited) {
    const Queue q;
    EXPECT_EQ(q.call({}, 0, kForever).ret, 0);
    add_triggered(q, {1});
    EXPECT_EQ(q.call({}, 0, kForever).ret, 0);
    EXPECT_EQ(q.collect().size(), 1u) << "an event was consumed by a call that cannot return it";
}

TEST_F(Kevent, R17_WithoutEventlistTheTimeoutIsIgnored) {
    const Queue q;
    const timespec five_seconds{5, 0};
    const auto start = now();
    EXPECT_EQ(q.call({}, 0, &five_seconds).ret, 0);
    EXPECT_LT(since(start), milliseconds{2000});
}

TEST_F(Kevent, R18_WithoutEventlistTheTimeoutIsNotValidated) {
    const Queue q;
    for (const timespec bad : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
        const Result result = q.call({change(1, EVFILT_USER, EV_ADD)}, 0, &bad);
        EXPECT_EQ(result.ret, 0) << result;
    }
    EXPECT_TRUE(has_knote(q, 1, EVFILT_USER));
}

// D-5. Up front: nothing is applied.
TEST_F(Kevent, R44_ANegativeCountOfChangesIsEinval) {
    const Queue q;
    const GuardedEvents events(1);
    const Event add = change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER);
    for (const int count : {-1, INT_MIN}) {
        errno = 0;
        EXPECT_EQ(::kevent(q.fd(), &add, count, events.get(), 1, &kAtOnce), -1);
        EXPECT_EQ(errno, EINVAL);
    }
    EXPECT_TRUE(same(events[0], GuardedEvents::untouched()));
    EXPECT_FALSE(has_knote(q, 1, EVFILT_USER));
}

TEST_F(Kevent, R44_ANegativeCountOfEventsIsEinvalAndWritesNothing) {
    const Queue q;
    const GuardedEvents events(1);
    add_triggered(q, {1});
    const Event add = change(2, EVFILT_USER, EV_ADD, NOTE_TRIGGER);
    for (const int count : {-1, INT_MIN}) {
        errno = 0;
        EXPECT_EQ(::kevent(q.fd(), &add, 1, events.get(), count, &kAtOnce), -1);
        EXPECT_EQ(errno, EINVAL);
    }
    EXPECT_TRUE(same(events[0], GuardedEvents::untouched()));
    EXPECT_FALSE(has_knote(q, 2, EVFILT_USER));
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(Kevent, R45_AHugeCountOfEventsIsNotBelievedToBeMemory) {
    const Queue q;
    const GuardedEvents events(1);
    const timespec short_while{0, 1'000'000};
    EXPECT_EQ(::kevent(q.fd(), nullptr, 0, events.get(), INT_MAX, &short_while), 0);
    EXPECT_TRUE(same(events[0], GuardedEvents::untouched()));

    add_triggered(q, {1});
    EXPECT_EQ(::kevent(q.fd(), nullptr, 0, events.get(), INT_MAX, &kAtOnce), 1);
    expect_event(events[0], 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(Kevent, R46_AtMostNeventsEntriesAreWritten) {
    const Queue q;
    add_triggered(q, {1, 2, 3, 4, 5});
    const GuardedEvents events(2);
    EXPECT_EQ(::kevent(q.fd(), nullptr, 0, events.get(), 2, &kAtOnce), 2);
    EXPECT_EQ(events[0].ident, 1u);
    EXPECT_EQ(events[1].ident, 2u);
    EXPECT_EQ(::kevent(q.fd(), nullptr, 0, events.get(), 2, &kAtOnce), 2);
    EXPECT_EQ(events[0].ident, 3u);
    EXPECT_EQ(events[1].ident, 4u);
    events[1] = GuardedEvents::untouched();
    EXPECT_EQ(::kevent(q.fd(), nullptr, 0, events.get(), 2, &kAtOnce), 1);
    EXPECT_EQ(events[0].ident, 5u);
    EXPECT_TRUE(same(events[1], GuardedEvents::untouched()));
    expect_silent(q);
}

TEST_F(Kevent, R46_MoreEventsThanAnyInternalBufferHolds) {
    constexpr int kMany = 3000;
    const Queue q;
    std::vector<Event> changes;
    for (int i = 0; i < kMany; i++)
        changes.push_back(change(i, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER));
    const Result result = q.call(changes, kMany + 1, &kAtOnce);  // in one call
    ASSERT_EQ(result.ret, kMany);
    for (size_t i = 0; i < kMany; i++)
        ASSERT_EQ(result.events[i].ident, i);
    expect_silent(q);
}

TEST_F(Kevent, R46_MoreReadyDescriptorsThanAnyInternalBufferHolds) {
    constexpr size_t kMany = 600;
    const Queue q;
    std::vector<Pipe> pipes;
    for (size_t i = 0; i < kMany; i++) {
        pipes.push_back(make_pipe());
        write_bytes(*pipes[i].write, 1);
        ASSERT_EQ(q.apply(change(*pipes[i].read, EVFILT_READ, EV_ADD)), 0);
    }
    std::map<uintptr_t, int> seen;
    for (const Event& e : q.collect(kMany + 100))
        seen[e.ident]++;
    EXPECT_EQ(seen.size(), kMany);
    for (const auto& [ident, count] : seen)
        EXPECT_EQ(count, 1) << ident;
}

TEST_F(Kevent, R47_ReadyLevelKnotesTakeTurns) {
    const Queue q;
    std::vector<Pipe> pipes;
    for (size_t i = 0; i < 5; i++) {
        pipes.push_back(make_pipe());
        ASSERT_EQ(q.apply(change(*pipes[i].read, EVFILT_READ, EV_ADD)), 0);
        write_bytes(*pipes[i].write, 1);
    }
    std::map<uintptr_t, int> seen;
    for (int call = 0; call < 5; call++) {
        const auto events = q.collect(2);
        ASSERT_EQ(events.size(), 2u);
        for (const Event& e : events)
            seen[e.ident]++;
    }
    for (const Pipe& p : pipes)
        EXPECT_EQ(seen[static_cast<uintptr_t>(*p.read)], 2) << *p.read;
}

TEST_F(Kevent, R47_ReadAndWriteOfOneDescriptorTakeTurns) {
    const Queue q;
    const Pair s = make_socketpair(SOCK_STREAM);
    write_bytes(*s.second, 1);
    for (const int flags : {EV_ADD, EV_ADD | EV_CLEAR}) {
        SCOPED_TRACE(flags);
        ASSERT_EQ(
            q.apply(change(*s.first, EVFILT_READ, flags), change(*s.first, EVFILT_WRITE, flags)),
            0);
        const auto first = q.collect(1);
        const auto second = q.collect(1);
        ASSERT_EQ(first.size(), 1u);
        ASSERT_EQ(second.size(), 1u);
        if (first[0].filter == second[0].filter && skipped_edges_told_again(second)) return;
        EXPECT_NE(first[0].filter, second[0].filter);
        ASSERT_EQ(q.apply(change(*s.first, EVFILT_READ, EV_DELETE),
                          change(*s.first, EVFILT_WRITE, EV_DELETE)),
                  0);
    }
}

TEST_F(Kevent, R48_NoKnoteTwiceInOneCall) {
    const Queue q;
    const Pipe p = make_pipe();
    write_bytes(*p.write, 1);
    add_triggered(q, {1, 2}, 0);
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD), change(*p.write, EVFILT_WRITE, EV_ADD)),
              0);
    for (int call = 0; call < 3; call++) {
        std::map<std::pair<uintptr_t, int>, int> seen;
        for (const Event& e : q.collect(64))
            seen[{e.ident, e.filter}]++;
        EXPECT_EQ(seen.size(), 4u);
        for (const auto& [key, count] : seen)
            EXPECT_EQ(count, 1) << key.first;
    }
}

TEST_F(Kevent, R49_EventsComeInTheOrderOfTheirActivation) {
    const Queue q;
    for (int i = 1; i <= 3; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    for (const int i : {3, 1, 2, 3, 1})
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    EXPECT_EQ(idents(q.collect()), (std::vector<uintptr_t>{3, 1, 2}));
}

TEST_F(Kevent, R49_LevelKnotesKeepTheirOrderWhileTheyRotate) {
    const Queue q;
    for (int i = 1; i <= 3; i++)
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, EV_ADD)), 0);
    for (const int i : {3, 1, 2})
        ASSERT_EQ(q.apply(change(i, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    EXPECT_EQ(idents(q.collect(2)), (std::vector<uintptr_t>{3, 1}));
    EXPECT_EQ(idents(q.collect(2)), (std::vector<uintptr_t>{2, 3}));
    EXPECT_EQ(idents(q.collect(3)), (std::vector<uintptr_t>{1, 2, 3}));
}

TEST_F(Kevent, R25_ChangesAreAppliedBeforeEventsAreCollected) {
    const Queue q;
    const Result result =
        q.call({change(1, EVFILT_USER, EV_ADD | EV_CLEAR), change(1, EVFILT_USER, 0, NOTE_TRIGGER)},
               1, &kAtOnce);
    expect_only(result.events, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
}

TEST_F(Kevent, R26_ChangesAreAppliedInOrder) {
    const Queue q;
    const Result result =
        q.call({change(1, EVFILT_USER, EV_ADD | EV_CLEAR), change(1, EVFILT_USER, 0, NOTE_TRIGGER),
                change(1, EVFILT_USER, EV_DELETE)},
               1, &kAtOnce);
    EXPECT_EQ(result.ret, 0) << result;
    EXPECT_FALSE(has_knote(q, 1, EVFILT_USER));
}

TEST_F(Kevent, R26_AManyTimesChangedKnoteHasTheLastState) {
    const Queue q;
    std::vector<Event> changes;
    for (int i = 0; i < 1000; i++) {
        changes.push_back(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER, i));
        if (i % 3 == 0) changes.push_back(change(1, EVFILT_USER, EV_DELETE));  // so does 999
    }
    changes.push_back(
        change(1, EVFILT_USER, EV_ADD, NOTE_FFCOPY | 5u | NOTE_TRIGGER, 4711, tag(9)));
    const Result result = q.call(changes, 4, &kAtOnce);
    expect_only(result.events, 1, EVFILT_USER, EV_ADD, 5, 4711, tag(9));
}

TEST_F(Kevent, R27_OneArrayForChangesAndEvents) {
    const Queue q;
    Event list[] = {
        change(1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(1)),
        change(2, EVFILT_USER, EV_DELETE, 0, 0, tag(2)),
        change(3, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(3)),
    };
    const Event original[] = {list[0], list[1], list[2]};
    ASSERT_EQ(::kevent(q.fd(), list, 3, list, 3, nullptr), 1);
    expect_event(list[0], 2, EVFILT_USER, EV_DELETE | EV_ERROR, 0, ENOENT, tag(2));
    EXPECT_TRUE(same(list[1], original[1])) << to_string(list[1]);
    EXPECT_TRUE(same(list[2], original[2])) << to_string(list[2]);
    EXPECT_TRUE(has_knote(q, 1, EVFILT_USER));
    EXPECT_TRUE(has_knote(q, 3, EVFILT_USER));
}

TEST_F(Kevent, R27_OneArrayForManyReceipts) {
    const Queue q;
    std::vector<Event> list;
    for (int i = 0; i < 100; i++) {
        const int flags = i % 2 == 0 ? EV_ADD | EV_RECEIPT : EV_DELETE;
        list.push_back(change(i, EVFILT_USER, flags, 0, 0, tag(static_cast<uintptr_t>(i))));
    }
    const auto changes = list;
    ASSERT_EQ(::kevent(q.fd(), list.data(), 100, list.data(), 100, nullptr), 100);
    for (size_t i = 0; i < 100; i++)
        expect_event(list[i], i, EVFILT_USER, changes[i].flags | EV_ERROR, 0,
                     i % 2 == 0 ? 0 : ENOENT, tag(i));
}

TEST_F(Kevent, R27_OneArrayForChangesAndOrdinaryEvents) {
    const Queue q;
    Event list[] = {change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER, 0, tag(1)),
                    change(2, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER, 0, tag(2))};
    ASSERT_EQ(::kevent(q.fd(), list, 2, list, 2, nullptr), 2);
    expect_event(list[0], 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(1));
    expect_event(list[1], 2, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(2));
}

TEST_F(Kevent, TheChangelistIsNotWrittenTo) {
    const Queue q;
    const std::vector<Event> changes = {
        change(1, EVFILT_USER, EV_ADD | EV_RECEIPT, NOTE_TRIGGER, 3, tag(1)),
        change(2, EVFILT_USER, EV_DELETE, 0, 3, tag(2)),
        change(3, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 0, tag(3))};
    const auto copy = changes;
    EXPECT_EQ(q.call(changes, 8, &kAtOnce).ret, 2);
    for (size_t i = 0; i < changes.size(); i++)
        EXPECT_TRUE(same(changes[i], copy[i])) << to_string(changes[i]);
}

TEST_F(Kevent, SuccessLeavesErrnoAlone) {
    const Queue q;
    errno = E2BIG;
    Event event{};
    EXPECT_EQ(::kevent(q.fd(), nullptr, 0, &event, 1, &kAtOnce), 0);
    EXPECT_EQ(errno, E2BIG);
    const Event bad = change(1, EVFILT_USER, EV_DELETE);
    EXPECT_EQ(::kevent(q.fd(), &bad, 1, &event, 1, &kAtOnce), 1);
    EXPECT_EQ(errno, E2BIG);
}

}  // namespace
}  // namespace kqtest
