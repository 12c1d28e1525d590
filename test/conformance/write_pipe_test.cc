// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_WRITE on pipes and FIFOs: data is the free room.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

#ifdef F_GETPIPE_SZ
intptr_t room(const Pipe& pipe) {
    return ::fcntl(*pipe.write, F_GETPIPE_SZ) - bytes_to_read(*pipe.read);
}
#endif

class WritePipe : public KqTest {
  protected:
    int apply(const Fd& fd, int flags) const { return q_.apply(change(*fd, EVFILT_WRITE, flags)); }
    int add(int flags = 0) const { return apply(pipe_.write, EV_ADD | flags); }
    // One WRITE event of the write end with EV_EOF and no error.
    void expect_eof(int flags, int line = __builtin_LINE()) const {
        const Event e = pick(q_.wait(), EVFILT_WRITE, __FILE__, line);
        expect_event(e, *pipe_.write, EVFILT_WRITE, EV_ADD | EV_EOF | flags, 0, e.data, nullptr,
                     __FILE__, line);
    }

    Pipe pipe_ = make_pipe();
    Queue q_;
};

TEST_F(WritePipe, R161_DataIsTheFreeRoom) {
    ASSERT_EQ(add(), 0);
    expect_between(q_.wait(), *pipe_.write, EVFILT_WRITE, EV_ADD, PIPE_BUF, INTPTR_MAX);
}

#ifdef F_GETPIPE_SZ
TEST_F(WritePipe, R161_DataIsExact) {
    ASSERT_EQ(add(), 0);
    for (const unsigned bytes : {0u, 3u, 1000u, 20'000u}) {
        write_bytes(*pipe_.write, size_t{bytes});
        expect_only(q_.wait(), *pipe_.write, EVFILT_WRITE, EV_ADD, 0, room(pipe_));
    }
    read_bytes(*pipe_.read, 500);
    expect_only(q_.wait(), *pipe_.write, EVFILT_WRITE, EV_ADD, 0, room(pipe_));
}

TEST_F(WritePipe, R161_DataFollowsTheSizeOfThePipe) {
    ASSERT_EQ(::fcntl(*pipe_.write, F_SETPIPE_SZ, 8192), 8192);
    write_bytes(*pipe_.write, 100);
    ASSERT_EQ(add(), 0);
    expect_only(q_.wait(), *pipe_.write, EVFILT_WRITE, EV_ADD, 0, 8092);
}

TEST_F(WritePipe, R162_FullOfSmallPacketsIsSilent) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_DIRECT | O_NONBLOCK), 0);
    const Pipe packets{Fd{ends[0]}, Fd{ends[1]}};
    while (::write(*packets.write, "x", 1) == 1) {
    }
    ASSERT_EQ(errno, EAGAIN);
    ASSERT_GE(room(packets), PIPE_BUF);  // in bytes; but there is no slot
    ASSERT_EQ(apply(packets.write, EV_ADD), 0);
    expect_sleeps(q_);
}
#endif

TEST_F(WritePipe, R162_LessThanPipeBufFreeIsSilent) {
    fill(*pipe_.write);
    ASSERT_EQ(add(), 0);
    expect_sleeps(q_);
    read_bytes(*pipe_.read, 100);
    expect_sleeps(q_);
    read_bytes(*pipe_.read, PIPE_BUF - 100);
    expect_between(q_.wait(), *pipe_.write, EVFILT_WRITE, EV_ADD, PIPE_BUF, INTPTR_MAX);
}

TEST_F(WritePipe, R163_ReaderClosesIsEofUntilDeleted) {
    ASSERT_EQ(add(), 0);
    pipe_.read.reset();
    expect_eof(0);
    expect_eof(0);
#ifdef LIBKQUEUE  // D-33; FreeBSD deletes the knote itself
    EXPECT_EQ(apply(pipe_.write, EV_DELETE), 0);
#endif
}

TEST_F(WritePipe, R163_ReaderClosesWhileFull) {
    fill(*pipe_.write);
    ASSERT_EQ(add(), 0);
    expect_none(q_.collect());
    pipe_.read.reset();
    expect_eof(0);
}

TEST_F(WritePipe, R163_ClearReportsEofOnce) {
    ASSERT_EQ(add(EV_CLEAR), 0);
    EXPECT_EQ(q_.collect().size(), 1u);
    pipe_.read.reset();
    expect_eof(EV_CLEAR);
    expect_sleeps(q_);
}

TEST_F(WritePipe, R163_OneshotReportsEofOnceAndIsGone) {
    fill(*pipe_.write);
    ASSERT_EQ(add(EV_ONESHOT), 0);
    pipe_.read.reset();
    expect_eof(EV_ONESHOT);
    EXPECT_EQ(apply(pipe_.write, EV_DELETE), ENOENT);
    expect_sleeps(q_);
}

TEST_F(WritePipe, R163_DisabledIsQuietUntilEnabled) {
    ASSERT_EQ(add(EV_DISABLE), 0);
    pipe_.read.reset();
    expect_sleeps(q_);
    EXPECT_FALSE(q_.readable());
    ASSERT_EQ(apply(pipe_.write, EV_ENABLE), 0);
    expect_eof(0);
}

TEST_F(WritePipe, R164_AddWithoutAReaderIsEof) {
    pipe_.read.reset();
    ASSERT_EQ(add(), 0);  // D-32
    expect_eof(0);
}

#ifdef __linux__  // elsewhere a pipe may have two directions
// Nothing can be written there: all it hears is that the last writer is gone.
TEST_F(WritePipe, R163_ReadEndIsSilentUntilTheWriterIsGone) {
    for (const bool before : {false, true})
        for (const int mode : {0, EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
            const Queue q;
            Pipe p = make_pipe();
            if (before) p.write.reset();
            ASSERT_EQ(q.apply(change(*p.read, EVFILT_WRITE, EV_ADD | mode)), 0);
            if (!before) {
                expect_sleeps(q);
                write_bytes(*p.write, 3);
                expect_sleeps(q);
                EXPECT_FALSE(q.readable());
                p.write.reset();
            }
            const int flags = EV_ADD | mode | EV_EOF;
            expect_only(q.wait(), *p.read, EVFILT_WRITE, flags, 0, 0);
            if (mode == 0)
                expect_only(q.wait(), *p.read, EVFILT_WRITE, flags, 0, 0);
            else
                expect_none(q.collect());
            const int answer = mode == EV_ONESHOT ? ENOENT : 0;
            EXPECT_EQ(q.apply(change(*p.read, EVFILT_WRITE, EV_DELETE)), answer);
            expect_none(q.collect());
        }
}

TEST_F(WritePipe, R163_ReadEndBesideARead) {
    ASSERT_EQ(apply(pipe_.read, EV_ADD), 0);
    ASSERT_EQ(q_.apply(change(*pipe_.read, EVFILT_READ, EV_ADD | EV_CLEAR)), 0);
    write_bytes(*pipe_.write, 3);
    expect_only(q_.wait(), *pipe_.read, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 3);
    pipe_.write.reset();
    std::vector<Event> events = q_.wait();
    if (events.size() == 1)
        for (const Event& e : q_.collect())
            events.push_back(e);
    const auto is_old = [](const Event& e) { return (e.flags & EV_EOF) == 0; };
    const auto old = std::find_if(events.begin(), events.end(), is_old);
    if (old != events.end() && skipped_edges_told_again({*old})) return;
    ASSERT_EQ(events.size(), 2u);
    for (const Event& e : events) {
        const bool read = e.filter == EVFILT_READ;
        EXPECT_EQ(e.flags, EV_ADD | EV_EOF | (read ? EV_CLEAR : 0)) << to_string(e);
        EXPECT_EQ(e.data, read ? 3 : 0) << to_string(e);
    }
    EXPECT_EQ(filters(q_.collect()), "WRITE");
}
#endif

// ---- FIFOs ----

class WriteFifo : public KqTest {
  protected:
    WriteFifo() {
        ::unlink(name_.path.c_str());
        EXPECT_EQ(::mkfifo(name_.path.c_str(), 0600), 0);
    }
    Fd reader() const { return open_file(name_.path, O_RDONLY | O_NONBLOCK); }
    Fd writer() const { return open_file(name_.path, O_WRONLY | O_NONBLOCK); }
    int add(const Fd& fd, int flags = 0) const {
        return q_.apply(change(*fd, EVFILT_WRITE, EV_ADD | flags));
    }
    void expect_eof(bool eof, int line = __builtin_LINE()) const {
        const Event e = pick(q_.wait(), EVFILT_WRITE, __FILE__, line);
        EXPECT_EQ((e.flags & EV_EOF) != 0, eof) << to_string(e) << " in line " << line;
        EXPECT_EQ(e.fflags, 0u) << to_string(e) << " in line " << line;
    }

    TempFile name_;
    Queue q_;
};

TEST_F(WriteFifo, R168_OpenForBothIsWritable) {
    const Fd both = open_file(name_.path, O_RDWR);
    ASSERT_EQ(add(both), 0);
    expect_between(q_.wait(), *both, EVFILT_WRITE, EV_ADD, PIPE_BUF, INTPTR_MAX);
}

TEST_F(WriteFifo, R168_EofWhileThereIsNoReader) {
    Fd read = reader();
    const Fd write = writer();
    ASSERT_EQ(add(write), 0);
    expect_eof(false);
    read.reset();
    expect_eof(true);
    expect_eof(true);
    read = reader();
    expect_eof(false);
}

TEST_F(WriteFifo, R168_ClearReportsEofOnce) {
    Fd read = reader();
    const Fd write = writer();
    ASSERT_EQ(add(write, EV_CLEAR), 0);
    expect_eof(false);
    read.reset();
    expect_eof(true);
    expect_sleeps(q_);
}

#ifdef LIBKQUEUE  // FreeBSD: silent on FIFOs, though not on pipes
TEST_F(WriteFifo, R168_ReadEndIsEofWhileThereIsNoWriter) {
    const Fd read = reader();
    ASSERT_EQ(add(read), 0);
    expect_sleeps(q_);  // nor before the first one came, as R-133
    for (int i = 0; i < 2; i++) {
        Fd write = writer();
        expect_sleeps(q_);
        write.reset();
        for (int k = 0; k < 2; k++)
            expect_only(q_.wait(), *read, EVFILT_WRITE, EV_ADD | EV_EOF, 0, 0);
    }
}
#endif

}  // namespace
}  // namespace kqtest
