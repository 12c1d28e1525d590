// SPDX-License-Identifier: BSD-2-Clause
// EV_DISPATCH2: EV_DELETE of a disabled knote takes effect when the knote is enabled. So a thread
// can delete a knote while another thread serves its event, and that thread learns of it when it
// enables the knote (semantics 3.7).
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "support/kq.h"
#include "support/process.h"
#include "support/signals.h"
#include "support/source.h"

#ifdef EV_DISPATCH2

namespace kqtest {
namespace {

constexpr int kKept = EV_ADD | EV_DISPATCH2;
constexpr int kEnd = EV_DISPATCH2 | EV_ONESHOT | EV_DELETE;

class Dispatch2 : public KqTest, public testing::WithParamInterface<SourceKind> {
  protected:
    Event of(int flags, uintptr_t udata = 1) const {
        return source->change(flags | EV_UDATA_SPECIFIC, tag(udata));
    }
    int apply(int flags, uintptr_t udata = 1) const { return q.apply(of(flags, udata)); }
    // The last event of the knote comes. Then the knote is gone.
    void expect_end(int line = __builtin_LINE()) const {
        expect_only(q.wait(), source->ident(), source->filter(), kEnd, 0, 0, tag(1), __FILE__,
                    line);
        EXPECT_EQ(apply(EV_DELETE), ENOENT);
        EXPECT_EQ(apply(EV_ENABLE), ENOENT);
        EXPECT_TRUE(q.collect().empty());
    }

    std::unique_ptr<Source> source = GetParam().make();
    Queue q;
};

TEST_P(Dispatch2, R91_ReportsOnceAndAgainAfterEnable) {
    ASSERT_EQ(apply(kKept), 0);
    source->ready();
    source->expect_report(q.wait(), kKept, tag(1));
    expect_none(q.collect());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    source->expect_report(q.wait(), kKept, tag(1));
    ASSERT_EQ(apply(EV_ADD | EV_ENABLE | EV_DISPATCH2), 0);
    source->expect_report(q.wait(), kKept, tag(1));
    source->idle();
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_none(q.collect());
    ASSERT_EQ(apply(EV_DELETE), 0);
}

TEST_P(Dispatch2, R340_DeletedWhileItIsServedItEndsWhenItIsEnabled) {
    ASSERT_EQ(apply(kKept), 0);
    source->ready();
    source->expect_report(q.wait(), kKept, tag(1));
    EXPECT_EQ(apply(EV_DELETE), EINPROGRESS);
    EXPECT_EQ(apply(EV_DELETE), EINPROGRESS);
    expect_none(q.collect());
    ASSERT_EQ(apply(EV_ENABLE), 0);
    EXPECT_TRUE(q.wait_until_readable());
    expect_end();
}

TEST_P(Dispatch2, R340_AddedDisabledToo) {
    source->ready();
    ASSERT_EQ(apply(kKept | EV_DISABLE), 0);
    EXPECT_EQ(apply(EV_DELETE), EINPROGRESS);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_end();
}

TEST_P(Dispatch2, R340_TheAnswerIsAnEntryWithTheError) {
    ASSERT_EQ(apply(kKept | EV_DISABLE), 0);
    const Event remove = of(EV_DELETE);
    expect_answers(q.call({remove}, 4, &kAtOnce), {{remove, EINPROGRESS}});
    // Both changes in one call: it returns the error. The next call returns the last event.
    const Event enable = of(EV_ENABLE);
    expect_answers(q.call({remove, enable}, 4, &kAtOnce), {{remove, EINPROGRESS}});
    expect_end();
}

TEST_P(Dispatch2, R341_EnabledItIsDeletedAtOnce) {
    ASSERT_EQ(apply(kKept), 0);
    ASSERT_EQ(apply(EV_DELETE), 0);
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
    source->ready();
    expect_none(q.collect());
    // The same while an event is pending.
    ASSERT_EQ(apply(kKept), 0);
    ASSERT_EQ(apply(EV_DELETE), 0);
    expect_none(q.collect());
}

TEST_P(Dispatch2, R341_DeleteWithEnableIsAtOnce) {
    ASSERT_EQ(apply(kKept), 0);
    source->ready();
    source->expect_report(q.wait(), kKept, tag(1));
    ASSERT_EQ(apply(EV_DELETE | EV_ENABLE), 0);
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
    // The same after EINPROGRESS.
    ASSERT_EQ(apply(kKept | EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_DELETE), EINPROGRESS);
    ASSERT_EQ(apply(EV_DELETE | EV_ENABLE), 0);
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
    // The same after EV_ENABLE, while the last event is pending.
    ASSERT_EQ(apply(kKept | EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_DELETE), EINPROGRESS);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    ASSERT_EQ(apply(EV_DELETE), 0);
    EXPECT_EQ(apply(EV_DELETE), ENOENT);
    expect_none(q.collect());
}

TEST_P(Dispatch2, R341_WithoutUdataSpecificNothingIsDeferred) {
    source->ready();
    ASSERT_EQ(q.apply(source->change(EV_ADD | EV_DISPATCH, tag(1))), 0);
    source->expect_report(q.wait(), EV_ADD | EV_DISPATCH, tag(1));
    EXPECT_EQ(q.apply(source->change(EV_DELETE)), 0);
    // The same with EV_UDATA_SPECIFIC and without EV_DISPATCH.
    ASSERT_EQ(apply(EV_ADD | EV_DISABLE), 0);
    EXPECT_EQ(apply(EV_DELETE), 0);
    expect_none(q.collect());
}

TEST_P(Dispatch2, R342_AOneshotEndsWhenItIsEnabled) {
    ASSERT_EQ(apply(kKept | EV_ONESHOT), 0);
    source->ready();
    source->expect_report(q.wait(), kKept | EV_ONESHOT, tag(1));
    expect_none(q.collect());
    EXPECT_EQ(apply(EV_DELETE), EINPROGRESS);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_end();
}

TEST_P(Dispatch2, R343_WhileItWaitsNothingElseIsReported) {
    ASSERT_EQ(apply(kKept), 0);
    source->ready();
    source->expect_report(q.wait(), kKept, tag(1));
    ASSERT_EQ(apply(EV_DELETE), EINPROGRESS);
    source->idle();
    source->ready();
    EXPECT_EQ(apply(kKept), 0);  // neither a new one nor the old one again
    EXPECT_EQ(apply(0), 0);
    expect_none(q.collect());
    // A knote with another udata is not affected.
    ASSERT_EQ(apply(kKept, 2), 0);
    source->expect_report(q.wait(), kKept, tag(2));
    ASSERT_EQ(apply(kKept | EV_ENABLE), 0);
    expect_end();
    ASSERT_EQ(apply(EV_ENABLE, 2), 0);
    source->expect_report(q.wait(), kKept, tag(2));
    // Now a new knote can be added.
    ASSERT_EQ(apply(kKept), 0);
    source->expect_report(q.wait(), kKept, tag(1));
}

TEST_P(Dispatch2, R343_TheLastEventCanBeDisabled) {
    ASSERT_EQ(apply(kKept | EV_DISABLE), 0);
    ASSERT_EQ(apply(EV_DELETE), EINPROGRESS);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    ASSERT_EQ(apply(EV_DISABLE), 0);
    expect_none(q.collect());
    EXPECT_EQ(apply(EV_DELETE), EINPROGRESS);
    ASSERT_EQ(apply(EV_ENABLE), 0);
    expect_end();
}

// A queue is closed while last events wait there. They are freed with the queue.
TEST_P(Dispatch2, R340_TheQueueIsClosedFirst) {
    for (const int more : {0, EV_DISABLE}) {
        Queue other;
        ASSERT_EQ(other.apply(of(kKept | EV_DISABLE)), 0);
        ASSERT_EQ(other.apply(of(EV_DELETE)), EINPROGRESS);
        ASSERT_EQ(other.apply(of(EV_ENABLE), of(more)), 0);
    }
}

INSTANTIATE_TEST_SUITE_P(Of, Dispatch2, testing::ValuesIn(level_sources()), SourceKind::name_of);

// ---- filters whose ident is no descriptor ----

class Dispatch2Other : public SignalTest {
  protected:
    void expect_deferred(const Event& knote, int line = __builtin_LINE()) const {
        const testing::ScopedTrace trace(__FILE__, line, "");
        Event remove = knote;
        remove.flags = EV_DELETE | EV_UDATA_SPECIFIC;
        Event enable = knote;
        enable.flags = EV_ENABLE | EV_UDATA_SPECIFIC;
        EXPECT_EQ(q.apply(remove), EINPROGRESS);
        ASSERT_EQ(q.apply(enable), 0);
        expect_only(q.wait(), knote.ident, knote.filter, kEnd, 0, 0, knote.udata);
        EXPECT_EQ(q.apply(remove), ENOENT);
        expect_silent(q);
    }
    Queue q;
};

TEST_F(Dispatch2Other, R340_UserEvents) {
    const Event user = change(1, EVFILT_USER, kKept, NOTE_TRIGGER | 5, 6, tag(7));
    ASSERT_EQ(q.apply(user), 0);
    expect_only(q.wait(), 1, EVFILT_USER, kKept, 5, 6, tag(7));
    expect_deferred(user);
}

TEST_F(Dispatch2Other, R340_Timers) {
    const Event timer = change(1, EVFILT_TIMER, kKept, NOTE_NSECONDS, 1, tag(7));
    ASSERT_EQ(q.apply(timer), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    expect_deferred(timer);
    Event once = timer;
    once.flags |= EV_ONESHOT;
    ASSERT_EQ(q.apply(once), 0);
    EXPECT_EQ(q.wait().size(), 1u);
    expect_deferred(once);
}

    #if LIBKQUEUE_HAS_SIGNAL
TEST_F(Dispatch2Other, R340_Signals) {
    set_disposition(SIGUSR2, SIG_IGN);
    const Event signal = change(SIGUSR2, EVFILT_SIGNAL, kKept, 0, 0, tag(7));
    ASSERT_EQ(q.apply(signal), 0);
    send(SIGUSR2);
    EXPECT_EQ(q.wait().size(), 1u);
    expect_deferred(signal);
    EXPECT_EQ(disposition(SIGUSR2), SIG_IGN);
}
    #endif

    #if LIBKQUEUE_HAS_PROC
// The event of the exit has EV_ONESHOT.
TEST_F(Dispatch2Other, R342_ProcessesThatExit) {
    Sleeper child;
    const Event proc = change(child.pid(), EVFILT_PROC, kKept, NOTE_EXIT, 0, tag(7));
    ASSERT_EQ(q.apply(proc), 0);
    child.go_and_exit();
    expect_only(q.wait(), child.pid(), EVFILT_PROC, kKept | EV_CLEAR | EV_EOF | EV_ONESHOT,
                NOTE_EXIT, 0, tag(7));
    expect_deferred(proc);
}
    #endif

    #if LIBKQUEUE_HAS_VNODE
TEST_F(Dispatch2Other, R340_Files) {
    const TempFile file("abc");
    const Event vnode = change(*file.fd, EVFILT_VNODE, kKept | EV_CLEAR, NOTE_WRITE, 0, tag(7));
    ASSERT_EQ(q.apply(vnode), 0);
    write_bytes(*file.fd, 3);
    EXPECT_EQ(q.wait().size(), 1u);
    expect_deferred(vnode);
}
    #endif

TEST_F(Dispatch2Other, R342_ForcedOneshot) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, kKept, 0, 0, tag(7)),
                      change(1, EVFILT_USER, EV_FORCEONESHOT | EV_UDATA_SPECIFIC, 0, 0, tag(7))),
              0);
    expect_only(q.wait(), 1, EVFILT_USER, kKept | EV_ONESHOT, 0, 0, tag(7));
    expect_deferred(change(1, EVFILT_USER, 0, 0, 0, tag(7)));
}

    #ifdef LIBKQUEUE_HAS_KEVENT64
TEST_F(Dispatch2Other, R338_Kevent64TellsOfTheEnd) {
    struct kevent64_s kev;
    EV_SET64(&kev, 1, EVFILT_USER, kKept | EV_DISABLE, 0, 0, 77, 5, 6);
    ASSERT_EQ(::kevent64(q.fd(), &kev, 1, nullptr, 0, 0, nullptr), 0);
    kev.flags = EV_DELETE | EV_UDATA_SPECIFIC;
    EXPECT_EQ(::kevent64(q.fd(), &kev, 1, nullptr, 0, 0, nullptr), -1);
    EXPECT_EQ(errno, EINPROGRESS);
    kev.flags = EV_ENABLE | EV_UDATA_SPECIFIC;
    struct kevent64_s event;
    ASSERT_EQ(::kevent64(q.fd(), &kev, 1, &event, 1, KEVENT_FLAG_IMMEDIATE, nullptr), 1);
    EXPECT_EQ(event.flags, kEnd);
    EXPECT_EQ(event.filter, EVFILT_USER);
    EXPECT_EQ(event.udata, 77u);
    EXPECT_EQ(event.ext[0], 5u);
    EXPECT_EQ(event.ext[1], 6u);
}
    #endif

}  // namespace
}  // namespace kqtest

#endif
