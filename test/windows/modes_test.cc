// SPDX-License-Identifier: BSD-2-Clause
// EV_CLEAR, EV_ONESHOT, EV_DISPATCH and EV_DISABLE on sockets. The kernel reports the state of a
// socket only once.
#include "support.h"

namespace kqtest {
namespace {

TEST(Modes, R95_R96_ClearTellsOnceAndMoreIsNews) {
    Queue q;
    const Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    pair.b.send("abc");
    SinceEdge edge;
    EXPECT_EQ(q.one().data, 3);
    q.expect_none(milliseconds(50), edge);
    pair.b.send("de");
    edge.told();
    EXPECT_EQ(q.one().data, 5);
    q.expect_none(milliseconds(0), edge);
}

TEST(Modes, R95_ClearAfterAllWasRead) {
    Queue q;
    const Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    for (int i = 0; i < 20; i++) {
        pair.b.send("x");
        EXPECT_EQ(q.one().data, 1);
        EXPECT_EQ(pair.a.receive(), "x");
        q.expect_none();
    }
}

TEST(Modes, R96_ASleeperHearsOfTheNextEdge) {
    Queue q;
    const Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    pair.b.send("x");
    const SinceEdge edge;
    EXPECT_EQ(q.one().data, 1);
    std::thread writer([&] {
        std::this_thread::sleep_for(milliseconds(30));
        pair.b.send("y");
    });
    intptr_t data = q.one().data;
    while (data == 1 && edge.is_long())
        data = q.one().data;
    EXPECT_EQ(data, 2);
    writer.join();
}

TEST(Modes, R98_R99_AddingAndEnablingTellAgain) {
    Queue q;
    const Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    pair.b.send("abc");
    EXPECT_EQ(q.one().data, 3);
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(q.one().data, 3);
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_DISABLE), 0);
    q.expect_none();
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ENABLE), 0);
    EXPECT_EQ(q.one().data, 3);
}

TEST(Modes, R88_OneShot) {
    Queue q;
    const Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | EV_ONESHOT), 0);
    pair.b.send("x");
    EXPECT_EQ(q.one().data, 1);
    q.expect_none(milliseconds(20));
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_DELETE), ENOENT);
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | EV_ONESHOT), 0);
    EXPECT_EQ(q.one().data, 1);
}

TEST(Modes, R91_R92_Dispatch) {
    Queue q;
    const Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | EV_DISPATCH), 0);
    pair.b.send("x");
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(q.one().data, 1);
        q.expect_none(milliseconds(10));
        EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ENABLE), 0);
    }
}

TEST(Modes, R82_R84_Disabled) {
    Queue q;
    const Pair pair;
    pair.b.send("x");
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD | EV_DISABLE), 0);
    q.expect_none(milliseconds(10));
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ENABLE), 0);
    EXPECT_EQ(q.one().data, 1);
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_DISABLE), 0);
    q.expect_none();
    EXPECT_EQ(pair.a.receive(), "x");
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ENABLE), 0);
    q.expect_none(milliseconds(10));
}

TEST(Modes, R87_DeleteDropsWhatIsPending) {
    Queue q;
    const Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    q.expect_none();
    pair.b.send("x");
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_DELETE), 0);
    q.expect_none(milliseconds(10));
}

TEST(Modes, R90_StaleReportsAreNotTold) {
    Queue q;
    const Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    q.expect_none();
    pair.b.send("x");
    std::this_thread::sleep_for(milliseconds(20));
    EXPECT_EQ(pair.a.receive(), "x");
    q.expect_none(milliseconds(10));
    pair.b.send("y");
    EXPECT_EQ(q.one().data, 1);
}

TEST(Modes, R6_AnAddOfAnotherThreadIsArmedForTheSleeper) {
    Queue q;
    const Pair pair;
    std::thread sleeper([&] { EXPECT_EQ(q.one().ident, static_cast<uintptr_t>(pair.a)); });
    std::this_thread::sleep_for(milliseconds(30));
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    std::this_thread::sleep_for(milliseconds(30));
    pair.b.send("x");
    sleeper.join();
}

}  // namespace
}  // namespace kqtest
