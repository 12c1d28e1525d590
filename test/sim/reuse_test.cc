// SPDX-License-Identifier: BSD-2-Clause
// Descriptors that are closed, duplicated and reused. Wakeups of a file that come after
// its descriptor was closed.; semantics 4.1.
#include "sim_test.h"

namespace sim {
namespace {

constexpr int kRead = EVFILT_READ;
constexpr int kWrite = EVFILT_WRITE;

class Reuse : public Sim {
  protected:
    Queue q;

    // From now on the number names another open file, which has something to read.
    static void replace(int fd, FdKind kind = FdKind::unix_stream) {
        (void)world().open(kind, fd);
        if (kind == FdKind::regular)
            world().file(fd).size = 50;
        else
            world().feed(fd, 50);
    }
};

//
TEST_F(Reuse, NumbersThatAreNotOpen) {
    for (const uintptr_t ident : {UINTPTR_MAX, uintptr_t{1} << 31, uintptr_t{12345}})
        for (const unsigned flags : {EV_ADD, EV_DELETE, EV_ENABLE})
            EXPECT_EQ(q.change(ident, kRead, flags), Errno::bad_descriptor) << ident;
    const int fd = quiet();
    for (const int filter : {kRead, kWrite})
        EXPECT_EQ(q.change(fd, filter, EV_DELETE), Errno::no_entry);
}

// a number is closed while its event is in the kernel, or was collected.
TEST_F(Reuse, ClosingDropsWhatIsPending) {
    for (const bool collected : {false, true}) {
        const int fd = readable();
        ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_CLEAR), Errno::ok);
        if (collected) {
            const auto user = change(1, EVFILT_USER, EV_ADD | EV_ONESHOT, NOTE_TRIGGER);
            EXPECT_EQ(q.wait(1, 0, {user}).size(), 1u);
        }
        world().close(fd);
        EXPECT_TRUE(q.wait().empty());
        EXPECT_FALSE(q.readable());
        EXPECT_EQ(q.change(fd, kRead, EV_DELETE), Errno::bad_descriptor);
    }
}

// EV_ADD on a reused number is a first EV_ADD, whatever had the number before.
TEST_F(Reuse, AddingOnAReusedNumberIsAFreshAdd) {
    for (const unsigned old :
         {0u, 1u * EV_CLEAR, 1u * EV_ONESHOT, 1u * EV_DISPATCH, 1u * EV_DISABLE})
        for (const FdKind kind : {FdKind::unix_stream, FdKind::regular})
            for (const int filter : {kRead, kWrite}) {
                SCOPED_TRACE(old);
                const int fd = readable();
                ASSERT_EQ(q.change(fd, kRead, EV_ADD | old), Errno::ok);
                ASSERT_EQ(q.change(fd, filter, EV_ADD | old), Errno::ok);
                (void)q.wait();
                replace(fd, kind);
                EXPECT_TRUE(q.wait().empty());
                ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
                for (int i = 0; i < 2; i++) {
                    const Kevents events = q.wait();
                    EXPECT_EQ(only_data(events), 50);
                    EXPECT_EQ(events.at(0).flags, EV_ADD);
                }
                EXPECT_EQ(q.change(fd, kWrite, EV_DELETE), Errno::no_entry);
                EXPECT_EQ(q.change(fd, kRead, EV_DELETE), Errno::ok);
                world().close(fd);
            }
}

// The number belonged to a file, which no kernel queue has, and now belongs to anything else.
TEST_F(Reuse, AddingWhereAFileWas) {
    for (const unsigned old : {0u, 1u * EV_CLEAR, 1u * EV_DISABLE})
        for (const FdKind kind : {FdKind::unix_stream, FdKind::regular}) {
            SCOPED_TRACE(old);
            const int fd = regular(10);
            ASSERT_EQ(q.change(fd, kRead, EV_ADD | old), Errno::ok);
            (void)q.wait();
            replace(fd, kind);
            EXPECT_TRUE(q.wait().empty());
            ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
            const Kevents events = q.wait();
            EXPECT_EQ(only_data(events), 50);
            EXPECT_EQ(events.at(0).flags, EV_ADD);
            EXPECT_EQ(q.change(fd, kRead, EV_DELETE), Errno::ok);
            world().close(fd);
            EXPECT_EQ(q.backend().file_watches(), 0u);
        }
}

// R-297; R-58 for knotes that were never registered in the kernel.
TEST_F(Reuse, DeletingAfterReuse) {
    for (const unsigned old : {0u, 1u * EV_CLEAR, 1u * EV_DISPATCH, 1u * EV_DISABLE})
        for (const bool reused : {false, true}) {
            SCOPED_TRACE(old);
            const int fd = readable();
            ASSERT_EQ(q.change(fd, kRead, EV_ADD | old), Errno::ok);
            world().close(fd);
            if (reused) replace(fd);
            EXPECT_EQ(q.change(fd, kRead, EV_DELETE),
                      reused ? Errno::no_entry : Errno::bad_descriptor);
            if (!reused) continue;
            ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
            EXPECT_EQ(only_data(q.wait()), 50);
            ASSERT_EQ(q.change(fd, kRead, EV_DELETE), Errno::ok);
            world().close(fd);
        }
}

// A change other than EV_ADD, for a knote whose file is gone: there is no knote.
TEST_F(Reuse, ModifyingAfterReuse) {
    for (const unsigned old : {0u, 1u * EV_CLEAR, 1u * EV_DISABLE})
        for (const bool reused : {false, true}) {
            SCOPED_TRACE(old);
            const int fd = readable();
            ASSERT_EQ(q.change(fd, kRead, EV_ADD | old), Errno::ok);
            world().close(fd);
            if (reused) replace(fd);
            EXPECT_EQ(q.change(fd, kRead, 0), reused ? Errno::no_entry : Errno::bad_descriptor);
            EXPECT_TRUE(q.wait().empty());
            if (reused) world().close(fd);
        }
}

// Both knotes of a number end when one of them is found stale.
TEST_F(Reuse, BothDirectionsAreDropped) {
    const int fd = readable();
    world().room(fd, 10);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    ASSERT_EQ(q.change(fd, kWrite, EV_ADD), Errno::ok);
    replace(fd);
    world().room(fd, 10);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_EQ(q.change(fd, kWrite, EV_DELETE), Errno::no_entry);
}

// An orderly program: the one-shot knote is gone when the number is closed. But its silent
// registration is noticed only when the second knote of the new file is added.
TEST_F(Reuse, ASpentOneshotOfTheOldFileHarmsNobody) {
    for (const int first : {kRead, kWrite}) {
        const int second = kRead + kWrite - first;
        const int fd = readable();
        world().room(fd, 10);
        ASSERT_EQ(q.change(fd, second, EV_ADD), Errno::ok);
        ASSERT_EQ(q.change(fd, first, EV_ADD | EV_ONESHOT), Errno::ok);
        EXPECT_EQ(q.wait().size(), 2u);
        ASSERT_EQ(q.change(fd, second, EV_DELETE), Errno::ok);
        replace(fd);
        world().room(fd, 10);
        ASSERT_EQ(q.change(fd, second, EV_ADD), Errno::ok);
        EXPECT_EQ(q.wait().size(), 1u);
        ASSERT_EQ(q.change(fd, first, EV_ADD | EV_ONESHOT), Errno::ok);
        EXPECT_EQ(q.wait().size(), 2u);
        EXPECT_EQ(q.change(fd, second, EV_DELETE), Errno::ok);
        world().close(fd);
    }
}

// a new knote beside a knote of the file that had the number before. When the old
// knote is found stale later, the new one must stay.
TEST_F(Reuse, AddingBesideAStaleKnote) {
    for (const unsigned old : {0u, 1u * EV_CLEAR, 1u * EV_DISPATCH, 1u * EV_DISABLE})
        for (const unsigned disabled : {0u, 1u * EV_DISABLE}) {
            SCOPED_TRACE("old " + std::to_string(old) + ", new " + std::to_string(disabled));
            const int fd = writable();
            ASSERT_EQ(q.change(fd, kWrite, EV_ADD | old), Errno::ok);
            (void)q.wait();
            replace(fd);
            ASSERT_EQ(q.change(fd, kRead, EV_ADD | disabled), Errno::ok);
            EXPECT_EQ(q.wait().size(), disabled != 0 ? 0u : 1u);
            EXPECT_EQ(q.change(fd, kWrite, EV_DELETE), Errno::no_entry);
            EXPECT_EQ(q.change(fd, kRead, EV_ENABLE), Errno::ok);
            EXPECT_EQ(q.wait().size(), 1u);
            EXPECT_EQ(q.change(fd, kRead, EV_DELETE), Errno::ok);
            world().close(fd);
        }
}

// the kernel never had a disabled one-shot, although the knote looks as if it were spent.
TEST_F(Reuse, DeletingADisabledKnoteBesideAnother) {
    for (const unsigned old : {0u, 1u * EV_CLEAR, 1u * EV_DISPATCH, 1u * EV_ONESHOT}) {
        SCOPED_TRACE(old);
        const int fd = quiet();
        ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_DISABLE | old), Errno::ok);
        ASSERT_EQ(q.change(fd, kWrite, EV_ADD | EV_CLEAR), Errno::ok);
        replace(fd);
        EXPECT_EQ(q.change(fd, kRead, EV_DELETE), Errno::no_entry);
        world().close(fd);
    }
}

// the old file stays open under another number, and is still reported.
TEST_F(Reuse, ADuplicateKeepsTheFileNotTheKnote) {
    const int fd = quiet();
    const int other = world().dup(fd);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    ASSERT_EQ(q.change(other, kRead, EV_ADD), Errno::ok);
    world().close(fd);
    world().feed(other, 7);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(idents(q.wait()), std::vector{other});
}

// Wakeups for knotes that do not exist: another generation, a number never seen, another kind.
TEST_F(Reuse, StaleHandlesAreDropped) {
    using Kind = kq::Handle::Kind;
    const int fd = quiet();
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    const auto number = static_cast<uint32_t>(fd);
    for (const kq::Handle handle :
         {kq::Handle(Kind::descriptor, number, 1), kq::Handle(Kind::descriptor, number, 99),
          kq::Handle(Kind::descriptor, 4'000'000'000u, 0), kq::Handle(Kind::descriptor, 5000, 0),
          kq::Handle(Kind::none, number, 0), kq::Handle(Kind::lane, 1, 0),
          kq::Handle(Kind::announcement, 5, 0), kq::Handle(Kind::timers, 9, 0)})
        q.backend().inject({handle, kq::kReadable, 0});
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
    // The handle is right, but the file is not ready. The library looks, and reports nothing.
    q.backend().inject({kq::Handle(Kind::descriptor, number, 0), kq::kReadable, 0});
    EXPECT_TRUE(q.wait().empty());
    world().feed(fd, 1);
    EXPECT_EQ(q.wait().size(), 1u);
}

// A report of the old file must not become an event of the new file.
TEST_F(Reuse, AReportOfTheOldFileIsNotOneOfTheNew) {
    const int fd = readable();
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    const kq::Handle old(kq::Handle::Kind::descriptor, static_cast<uint32_t>(fd), 0);
    world().close(fd);
    (void)world().open(FdKind::unix_stream, fd);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    q.backend().inject({old, kq::kReadable | kq::kHangup, 0});
    EXPECT_TRUE(q.wait().empty());
}

// One number is opened and closed again and again. Registrations of closed files must not pile up.
TEST_F(Reuse, ChurnLeavesNothingBehind) {
    for (int i = 0; i < 500; i++) {
        const int fd = readable();
        const unsigned mode = i % 3 == 0 ? EV_ONESHOT : i % 3 == 1 ? EV_CLEAR : 0u;
        ASSERT_EQ(q.change(fd, kRead, EV_ADD | mode), Errno::ok);
        ASSERT_EQ(q.wait().size(), 1u) << i;
        world().close(fd);
    }
    EXPECT_EQ(q.backend().registrations(), 0u);
    EXPECT_TRUE(q.wait().empty());
}

}  // namespace
}  // namespace sim
