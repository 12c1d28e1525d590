// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE on simulated files: cases that only a scripted kernel can cause. The other rules are
// tested on real files (conformance/vnode_*_test.cc)., D-36.
#include "sim_test.h"

namespace sim {
namespace {

constexpr int kVnode = EVFILT_VNODE;
constexpr uint32_t kChanges = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK |
                              NOTE_RENAME | NOTE_REVOKE | NOTE_TRUNCATE;

class Vnode : public Sim {
  protected:
    Errno add(int fd, uint32_t notes, unsigned flags = EV_CLEAR) {
        return q.change(static_cast<uintptr_t>(fd), kVnode, EV_ADD | flags, notes);
    }
    // fflags of the only event; 0 if there is none.
    uint32_t notes(Nanos timeout = 0) {
        const Kevents events = q.wait(8, timeout);
        EXPECT_LE(events.size(), 1u) << show(events);
        return events.empty() ? 0 : events[0].fflags;
    }

    Queue q;
    const int fd = regular(10);
};

// the event has EV_EOF even if the knote did not ask for NOTE_REVOKE. Then it has no
// NOTE_REVOKE.
TEST_F(Vnode, UnmountIsEof) {
    for (const uint32_t mask : {1u * NOTE_WRITE, 1u * NOTE_REVOKE, kChanges}) {
        ASSERT_EQ(add(fd, mask), Errno::ok);
        world().changed(fd, kq::kUnmounted);
        const Kevents events = q.wait();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events[0].flags & EV_EOF, EV_EOF);
        EXPECT_EQ(events[0].fflags, mask & NOTE_REVOKE);
        ASSERT_EQ(q.change(static_cast<uintptr_t>(fd), kVnode, EV_DELETE), Errno::ok);
    }
}

// A kernel that says only that something happened. The core compares the file with its state of
// before.
TEST_F(Vnode, UnknownChangesAreFoundByComparing) {
    ASSERT_EQ(add(fd, kChanges), Errno::ok);
    world().changed(fd, kq::kUnknown);
    EXPECT_EQ(notes(), 1u * NOTE_ATTRIB);  // its time of change is new
    world().file(fd).size = 20;
    world().changed(fd, kq::kUnknown);
    EXPECT_EQ(notes() & (NOTE_WRITE | NOTE_EXTEND), 1u * NOTE_WRITE | NOTE_EXTEND);
    world().file(fd).name = 2;
    world().changed(fd, kq::kUnknown);
    EXPECT_EQ(notes() & NOTE_RENAME, 1u * NOTE_RENAME);
    world().file(fd).links = 0;
    world().changed(fd, kq::kUnknown);
    EXPECT_EQ(notes(), 1u * NOTE_DELETE);
}

// If the kernel reports nothing, the library looks every 20 ms, in every mode, disabled or not.
TEST_F(Vnode, UntoldFilesAreRechecked) {
    world().file(fd).untold = true;
    for (const unsigned mode :
         {0u, 1u * EV_CLEAR, 1u * EV_ONESHOT, 1u * EV_DISPATCH, EV_DISPATCH | 1u * EV_CLEAR}) {
        ASSERT_EQ(add(fd, NOTE_WRITE | NOTE_OPEN, mode), Errno::ok);
        EXPECT_EQ(notes(), 0u);
        const Nanos before = world().now(Clock::monotonic);
        world().at(kSecond, [&] { world().grow(fd, 4); });
        EXPECT_EQ(notes(kForever), 1u * NOTE_WRITE | NOTE_EXTEND) << mode;
        EXPECT_LE(world().now(Clock::monotonic), before + kSecond + 20 * kMillisecond);
        if (mode == EV_ONESHOT) continue;
        ASSERT_EQ(q.change(static_cast<uintptr_t>(fd), kVnode, EV_DISABLE), Errno::ok);
        world().grow(fd, 4);
        EXPECT_EQ(notes(kSecond), 0u);
        ASSERT_EQ(q.change(static_cast<uintptr_t>(fd), kVnode, EV_ENABLE), Errno::ok);
        EXPECT_EQ(notes(kSecond), 1u * NOTE_WRITE | NOTE_EXTEND) << mode;
        ASSERT_EQ(q.change(static_cast<uintptr_t>(fd), kVnode, EV_DELETE), Errno::ok);
        EXPECT_EQ(q.backend().file_watches(), 0u);
    }
}

// if a watch cannot be made, nothing is left of it. The watch of a reader must stay.
TEST_F(Vnode, RefusedByTheSystem) {
    world().fail(Fault::watch_file, Errno::too_many_open, 1, 2);
    EXPECT_EQ(add(fd, kChanges), Errno::too_many_open);
    EXPECT_EQ(q.change(static_cast<uintptr_t>(fd), kVnode, EV_DELETE), Errno::no_entry);
    EXPECT_EQ(add(fd, kChanges, EV_DISABLE), Errno::too_many_open);
    EXPECT_EQ(q.backend().file_watches(), 0u);
    EXPECT_EQ(add(quiet(), kChanges), Errno::invalid);
    world().file(fd).offset = 10;
    ASSERT_EQ(q.change(static_cast<uintptr_t>(fd), EVFILT_READ, EV_ADD), Errno::ok);
    ASSERT_EQ(add(fd, kChanges), Errno::ok);
    EXPECT_EQ(q.backend().file_watches(), 1u);
    ASSERT_EQ(q.change(static_cast<uintptr_t>(fd), kVnode, EV_DELETE), Errno::ok);
    EXPECT_EQ(q.backend().file_watches(), 1u);
    world().grow(fd, 5);
    EXPECT_EQ(only_data(q.wait()), 5);
    ASSERT_EQ(q.change(static_cast<uintptr_t>(fd), EVFILT_READ, EV_DELETE), Errno::ok);
    EXPECT_EQ(q.backend().file_watches(), 0u);
}

// A reader must not be woken by changes that only the other knote asks for.
TEST_F(Vnode, AReaderBesideIt) {
    ASSERT_EQ(q.change(static_cast<uintptr_t>(fd), EVFILT_READ, EV_ADD | EV_CLEAR), Errno::ok);
    ASSERT_EQ(add(fd, NOTE_ATTRIB), Errno::ok);
    EXPECT_EQ(q.wait().size(), 1u);
    world().file(fd).mode = 0600;
    world().changed(fd, kq::kAttributes);
    const Kevents events = q.wait();
    ASSERT_EQ(events.size(), 1u) << show(events);
    EXPECT_EQ(events[0].filter, kVnode);
    world().close(fd);
    EXPECT_TRUE(q.wait().empty());
}

// the number now names another file. Whichever part of the library notices that first,
// nothing is reported, and the library forgets the old file.
TEST_F(Vnode, ReusedNumbers) {
    for (const unsigned mode : {0u, 1u * EV_CLEAR, 1u * EV_DISPATCH}) {
        const int number = regular(1);
        ASSERT_EQ(add(number, kChanges, mode), Errno::ok);
        world().grow(number, 1);
        if (mode == 0) {
            EXPECT_NE(notes(), 0u);  // and the knote is on the queue now
        }
        world().open(FdKind::regular, number);
        EXPECT_EQ(notes(), 0u) << mode;
        EXPECT_EQ(q.change(static_cast<uintptr_t>(number), kVnode, EV_DELETE), Errno::no_entry);
        EXPECT_EQ(q.backend().file_watches(), 0u);
        ASSERT_EQ(add(number, kChanges, mode), Errno::ok);
        EXPECT_EQ(notes(), 0u);
        world().grow(number, 1);
        EXPECT_EQ(notes(), 1u * NOTE_WRITE | NOTE_EXTEND);
        world().close(number);
        EXPECT_EQ(notes(), 0u);
    }
}

}  // namespace
}  // namespace sim
