// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_EXCEPT as the loop of an event library uses it (semantics 5.4). Each descriptor has a
// watcher that wants to hear of reading, writing and urgent data. The changes of a turn go into one
// list, which also takes the events. A filter that the watcher no longer wants is deleted when it
// reports. libuv's tests of prioritized polling check the same.
#include <sys/socket.h>

#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

enum What : unsigned { kIn = 1, kOut = 2, kUrgent = 4, kEnd = 8 };

using Told = std::map<int, unsigned>;  // descriptor -> What

class Loop {
  public:
    // The next turn tells the kqueue.
    void want(int fd, unsigned what) { watchers_[fd].wanted = what; }
    // The descriptor is about to be closed.
    void forget(int fd) { watchers_.erase(fd); }

    Told turn(milliseconds limit) {
        fill();
        const timespec timeout = to_timespec(limit);
        const int count = ::kevent(q_.fd(), list_.data(), static_cast<int>(changes_), list_.data(),
                                   kRoom, &timeout);
        EXPECT_GE(count, 0) << errno;
        Told told;
        for (int i = 0; i < count; i++)
            take(list_[static_cast<size_t>(i)], told);
        return told;
    }
    // Turns until so many descriptors have reported something. Returns what each reported.
    Told turns(size_t count) {
        Told all;
        for (const auto start = now(); all.size() < count && since(start) < time_limit();)
            for (const auto& [fd, what] : turn(time_limit()))
                all[fd] |= what;
        return all;
    }
    [[nodiscard]] size_t changes() const { return changes_; }  // of the last turn
    [[nodiscard]] const std::vector<Event>& errors() const { return errors_; }

  private:
    static constexpr int kRoom = 512;
    struct Watcher {
        unsigned wanted = 0;
        unsigned known = 0;  // what the kqueue was told
    };

    static int filter_of(unsigned what) {
        return what == kIn ? EVFILT_READ : what == kOut ? EVFILT_WRITE : EVFILT_EXCEPT;
    }
    static Event change_of(int fd, unsigned what, int flags) {
        return change(fd, filter_of(what), flags, what == kUrgent ? NOTE_OOB : 0);
    }

    void fill() {
        changes_ = 0;
        for (auto& [fd, watcher] : watchers_) {
            for (const unsigned what : {kIn, kOut, kUrgent})
                if ((watcher.wanted & ~watcher.known & what) != 0)
                    list_[changes_++] = change_of(fd, what, EV_ADD);
            watcher.known |= watcher.wanted;
        }
    }

    void take(const Event& event, Told& told) {
        const int fd = static_cast<int>(event.ident);
        if ((event.flags & EV_ERROR) != 0) return errors_.push_back(event);
        const auto at = watchers_.find(fd);
        ASSERT_NE(at, watchers_.end()) << to_string(event);
        const unsigned what = event.filter == EVFILT_READ    ? kIn
                              : event.filter == EVFILT_WRITE ? kOut
                                                             : kUrgent;
        if ((at->second.wanted & what) == 0) {
            EXPECT_EQ(q_.apply(change_of(fd, what, EV_DELETE)), 0);
            at->second.known &= ~what;
            return;
        }
        told[fd] |= what | ((event.flags & EV_EOF) != 0 ? kEnd : 0u);
        if (what == kUrgent && (event.flags & EV_EOF) == 0) {
            EXPECT_EQ(event.fflags, unsigned{NOTE_OOB});
        }
    }

    Queue q_;
    std::map<int, Watcher> watchers_;
    std::vector<Event> list_{size_t{kRoom}};
    size_t changes_ = 0;
    std::vector<Event> errors_;
};

class ExceptLoop : public KqTest {
  protected:
    static void send_urgent(int from, int to) {
        ASSERT_EQ(::send(from, "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
        ASSERT_TRUE(wait_for(to, POLLPRI));
    }
    // Two turns: in the first one a filter that is not wanted may report, and is deleted.
    static void expect_idle(Loop& loop) {
        for (int i = 0; i < 2; i++)
            EXPECT_EQ(loop.turn(milliseconds{0}), Told{});
    }

    Loop loop;
};

TEST_F(ExceptLoop, S54_AServerReadsUrgentAndOrdinaryData) {
    constexpr int kRounds = 10;
    const Listener listener = make_listener();
    const Fd client = listener.connect();
    loop.want(*listener.fd, kIn);
    ASSERT_EQ(loop.turns(1), (Told{{*listener.fd, kIn}}));
    const Fd server = listener.accept();
    loop.want(*server, kIn | kUrgent);
    expect_idle(loop);

    std::string ordinary;
    int urgent = 0;
    const auto serve = [&](unsigned what) {
        char bytes[64];
        // Only one read, which stops at the mark. So the urgent byte is still there.
        const ssize_t count = (what & kIn) == 0 ? 0 : ::recv(*server, bytes, sizeof bytes, 0);
        if (count > 0) ordinary.append(bytes, static_cast<size_t>(count));
        if ((what & kUrgent) == 0) return;
        // An urgent byte that was taken is reported on, until a byte behind it is read.
        if (::recv(*server, bytes, 1, MSG_OOB) == 1) urgent += bytes[0] == 'o' ? 1 : 100;
    };
    for (int round = 1; round <= kRounds; round++) {
        ASSERT_EQ(::send(*client, "hello", 5, MSG_OOB | MSG_NOSIGNAL), 5);
        const auto start = now();
        while ((urgent < round || ordinary.size() < 4 * static_cast<size_t>(round)) &&
               since(start) < time_limit())
            for (const auto& [fd, what] : loop.turn(time_limit()))
                serve(what);
        ASSERT_EQ(urgent, round);
        ASSERT_EQ(ordinary.substr(ordinary.size() - 4), "hell");
    }
    EXPECT_EQ(ordinary.size(), size_t{4} * kRounds);
    write_bytes(*client, 1);
    ASSERT_TRUE(wait_for(*server, POLLIN));
    read_bytes(*server, 1);
    expect_idle(loop);
}

TEST_F(ExceptLoop, S54_OneListOfManyChangesAndEvents) {
    constexpr size_t kCount = 60;
    std::vector<Pair> pairs;
    Told writable;
    Told expected;
    for (size_t i = 0; i < kCount; i++) {
        pairs.push_back(make_tcp_pair());
        const int fd = *pairs[i].first;
        loop.want(fd, kIn | kOut | kUrgent);
        writable[fd] = kOut;
        if (i % 3 != 2) expected[fd] = i % 3 == 0 ? kUrgent : kIn;
    }
    EXPECT_EQ(loop.turns(kCount), writable);
    EXPECT_EQ(loop.turn(milliseconds{0}), writable);
    EXPECT_EQ(loop.changes(), 0u);
    for (const Pair& pair : pairs)
        loop.want(*pair.first, kIn | kUrgent);
    expect_idle(loop);  // here EVFILT_WRITE is deleted
    for (size_t i = 0; i < kCount; i++) {
        if (i % 3 == 0) send_urgent(*pairs[i].second, *pairs[i].first);
        if (i % 3 == 1) write_bytes(*pairs[i].second, 3);
    }
    EXPECT_EQ(loop.turns(expected.size()), expected);
    EXPECT_EQ(loop.turn(milliseconds{0}), expected);
}

TEST_F(ExceptLoop, S54_WhatIsNotWantedAnyMoreIsDeletedAndComesAgain) {
    const Pair tcp = make_tcp_pair();
    const int fd = *tcp.first;
    loop.want(fd, kIn | kUrgent);
    send_urgent(*tcp.second, fd);
    EXPECT_EQ(loop.turns(1), (Told{{fd, kUrgent}}));
    loop.want(fd, kIn);
    expect_idle(loop);
    write_bytes(*tcp.second, 3);
    ASSERT_TRUE(wait_for(fd, POLLIN));
    EXPECT_EQ(loop.turns(1), (Told{{fd, kIn}}));
    loop.want(fd, kUrgent);
    EXPECT_EQ(loop.turn(milliseconds{0}), (Told{{fd, kUrgent}}));
    loop.want(fd, kIn | kOut | kUrgent);
    EXPECT_EQ(loop.turn(milliseconds{0}), (Told{{fd, kIn | kOut | kUrgent}}));
}

TEST_F(ExceptLoop, R91_ReArmingManyAtOnce) {
    constexpr size_t kCount = 12;
    const Queue q;
    std::vector<Pair> pairs;
    std::vector<Event> add;
    std::vector<Event> enable;
    for (size_t i = 0; i < kCount; i++) {
        pairs.push_back(make_tcp_pair());
        for (const int filter : {EVFILT_READ, EVFILT_WRITE, EVFILT_EXCEPT}) {
            const unsigned notes = filter == EVFILT_EXCEPT ? NOTE_OOB : 0;
            add.push_back(change(*pairs[i].first, filter, EV_ADD | EV_DISPATCH, notes));
            enable.push_back(change(*pairs[i].first, filter, EV_ENABLE));
        }
        send_urgent(*pairs[i].second, *pairs[i].first);
        write_bytes(*pairs[i].second, 1);  // behind the mark
        ASSERT_TRUE(wait_for(*pairs[i].first, POLLIN));
    }
    ASSERT_EQ(q.apply(add), 0);
    for (int round = 0; round < 3; round++) {
        std::map<std::pair<uintptr_t, int>, int> seen;
        size_t count = 0;
        for (const Event& event : q.collect(64)) {
            seen[{event.ident, event.filter}]++;
            count++;
        }
        EXPECT_EQ(seen.size(), kCount * 3);
        EXPECT_EQ(count, seen.size());
        expect_none(q.collect(64));
        ASSERT_EQ(q.apply(enable), 0);
    }
}

TEST_F(ExceptLoop, R291_OneThatIsClosedByTheHandlerOfAnother) {
    Pair a = make_tcp_pair();
    Pair b = make_tcp_pair();
    for (const Pair* pair : {&a, &b}) {
        loop.want(*pair->first, kIn | kUrgent);
        send_urgent(*pair->second, *pair->first);
    }
    EXPECT_EQ(loop.turns(2).size(), 2u);
    const int number = *b.first;
    loop.forget(number);
    b.first.reset();
    EXPECT_EQ(loop.turn(milliseconds{0}), (Told{{*a.first, kUrgent}}));
    const Pair other = make_tcp_pair();  // one end has the closed number
    loop.want(*other.first, kIn | kUrgent);
    loop.want(*other.second, kIn | kUrgent);
    EXPECT_EQ(loop.turn(milliseconds{0}), (Told{{*a.first, kUrgent}}));
    EXPECT_EQ(loop.changes(), 4u);
}

TEST_F(ExceptLoop, S54_TheEndOfThePeerIsToldToBoth) {
    Pair tcp = make_tcp_pair();
    const int fd = *tcp.first;
    loop.want(fd, kIn | kUrgent);
    expect_idle(loop);
    tcp.second.reset();
    unsigned what = 0;
    for (const auto start = now(); what != (kIn | kUrgent | kEnd) && since(start) < time_limit();)
        what |= loop.turn(time_limit())[fd];
    EXPECT_EQ(what, unsigned{kIn | kUrgent | kEnd});
}

TEST_F(ExceptLoop, R70_OneThatIsClosedLeavesTheOthersOfTheList) {
    const Pair tcp = make_tcp_pair();
    const int closed = free_number();
    send_urgent(*tcp.second, *tcp.first);
    loop.want(closed, kIn | kUrgent);
    loop.want(*tcp.first, kIn | kOut | kUrgent);
    EXPECT_EQ(loop.turn(milliseconds{0}), Told{});  // the errors alone
    ASSERT_EQ(loop.errors().size(), 2u);
    for (const Event& error : loop.errors()) {
        EXPECT_EQ(error.ident, static_cast<uintptr_t>(closed));
        EXPECT_EQ(error.data, EBADF);
    }
    EXPECT_EQ(loop.turn(milliseconds{0}), (Told{{*tcp.first, kOut | kUrgent}}));
}

}  // namespace
}  // namespace kqtest
