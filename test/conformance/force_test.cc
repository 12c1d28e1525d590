// SPDX-License-Identifier: BSD-2-Clause
// EV_FORCEONESHOT and EV_KEEPUDATA: semantics 3.1.
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "support/kq.h"
#include "support/process.h"

namespace kqtest {
namespace {

#ifdef EV_FORCEONESHOT

class Force : public KqTest {
  protected:
    static Event force(Ident ident, int filter, int more = 0) {
        return change(ident, filter, EV_FORCEONESHOT | more, 0, 0, tag(9));
    }
    // There is one event, with these flags and data. Then the knote is gone.
    void expect_once(Ident ident, int filter, int flags, intptr_t data) {
        EXPECT_TRUE(q.wait_until_readable());
        expect_only(q.collect(), ident, filter, flags | EV_ONESHOT, 0, data, tag(9));
        EXPECT_FALSE(has_knote(q, ident, filter));
        expect_silent(q);
    }
    Queue q;
};

TEST_F(Force, S31_ReportsAKnoteThatIsNotTrue) {
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD), change(1, EVFILT_USER, EV_ADD),
                      change(2, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 1000),
                      change(3, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE | NOTE_SECONDS, INTPTR_MAX),
                      change(SIGUSR2, EVFILT_SIGNAL, EV_ADD)),
              0);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(force(*p.read, EVFILT_READ)), 0);
    expect_once(*p.read, EVFILT_READ, EV_ADD, 0);
    ASSERT_EQ(q.apply(force(1, EVFILT_USER)), 0);
    expect_once(1, EVFILT_USER, EV_ADD, 0);
    ASSERT_EQ(q.apply(force(2, EVFILT_TIMER)), 0);
    expect_once(2, EVFILT_TIMER, EV_ADD | EV_CLEAR, 0);
    ASSERT_EQ(q.apply(force(3, EVFILT_TIMER)), 0);
    expect_once(3, EVFILT_TIMER, EV_ADD | EV_CLEAR, 0);
    ASSERT_EQ(q.apply(force(SIGUSR2, EVFILT_SIGNAL)), 0);
    expect_once(SIGUSR2, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0);
}

TEST_F(Force, S31_ReportsWhatFilesAndProcessesHave) {
    const TempFile file("abc");
    Sleeper child;
    ASSERT_EQ(q.apply(change(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE),
                      change(child.pid(), EVFILT_PROC, EV_ADD, NOTE_EXIT)),
              0);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(force(*file.fd, EVFILT_VNODE)), 0);
    expect_once(*file.fd, EVFILT_VNODE, EV_ADD | EV_CLEAR, 0);
    ASSERT_EQ(q.apply(force(child.pid(), EVFILT_PROC)), 0);
    expect_once(child.pid(), EVFILT_PROC, EV_ADD | EV_CLEAR, 0);
    child.go_and_reap();
    expect_silent(q);
}

TEST_F(Force, S31_ATrueKnoteHasItsData) {
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    write_bytes(*p.write, 3);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 3);
    ASSERT_EQ(q.apply(force(*p.read, EVFILT_READ)), 0);
    expect_once(*p.read, EVFILT_READ, EV_ADD, 3);
}

TEST_F(Force, S31_WakesASleeper) {
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD)), 0);
    const Queue outer;
    ASSERT_EQ(outer.apply(change(q.fd(), EVFILT_READ, EV_ADD)), 0);
    expect_none(outer.collect());
    ASSERT_EQ(q.apply(force(*p.read, EVFILT_READ)), 0);
    expect_only(outer.wait(), q.fd(), EVFILT_READ, EV_ADD, 0, 1);
    expect_once(*p.read, EVFILT_READ, EV_ADD, 0);
}

TEST_F(Force, S31_ADisabledKnoteWaitsForEvEnable) {
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_DISABLE, NOTE_SECONDS, 1000)), 0);
    ASSERT_EQ(q.apply(force(1, EVFILT_TIMER)), 0);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ENABLE, 0, 0, tag(9))), 0);
    expect_once(1, EVFILT_TIMER, EV_ADD | EV_CLEAR, 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD | EV_DISABLE, NOTE_SECONDS, 1000)), 0);
    ASSERT_EQ(q.apply(force(1, EVFILT_TIMER, EV_ENABLE)), 0);
    expect_once(1, EVFILT_TIMER, EV_ADD | EV_CLEAR, 0);
}

TEST_F(Force, S31_LaterChangesDoNotTakeItBack) {
    ASSERT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 1000),
                      change(2, EVFILT_USER, EV_ADD), force(1, EVFILT_TIMER), force(2, EVFILT_USER),
                      change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 2000, tag(9)),
                      change(2, EVFILT_USER, EV_CLEAR, 0, 0, tag(9))),
              0);
    EXPECT_EQ(q.collect().size(), 2u);
    EXPECT_FALSE(has_knote(q, 1, EVFILT_TIMER));
    EXPECT_FALSE(has_knote(q, 2, EVFILT_USER));
    expect_silent(q);
}

TEST_F(Force, S31_EvDeleteTakesItBack) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD), force(1, EVFILT_USER),
                      change(1, EVFILT_USER, EV_DELETE)),
              0);
    expect_silent(q);
}

TEST_F(Force, S31_NothingToForce) {
    EXPECT_EQ(q.apply(force(1, EVFILT_USER)), ENOENT);
    // In the EV_ADD that creates the knote the flag has no effect.
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_FORCEONESHOT)), 0);
    expect_none(q.collect());
    EXPECT_TRUE(has_knote(q, 1, EVFILT_USER));
}

#endif  // EV_FORCEONESHOT

#ifdef EV_KEEPUDATA

class KeepUdata : public KqTest {};

TEST_F(KeepUdata, S31_LeavesUdataAlone) {
    const Queue q;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(1)),
                      change(1, EVFILT_USER, EV_KEEPUDATA, NOTE_TRIGGER, 0, tag(2))),
              0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(1));
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER, 0, tag(2))), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(2));
}

TEST_F(KeepUdata, S24_NotWithEvAdd) {
    const Queue q;
    const Event c = change(1, EVFILT_USER, EV_ADD | EV_KEEPUDATA);
    expect_answers(q.call({c}, 1, kForever), {{c, EINVAL}});
    EXPECT_FALSE(has_knote(q, 1, EVFILT_USER));
    const Event unknown = change(1, 5, EV_ADD | EV_KEEPUDATA);
    expect_answers(q.call({unknown}, 1, kForever), {{unknown, EINVAL}});
}

#endif  // EV_KEEPUDATA

}  // namespace
}  // namespace kqtest
