// SPDX-License-Identifier: BSD-2-Clause
// The kernel has only one report: a file was written, or signals came. Such a report takes a short
// way (src/news.cc). The events must be the same as otherwise, whatever else is pending, and
// whichever other knotes and kqueues the report concerns.
#include <cerrno>

#include "support/gaps.h"
#include "support/signals.h"
#include "support/tree.h"

namespace kqtest {
namespace {

// ---- files ----

class NewsOfFiles : public VnodeTest {
  protected:
    static void overwrite(const Fd& fd) { ASSERT_EQ(::pwrite(*fd, "x", 1, 0), 1); }

    const Fd file = tree.file("file", "content");
    const Fd other = tree.file("other", "content");
};

TEST_F(NewsOfFiles, R188_EachWriteIsToldOnce) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    for (int round = 0; round < 3; round++) {
        overwrite(file);
        expect(file, NOTE_WRITE);
        EXPECT_FALSE(q.readable());
        expect_nothing();
    }
}

TEST_F(NewsOfFiles, R187_WithoutClearTheWriteRepeats) {
    ASSERT_EQ(add(file, NOTE_WRITE, 0), 0);
    overwrite(file);
    for (int round = 0; round < 3; round++) {
        expect(file, NOTE_WRITE, 0);
        EXPECT_TRUE(q.readable());
    }
}

TEST_F(NewsOfFiles, R188_AOneshotIsGoneAfterTheWrite) {
    ASSERT_EQ(add(file, NOTE_WRITE, EV_ONESHOT | EV_CLEAR), 0);
    overwrite(file);
    expect(file, NOTE_WRITE, EV_ONESHOT | EV_CLEAR);
    EXPECT_EQ(apply(file, EV_DELETE), ENOENT);
}

TEST_F(NewsOfFiles, R191_DispatchIsDisabledByTheWrite) {
    ASSERT_EQ(add(file, NOTE_WRITE, EV_DISPATCH | EV_CLEAR), 0);
    overwrite(file);
    expect(file, NOTE_WRITE, EV_DISPATCH | EV_CLEAR);
    overwrite(file);
    expect_nothing();
    ASSERT_EQ(apply(file, EV_ENABLE), 0);
    expect(file, NOTE_WRITE, EV_DISPATCH | EV_CLEAR);
}

// The knote has ended with its number, but the file stays open. The kernel reports that the watch
// has ended, which is no event.
TEST_F(NewsOfFiles, R6_NothingIsLeftOfANumberThatWasClosed) {
    for (const bool replaced : {false, true}) {
        Fd number(::dup(*file));
        ASSERT_EQ(add(number, NOTE_WRITE), 0);
        if (replaced) {
            ASSERT_EQ(::dup2(*other, *number), *number);
        } else {
            number.reset();
        }
        overwrite(file);
        expect_nothing();
        EXPECT_FALSE(q.readable()) << replaced;
    }
}

TEST_F(NewsOfFiles, R190_ADisabledOneKeepsTheWrite) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    ASSERT_EQ(apply(file, EV_DISABLE), 0);
    overwrite(file);
    expect_nothing();
    ASSERT_EQ(apply(file, EV_ENABLE), 0);
    expect(file, NOTE_WRITE);
}

TEST_F(NewsOfFiles, R76_UdataIsThatOfTheLastChange) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    ASSERT_EQ(q.apply(change(*file, EVFILT_VNODE, EV_ADD, NOTE_WRITE, 0, tag(7))), 0);
    overwrite(file);
    expect_only(q.collect(), *file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE, 0, tag(7));
}

// One report of the file concerns each of its descriptors.
TEST_F(NewsOfFiles, R192_EachDescriptorOfTheFile) {
    const Fd again = tree.file("file");
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    ASSERT_EQ(add(again, NOTE_WRITE), 0);
    overwrite(file);
    EXPECT_EQ(q.collect().size(), 2u);
    overwrite(again);
    EXPECT_EQ(q.collect(1).size(), 1u);
    EXPECT_EQ(q.collect(1).size(), 1u);
    expect_nothing();
}

TEST_F(NewsOfFiles, R337_EachKnoteOfTheDescriptor) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    ASSERT_EQ(q.apply(change(*file, EVFILT_VNODE, EV_ADD | EV_CLEAR | EV_UDATA_SPECIFIC, NOTE_WRITE,
                             0, tag(1))),
              0);
    overwrite(file);
    EXPECT_EQ(q.collect().size(), 2u);
    expect_nothing();
}

TEST_F(NewsOfFiles, R192_BesideAReaderAtTheEndOfTheFile) {
    ASSERT_EQ(add(file, NOTE_EXTEND), 0);
    ASSERT_EQ(q.apply(change(*file, EVFILT_READ, EV_ADD)), 0);
    expect_nothing();
    tree.append("file", 3);
    const std::vector<Event> events = q.collect();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_NE(events[0].filter, events[1].filter);
}

// One read() of the kernel's reports has several.
TEST_F(NewsOfFiles, R186_SeveralChangesAtOnce) {
    KQ_GAP("P-VNODE-TOUCH");
    ASSERT_EQ(add(file, NOTE_WRITE | NOTE_ATTRIB), 0);
    ASSERT_EQ(add(other, NOTE_WRITE), 0);
    overwrite(file);
    overwrite(other);
    EXPECT_EQ(q.collect().size(), 2u);
    overwrite(file);
    tree.chmod("file", 0600);
    expect(file, NOTE_WRITE | NOTE_ATTRIB);
    tree.chmod("file", 0644);
    expect(file, NOTE_ATTRIB);
    expect_nothing();
}

TEST_F(NewsOfFiles, R170_R177_TheSizeIsThatOfTheLastLook) {
    ASSERT_EQ(add(file, NOTE_WRITE | NOTE_EXTEND | NOTE_TRUNCATE), 0);
    tree.append("file", 3);
    expect(file, NOTE_WRITE | NOTE_EXTEND);
    overwrite(file);
    expect(file, NOTE_WRITE);
    ASSERT_EQ(::pwrite(*file, "content", 7, 100), 7);
    expect(file, NOTE_WRITE | NOTE_EXTEND);
}

// The number names another file before the write is collected.
TEST_F(NewsOfFiles, R193_AnotherFileByThen) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    overwrite(file);
    ASSERT_EQ(::dup2(*other, *file), *file);
    expect_nothing();
    overwrite(file);
    expect_nothing();
    EXPECT_EQ(apply(file, EV_DELETE), ENOENT);
}

// A bug: with room for one event, the report of a write that no knote had asked for took the place.
TEST_F(NewsOfFiles, S23_AWriteThatIsNoEventHidesNoReadyPipe) {
    const Pipe pipe = make_pipe();
    ASSERT_EQ(add(file, NOTE_EXTEND), 0);
    ASSERT_EQ(q.apply(change(*pipe.read, EVFILT_READ, EV_ADD)), 0);
    overwrite(file);
    write_bytes(*pipe.write, 3);
    expect_only(q.collect(1), *pipe.read, EVFILT_READ, EV_ADD, 0, 3);
    expect_only(q.wait(1), *pipe.read, EVFILT_READ, EV_ADD, 0, 3);
}

TEST_F(NewsOfFiles, S23_AWaitGoesOnAfterAWriteThatIsNoEvent) {
    ASSERT_EQ(add(file, NOTE_EXTEND), 0);
    overwrite(file);
    const auto start = now();
    expect_none(q.collect(1, milliseconds{30}));
    EXPECT_GE(since(start), milliseconds{29});
}

// No kernel reports that the offset has moved. A call looks at such files even if it has a report.
TEST_F(NewsOfFiles, S23_AFileThatIsLookedAtIsFoundBesideAWrite) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    ASSERT_EQ(q.apply(change(*other, EVFILT_READ, EV_ADD)), 0);
    expect_nothing();
    ASSERT_EQ(::lseek(*other, 2, SEEK_SET), 2);
    overwrite(file);
    EXPECT_EQ(q.collect().size(), 2u);
}

TEST_F(NewsOfFiles, R47_AWriteStandsBehindWhatWaits) {
    for (const int ident : {1, 2})
        ASSERT_EQ(q.apply(change(ident, EVFILT_USER, EV_ADD | EV_CLEAR)), 0);
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    for (const int ident : {1, 2})
        ASSERT_EQ(q.apply(change(ident, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    expect_only(q.collect(1), 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    overwrite(file);
    expect_only(q.collect(1), 2, EVFILT_USER, EV_ADD | EV_CLEAR);
    expect_only(q.collect(1), *file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
}

// The report of a file that is not watched any more is no event, and does not affect another file.
TEST_F(NewsOfFiles, R87_AWriteOfAFileThatIsNotWatchedAnyMore) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    ASSERT_EQ(add(other, NOTE_WRITE), 0);
    overwrite(file);
    ASSERT_EQ(apply(file, EV_DELETE), 0);
    expect_nothing();
    EXPECT_FALSE(q.readable());
    overwrite(other);
    expect(other, NOTE_WRITE);
}

TEST_F(NewsOfFiles, ErrnoStaysAsItWas) {
    ASSERT_EQ(add(file, NOTE_WRITE), 0);
    ASSERT_EQ(add(other, NOTE_EXTEND), 0);
    Event events[4];
    const auto collects = [this, &events](int count) {
        errno = EDOM;
        EXPECT_EQ(::kevent(q.fd(), nullptr, 0, events, 4, &kAtOnce), count);
        EXPECT_EQ(errno, EDOM);
    };
    overwrite(file);
    collects(1);
    overwrite(other);
    collects(0);
    overwrite(file);
    tree.append("other", 1);
    collects(2);
    overwrite(file);
    ASSERT_EQ(::dup2(*other, *file), *file);
    collects(0);
}

// ---- signals ----

using signals::add;
using signals::kReported;

class NewsOfSignals : public SignalTest {
  protected:
    Queue q;
};

TEST_F(NewsOfSignals, R219_EachReportCountsFromTheLast) {
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    for (int times = 1; times <= 3; times++) {
        send(SIGUSR1, times);
        expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, times);
        EXPECT_FALSE(q.readable());
        expect_none(q.collect());
    }
}

TEST_F(NewsOfSignals, R228_OneOfSeveralOrAllOfThem) {
    ASSERT_EQ(q.apply(add(SIGUSR1), add(SIGUSR2), add(SIGHUP)), 0);
    send(SIGUSR2);
    expect_only(q.wait(), SIGUSR2, EVFILT_SIGNAL, kReported, 0, 1);
    for (const int number : {SIGHUP, SIGUSR1, SIGUSR2})
        send(number);
    EXPECT_EQ(q.wait().size(), 3u);
    for (const int number : {SIGHUP, SIGUSR1})
        send(number);
    EXPECT_EQ(q.wait(1).size(), 1u);
    EXPECT_EQ(q.wait(1).size(), 1u);
    expect_none(q.collect());
}

TEST_F(NewsOfSignals, R337_EachKnoteOfTheSignal) {
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_UDATA_SPECIFIC, 0, 0, tag(1))), 0);
    send(SIGUSR1, 2);
    const std::vector<Event> events = q.wait();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[0].data, 2);
    EXPECT_EQ(events[1].data, 2);
    expect_none(q.collect());
}

// The other knote of the same signal is disabled, and keeps its count.
TEST_F(NewsOfSignals, R224_ADisabledKnoteOfTheSignalKeepsItsCount) {
    const Event disabled =
        change(SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_DISABLE | EV_UDATA_SPECIFIC, 0, 0, tag(1));
    ASSERT_EQ(q.apply(add(SIGUSR1), disabled), 0);
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ENABLE | EV_UDATA_SPECIFIC, 0, 0, tag(1))),
              0);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported | EV_UDATA_SPECIFIC, 0, 1, tag(1));
}

TEST_F(NewsOfSignals, R226_DispatchIsDisabledByTheSignal) {
    const int flags = EV_ADD | EV_DISPATCH;
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, flags)), 0);
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, flags | EV_CLEAR, 0, 1);
    send(SIGUSR1);
    expect_none(q.collect());
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ENABLE)), 0);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, flags | EV_CLEAR, 0, 1);
}

TEST_F(NewsOfSignals, R225_AOneshotIsGoneAfterTheSignal) {
    ASSERT_EQ(q.apply(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD | EV_ONESHOT)), 0);
    send(SIGUSR1);
    expect_only(q.wait(), SIGUSR1, EVFILT_SIGNAL, kReported | EV_ONESHOT, 0, 1);
    EXPECT_EQ(q.apply(signals::remove(SIGUSR1)), ENOENT);
}

TEST_F(NewsOfSignals, R47_ASignalStandsBehindWhatWaits) {
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD | EV_CLEAR), add(SIGUSR1)), 0);
    ASSERT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
    send(SIGUSR1);
    expect_only(q.wait(1), 1, EVFILT_USER, kReported);
    expect_only(q.wait(1), SIGUSR1, EVFILT_SIGNAL, kReported, 0, 1);
    expect_none(q.collect());
    EXPECT_FALSE(q.readable());
}

TEST_F(NewsOfSignals, ErrnoStaysAsItWas) {
    ASSERT_EQ(q.apply(add(SIGUSR1)), 0);
    send(SIGUSR1);
    Event event;
    errno = EDOM;
    EXPECT_EQ(::kevent(q.fd(), nullptr, 0, &event, 1, &kAtOnce), 1);
    EXPECT_EQ(errno, EDOM);
}

}  // namespace
}  // namespace kqtest
