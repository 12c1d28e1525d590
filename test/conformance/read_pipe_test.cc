// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ on pipes and FIFOs.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

class ReadPipe : public KqTest {
  protected:
    int apply(const Fd& fd, int flags) const { return q_.apply(change(*fd, EVFILT_READ, flags)); }
    int add(int flags = 0) const { return apply(pipe_.read, EV_ADD | flags); }
    void expect(int flags, intptr_t data, int line = __builtin_LINE()) const {
        expect_only(q_.wait(), *pipe_.read, EVFILT_READ, EV_ADD | flags, 0, data, nullptr, __FILE__,
                    line);
    }

    Pipe pipe_ = make_pipe();
    Queue q_;
};

TEST_F(ReadPipe, R129_BytesThenEofWithBytesThenEof) {
    ASSERT_EQ(add(), 0);
    write_bytes(*pipe_.write, 3);
    expect(0, 3);
    pipe_.write.reset();
    expect(EV_EOF, 3);
    read_bytes(*pipe_.read, 3);
    expect(EV_EOF, 0);
    expect(EV_EOF, 0);
}

TEST_F(ReadPipe, R129_DataIsExactUpToTheWholePipe) {
    ASSERT_EQ(add(), 0);
    const size_t all = fill(*pipe_.write);
    expect(0, static_cast<intptr_t>(all));
    read_bytes(*pipe_.read, 1000);
    expect(0, static_cast<intptr_t>(all) - 1000);
}

TEST_F(ReadPipe, R129_EofStaysWhileAnotherWriterIsLeft) {
    const Fd second{::dup(*pipe_.write)};
    ASSERT_EQ(add(), 0);
    pipe_.write.reset();
    expect_sleeps(q_);
    write_bytes(*second, 1);
    expect(0, 1);
}

TEST_F(ReadPipe, R129_ClearReportsDataOnceAndEofOnce) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    write_bytes(*pipe_.write, 3);
    expect(EV_CLEAR, 3);
    expect_none(q_.collect());
    pipe_.write.reset();
    expect(EV_CLEAR | EV_EOF, 3);
    expect_sleeps(q_);
}

TEST_F(ReadPipe, R130_AddAfterTheWriterClosedIsEof) {
    pipe_.write.reset();
    ASSERT_EQ(add(), 0);
    expect(EV_EOF, 0);
}

TEST_F(ReadPipe, R130_OneshotEofIsReportedOnceAndGone) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    pipe_.write.reset();
    expect(EV_ONESHOT | EV_EOF, 0);
    EXPECT_EQ(apply(pipe_.read, EV_DELETE), ENOENT);
    expect_sleeps(q_);
}

TEST_F(ReadPipe, R130_DispatchEofIsReportedAtEachEnable) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    pipe_.write.reset();
    for (int i = 0; i < 3; i++) {
        expect(EV_DISPATCH | EV_EOF, 0);
        expect_none(q_.collect());
        ASSERT_EQ(apply(pipe_.read, EV_ENABLE), 0);
    }
}

TEST_F(ReadPipe, R131_TwoEndedPipesAreBothReportedOnEveryCall) {
    Pipe other = make_pipe();
    ASSERT_EQ(add(), 0);
    ASSERT_EQ(apply(other.read, EV_ADD), 0);
    pipe_.write.reset();
    other.write.reset();
    for (int i = 0; i < 3; i++) {
        const std::vector<Event> events = q_.wait(2);
        ASSERT_EQ(events.size(), 2u);
        EXPECT_NE(events[0].ident, events[1].ident);
        for (const Event& e : events)
            EXPECT_EQ(e.flags, EV_ADD | EV_EOF) << to_string(e);
    }
}

TEST_F(ReadPipe, R84_HangUpWhileDisabledIsQuietUntilEnabled) {
    for (const int mode : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        const Queue q;
        Pipe p = make_pipe();
        ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ADD | mode)), 0);
        ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_DISABLE)), 0);
        p.write.reset();
        expect_sleeps(q);
        EXPECT_FALSE(q.readable());
        ASSERT_EQ(q.apply(change(*p.read, EVFILT_READ, EV_ENABLE)), 0);
        expect_only(q.wait(), *p.read, EVFILT_READ, EV_ADD | mode | EV_EOF, 0, 0);
    }
}

TEST_F(ReadPipe, R91_HangUpAfterDispatchIsQuietUntilEnabled) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    write_bytes(*pipe_.write, 1);
    expect(EV_DISPATCH, 1);
    pipe_.write.reset();
    expect_sleeps(q_);
    ASSERT_EQ(apply(pipe_.read, EV_ENABLE), 0);
    expect(EV_DISPATCH | EV_EOF, 1);
}

TEST_F(ReadPipe, R88_HangUpAfterOneshotIsQuiet) {
    ASSERT_EQ(add(EV_ONESHOT), 0);
    write_bytes(*pipe_.write, 1);
    expect(EV_ONESHOT, 1);
    pipe_.write.reset();
    expect_sleeps(q_);
}

// ---- the write end: it hears of its last reader ----

constexpr int kModes[] = {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH};

TEST_F(ReadPipe, R132_WriteEndIsSilentWhileThereIsAReader) {
    for (const int mode : kModes) {
        const Queue q;
        Pipe p = make_pipe();
        ASSERT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_ADD | mode)), 0);
        expect_sleeps(q);
        write_bytes(*p.write, 3);
        expect_sleeps(q);
        const Fd second{::dup(*p.read)};
        p.read.reset();
        expect_sleeps(q);
        EXPECT_FALSE(q.readable());
        EXPECT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_DELETE)), 0);
    }
}

TEST_F(ReadPipe, R132_WriteEndWithoutReaderIsEofInEachMode) {
    for (const bool before : {false, true})
        for (const int mode : kModes) {
            const Queue q;
            Pipe p = make_pipe();
            if (before) p.read.reset();
            ASSERT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_ADD | mode)), 0);
            if (!before) expect_none(q.collect());
            p.read.reset();
            const auto expect_eof = [&] {
                expect_only(q.wait(), *p.write, EVFILT_READ, EV_ADD | mode | EV_EOF, 0, 0);
            };
            expect_eof();
            if (mode == 0)
                expect_eof();
            else
                expect_none(q.collect());
            const bool is_gone = mode == EV_ONESHOT;
            if (mode == EV_DISPATCH) {
                ASSERT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_ENABLE)), 0);
                expect_eof();
            }
            EXPECT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_DELETE)), is_gone ? ENOENT : 0);
            expect_none(q.collect());
        }
}

TEST_F(ReadPipe, R132_WriteEndIsEofWhateverWasNotRead) {
    fill(*pipe_.write);
    ASSERT_EQ(apply(pipe_.write, EV_ADD), 0);
    expect_sleeps(q_);
    pipe_.read.reset();
    const Event e = pick(q_.wait(), EVFILT_READ);
    expect_event(e, *pipe_.write, EVFILT_READ, EV_ADD | EV_EOF, 0, 0);
}

// The mark counts only bytes to read. An end is true whatever the mark is.
TEST_F(ReadPipe, R132_WriteEndWithAMark) {
    ASSERT_EQ(q_.apply(change(*pipe_.write, EVFILT_READ, EV_ADD, NOTE_LOWAT, 100)), 0);
    expect_sleeps(q_);
    pipe_.read.reset();
    EXPECT_EQ(pick(q_.wait(), EVFILT_READ).flags, EV_ADD | EV_EOF);
}

TEST_F(ReadPipe, R84_WriteEndWhoseReaderLeftWhileDisabled) {
    for (const int mode : kModes) {
        const Queue q;
        Pipe p = make_pipe();
        ASSERT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_ADD | mode)), 0);
        ASSERT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_DISABLE)), 0);
        p.read.reset();
        expect_sleeps(q);
        EXPECT_FALSE(q.readable());
        ASSERT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_ENABLE)), 0);
        expect_only(q.wait(), *p.write, EVFILT_READ, EV_ADD | mode | EV_EOF, 0, 0);
    }
}

TEST_F(ReadPipe, R6_PollSeesThatTheReaderIsGone) {
    ASSERT_EQ(apply(pipe_.write, EV_ADD), 0);
    EXPECT_FALSE(q_.readable());
    pipe_.read.reset();
    EXPECT_TRUE(q_.wait_until_readable());
}

TEST_F(ReadPipe, R132_ASleeperHearsThatTheReaderIsGone) {
    ASSERT_EQ(apply(pipe_.write, EV_ADD), 0);
    std::vector<Event> events;
    Thread waiter([&] { events = q_.wait(); });
    waiter.wait_until_asleep();
    pipe_.read.reset();
    waiter.join();
    expect_only(events, *pipe_.write, EVFILT_READ, EV_ADD | EV_EOF, 0, 0);
}

// Both knotes of the number are told, each in its own mode.
TEST_F(ReadPipe, R132_WriteEndBesideAWriteKnote) {
    for (const int read : kModes)
        for (const int write : kModes) {
            SCOPED_TRACE(read * 1000 + write);
            const Queue q;
            Pipe p = make_pipe();
            ASSERT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_ADD | read)), 0);
            ASSERT_EQ(q.apply(change(*p.write, EVFILT_WRITE, EV_ADD | write)), 0);
            EXPECT_EQ(filters(q.collect()), "WRITE");  // there is room
            if (write == EV_DISPATCH) {
                ASSERT_EQ(q.apply(change(*p.write, EVFILT_WRITE, EV_ENABLE)), 0);
                EXPECT_EQ(filters(q.collect()), "WRITE");
            }
            p.read.reset();
            const bool both = write == 0 || write == EV_CLEAR;
            std::vector<Event> events = q.wait();
            if (both && events.size() == 1)
                for (const Event& e : q.collect())
                    if (e.filter != events[0].filter) events.push_back(e);
            ASSERT_EQ(events.size(), both ? 2u : 1u);
            for (const Event& e : events)
                EXPECT_NE(e.flags & EV_EOF, 0) << to_string(e);
            EXPECT_EQ(filters(events).find("READ") != std::string::npos, true);
            if (read != 0 && write != 0) expect_none(q.collect());
        }
}

TEST_F(ReadPipe, R132_WriteEndsOfTwoQueues) {
    const Queue other;
    ASSERT_EQ(apply(pipe_.write, EV_ADD | EV_CLEAR), 0);
    ASSERT_EQ(other.apply(change(*pipe_.write, EVFILT_READ, EV_ADD)), 0);
    pipe_.read.reset();
    expect_only(other.wait(), *pipe_.write, EVFILT_READ, EV_ADD | EV_EOF, 0, 0);
    expect_only(q_.wait(), *pipe_.write, EVFILT_READ, EV_ADD | EV_CLEAR | EV_EOF, 0, 0);
}

// ---- FIFOs ----

class ReadFifo : public KqTest {
  protected:
    ReadFifo() {
        ::unlink(name_.path.c_str());
        EXPECT_EQ(::mkfifo(name_.path.c_str(), 0600), 0);
        read_ = open_file(name_.path, O_RDONLY | O_NONBLOCK);
    }
    Fd writer() const { return open_file(name_.path, O_WRONLY | O_NONBLOCK); }
    int add(int flags = 0) const { return q_.apply(change(*read_, EVFILT_READ, EV_ADD | flags)); }
    void expect(int flags, intptr_t data, int line = __builtin_LINE()) const {
        expect_only(q_.wait(), *read_, EVFILT_READ, EV_ADD | flags, 0, data, nullptr, __FILE__,
                    line);
    }

    TempFile name_;
    Fd read_;
    Queue q_;
};

TEST_F(ReadFifo, R133_NoWriterYetIsSilent) {
    for (const int mode : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        const Queue q;
        ASSERT_EQ(q.apply(change(*read_, EVFILT_READ, EV_ADD | mode)), 0);
        expect_sleeps(q);
    }
}

TEST_F(ReadFifo, R133_TheFirstWriterIsNoEvent) {
    ASSERT_EQ(add(), 0);
    const Fd write = writer();
    expect_sleeps(q_);
    write_bytes(*write, 2);
    expect(0, 2);
}

TEST_F(ReadFifo, R134_EofWhenTheLastWriterLeavesAndNotAfterTheNextCame) {
    ASSERT_EQ(add(), 0);
    Fd write = writer();
    write.reset();
    expect(EV_EOF, 0);
    expect(EV_EOF, 0);
    write = writer();
    expect_sleeps(q_);
    write_bytes(*write, 1);
    expect(0, 1);
    write.reset();
    expect(EV_EOF, 1);
}

TEST_F(ReadFifo, R134_WithClear) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    for (int i = 0; i < 3; i++) {
        Fd write = writer();
        expect_none(q_.collect());
        write_bytes(*write, 1);
        expect(EV_CLEAR, 1);
        read_bytes(*read_, 1);
        write.reset();
        expect(EV_CLEAR | EV_EOF, 0);
        expect_sleeps(q_);
    }
}

TEST_F(ReadFifo, R134_WithDispatch) {
    ASSERT_EQ(add(EV_DISPATCH), 0);
    writer().reset();
    expect(EV_DISPATCH | EV_EOF, 0);
    const Fd write = writer();
    ASSERT_EQ(q_.apply(change(*read_, EVFILT_READ, EV_ENABLE)), 0);
    expect_sleeps(q_);
    write_bytes(*write, 1);
    expect(EV_DISPATCH, 1);
}

TEST_F(ReadFifo, R133_OpenForBothNeverEnds) {
    const Fd both = open_file(name_.path, O_RDWR);
    ASSERT_EQ(q_.apply(change(*both, EVFILT_READ, EV_ADD)), 0);
    writer().reset();
    expect_sleeps(q_);
    write_bytes(*both, 4);
    expect_only(q_.wait(), *both, EVFILT_READ, EV_ADD, 0, 4);
}

#ifdef LIBKQUEUE  // FreeBSD: silent on FIFOs, though not on pipes
TEST_F(ReadFifo, R132_WriteEndIsEofWhileThereIsNoReader) {
    const Fd write = writer();
    ASSERT_EQ(q_.apply(change(*write, EVFILT_READ, EV_ADD)), 0);
    for (int i = 0; i < 3; i++) {
        expect_sleeps(q_);
        read_.reset();
        for (int k = 0; k < 2; k++)
            expect_only(q_.wait(), *write, EVFILT_READ, EV_ADD | EV_EOF, 0, 0);
        read_ = open_file(name_.path, O_RDONLY | O_NONBLOCK);
    }
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
}

TEST_F(ReadFifo, R132_WriteEndWithClear) {
    const Fd write = writer();
    ASSERT_EQ(q_.apply(change(*write, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    for (int i = 0; i < 3; i++) {
        expect_none(q_.collect());
        read_.reset();
        expect_only(q_.wait(), *write, EVFILT_READ, EV_ADD | EV_CLEAR | EV_EOF, 0, 0);
        expect_none(q_.collect());
        read_ = open_file(name_.path, O_RDONLY | O_NONBLOCK);
    }
}

// The reader is closed, and another one opens the FIFO before the library looks.
TEST_F(ReadFifo, R132_WriteEndWhoseReaderIsBackIsSilent) {
    const Fd write = writer();
    ASSERT_EQ(q_.apply(change(*write, EVFILT_READ, EV_ADD)), 0);
    read_.reset();
    read_ = open_file(name_.path, O_RDONLY | O_NONBLOCK);
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
}

TEST_F(ReadFifo, R132_WriteEndWithDispatch) {
    const Fd write = writer();
    ASSERT_EQ(q_.apply(change(*write, EVFILT_READ, EV_ADD | EV_DISPATCH)), 0);
    read_.reset();
    expect_only(q_.wait(), *write, EVFILT_READ, EV_ADD | EV_DISPATCH | EV_EOF, 0, 0);
    read_ = open_file(name_.path, O_RDONLY | O_NONBLOCK);
    ASSERT_EQ(q_.apply(change(*write, EVFILT_READ, EV_ENABLE)), 0);
    expect_sleeps(q_);
    read_.reset();
    expect_only(q_.wait(), *write, EVFILT_READ, EV_ADD | EV_DISPATCH | EV_EOF, 0, 0);
}

// A descriptor that is open for both is itself a reader and a writer.
TEST_F(ReadFifo, R132_OpenForBothHasAlwaysAReader) {
    read_.reset();
    const Fd both = open_file(name_.path, O_RDWR);
    const Fd write = writer();
    ASSERT_EQ(q_.apply(change(*both, EVFILT_READ, EV_ADD)), 0);
    ASSERT_EQ(q_.apply(change(*write, EVFILT_READ, EV_ADD)), 0);
    expect_sleeps(q_);
    write_bytes(*write, 2);
    expect_only(q_.wait(), *both, EVFILT_READ, EV_ADD, 0, 2);
}
#endif

}  // namespace
}  // namespace kqtest
