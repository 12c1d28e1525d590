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

#ifdef __linux__  // elsewhere a pipe may have two directions
TEST_F(ReadPipe, R132_ReadOnTheWriteEndIsSilent) {
    for (const int mode : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        const Queue q;
        Pipe p = make_pipe();
        ASSERT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_ADD | mode)), 0);
        expect_sleeps(q);
        write_bytes(*p.write, 3);
        expect_sleeps(q);
        p.read.reset();
        expect_sleeps(q);
        EXPECT_FALSE(q.readable());
        EXPECT_EQ(q.apply(change(*p.write, EVFILT_READ, EV_DELETE)), 0);
    }
}

TEST_F(ReadPipe, R132_ReadOnTheWriteEndAddedAfterTheReaderClosedIsSilent) {
    pipe_.read.reset();
    ASSERT_EQ(apply(pipe_.write, EV_ADD), 0);
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
}

TEST_F(ReadPipe, R132_ReadOnTheWriteEndBesideAClearWrite) {
    ASSERT_EQ(apply(pipe_.write, EV_ADD), 0);
    ASSERT_EQ(q_.apply(change(*pipe_.write, EVFILT_WRITE, EV_ADD | EV_CLEAR)), 0);
    EXPECT_EQ(filters(q_.collect()), "WRITE");
    expect_sleeps(q_);
    pipe_.read.reset();
    EXPECT_EQ(filters(q_.wait()), "WRITE");  // EV_EOF
    expect_sleeps(q_);
}
#endif

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

}  // namespace
}  // namespace kqtest
