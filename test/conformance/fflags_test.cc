// SPDX-License-Identifier: BSD-2-Clause
// Bits of fflags that mean nothing, in each filter (semantics 1.4, and 2.2 as amended). A bit that
// no native kernel looks at is not refused. The files of EVFILT_VNODE and EVFILT_PROC test this for
// these filters. Bits that are refused, because some native kernel serves them, are in
// missing_test.cc.
#include <kqueue/signal.h>
#include <sys/event.h>

#include <cerrno>

#include "support/kq.h"

namespace kqtest {
namespace {

class Fflags : public KqTest {
  protected:
    Queue q;
};

// 0x4 is NOTE_OOB of OpenBSD, which its EVFILT_READ does not look at either.
TEST_F(Fflags, S22_OfReadOthersAreIgnored) {
    constexpr unsigned kForeign = 0x2;
    const Pipe p = make_pipe();
    write_bytes(*p.write, 3);
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD, ~kForeign & ~unsigned{NOTE_LOWAT})), 0);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 3);
    ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD, ~kForeign, 4)), 0);
    expect_silent(q);  // NOTE_LOWAT is heard among them
    write_bytes(*p.write, 1);
    expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD, 0, 4);
}

// No kernel serves 0x2 for writing: FreeBSD's NOTE_FILE_POLL is for reading files.
TEST_F(Fflags, S22_OfWriteOthersAreIgnored) {
    const Pipe p = make_pipe();
    ASSERT_EQ(q.apply(change(*p.write, EVFILT_WRITE, EV_ADD, ~unsigned{NOTE_LOWAT})), 0);
    const auto events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].fflags, 0u) << "R-103";
    EXPECT_GT(events[0].data, 0);
}

TEST_F(Fflags, S22_OfSignalAllAreIgnored) {
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD, ~0u, -1)), 0);
    ASSERT_EQ(::kq_raise(SIGUSR1), 0);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_CLEAR, 0, 1);
}

// The bits between the 24 bits of the program and NOTE_FFCTRLMASK are not stored, and are no
// command.
TEST_F(Fflags, S22_OfUserTheOthersAreIgnored) {
    constexpr unsigned kNoBodys = 0x3e000000;
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, kNoBodys | 5)), 0);
    expect_silent(q);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, kNoBodys | NOTE_TRIGGER | NOTE_FFOR | 2)), 0);
    expect_only(q.wait(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 7);
}

// For EVFILT_TIMER the native kernels check the bits.
TEST_F(Fflags, R68_OfTimerOthersAreRefused) {
    for (unsigned bit = 0x200; bit != 0; bit <<= 1) {
        EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, bit, 1)), EINVAL) << bit;
        EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS | bit, 1)), EINVAL) << bit;
    }
    EXPECT_EQ(q.apply(change(1, EVFILT_TIMER, EV_DELETE)), ENOENT);
}

}  // namespace
}  // namespace kqtest
