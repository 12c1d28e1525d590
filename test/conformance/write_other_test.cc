// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_WRITE on files, devices, terminals and counters.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#ifdef __linux__
    #include <sys/eventfd.h>
    #include <sys/mman.h>
#endif

#include "support/endpoint.h"
#include "support/kq.h"
#include "support/net.h"

namespace kqtest {
namespace {

class WriteOther : public KqTest {
  protected:
    int apply(int fd, int flags) const { return q_.apply(change(fd, EVFILT_WRITE, flags)); }
    Queue q_;
};

TEST_F(WriteOther, R165_RegularFileIsWritableOnEveryCallWithDataZero) {
    const TempFile file;
    ASSERT_EQ(apply(*file.fd, EV_ADD), 0);
    for (int i = 0; i < 3; i++) {
        expect_only(q_.collect(), *file.fd, EVFILT_WRITE, EV_ADD, 0, 0);
        write_bytes(*file.fd, 10);
    }
    ASSERT_EQ(::unlink(file.path.c_str()), 0);
    expect_only(q_.collect(), *file.fd, EVFILT_WRITE, EV_ADD, 0, 0);
}

TEST_F(WriteOther, R165_RegularFileWithClearOneshotAndDispatch) {
    const TempFile file;
    for (const int mode : {EV_CLEAR, EV_ONESHOT, EV_DISPATCH}) {
        const Queue q;
        ASSERT_EQ(q.apply(change(*file.fd, EVFILT_WRITE, EV_ADD | mode)), 0);
        expect_only(q.collect(), *file.fd, EVFILT_WRITE, EV_ADD | mode, 0, 0);
        expect_sleeps(q);
    }
}

TEST_F(WriteOther, R165_TwoDescriptorsOfOneFile) {
    const TempFile file;
    const Fd second = open_file(file.path, O_WRONLY);
    ASSERT_EQ(apply(*file.fd, EV_ADD), 0);
    ASSERT_EQ(apply(*second, EV_ADD | EV_ONESHOT), 0);
    EXPECT_EQ(q_.collect().size(), 2u);
    expect_only(q_.collect(), *file.fd, EVFILT_WRITE, EV_ADD, 0, 0);
}

TEST_F(WriteOther, R165_NullAndZeroAreWritableOnEveryCallWithDataZero) {
    for (const char* path : {"/dev/null", "/dev/zero"}) {
        const Queue q;
        const Fd fd = open_file(path, O_RDWR);
        ASSERT_EQ(q.apply(change(*fd, EVFILT_WRITE, EV_ADD)), 0);
        for (int i = 0; i < 3; i++)
            expect_only(q.collect(), *fd, EVFILT_WRITE, EV_ADD, 0, 0);
        ASSERT_EQ(q.apply(change(*fd, EVFILT_READ, EV_ADD)), 0);
        EXPECT_EQ(filters(q.collect()), "READ WRITE");
        ASSERT_EQ(q.apply(change(*fd, EVFILT_WRITE, EV_DELETE)), 0);
        EXPECT_EQ(filters(q.collect()), "READ");
    }
}

TEST_F(WriteOther, R145_TerminalIsWritableUntilItHangsUp) {
    Terminal t(true);
    ASSERT_EQ(apply(*t.slave, EV_ADD), 0);
    expect_between(q_.wait(), *t.slave, EVFILT_WRITE, EV_ADD, 1, INTPTR_MAX);
    t.master.reset();
    ASSERT_TRUE(wait_for(*t.slave, 0));  // POLLHUP
    const Event e = pick(q_.wait(), EVFILT_WRITE);
    EXPECT_EQ(e.flags, EV_ADD | EV_EOF) << to_string(e);
}

TEST_F(WriteOther, R145_PtyMasterIsWritable) {
    const Terminal t(true);
    ASSERT_EQ(apply(*t.master, EV_ADD | EV_CLEAR), 0);
    expect_between(q_.wait(), *t.master, EVFILT_WRITE, EV_ADD | EV_CLEAR, 1, INTPTR_MAX);
    expect_sleeps(q_);
}

TEST_F(WriteOther, R145_TerminalHangUpWhileDisabledIsQuietUntilEnabled) {
    Terminal t(true);
    ASSERT_EQ(apply(*t.slave, EV_ADD | EV_DISABLE), 0);
    t.master.reset();
    ASSERT_TRUE(wait_for(*t.slave, 0));
    expect_sleeps(q_);
    ASSERT_EQ(apply(*t.slave, EV_ENABLE), 0);
    EXPECT_EQ(filters(q_.wait()), "WRITE");
}

#ifdef __linux__
TEST_F(WriteOther, R165_MemoryFile) {
    const Fd memory{::memfd_create("kqtest", MFD_CLOEXEC)};
    ASSERT_EQ(apply(*memory, EV_ADD), 0);
    expect_only(q_.collect(), *memory, EVFILT_WRITE, EV_ADD, 0, 0);
}

TEST_F(WriteOther, R146_EventfdIsWritableUnlessFull) {
    const Fd fd{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    ASSERT_EQ(apply(*fd, EV_ADD), 0);
    expect_between(q_.collect(), *fd, EVFILT_WRITE, EV_ADD, 1, INTPTR_MAX);
    ASSERT_EQ(::eventfd_write(*fd, UINT64_MAX - 1), 0);
    expect_sleeps(q_);
    eventfd_t value;
    ASSERT_EQ(::eventfd_read(*fd, &value), 0);
    expect_between(q_.wait(), *fd, EVFILT_WRITE, EV_ADD, 1, INTPTR_MAX);
}

TEST_F(WriteOther, R146_EventfdReadAndWriteAreIndependent) {
    const Fd fd{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    ASSERT_EQ(apply(*fd, EV_ADD | EV_CLEAR), 0);
    ASSERT_EQ(q_.apply(change(*fd, EVFILT_READ, EV_ADD)), 0);
    EXPECT_EQ(filters(q_.collect()), "WRITE");
    expect_sleeps(q_);
    ASSERT_EQ(::eventfd_write(*fd, 7), 0);
    const Event e = pick(q_.wait(), EVFILT_READ);
    EXPECT_EQ(e.data, 7);
}
#endif

}  // namespace
}  // namespace kqtest
