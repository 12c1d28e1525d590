// SPDX-License-Identifier: BSD-2-Clause
// EV_UDATA_SPECIFIC and EV_VANISHED on the simulated system: several knotes of one process, and
// cases that a real program cannot cause when it wants to.
#include <algorithm>

#include "process_fixture.h"

namespace sim {
namespace {

void* tag(uintptr_t number) {
    return reinterpret_cast<void*>(number);  // NOLINT(performance-no-int-to-ptr)
}

class SpecificProcesses : public Processes {
  protected:
    Errno add(int32_t pid, uintptr_t udata, unsigned fflags) {
        return q.change(static_cast<uintptr_t>(pid), EVFILT_PROC, EV_ADD | EV_UDATA_SPECIFIC,
                        fflags, 0, tag(udata));
    }
    Errno remove(int32_t pid, uintptr_t udata) {
        return q.change(static_cast<uintptr_t>(pid), EVFILT_PROC, EV_DELETE | EV_UDATA_SPECIFIC, 0,
                        0, tag(udata));
    }
    // All bits that were reported to this knote.
    static unsigned told(const Kevents& events, int32_t pid, uintptr_t udata) {
        unsigned fflags = 0;
        for (const struct kevent& event : events)
            if (event.ident == static_cast<uintptr_t>(pid) && event.udata == tag(udata))
                fflags |= event.fflags;
        return fflags;
    }
};

TEST_F(SpecificProcesses, R337_EachHearsWhatItAskedFor) {
    world().start(7);
    ASSERT_EQ(add(7, 1, NOTE_EXEC), Errno::ok);
    ASSERT_EQ(add(7, 2, NOTE_FORK), Errno::ok);
    ASSERT_EQ(add(7, 3, NOTE_FORK | kExit), Errno::ok);
    fork(7, 8);
    world().announce(What::executed, 7);
    Kevents events = q.wait();
    EXPECT_EQ(events.size(), 3u) << show(events);
    EXPECT_EQ(told(events, 7, 1), unsigned{NOTE_EXEC});
    EXPECT_EQ(told(events, 7, 2), unsigned{NOTE_FORK});
    EXPECT_EQ(told(events, 7, 3), unsigned{NOTE_FORK});
    // One knote is deleted. The others must still get their events.
    ASSERT_EQ(remove(7, 3), Errno::ok);
    fork(7, 9);
    world().announce(What::executed, 7);
    events = q.wait();
    EXPECT_EQ(events.size(), 2u) << show(events);
    EXPECT_EQ(told(events, 7, 1), unsigned{NOTE_EXEC});
    EXPECT_EQ(told(events, 7, 2), unsigned{NOTE_FORK});
    exit(7, 1);
    EXPECT_TRUE(q.wait().empty());
    EXPECT_EQ(remove(7, 1), Errno::no_entry);
    EXPECT_EQ(q.backend().process_watches(), 0u);
}

TEST_F(SpecificProcesses, R337_EachTracksChildrenOfItsOwn) {
    world().start(7);
    ASSERT_EQ(add(7, 1, NOTE_TRACK | kExit), Errno::ok);
    ASSERT_EQ(add(7, 2, NOTE_TRACK), Errno::ok);
    ASSERT_EQ(add(7, 3, NOTE_FORK), Errno::ok);
    fork(7, 8);
    fork(8, 9);
    Kevents events = q.wait();
    EXPECT_EQ(events.size(), 5u) << show(events);
    for (const int32_t child : {8, 9})
        for (const uintptr_t udata : {1u, 2u})
            EXPECT_EQ(told(events, child, udata), unsigned{NOTE_CHILD}) << child;
    EXPECT_EQ(told(events, 7, 3), unsigned{NOTE_FORK});
    // One knote stops tracking. The other one goes on.
    ASSERT_EQ(remove(7, 1), Errno::ok);
    fork(7, 10);
    events = q.wait();
    EXPECT_EQ(told(events, 10, 2), unsigned{NOTE_CHILD}) << show(events);
    EXPECT_EQ(told(events, 10, 1), 0u);
    exit(8, 5);
    events = q.wait();
    ASSERT_EQ(events.size(), 1u) << show(events);
    EXPECT_EQ(told(events, 8, 1), kExit);
    EXPECT_EQ(events[0].data, 5);
}

TEST_F(SpecificProcesses, R342_AnExitIsDeferred) {
    world().start(7);
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ADD | EV_DISPATCH2, kExit, 0, tag(1)), Errno::ok);
    exit(7, 5);
    expect_only(q.wait(), 7, kExit, 5);
    EXPECT_EQ(q.backend().process_watches(), 0u);
    EXPECT_EQ(remove(7, 1), Errno::in_progress);
    ASSERT_EQ(q.change(7, EVFILT_PROC, EV_ENABLE | EV_UDATA_SPECIFIC, 0, 0, tag(1)), Errno::ok);
    const Kevents events = q.wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].flags, EV_DISPATCH2 | EV_ONESHOT | EV_DELETE);
    EXPECT_EQ(remove(7, 1), Errno::no_entry);
}

}  // namespace
}  // namespace sim
