// SPDX-License-Identifier: BSD-2-Clause
// Regular files, which no kernel queue can watch. The core samples them, parks their
// knotes, and looks at them before each sleep.; D-26, D-27.
#include "sim_test.h"

namespace sim {
namespace {

constexpr int kRead = EVFILT_READ;

class File : public Sim {
  protected:
    Queue q;

    static Nanos mono() { return world().now(Clock::monotonic); }
};

// D-27.
TEST_F(File, ReadableAsLongAsTheOffsetIsNotAtTheEnd) {
    const int fd = regular(100);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    for (const int64_t offset : {0, 0, 99, 110, 50}) {
        world().file(fd).offset = offset;
        EXPECT_EQ(only_data(q.wait()), 100 - offset);
    }
    world().file(fd).offset = 100;
    EXPECT_TRUE(q.wait().empty());
    EXPECT_FALSE(q.readable());
}

// the call sleeps at the end of the file. Growth wakes it, and costs one sleep.
TEST_F(File, GrowthWakes) {
    const int fd = regular(0);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    for (int i = 1; i <= 3; i++) {
        const Nanos before = mono();
        reset_counts();
        world().at(kSecond, [&] { world().grow(fd, 4); });
        EXPECT_EQ(only_data(q.wait(8, kForever)), 4);
        EXPECT_EQ(mono(), before + kSecond);
        EXPECT_EQ(counts().sleep, 1);
        world().file(fd).offset = 4 * i;
    }
}

// Seeking is not reported. The next call notices it, before it sleeps.
TEST_F(File, SeekingIsNoticedBeforeEachSleep) {
    const int fd = regular(10);
    for (const unsigned mode : {0u, 1u * EV_CLEAR}) {
        world().file(fd).offset = 10;
        ASSERT_EQ(q.change(fd, kRead, EV_ADD | mode), Errno::ok);
        EXPECT_TRUE(q.wait(8, kSecond).empty());
        world().file(fd).offset = 3;
        reset_counts();
        EXPECT_EQ(only_data(q.wait(8, kForever)), 7);
        EXPECT_EQ(counts().sleep, 0);
        ASSERT_EQ(q.change(fd, kRead, EV_DELETE), Errno::ok);
    }
}

//
TEST_F(File, ClearReportsWhatIsNews) {
    const int fd = regular(10);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_CLEAR), Errno::ok);
    EXPECT_EQ(only_data(q.wait()), 10);
    for (int i = 0; i < 2; i++)
        EXPECT_TRUE(q.wait().empty());
    world().file(fd).offset = 4;  // the program has only read
    EXPECT_TRUE(q.wait().empty());
    world().grow(fd, 5);
    EXPECT_EQ(only_data(q.wait()), 11);
    EXPECT_TRUE(q.wait().empty());
    ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_CLEAR), Errno::ok);
    EXPECT_EQ(only_data(q.wait()), 11);
}

// for files.
TEST_F(File, OneshotAndDispatch) {
    const int fd = regular(10);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_ONESHOT), Errno::ok);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_EQ(q.change(fd, kRead, EV_DELETE), Errno::no_entry);
    for (const unsigned mode : {1u * EV_DISPATCH, 1u * EV_DISPATCH | EV_CLEAR}) {
        ASSERT_EQ(q.change(fd, kRead, EV_ADD | mode), Errno::ok);
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(q.wait().size(), 1u);
            world().grow(fd, 1);
            EXPECT_TRUE(q.wait(8, kSecond).empty());
            EXPECT_FALSE(q.readable());
            ASSERT_EQ(q.change(fd, kRead, EV_ENABLE), Errno::ok);
        }
        ASSERT_EQ(q.change(fd, kRead, EV_DELETE), Errno::ok);
    }
    EXPECT_EQ(q.backend().file_watches(), 0u);
}

//
TEST_F(File, DisabledAndEnabled) {
    const int fd = regular(10);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD | EV_DISABLE), Errno::ok);
    EXPECT_TRUE(q.wait(8, kSecond).empty());
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(q.change(fd, kRead, EV_ENABLE), Errno::ok);
        EXPECT_EQ(q.wait().size(), 1u);
        ASSERT_EQ(q.change(fd, kRead, EV_DISABLE), Errno::ok);
        EXPECT_TRUE(q.wait().empty());
        EXPECT_FALSE(q.readable());
    }
    world().file(fd).offset = 10;
    ASSERT_EQ(q.change(fd, kRead, EV_ENABLE), Errno::ok);
    EXPECT_TRUE(q.wait().empty());
}

// If the system does not report growth, the library finds it by looking now and then.
TEST_F(File, WithoutAWatchItIsRechecked) {
    world().fail(Fault::watch_file, Errno::too_many_open, 1, 1000);
    const int fd = regular(0);
    ASSERT_EQ(q.change(fd, kRead, EV_ADD), Errno::ok);
    const Nanos before = mono();
    world().at(kSecond, [&] { world().grow(fd, 4); });
    EXPECT_EQ(only_data(q.wait(8, kForever)), 4);
    EXPECT_LE(mono(), before + kSecond + 20 * kMillisecond);
    EXPECT_LE(counts().sleep, 52);
}

// R-165, D-26: a file is always writable, with any content.
TEST_F(File, IsAlwaysWritable) {
    const int fd = regular(10);
    ASSERT_EQ(q.change(fd, EVFILT_WRITE, EV_ADD), Errno::ok);
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(only_data(q.wait()), 0);
    ASSERT_EQ(q.change(fd, EVFILT_WRITE, EV_DELETE), Errno::ok);
    ASSERT_EQ(q.change(fd, EVFILT_WRITE, EV_ADD | EV_CLEAR), Errno::ok);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_TRUE(q.wait(8, kSecond).empty());
}

// A descriptor that the kernel cannot watch, and that is no file, is always ready. A directory is
// refused.
TEST_F(File, DevicesAndDirectories) {
    const int device = world().open(FdKind::always);
    ASSERT_EQ(q.change(device, kRead, EV_ADD), Errno::ok);
    EXPECT_EQ(q.wait().size(), 1u);
    EXPECT_EQ(q.wait().size(), 1u);
    const int directory = world().open(FdKind::directory);
    for (const unsigned flags : {1u * EV_ADD, EV_ADD | 1u * EV_DISABLE})
        EXPECT_EQ(q.change(directory, kRead, flags), Errno::invalid);
    EXPECT_EQ(q.change(directory, kRead, EV_DELETE), Errno::no_entry);
}

// A closed file is forgotten with its watch, whichever part of the library notices it first.
TEST_F(File, ClosingIt) {
    for (const unsigned mode : {0u, 1u * EV_CLEAR, 1u * EV_DISPATCH}) {
        const int fd = regular(mode == 0 ? 0 : 10);
        ASSERT_EQ(q.change(fd, kRead, EV_ADD | mode), Errno::ok);
        (void)q.wait();
        world().close(fd);
        EXPECT_TRUE(q.wait(8, kSecond).empty());
        EXPECT_EQ(q.change(fd, kRead, EV_DELETE), Errno::bad_descriptor);
        EXPECT_EQ(q.backend().file_watches(), 0u);
    }
}

}  // namespace
}  // namespace sim
