// SPDX-License-Identifier: BSD-2-Clause
// Pipes and files of the C library; kqueues in kqueues.
#include "support.h"

namespace kqtest {
namespace {

TEST(Pipe, R129_DataAndEnd) {
    Queue q;
    Pipe pipe;
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_ADD), 0);
    q.expect_none();
    EXPECT_EQ(_write(pipe.ends[1], "abc", 3), 3);
    EXPECT_EQ(q.one().data, 3);
    EXPECT_EQ(q.one().data, 3);
    char buffer[8];
    EXPECT_EQ(_read(pipe.ends[0], buffer, 8), 3);
    q.expect_none();
    pipe.close(1);
    const struct kevent event = q.one();
    EXPECT_NE(event.flags & EV_EOF, 0);
    EXPECT_EQ(event.data, 0);
}

TEST(Pipe, R129_ASleeperHears) {
    Queue q;
    Pipe pipe;
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_ADD), 0);
    std::thread writer([&] {
        std::this_thread::sleep_for(milliseconds(50));
        EXPECT_EQ(_write(pipe.ends[1], "abc", 3), 3);
    });
    const auto begin = Clock::now();
    EXPECT_EQ(q.one().data, 3);
    EXPECT_LT(Clock::now() - begin, milliseconds(3000));
    writer.join();
}

TEST(Pipe, R95_Clear) {
    Queue q;
    Pipe pipe;
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(_write(pipe.ends[1], "abc", 3), 3);
    SinceEdge edge;
    EXPECT_EQ(q.one().data, 3);
    q.expect_none(milliseconds(50), edge);
    EXPECT_EQ(_write(pipe.ends[1], "de", 2), 2);
    EXPECT_EQ(q.one().data, 5);
}

// No look can see that the byte is another one. So the edge is told again after a while: W-EDGE.
TEST(Pipe, R97_AsMuchAsBeforeIsNotLost) {
    Queue q;
    const Pipe pipe;
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    for (int i = 0; i < 3; i++) {
        EXPECT_EQ(_write(pipe.ends[1], "a", 1), 1);
        EXPECT_EQ(q.one().data, 1);
        char buffer[8];
        EXPECT_EQ(_read(pipe.ends[0], buffer, 8), 1);
    }
}

TEST(Pipe, R95_TheEndIsToldOnce) {
    Queue q;
    Pipe pipe;
    EXPECT_EQ(_write(pipe.ends[1], "abc", 3), 3);
    pipe.close(1);
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    EXPECT_NE(q.one().flags & EV_EOF, 0);
    char buffer[8];
    EXPECT_EQ(_read(pipe.ends[0], buffer, 8), 3);
    q.expect_none(milliseconds(30));
}

// A knote was reported once and goes. Another knote takes its place in the list.
TEST(Pipe, R47_AllAreLookedAtBesideOneShots) {
    Queue q;
    Pipe first;
    const Pipe second;
    EXPECT_EQ(q.change(first.ends[0], EVFILT_READ, EV_ADD | EV_DISPATCH), 0);
    EXPECT_EQ(q.change(first.ends[0], EVFILT_WRITE, EV_ADD), 0);
    q.expect_none();
    EXPECT_EQ(q.change(second.ends[0], EVFILT_READ, EV_ADD), 0);
    first.close(1);
    EXPECT_EQ(q.collect().size(), 2u);
}

// The numbers and handles are used again, for a pipe that is not watched.
TEST(Pipe, R290_AnotherPipeHasTheNumber) {
    int reused = 0;
    for (int i = 0; i < 10; i++) {
        Queue q;
        Pipe old;
        EXPECT_EQ(q.change(old.ends[1], EVFILT_WRITE, EV_ADD), 0);
        EXPECT_EQ(q.change(old.ends[0], EVFILT_READ, EV_ADD), 0);
        const int number = old.ends[1];
        const intptr_t handle = _get_osfhandle(number);
        old.close(0);
        old.close(1);
        const Pipe fresh;
        EXPECT_EQ(_write(fresh.ends[1], "x", 1), 1);
        if (fresh.ends[1] == number && _get_osfhandle(number) == handle) reused++;
        q.expect_none();
        EXPECT_EQ(q.change(number, EVFILT_WRITE, EV_DELETE), ENOENT);
    }
    EXPECT_GT(reused, 5);  // otherwise nothing was tested
}

TEST(Pipe, R88_R91_OneShotAndDispatch) {
    Queue q;
    Pipe pipe;
    EXPECT_EQ(_write(pipe.ends[1], "abc", 3), 3);
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_ADD | EV_DISPATCH), 0);
    EXPECT_EQ(q.one().data, 3);
    q.expect_none(milliseconds(30));
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_ENABLE), 0);
    EXPECT_EQ(q.one().data, 3);
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_DELETE), 0);
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_ADD | EV_ONESHOT), 0);
    EXPECT_EQ(q.one().data, 3);
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_DELETE), ENOENT);
}

// Some events come from looking, and others from packets. Neither kind must keep the other from
// being reported.
TEST(Pipe, R47_TurnsWithASocket) {
    Queue q;
    Pipe pipe;
    const Pair pair;
    EXPECT_EQ(_write(pipe.ends[1], "abc", 3), 3);
    pair.b.send("x");
    EXPECT_EQ(q.change(pipe.ends[0], EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    int sockets = 0;
    for (int i = 0; i < 10; i++)
        for (const struct kevent& event : q.wait(1))
            if (event.ident == pair.a) sockets++;
    EXPECT_GE(sockets, 4);
    EXPECT_LE(sockets, 6);
}

TEST(Pipe, R161_R163_Writing) {
    Queue q;
    Pipe pipe;
    EXPECT_EQ(q.change(pipe.ends[1], EVFILT_WRITE, EV_ADD), 0);
    EXPECT_GT(q.one().data, 0);
    pipe.close(0);
    EXPECT_NE(q.one().flags & EV_EOF, 0);
}

TEST(Pipe, R292_AnotherPipeOfTheSameNumber) {
    Queue q;
    Pipe first;
    EXPECT_EQ(q.change(first.ends[0], EVFILT_READ, EV_ADD), 0);
    const int number = first.ends[0];
    first.close(0);
    first.close(1);
    Pipe second;
    ASSERT_EQ(second.ends[0], number);
    EXPECT_EQ(_write(second.ends[1], "abc", 3), 3);
    EXPECT_EQ(q.change(number, EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(q.one().data, 3);
}

TEST(File, R135_R136_R138_ToTheEnd) {
    Queue q;
    const File file(std::string(100, 'x'));
    EXPECT_EQ(q.change(file.fd, EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(q.one().data, 100);
    EXPECT_EQ(q.one().data, 100);
    _lseek(file.fd, 99, SEEK_SET);
    EXPECT_EQ(q.one().data, 1);
    _lseek(file.fd, 0, SEEK_END);
    q.expect_none();
    file.write("abcd");
    _lseek(file.fd, -4, SEEK_CUR);
    EXPECT_EQ(q.one().data, 4);
}

TEST(File, R165_Writing) {
    Queue q;
    const File file;
    EXPECT_EQ(q.change(file.fd, EVFILT_WRITE, EV_ADD), 0);
    EXPECT_EQ(q.one().data, 0);
    EXPECT_EQ(q.one().filter, EVFILT_WRITE);
}

// W-IDENT: a socket and a kqueue may have the same number.
TEST(Numbers, ASocketComesBeforeAKqueue) {
    Queue q;
    const Pair pair;
    std::vector<int> others;
    while (others.size() < 1000 &&
           (others.empty() || others.back() < static_cast<int>(pair.a.get())))
        others.push_back(kqueue());
    ASSERT_EQ(others.back(), static_cast<int>(pair.a.get()));
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(q.change(pair.a, EVFILT_WRITE, EV_ADD | EV_ONESHOT), 0);
    EXPECT_EQ(q.one().filter, EVFILT_WRITE);
    pair.b.send("x");
    EXPECT_EQ(q.one().data, 1);
    for (const int other : others)
        EXPECT_EQ(_close(other), 0);
    EXPECT_EQ(q.one().data, 1);
}

TEST(Nested, R63_OnlyForReadingAndNotItself) {
    Queue outer;
    Queue inner;
    EXPECT_EQ(outer.change(inner.fd(), EVFILT_WRITE, EV_ADD), EINVAL);
    EXPECT_EQ(outer.change(outer.fd(), EVFILT_READ, EV_ADD), EINVAL);
}

TEST(Nested, R63_CountsWhatIsPending) {
    Queue outer;
    Queue inner;
    EXPECT_EQ(outer.change(inner.fd(), EVFILT_READ, EV_ADD), 0);
    outer.expect_none(milliseconds(50));
    EXPECT_EQ(inner.change(1, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(inner.change(1, EVFILT_USER, 0, NOTE_TRIGGER), 0);
    EXPECT_EQ(outer.one().data, 1);
    EXPECT_EQ(inner.one().ident, 1u);
    outer.expect_none(milliseconds(50));
    EXPECT_EQ(inner.change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 10), 0);
    EXPECT_EQ(outer.one().data, 1);
    EXPECT_EQ(inner.one().ident, 2u);
    const Pair pair;
    EXPECT_EQ(inner.change(pair.a, EVFILT_READ, EV_ADD), 0);
    outer.expect_none(milliseconds(50));
    pair.b.send("x");
    EXPECT_EQ(outer.one().data, 1);
    EXPECT_EQ(inner.one().data, 1);
    EXPECT_EQ(outer.one().data, 1);
    EXPECT_EQ(pair.a.receive(), "x");
    inner.expect_none();  // until this call the knote may still be counted: W-NEST
    outer.expect_none(milliseconds(50));
}

TEST(Nested, AnInnerOneThatLooksItself) {
    Queue outer;
    Queue inner;
    Pipe pipe;
    EXPECT_EQ(inner.change(pipe.ends[0], EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(outer.change(inner.fd(), EVFILT_READ, EV_ADD), 0);
    outer.expect_none(milliseconds(100));
    EXPECT_EQ(_write(pipe.ends[1], "abc", 3), 3);
    EXPECT_EQ(outer.one().data, 1);
}

}  // namespace
}  // namespace kqtest
