// SPDX-License-Identifier: BSD-2-Clause
// Order of delivery, the marker, fairness. Even with a small eventlist no event is lost, and every
// knote has its turn.; semantics 2.5.
#include <algorithm>

#include "sim_test.h"

namespace sim {
namespace {

using std::vector;

class Order : public Sim {};

constexpr unsigned kTrigger = NOTE_TRIGGER;

//
TEST_F(Order, UserEventsComeInTheOrderOfTheirTriggers) {
    Queue q;
    for (const int ident : {1, 2, 3})
        ASSERT_EQ(q.change(ident, EVFILT_USER, EV_ADD | EV_CLEAR), Errno::ok);
    for (const int ident : {3, 1, 2, 3, 1})
        ASSERT_EQ(q.change(ident, EVFILT_USER, 0, kTrigger), Errno::ok);
    EXPECT_EQ(idents(q.wait()), (vector{3, 1, 2}));
    EXPECT_EQ(idents(q.wait()), vector<int>());
}

//
TEST_F(Order, LevelKnotesTakeTurns) {
    Queue q;
    vector<int> fds;
    for (int i = 0; i < 5; i++)
        fds.push_back(readable());
    for (const int fd : fds)
        ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
    vector<int> seen;
    for (int i = 0; i < 5; i++) {
        const Kevents events = q.wait(2);
        EXPECT_EQ(events.size(), 2u);
        for (const int fd : idents(events))
            seen.push_back(fd);
    }
    for (const int fd : fds)
        EXPECT_EQ(std::count(seen.begin(), seen.end(), fd), 2) << fd;
}

TEST_F(Order, LevelUserKnotesTakeTurns) {
    Queue q;
    for (const int ident : {1, 2, 3})
        ASSERT_EQ(q.change(ident, EVFILT_USER, EV_ADD, kTrigger), Errno::ok);
    vector<int> seen;
    for (int i = 0; i < 6; i++)
        for (const int ident : idents(q.wait(1)))
            seen.push_back(ident);
    EXPECT_EQ(seen, (vector{1, 2, 3, 1, 2, 3}));
}

// knotes that were queued again stand behind the marker, and must wait for the next call.
TEST_F(Order, NobodyIsReportedTwiceInACall) {
    Queue q;
    const int fd = readable();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
    ASSERT_EQ(q.change(1, EVFILT_USER, EV_ADD, kTrigger), Errno::ok);
    const int file = regular(10);
    ASSERT_EQ(q.change(file, EVFILT_READ, EV_ADD), Errno::ok);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(q.wait(100).size(), 3u);
}

// Level knotes that the kernel backs, level knotes of the library, and files. The eventlist has one
// place. All kinds must have their turn.
TEST_F(Order, NoKindStarvesAnother) {
    Queue q;
    vector<int> all;
    for (int i = 0; i < 3; i++) {
        const int fd = readable();
        const int file = regular(7);
        ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
        ASSERT_EQ(q.change(file, EVFILT_READ, EV_ADD), Errno::ok);
        ASSERT_EQ(q.change(1000 + i, EVFILT_USER, EV_ADD, kTrigger), Errno::ok);
        for (const int ident : {fd, file, 1000 + i})
            all.push_back(ident);
    }
    for (const int room : {1, 2, 4}) {
        vector<int> seen;
        for (int i = 0; i < 40 / room; i++)
            for (const int ident : idents(q.wait(room)))
                seen.push_back(ident);
        for (const int ident : all)
            EXPECT_GE(std::count(seen.begin(), seen.end(), ident), 2)
                << ident << " with room for " << room;
    }
}

// In every mode, an event that does not fit into this call comes in a later one.
TEST_F(Order, NothingIsLostWithRoomForOne) {
    for (const unsigned mode : {0u, unsigned{EV_CLEAR}, unsigned{EV_ONESHOT}, unsigned{EV_DISPATCH},
                                EV_DISPATCH | EV_CLEAR | 0u}) {
        SCOPED_TRACE(mode);
        reset();
        Queue q;
        vector<int> expected;
        for (int i = 0; i < 4; i++) {
            const int fd = readable();
            world().room(fd, 100);
            ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | mode), Errno::ok);
            ASSERT_EQ(q.change(fd, EVFILT_WRITE, EV_ADD | mode), Errno::ok);
            ASSERT_EQ(q.change(100 + i, EVFILT_USER, EV_ADD | mode, kTrigger), Errno::ok);
            ASSERT_EQ(q.change(200 + i, EVFILT_TIMER, EV_ADD | mode, 0, 5), Errno::ok);
            expected.insert(expected.end(), {fd, fd, 100 + i, 200 + i});
        }
        world().advance(5 * kMillisecond);
        vector<int> seen;
        for (int i = 0; i < 60; i++) {
            const vector<int> got = idents(q.wait(1));
            if (mode != 0 && got.empty()) break;
            seen.insert(seen.end(), got.begin(), got.end());
        }
        std::sort(seen.begin(), seen.end());
        std::sort(expected.begin(), expected.end());
        if (mode == 0) seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
        if (mode == 0)
            expected.erase(std::unique(expected.begin(), expected.end()), expected.end());
        EXPECT_EQ(seen, expected);
        EXPECT_EQ(q.readable(), mode == 0);
    }
}

// This was a bug of another library: READ and WRITE, both with EV_CLEAR, on one descriptor.
TEST_F(Order, BothDirectionsByEdgeWithRoomForOne) {
    Queue q;
    const int fd = readable(3);
    world().room(fd, 100);
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    ASSERT_EQ(q.change(fd, EVFILT_WRITE, EV_ADD | EV_CLEAR), Errno::ok);
    const Kevents first = q.wait(1);
    EXPECT_TRUE(q.readable());
    const Kevents second = q.wait(1);
    ASSERT_EQ(first.size() + second.size(), 2u);
    EXPECT_EQ(first[0].filter + second[0].filter, EVFILT_READ + EVFILT_WRITE);
    EXPECT_TRUE(q.wait(1).empty());
    EXPECT_FALSE(q.readable());
}

// A call that may not wait must return an event if there is one, whatever stands before it.
TEST_F(Order, APollSeesPastAKnoteThatIsNoLongerTrue) {
    Queue q;
    const int first = quiet();
    const int second = quiet();
    for (const int fd : {first, second})
        ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    world().feed(first, 1);
    // The user event takes the only place. The report that was collected from the kernel waits.
    EXPECT_EQ(idents(q.wait(1, 0, {change(1, EVFILT_USER, EV_ADD | EV_CLEAR, kTrigger)})),
              vector{1});
    drain(first);
    world().feed(second, 1);
    EXPECT_EQ(idents(q.wait(1)), vector{second});
}

// Disabled knotes are silenced lazily, so some reports are no event. They must hide no event.
TEST_F(Order, APollSeesPastReportsOfDisabledKnotes) {
    Queue q;
    for (int i = 0; i < 100; i++) {
        const int fd = readable();
        ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD), Errno::ok);
        ASSERT_EQ(q.change(fd, EVFILT_READ, EV_DISABLE), Errno::ok);
    }
    const int last = readable();
    ASSERT_EQ(q.change(last, EVFILT_READ, EV_ADD), Errno::ok);
    EXPECT_EQ(idents(q.wait(1)), vector{last});
}

// a knote is deleted while its event is pending.
TEST_F(Order, DeletingTakesBackWhatIsPending) {
    Queue q;
    EXPECT_TRUE(q.wait(1, 0,
                       {change(1, EVFILT_USER, EV_ADD | EV_CLEAR),
                        change(1, EVFILT_USER, 0, kTrigger), change(1, EVFILT_USER, EV_DELETE)})
                    .empty());
    EXPECT_EQ(q.change(1, EVFILT_USER, 0, kTrigger), Errno::no_entry);
    const int fd = readable();
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    ASSERT_EQ(q.change(2, EVFILT_USER, EV_ADD, kTrigger), Errno::ok);
    EXPECT_EQ(q.wait(1).size(), 1u);
    ASSERT_EQ(q.change(fd, EVFILT_READ, EV_DELETE), Errno::ok);
    ASSERT_EQ(q.change(2, EVFILT_USER, EV_DELETE), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
}

}  // namespace
}  // namespace sim
