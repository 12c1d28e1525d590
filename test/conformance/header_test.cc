// SPDX-License-Identifier: BSD-2-Clause
// <sys/event.h> as a program sees it that is compiled with it.
#include <stdlib.h>
#include <sys/event.h>

#include <cerrno>
#include <cstddef>
#include <type_traits>

#include "support/kq.h"
#include "support/library.h"

namespace kqtest {
namespace {

//
static_assert(std::is_same_v<decltype(Event::ident), uintptr_t>);
static_assert(std::is_same_v<decltype(Event::filter), short>);
static_assert(std::is_same_v<decltype(Event::flags), unsigned short>);
static_assert(std::is_same_v<decltype(Event::fflags), unsigned int>);
static_assert(std::is_same_v<decltype(Event::data), intptr_t>);
static_assert(std::is_same_v<decltype(Event::udata), void*>);
static_assert(std::is_standard_layout_v<Event> && std::is_trivial_v<Event>);

class Header : public KqTest {};

TEST_F(Header, R320_LayoutOfStructKevent) {
    const size_t word = sizeof(void*);
    EXPECT_EQ(offsetof(Event, ident), 0u);
    EXPECT_EQ(offsetof(Event, filter), word);
    EXPECT_EQ(offsetof(Event, flags), word + 2);
    EXPECT_EQ(offsetof(Event, fflags), word + 4);
    EXPECT_EQ(offsetof(Event, data), word + 8);
    EXPECT_EQ(offsetof(Event, udata), 2 * word + 8);
    EXPECT_EQ(sizeof(Event), word == 8 ? 32u : 20u);
}

// nginx and libdispatch use names of filters that the library does not serve, without #ifdef. For
// each name the preprocessor and the library say the same.
TEST_F(Header, R321_EveryFilterOfTheAbiHasANameAndTheHeaderSaysWhatIsServed) {
    const struct {
        int number;
        int expected;
        bool served;
    } filters[] = {
        {EVFILT_READ, -1, LIBKQUEUE_HAS_READ},   {EVFILT_WRITE, -2, LIBKQUEUE_HAS_WRITE},
        {EVFILT_AIO, -3, LIBKQUEUE_HAS_AIO},     {EVFILT_VNODE, -4, LIBKQUEUE_HAS_VNODE},
        {EVFILT_PROC, -5, LIBKQUEUE_HAS_PROC},   {EVFILT_SIGNAL, -6, LIBKQUEUE_HAS_SIGNAL},
        {EVFILT_TIMER, -7, LIBKQUEUE_HAS_TIMER}, {EVFILT_NETDEV, -8, LIBKQUEUE_HAS_NETDEV},
        {EVFILT_FS, -9, LIBKQUEUE_HAS_FS},       {EVFILT_LIO, -10, LIBKQUEUE_HAS_LIO},
        {EVFILT_USER, -11, LIBKQUEUE_HAS_USER},
    };
    const Queue q;
    for (const auto& filter : filters) {
        EXPECT_EQ(filter.number, filter.expected);
        // No descriptor, process, signal or file: what is served says what is wrong, or takes it.
        const int answer = q.apply(change(1 << 20, filter.number, EV_ADD, 0, 1));
        // The header is that of the system; the other libraries that run here serve less.
        const bool served = filter.served && (filter.number != EVFILT_FS || on_linux());
        EXPECT_EQ(answer != ENOSYS, served) << filter.number << " " << answer;
    }
    EXPECT_EQ(EVFILT_SYSCOUNT, 15);
    EXPECT_EQ(EVFILT_LIBKQUEUE, -12);
    EXPECT_EQ(LIBKQUEUE, 1);
}

TEST_F(Header, R321_ConstantsAreThoseOfTheAbi) {
    EXPECT_EQ(EV_ADD, 0x0001);
    EXPECT_EQ(EV_DELETE, 0x0002);
    EXPECT_EQ(EV_ENABLE, 0x0004);
    EXPECT_EQ(EV_DISABLE, 0x0008);
    EXPECT_EQ(EV_ONESHOT, 0x0010);
    EXPECT_EQ(EV_CLEAR, 0x0020);
    EXPECT_EQ(EV_RECEIPT, 0x0040);
    EXPECT_EQ(EV_DISPATCH, 0x0080);
    EXPECT_EQ(EV_SYSFLAGS, 0xF000);
    EXPECT_EQ(EV_FLAG1, 0x2000);
    EXPECT_EQ(EV_ERROR, 0x4000);
    EXPECT_EQ(EV_EOF, 0x8000);
    EXPECT_EQ(NOTE_LOWAT, 1);
    EXPECT_EQ(NOTE_SECONDS, 1);
    EXPECT_EQ(NOTE_USECONDS, 2);
    EXPECT_EQ(NOTE_NSECONDS, 4);
    EXPECT_EQ(NOTE_ABSOLUTE, 8);
    EXPECT_EQ(NOTE_FFNOP, 0u);
    EXPECT_EQ(NOTE_FFAND, 0x40000000u);
    EXPECT_EQ(NOTE_FFOR, 0x80000000u);
    EXPECT_EQ(NOTE_FFCOPY, 0xc0000000u);
    EXPECT_EQ(NOTE_FFCTRLMASK, 0xc0000000u);
    EXPECT_EQ(NOTE_FFLAGSMASK, 0x00ffffffu);
    EXPECT_EQ(NOTE_TRIGGER, 0x01000000u);
    EXPECT_EQ(NOTE_VERSION, 1);
    EXPECT_EQ(NOTE_VERSION_STR, 2);
    EXPECT_EQ(NOTE_THREAD_SAFE, 3);
    EXPECT_EQ(NOTE_FORK_CLEANUP, 4);
    EXPECT_EQ(NOTE_DEBUG, 5);
    EXPECT_EQ(NOTE_DEBUG_PREFIX, 6);
    EXPECT_EQ(NOTE_DEBUG_FUNC, 7);
    EXPECT_EQ(NOTE_FILE_POLL_INTERVAL, 8);
}

TEST_F(Header, EvSetAssignsEveryMemberAndEvaluatesEachArgumentOnce) {
    Event events[3] = {};
    Event* next = events;
    uintptr_t ident = 10;
    short filter = -10;
    unsigned short flags = 20;
    unsigned fflags = 30;
    intptr_t data = 40;
    char bytes[4] = {};
    char* udata = bytes;
    EV_SET(next++, ident++, filter++, flags++, fflags++, data++, udata++);
    EXPECT_EQ(next, events + 1);
    EXPECT_EQ(ident, 11u);
    EXPECT_EQ(filter, -9);
    EXPECT_EQ(flags, 21);
    EXPECT_EQ(fflags, 31u);
    EXPECT_EQ(data, 41);
    EXPECT_EQ(udata, bytes + 1);
    expect_event(events[0], 10, -10, 20, 30, 40, bytes);
    EXPECT_TRUE(same(events[1], Event{}));
}

}  // namespace
}  // namespace kqtest
