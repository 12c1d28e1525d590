// SPDX-License-Identifier: BSD-2-Clause
// EV_UDATA_SPECIFIC: several knotes with the same ident and filter, which differ in their udata
// (semantics 3.7).
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/signals.h"
#include "support/specific.h"

#ifdef EV_UDATA_SPECIFIC

namespace kqtest {
namespace {

// ---- the key ----

TEST_F(Specific, R333_EachUdataIsAKnote) {
    ASSERT_EQ(q.apply(user(EV_ADD | EV_CLEAR | kSpecific, 1),
                      user(EV_ADD | EV_CLEAR | kSpecific, 2), user(EV_ADD | EV_CLEAR, 3)),
              0);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(user(kSpecific, 2, NOTE_TRIGGER | NOTE_FFCOPY | 7)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR | kSpecific, 7, 0, tag(2));
    ASSERT_EQ(q.apply(user(0, 3, NOTE_TRIGGER)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, tag(3));
    ASSERT_EQ(q.apply(user(EV_DELETE | kSpecific, 1)), 0);
    EXPECT_EQ(q.apply(user(EV_DELETE | kSpecific, 1)), ENOENT);
    ASSERT_EQ(q.apply(user(kSpecific, 2, NOTE_TRIGGER), user(0, 3, NOTE_TRIGGER)), 0);
    EXPECT_EQ(tags(q.collect()), (Tags{2, 3}));
    expect_silent(q);
}

TEST_F(Specific, R334_EachChangeNeedsTheFlag) {
    ASSERT_EQ(q.apply(user(EV_ADD | kSpecific, 1)), 0);
    EXPECT_EQ(q.apply(user(EV_DELETE, 1)), ENOENT);
    EXPECT_EQ(q.apply(user(EV_DISABLE, 1)), ENOENT);
    EXPECT_EQ(q.apply(user(0, 1, NOTE_TRIGGER)), ENOENT);
    ASSERT_EQ(q.apply(user(EV_DELETE | kSpecific, 1), user(EV_ADD, 1)), 0);
    EXPECT_EQ(q.apply(user(EV_DELETE | kSpecific, 1)), ENOENT);
    EXPECT_EQ(q.apply(user(kSpecific, 1, NOTE_TRIGGER)), ENOENT);
    ASSERT_EQ(q.apply(user(EV_DELETE, 9)), 0);  // its udata is no part of the key
    expect_silent(q);
}

TEST_F(Specific, R334_OfDescriptorsToo) {
    const Pipe p = make_pipe();
    for (const int filter : {EVFILT_READ, EVFILT_WRITE}) {
        const int fd = filter == EVFILT_READ ? *p.read : *p.write;
        ASSERT_EQ(q.apply(change(fd, filter, EV_ADD | kSpecific, 0, 0, tag(1))), 0);
        EXPECT_FALSE(has_knote(q, fd, filter));
        EXPECT_EQ(q.apply(change(fd, filter, EV_DELETE | kSpecific, 0, 0, tag(2))), ENOENT);
        ASSERT_EQ(q.apply(change(fd, filter, EV_ADD)), 0);
        ASSERT_EQ(q.apply(change(fd, filter, EV_DELETE | kSpecific, 0, 0, tag(1))), 0);
        EXPECT_TRUE(has_knote(q, fd, filter));
        ASSERT_EQ(q.apply(change(fd, filter, EV_DELETE)), 0);
        EXPECT_EQ(q.apply(change(fd, filter, EV_DELETE | kSpecific, 0, 0, tag(1))), ENOENT);
    }
    const int closed = free_number();
    EXPECT_EQ(q.apply(change(closed, EVFILT_READ, EV_ADD | kSpecific)), EBADF);
    EXPECT_EQ(q.apply(change(closed, EVFILT_READ, EV_DELETE | kSpecific)), EBADF);
    EXPECT_EQ(q.apply(change(-1, EVFILT_READ, EV_ADD | kSpecific)), EBADF);
    EXPECT_EQ(q.apply(change(1, 5, EV_ADD | kSpecific)), EINVAL);
    EXPECT_EQ(q.apply(change(1, -100, EV_ADD | kSpecific)), EINVAL);
    expect_silent(q);
}

TEST_F(Specific, R334_NoFilterNumberFindsWhatTheLibraryKeeps) {
    ASSERT_EQ(q.apply(user(EV_ADD | EV_DISPATCH2 | EV_DISABLE, 1)), 0);
    EXPECT_EQ(q.apply(user(EV_DELETE | kSpecific, 1)), EINPROGRESS);
    for (int filter = 1; filter > -40; filter--)
        if (filter != EVFILT_USER && filter < 0) {
            const int answer = q.apply(change(1, filter, EV_DELETE | kSpecific, 0, 0, tag(1)));
            EXPECT_NE(answer, 0) << filter;
            EXPECT_NE(answer, EINPROGRESS) << filter;
        }
    ASSERT_EQ(q.apply(user(EV_DELETE | EV_ENABLE | kSpecific, 1)), 0);
}

TEST_F(Specific, R334_AlsoANullUdata) {
    ASSERT_EQ(q.apply(user(EV_ADD | EV_CLEAR | kSpecific, 0), user(EV_ADD | EV_CLEAR, 0)), 0);
    ASSERT_EQ(q.apply(user(kSpecific, 0, NOTE_TRIGGER)), 0);
    expect_only(q.collect(), 1, EVFILT_USER, EV_ADD | EV_CLEAR | kSpecific);
    ASSERT_EQ(q.apply(user(EV_DELETE | kSpecific, 0)), 0);
    EXPECT_TRUE(has_knote(q, 1, EVFILT_USER));
}

TEST_F(Specific, R334_KeepUdataAndReceipt) {
    ASSERT_EQ(q.apply(user(EV_ADD | EV_CLEAR | kSpecific, 1)), 0);
    EXPECT_EQ(q.apply(user(EV_ADD | EV_KEEPUDATA | kSpecific, 1)), EINVAL);
    EXPECT_EQ(q.apply(user(EV_ENABLE | EV_DISABLE | kSpecific, 1)), EINVAL);
    EXPECT_EQ(q.apply(user(EV_KEEPUDATA | kSpecific, 2, NOTE_TRIGGER)), ENOENT);
    ASSERT_EQ(q.apply(user(EV_KEEPUDATA | kSpecific, 1, NOTE_TRIGGER)), 0);
    EXPECT_EQ(tags(q.collect()), Tags{1});
    const Event receipt = user(EV_DELETE | EV_RECEIPT | kSpecific, 1);
    expect_answers(q.call({receipt}, 4, &kAtOnce), {{receipt, 0}});
    expect_answers(q.call({receipt}, 4, &kAtOnce), {{receipt, ENOENT}});
}

TEST_F(Specific, R333_AThousandOnOneIdent) {
    constexpr uintptr_t kMany = 1000;
    const Pipe p = make_pipe();
    for (uintptr_t i = 0; i < kMany; i++)
        ASSERT_EQ(q.apply(user(EV_ADD | EV_CLEAR | kSpecific, i),
                          change(*p.read, EVFILT_READ, EV_ADD | kSpecific, 0, 0, tag(i + kMany))),
                  0);
    write_bytes(*p.write, 1);
    for (uintptr_t i = 0; i < kMany; i++)
        ASSERT_EQ(q.apply(user(kSpecific, i, NOTE_TRIGGER)), 0);
    const Tags got = tags(q.wait(4 * kMany));
    ASSERT_EQ(got.size(), 2 * kMany);
    for (uintptr_t i = 0; i < 2 * kMany; i++)
        ASSERT_EQ(got[i], i);
    // The queue takes the rest along.
}

// ---- filters without a descriptor ----

TEST_F(Specific, R337_Timers) {
    const auto timer = [](int flags, uintptr_t udata, intptr_t period) {
        return change(5, EVFILT_TIMER, flags | kSpecific, NOTE_NSECONDS, period, tag(udata));
    };
    constexpr intptr_t kLong = 1'000'000'000'000;
    ASSERT_EQ(q.apply(timer(EV_ADD | EV_ONESHOT, 1, 1), timer(EV_ADD, 2, kLong),
                      timer(EV_ADD | EV_ONESHOT, 3, 1)),
              0);
    EXPECT_EQ(tags(collect_all(q, 2)), (Tags{1, 3}));
    EXPECT_EQ(q.apply(timer(EV_DELETE, 1, 0)), ENOENT);
    ASSERT_EQ(q.apply(timer(EV_ADD, 2, 1)), 0);  // counts anew
    EXPECT_EQ(tags(q.wait()), Tags{2});
    ASSERT_EQ(q.apply(timer(EV_DELETE, 2, 0)), 0);
    expect_silent(q);
}

    #if LIBKQUEUE_HAS_SIGNAL
class SpecificSignal : public SignalTest {
  protected:
    Queue q;
};

TEST_F(SpecificSignal, R337_Signals) {
    set_disposition(SIGUSR2, SIG_IGN);
    const auto signal = [](int flags, uintptr_t udata) {
        return change(SIGUSR2, EVFILT_SIGNAL, flags | kSpecific, 0, 0, tag(udata));
    };
    ASSERT_EQ(q.apply(signal(EV_ADD, 1), signal(EV_ADD, 2), signal(EV_ADD | EV_DISABLE, 3)), 0);
    send(SIGUSR2);
    EXPECT_EQ(tags(collect_all(q, 2)), (Tags{1, 2}));
    // Those that remain still hear of it.
    ASSERT_EQ(q.apply(signal(EV_DELETE, 1)), 0);
    send(SIGUSR2);
    expect_only(q.wait(), SIGUSR2, EVFILT_SIGNAL, EV_ADD | EV_CLEAR | kSpecific, 0, 1, tag(2));
    ASSERT_EQ(q.apply(signal(EV_DISABLE, 2)), 0);
    send(SIGUSR2);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(signal(EV_ENABLE, 3)), 0);
    expect_only(q.wait(), SIGUSR2, EVFILT_SIGNAL, EV_ADD | EV_CLEAR | kSpecific, 0, 3, tag(3));
    send(SIGUSR2);
    EXPECT_EQ(tags(q.wait()), Tags{3});
    ASSERT_EQ(q.apply(signal(EV_DELETE, 2), signal(EV_DELETE, 3)), 0);
    expect_silent(q);
}
    #endif

    #if LIBKQUEUE_HAS_PROC
TEST_F(Specific, R337_Processes) {
    Sleeper child(exits_with(3));
    const auto proc = [&child](int flags, uintptr_t udata) {
        return change(child.pid(), EVFILT_PROC, flags | kSpecific, NOTE_EXIT, 0, tag(udata));
    };
    ASSERT_EQ(q.apply(proc(EV_ADD, 1), proc(EV_ADD, 2), proc(EV_ADD, 3)), 0);
    ASSERT_EQ(q.apply(proc(EV_DELETE, 2)), 0);
    expect_none(q.collect());
    child.go_and_exit();
    const std::vector<Event> events = collect_all(q, 2);
    EXPECT_EQ(tags(events), (Tags{1, 3}));
    for (const Event& event : events) {
        EXPECT_EQ(event.fflags, NOTE_EXIT);
        EXPECT_EQ(event.data, 3 << 8);
    }
    EXPECT_EQ(q.apply(proc(EV_DELETE, 1)), ENOENT);
    expect_silent(q);
}
    #endif

    #if LIBKQUEUE_HAS_VNODE
TEST_F(Specific, R337_Files) {
    const TempFile file("abc");
    const auto vnode = [&file](int flags, uintptr_t udata, unsigned notes) {
        return change(*file.fd, EVFILT_VNODE, flags | kSpecific, notes, 0, tag(udata));
    };
    ASSERT_EQ(
        q.apply(vnode(EV_ADD | EV_CLEAR, 1, NOTE_WRITE), vnode(EV_ADD | EV_CLEAR, 2, NOTE_DELETE),
                vnode(EV_ADD | EV_CLEAR, 3, NOTE_WRITE | NOTE_DELETE)),
        0);
    write_bytes(*file.fd, 3);
    EXPECT_EQ(tags(collect_all(q, 2)), (Tags{1, 3}));
    ASSERT_EQ(q.apply(vnode(EV_DELETE, 1, 0)), 0);
    write_bytes(*file.fd, 3);
    EXPECT_EQ(tags(q.wait()), Tags{3});
    ::unlink(file.path.c_str());
    EXPECT_EQ(tags(collect_all(q, 2)), (Tags{2, 3}));
    ASSERT_EQ(q.apply(vnode(EV_DELETE, 2, 0), vnode(EV_DELETE, 3, 0)), 0);
    expect_silent(q);
}

// What came before an EV_ADD is told only to those that were there.
TEST_F(Specific, R337_ALaterKnoteOfAFileSeesNothingEarlier) {
    const TempFile file("abc");
    const auto vnode = [&file](int flags, uintptr_t udata) {
        return change(*file.fd, EVFILT_VNODE, flags | kSpecific, NOTE_WRITE, 0, tag(udata));
    };
    ASSERT_EQ(q.apply(vnode(EV_ADD | EV_CLEAR, 1)), 0);
    write_bytes(*file.fd, 3);
    ASSERT_EQ(q.apply(vnode(EV_ADD | EV_CLEAR, 2)), 0);
    EXPECT_EQ(tags(q.wait()), Tags{1});
    expect_none(q.collect());
}
    #endif

// ---- kevent64() ----

    #ifdef LIBKQUEUE_HAS_KEVENT64
TEST_F(Specific, R338_Kevent64) {
    const auto apply = [this](int flags, uint64_t udata, unsigned fflags, uint64_t ext) {
        struct kevent64_s kev;
        EV_SET64(&kev, 1, EVFILT_USER, static_cast<uint16_t>(flags | kSpecific), fflags, 0, udata,
                 ext, 0);
        return ::kevent64(q.fd(), &kev, 1, nullptr, 0, 0, nullptr) == 0 ? 0 : errno;
    };
    const uint64_t high = sizeof(void*) == 8 ? uint64_t{1} << 63 : 0;
    ASSERT_EQ(apply(EV_ADD | EV_CLEAR, high | 1, 0, 11), 0);
    ASSERT_EQ(apply(EV_ADD | EV_CLEAR, 2, 0, 12), 0);
    ASSERT_EQ(apply(0, high | 1, NOTE_TRIGGER, 21), 0);
    struct kevent64_s event;
    ASSERT_EQ(::kevent64(q.fd(), nullptr, 0, &event, 1, KEVENT_FLAG_IMMEDIATE, nullptr), 1);
    EXPECT_EQ(event.udata, high | 1);
    EXPECT_EQ(event.flags, EV_ADD | EV_CLEAR | kSpecific);
    EXPECT_EQ(event.ext[0], 21u);
    ASSERT_EQ(apply(EV_DELETE, high | 1, 0, 0), 0);
    EXPECT_EQ(apply(EV_DELETE, high | 1, 0, 0), ENOENT);
    ASSERT_EQ(q.apply(user(kSpecific, 2, NOTE_TRIGGER)), 0);  // and by kevent()
    ASSERT_EQ(::kevent64(q.fd(), nullptr, 0, &event, 1, KEVENT_FLAG_IMMEDIATE, nullptr), 1);
    EXPECT_EQ(event.udata, 2u);
    EXPECT_EQ(event.ext[0], 12u);
}
    #endif

}  // namespace
}  // namespace kqtest

#endif
