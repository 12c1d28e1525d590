// SPDX-License-Identifier: BSD-2-Clause
// The program closes a watched descriptor, and the next descriptor that the library opens for
// itself gets the number. What the program does with that number must not affect the library's
// descriptor.
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "support/kq.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

// How the closed descriptor was watched, and what is done to it afterwards.
struct Case {
    const char* name;
    int flags;
    int change;
};
std::ostream& operator<<(std::ostream& out, const Case& one) {
    return out << one.name;
}

class OwnNumbers : public KqTest, public testing::WithParamInterface<Case> {
  protected:
    // Watches one end of a pipe, and closes it: its number is the next one to be given.
    void watch_and_close() {
        Pipe pipe = make_pipe();
        number = *pipe.read;
        other = std::move(pipe.write);
        ASSERT_EQ(q.apply(change(number, EVFILT_READ, EV_ADD | GetParam().flags)), 0);
        ::close(pipe.read.release());
    }
    // one of the two. That an enabled knote is enabled may be no news to anybody.
    void touch_the_number() const {
        const int error = q.apply(change(number, EVFILT_READ, GetParam().change));
        const bool may_succeed = GetParam().change == EV_ENABLE;
        EXPECT_TRUE(error == EBADF || error == ENOENT || (error == 0 && may_succeed)) << error;
    }
    Queue q;
    int number = -1;
    Fd other;
};

TEST_P(OwnNumbers, R58_ATimerGoesOn) {
    watch_and_close();
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, 0, 5)), 0);
    touch_the_number();
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(q.wait().size(), 1u);
    touch_the_number();
    EXPECT_EQ(q.wait().size(), 1u);
}

TEST_P(OwnNumbers, R58_ATimerGoesOnIfAllIsOneCall) {
    watch_and_close();
    const Event gone = change(number, EVFILT_READ, GetParam().change | EV_RECEIPT);
    const timespec limit{20, 0};
    const Result result =
        q.call({change(1, EVFILT_TIMER, EV_ADD | EV_RECEIPT, 0, 5), gone}, 4, &limit);
    ASSERT_EQ(result.ret, 2) << result;
    if (GetParam().change == EV_DELETE) {
        EXPECT_NE(result.events[1].data, 0);
    }
    EXPECT_EQ(q.wait().size(), 1u);
}

TEST_P(OwnNumbers, R58_ATimerByTheClockGoesOn) {
    watch_and_close();
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE, 1)), 0);
    touch_the_number();
    EXPECT_EQ(q.wait().size(), 1u);
}

TEST_P(OwnNumbers, R58_AFileIsStillWatched) {
    const TempFile file("abc");
    watch_and_close();
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE)), 0);
    touch_the_number();
    for (int i = 0; i < 2; i++) {
        write_bytes(*file.fd, 1);
        EXPECT_EQ(q.wait().size(), 1u);
    }
}

TEST_P(OwnNumbers, R58_AProcessIsStillWatched) {
    Child child([] {
        ::pause();
        return 0;
    });
    watch_and_close();
    ASSERT_EQ(q.apply(change(child.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT)), 0);
    touch_the_number();
    ::kill(child.pid(), SIGKILL);
    EXPECT_EQ(q.wait().size(), 1u);
    (void)child.wait();
}

// One direction by level, the other by edge.
TEST_P(OwnNumbers, R58_BothDirectionsOfASocketGoOn) {
    const Pair pair = make_socketpair(SOCK_STREAM);
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_READ, EV_ADD)), 0);
    watch_and_close();
    ASSERT_EQ(q.apply(change(*pair.first, EVFILT_WRITE, EV_ADD | EV_CLEAR)), 0);
    touch_the_number();
    EXPECT_EQ(q.wait().size(), 1u);
    write_bytes(*pair.second, 1);
    EXPECT_GE(q.wait().size(), 1u);
    EXPECT_EQ(pick(q.wait(), EVFILT_READ).filter, EVFILT_READ);
}

INSTANTIATE_TEST_SUITE_P(With, OwnNumbers,
                         testing::Values(Case{"LevelDelete", 0, EV_DELETE},
                                         Case{"ClearDelete", EV_CLEAR, EV_DELETE},
                                         Case{"OneshotDelete", EV_ONESHOT, EV_DELETE},
                                         Case{"DispatchEnable", EV_DISPATCH, EV_ENABLE},
                                         Case{"DisabledEnable", EV_DISABLE, EV_ENABLE},
                                         Case{"DisabledDelete", EV_DISABLE, EV_DELETE}),
                         [](const auto& values) { return std::string(values.param.name); });

}  // namespace
}  // namespace kqtest
