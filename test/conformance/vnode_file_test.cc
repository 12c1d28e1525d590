// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_VNODE on files: which notes each operation gives (R-169 to R-181, D-34 to D-36).
#include <fcntl.h>
#include <unistd.h>
#ifdef __linux__
    #include <sys/syscall.h>
#endif

#include <string>

#include "support/gaps.h"
#include "support/net.h"
#include "support/thread.h"
#include "support/tree.h"

namespace kqtest {
namespace {

class VnodeFile : public VnodeTest {
  protected:
    const Fd file = tree.file("file", std::string(100, 'x'));

    template <class Operation>
    unsigned after(unsigned mask, Operation operation) const {
        return reported(file, mask, operation);
    }
    void overwrite() const { ASSERT_EQ(::pwrite(*file, "y", 1, 0), 1); }
    void truncate(off_t size) const { ASSERT_EQ(::ftruncate(*file, size), 0); }
};

TEST_F(VnodeFile, R169_AnIdleFileIsSilent) {
    for (const unsigned mask : {0u, 1u * NOTE_WRITE, kAllNotes})
        EXPECT_EQ(after(mask, [] {}), 0u) << mask;
}

TEST_F(VnodeFile, R170_AGrowingWriteIsWriteAndExtend) {
    ASSERT_EQ(add(file, NOTE_WRITE, EV_ONESHOT), 0);
    tree.append("file", 1);
    expect(file, NOTE_WRITE | NOTE_EXTEND, EV_ONESHOT);
    EXPECT_EQ(apply(file, EV_DELETE), ENOENT);
}

TEST_F(VnodeFile, R171_AWriteInPlaceIsWrite) {
    EXPECT_EQ(after(kChanges, [&] { overwrite(); }), 1u * NOTE_WRITE);
}

TEST_F(VnodeFile, R172_D36_AHintIsReportedWhole) {
    EXPECT_EQ(after(NOTE_EXTEND, [&] { tree.append("file", 1); }), 1u * NOTE_WRITE | NOTE_EXTEND);
    EXPECT_EQ(after(NOTE_EXTEND, [&] { overwrite(); }), 0u);
}

TEST_F(VnodeFile, R173_WhatWasNotAskedForIsNotReported) {
    for (const unsigned mask : {NOTE_ATTRIB, NOTE_DELETE, NOTE_LINK, NOTE_RENAME, NOTE_TRUNCATE,
                                NOTE_REVOKE, NOTE_CLOSE, NOTE_READ})
        EXPECT_EQ(after(mask, [&] { tree.append("file", 1); }), 0u) << mask;
}

TEST_F(VnodeFile, R174_WritingNothingIsNothing) {
    EXPECT_EQ(after(kChanges, [&] { EXPECT_EQ(::write(*file, "", 0), 0); }), 0u);
}

TEST_F(VnodeFile, R175_TimesModeAndOwnerAreAttributes) {
    EXPECT_EQ(after(kChanges, [&] { tree.touch("file"); }), 1u * NOTE_ATTRIB);
    EXPECT_EQ(after(kChanges, [&] { tree.chmod("file", 0600); }), 1u * NOTE_ATTRIB);
    EXPECT_EQ(after(kChanges, [&] { tree.chmod("file", 0600); }), 1u * NOTE_ATTRIB);
    EXPECT_EQ(after(kChanges, [&] { (void)!::fchown(*file, ::getuid(), ::getgid()); }),
              1u * NOTE_ATTRIB);
}

#ifdef __linux__
// Seconds since the Epoch that need more than 32 bits, whatever time_t has.
int set_times_of_next_century(const std::string& path, long nanoseconds) {
    #ifdef SYS_utimensat_time64
    constexpr long kCall = SYS_utimensat_time64;
    #else
    constexpr long kCall = SYS_utimensat;
    #endif
    const int64_t moment = 5'000'000'000;
    const int64_t times[2][2] = {{moment, nanoseconds}, {moment, nanoseconds}};
    return static_cast<int>(::syscall(kCall, AT_FDCWD, path.c_str(), times, 0));
}

// The C library's fstat() fails for such a file where time_t has 32 bits: it was taken for closed.
TEST_F(VnodeFile, R175_TimesOfTheNextCentury) {
    KQ_OF(linux);
    ASSERT_EQ(set_times_of_next_century(tree.path("file"), 1), 0);
    EXPECT_EQ(
        after(kChanges, [&] { EXPECT_EQ(set_times_of_next_century(tree.path("file"), 2), 0); }) &
            NOTE_ATTRIB,
        1u * NOTE_ATTRIB);
    ASSERT_EQ(::lseek(*file, 0, SEEK_SET), 0);
    ASSERT_EQ(q.apply(change(*file, EVFILT_READ, EV_ADD | EV_ONESHOT)), 0);
    expect_only(q.collect(), *file, EVFILT_READ, EV_ADD | EV_ONESHOT, 0, 100);
}
#endif

TEST_F(VnodeFile, R176_D35_GrowingByFtruncateContainsExtend) {
    EXPECT_EQ(after(NOTE_EXTEND, [&] { truncate(200); }) & NOTE_EXTEND, 1u * NOTE_EXTEND);
}

TEST_F(VnodeFile, R177_D35_ShrinkingIsTruncateAndAttrib) {
    EXPECT_EQ(after(kChanges & ~NOTE_WRITE, [&] { truncate(90); }),
              1u * NOTE_TRUNCATE | NOTE_ATTRIB);
    EXPECT_EQ(after(NOTE_TRUNCATE, [&] { truncate(80); }), 1u * NOTE_TRUNCATE | NOTE_ATTRIB);
    EXPECT_EQ(after(NOTE_ATTRIB, [&] { truncate(70); }), 1u * NOTE_TRUNCATE | NOTE_ATTRIB);
    EXPECT_EQ(after(NOTE_EXTEND, [&] { truncate(60); }), 0u);
}

// What makes a file shorter may have written to it, too: the kernel says the same of both
// (L-VNODE-TRUNCATE). That must not be lost: so does every program that writes a file anew.
TEST_F(VnodeFile, R170_R177_AShorterFileMayHaveBeenWritten) {
    const auto rewrite = [&](std::string_view content) {
        const Fd fd = open_file(tree.path("file"), O_WRONLY | O_TRUNC);
        write_bytes(*fd, content);
    };
    EXPECT_EQ(after(NOTE_WRITE, [&] { rewrite("new"); }), 1u * NOTE_WRITE);
    EXPECT_EQ(after(kChanges, [&] { rewrite("n"); }),
              1u * NOTE_TRUNCATE | NOTE_ATTRIB | NOTE_WRITE);
    EXPECT_EQ(after(NOTE_WRITE, [&] { rewrite("longer"); }), 1u * NOTE_WRITE | NOTE_EXTEND);
    const auto write_and_cut = [&] {
        overwrite();
        truncate(2);
    };
    EXPECT_EQ(after(NOTE_WRITE, write_and_cut), 1u * NOTE_WRITE);
}

TEST_F(VnodeFile, R178_RemovingTheLastNameIsDelete) {
    for (const unsigned mask : {1u * NOTE_DELETE, kChanges}) {
        const Fd other = tree.file("other");
        ASSERT_EQ(add(other, mask), 0);
        tree.unlink("other");
        expect(other, NOTE_DELETE);
        write_bytes(*other, 1);
        EXPECT_EQ(notes(), mask == kChanges ? 1u * NOTE_WRITE | NOTE_EXTEND : 0u);
    }
}

// The C libkqueue says so again and again.
TEST_F(VnodeFile, R178_DeleteIsToldOnce) {
    ASSERT_EQ(add(file, NOTE_DELETE | NOTE_ATTRIB), 0);
    tree.unlink("file");
    expect(file, NOTE_DELETE);
    ASSERT_EQ(::fchmod(*file, 0600), 0);
    expect(file, NOTE_ATTRIB);
    ASSERT_EQ(apply(file, EV_ADD, NOTE_DELETE), 0);
    ASSERT_EQ(::fchmod(*file, 0644), 0);
    expect_nothing();
}

TEST_F(VnodeFile, R178_UnlinkedFilesAndUnnamedOnesAreWatched) {
    tree.unlink("file");
    EXPECT_EQ(after(kChanges, [&] { overwrite(); }), 1u * NOTE_WRITE);
    EXPECT_EQ(after(kChanges, [&] { ASSERT_EQ(::fchmod(*file, 0600), 0); }), 1u * NOTE_ATTRIB);
}

TEST_F(VnodeFile, R179_RenameIsTold) {
    ASSERT_EQ(add(file, NOTE_RENAME), 0);
    tree.rename("file", "elsewhere");
    expect(file, NOTE_RENAME);
    tree.rename("elsewhere", "file");
    expect(file, NOTE_RENAME);
    EXPECT_EQ(after(kChanges, [&] { tree.rename("file", "elsewhere"); }), 1u * NOTE_RENAME);
    tree.rename("elsewhere", "file");
}

TEST_F(VnodeFile, R179_OnceIsEnoughForAOneshot) {
    ASSERT_EQ(add(file, NOTE_RENAME, EV_ONESHOT), 0);
    tree.rename("file", "elsewhere");
    expect(file, NOTE_RENAME, EV_ONESHOT);
    tree.rename("elsewhere", "file");
    expect_nothing();
}

TEST_F(VnodeFile, R180_BeingReplacedIsDelete) {
    const Fd victim = tree.file("victim");
    ASSERT_EQ(add(victim, kChanges), 0);
    ASSERT_EQ(add(file, kChanges), 0);
    tree.rename("file", "victim");
    const std::vector<Event> events = q.collect();
    ASSERT_EQ(events.size(), 2u);
    for (const Event& event : events)
        EXPECT_EQ(event.fflags,
                  static_cast<int>(event.ident) == *victim ? 1u * NOTE_DELETE : 1u * NOTE_RENAME);
}

TEST_F(VnodeFile, R181_D34_OneNameMoreOrLessIsLink) {
    for (const unsigned mask : {1u * NOTE_LINK, kChanges}) {
        EXPECT_EQ(after(mask, [&] { tree.link("file", "more"); }), 1u * NOTE_LINK);
        EXPECT_EQ(after(mask, [&] { tree.unlink("more"); }), 1u * NOTE_LINK);
    }
    tree.link("file", "more");
    EXPECT_EQ(after(NOTE_DELETE, [&] { tree.unlink("file"); }), 0u);
    EXPECT_EQ(after(NOTE_DELETE, [&] { tree.unlink("more"); }), 1u * NOTE_DELETE);
}

// What follows on each other before anybody looks is told of in one event.
TEST_F(VnodeFile, R181_SeveralChangesBeforeALook) {
    EXPECT_EQ(after(kChanges,
                    [&] {
                        tree.chmod("file", 0600);
                        tree.link("file", "more");
                    }),
              1u * NOTE_ATTRIB | NOTE_LINK);
    EXPECT_EQ(after(kChanges,
                    [&] {
                        overwrite();
                        tree.unlink("more");
                    }),
              1u * NOTE_WRITE | NOTE_LINK);
    EXPECT_EQ(after(kChanges,
                    [&] {
                        tree.append("file", 1);
                        tree.touch("file");
                        tree.rename("file", "other");
                        tree.unlink("other");
                    }),
              1u * NOTE_WRITE | NOTE_EXTEND | NOTE_RENAME | NOTE_ATTRIB | NOTE_DELETE);
}

// The kernel's watch ends with the last name, unless the file was opened by that one.
TEST_F(VnodeFile, R178_RemovedByAnotherNameThanItWasOpenedBy) {
    for (const int flags : {0, EV_CLEAR}) {
        const Fd other = tree.file("other");
        tree.link("other", "more");
        ASSERT_EQ(add(other, kChanges, flags), 0);
        tree.unlink("other");
        expect(other, NOTE_LINK, flags);
        tree.unlink("more");
        write_bytes(*other, 1);
        const unsigned before = flags == 0 ? NOTE_LINK : 0;
        expect(other, before | NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND, flags);
        ASSERT_EQ(::fchmod(*other, 0600), 0);
        write_bytes(*other, 1);
        EXPECT_EQ(notes(), flags == 0
                               ? NOTE_LINK | NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB
                               : 1u * NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB);
        ASSERT_EQ(apply(other, EV_DELETE), 0);
    }
    expect_silent(q);
}

// R-197 says that these notes are not in the header of the C libkqueue. They are in ours, with the
// numbers of FreeBSD, except NOTE_OPEN: FreeBSD's number for it is NOTE_TRUNCATE here.
TEST_F(VnodeFile, R197_OpenReadAndClose) {
    const unsigned mask = NOTE_OPEN | NOTE_READ | NOTE_CLOSE | NOTE_CLOSE_WRITE;
    ASSERT_EQ(add(file, mask), 0);
    Fd reader = open_file(tree.path("file"), O_RDONLY);
    expect(file, NOTE_OPEN);
    read_bytes(*reader, 3);
    expect(file, NOTE_READ);
    reader.reset();
    expect(file, NOTE_CLOSE);
    Fd writer = open_file(tree.path("file"), O_RDWR);
    expect(file, NOTE_OPEN);
    write_bytes(*writer, 3);
    expect_nothing();
    writer.reset();
    expect(file, NOTE_CLOSE_WRITE);
}

TEST_F(VnodeFile, R197_EachOfThemAlone) {
    const auto use = [&](int mode) {
        const Fd fd = open_file(tree.path("file"), mode);
        if (mode == O_RDONLY) read_bytes(*fd, 1);
    };
    EXPECT_EQ(after(NOTE_OPEN, [&] { use(O_RDONLY); }), 1u * NOTE_OPEN);
    EXPECT_EQ(after(NOTE_READ, [&] { use(O_RDONLY); }), 1u * NOTE_READ);
    EXPECT_EQ(after(NOTE_CLOSE, [&] { use(O_RDONLY); }), 1u * NOTE_CLOSE);
    EXPECT_EQ(after(NOTE_CLOSE, [&] { use(O_WRONLY); }), 0u);
    EXPECT_EQ(after(NOTE_CLOSE_WRITE, [&] { use(O_WRONLY); }), 1u * NOTE_CLOSE_WRITE);
    EXPECT_EQ(after(NOTE_CLOSE_WRITE, [&] { use(O_RDONLY); }), 0u);
}

TEST_F(VnodeFile, R197_ReadingAlone) {
    const Fd reader = open_file(tree.path("file"), O_RDONLY);
    EXPECT_EQ(after(NOTE_READ, [&] { read_bytes(*reader, 1); }), 1u * NOTE_READ);
}

TEST_F(VnodeFile, R197_NumbersDoNotCollide) {
    unsigned seen = 0;
    for (const unsigned note :
         {NOTE_DELETE, NOTE_WRITE, NOTE_EXTEND, NOTE_ATTRIB, NOTE_LINK, NOTE_RENAME, NOTE_REVOKE,
          NOTE_TRUNCATE, NOTE_CLOSE, NOTE_CLOSE_WRITE, NOTE_READ, NOTE_OPEN}) {
        EXPECT_EQ(seen & note, 0u) << note;
        seen |= note;
    }
}

// The C libkqueue returned 0 from kevent() without a timeout when another process opened the
// file, and when its mode was changed.
TEST_F(VnodeFile, R173_ASleeperIsNotWokenForWhatItDidNotAsk) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    std::vector<Event> events;
    Thread sleeper([&] { events = q.call({}, 4, kForever).events; });
    sleeper.wait_until_asleep();
    EXPECT_EQ(Child([&] {
                  const int fd = ::open(tree.path("file").c_str(), O_RDWR);
                  char byte = 0;
                  return fd >= 0 && ::read(fd, &byte, 1) == 1 && ::close(fd) == 0 ? 0 : 1;
              }).wait(),
              0);
    tree.chmod("file", 0600);
    EXPECT_FALSE(q.readable());  // nothing of it has come as far as the kqueue
    EXPECT_FALSE(sleeper.joined());
    overwrite();
    sleeper.join();
    expect_only(events, *file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
}

TEST_F(VnodeFile, R195_DataIsZeroAndAMapIsSilent) {
    ASSERT_EQ(q.apply(change(*file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE, 77, tag(5))), 0);
    overwrite();
    expect_only(q.collect(), *file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE, 0, tag(5));
}

}  // namespace
}  // namespace kqtest
