// SPDX-License-Identifier: BSD-2-Clause
// What trace lines say: a name where there is one, otherwise a number.
#include "trace_names.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstring>
#include <string>

namespace kq {
namespace {

std::string text(uintptr_t ident, int filter, int flags, unsigned fflags, intptr_t data) {
    struct kevent kev;
    EV_SET(&kev, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags,
           data, nullptr);
    names::Text line;
    names::append(line, kev);
    return line.c_str();
}

template <class T>
std::string text_of(T what) {
    names::Text line;
    names::append(line, what);
    return line.c_str();
}

TEST(TraceNames, FlagsAndNotesOfEachFilter) {
    EXPECT_EQ(text(5, EVFILT_READ, EV_ADD | EV_DISPATCH, NOTE_LOWAT, 3),
              "{ident 5, EVFILT_READ, EV_ADD|EV_DISPATCH, fflags NOTE_LOWAT, data 3, udata 0x0}");
    EXPECT_EQ(text(5, EVFILT_VNODE, EV_ADD, NOTE_DELETE | NOTE_OPEN, 0),
              "{ident 5, EVFILT_VNODE, EV_ADD, fflags NOTE_DELETE|NOTE_OPEN, data 0, udata 0x0}");
    EXPECT_EQ(text(5, EVFILT_PROC, EV_EOF, NOTE_EXIT | 0x100, 0),
              "{ident 5, EVFILT_PROC, EV_EOF, fflags NOTE_EXIT|0x100, data 0, udata 0x0}");
    EXPECT_EQ(text(5, EVFILT_TIMER, 0, NOTE_NSECONDS, -1),
              "{ident 5, EVFILT_TIMER, 0x0, fflags NOTE_NSECONDS, data -1, udata 0x0}");
    EXPECT_EQ(text(5, EVFILT_TIMER, 0, NOTE_LEEWAY | NOTE_BACKGROUND | NOTE_CRITICAL, 1),
              "{ident 5, EVFILT_TIMER, 0x0, fflags NOTE_LEEWAY|NOTE_CRITICAL|NOTE_BACKGROUND, data "
              "1, udata 0x0}");
    EXPECT_EQ(
        text(5, EVFILT_TIMER, 0, NOTE_MACHTIME | 0x80, 1),
        "{ident 5, EVFILT_TIMER, 0x0, fflags NOTE_MACH_CONTINUOUS_TIME|NOTE_MACHTIME, data 1, "
        "udata 0x0}");
    EXPECT_EQ(text(5, EVFILT_SIGNAL, EV_CLEAR | 0x1000, 1, 0),
              "{ident 5 SIGTRAP, EVFILT_SIGNAL, EV_CLEAR|0x1000, fflags 0x1, data 0, udata 0x0}");
    EXPECT_EQ(text(5, EVFILT_READ, EV_DISPATCH2 | EV_VANISHED, 0, EINPROGRESS),
              "{ident 5, EVFILT_READ, EV_DISPATCH|EV_UDATA_SPECIFIC|EV_VANISHED, fflags 0x0, data "
              "115, udata 0x0}");
    EXPECT_EQ(text_of(kq::Errno::in_progress), "EINPROGRESS");
    EXPECT_EQ(text(5, EVFILT_LIBKQUEUE, EV_ADD, NOTE_DEBUG_FUNC, 0),
              "{ident 5, EVFILT_LIBKQUEUE, EV_ADD, fflags NOTE_DEBUG_FUNC, data 0, udata 0x0}");
    EXPECT_EQ(text(5, 99, EV_ADD, 0, 0),
              "{ident 5, filter 99, EV_ADD, fflags 0x0, data 0, udata 0x0}");
}

TEST(TraceNames, SignalsWithoutANameAreNumbers) {
    EXPECT_NE(text(SIGINT, EVFILT_SIGNAL, 0, 0, 0).find("{ident 2 SIGINT, "), std::string::npos);
    EXPECT_NE(text(4711, EVFILT_SIGNAL, 0, 0, 0).find("{ident 4711, "), std::string::npos);
    EXPECT_NE(text(SIGINT, EVFILT_USER, 0, 0, 0).find("{ident 2, "), std::string::npos);
}

TEST(TraceNames, TheControlBitsOfUserEventsAreANumber) {
    EXPECT_NE(text(1, EVFILT_USER, 0, NOTE_FFCOPY | 5, 0).find("fflags NOTE_FFCOPY|0x5,"),
              std::string::npos);
    EXPECT_NE(
        text(1, EVFILT_USER, 0, NOTE_FFOR | NOTE_TRIGGER, 0).find("fflags NOTE_TRIGGER|NOTE_FFOR,"),
        std::string::npos);
}

TEST(TraceNames, TheDataOfAnErrorIsItsName) {
    EXPECT_NE(text(1, EVFILT_READ, EV_ERROR, 0, EBADF).find("data EBADF,"), std::string::npos);
    EXPECT_NE(text(1, EVFILT_READ, EV_ERROR, 0, 0).find("data 0,"), std::string::npos);
    EXPECT_EQ(text_of(static_cast<Errno>(4711)), "errno 4711");
}

TEST(TraceNames, WhatTheKernelReports) {
    const Handle descriptor(Handle::Kind::descriptor, 5, 1);
    EXPECT_EQ(text_of(Wakeup{descriptor, kReadable | kReadHangup, 0}),
              "descriptor 5 readable|read hangup");
    EXPECT_EQ(text_of(Wakeup{Handle(Handle::Kind::timers, 0, 0), 0, 0}), "timers");
    EXPECT_EQ(text_of(Wakeup{Handle(Handle::Kind::process, 77, 1), 0, 0}), "process 77");
    EXPECT_EQ(text_of(Wakeup{Handle(Handle::Kind::files, 0, 0), 0, 0}), "files changed");
    EXPECT_EQ(text_of(Wakeup{Handle(Handle::Kind::signals, 0, 0), 0, 0}), "signals");
    EXPECT_EQ(text_of(Wakeup{Handle(Handle::Kind::processes, 0, 0), 0, 0}), "news of processes");
    EXPECT_EQ(text_of(Wakeup{Handle{}, 0, 0}), "something unknown");
}

TEST(TraceNames, ALongTextIsCut) {
    names::Text line;
    for (int i = 0; i < 100; i++)
        line.append("%s", "0123456789");
    EXPECT_EQ(std::strlen(line.c_str()), 399u);
}

}  // namespace
}  // namespace kq
