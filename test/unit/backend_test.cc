// SPDX-License-Identifier: BSD-2-Clause
// The contract of Backend::watch() that no program sees directly, on the backend
// that is built and real descriptors: when a number has become another file.
#include "backend.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>

namespace kq {
namespace {

constexpr uint8_t kRead = 1;
constexpr uint8_t kWrite = 2;
constexpr Handle kHandle(Handle::Kind::descriptor, 1, 1);

class WatchContract : public testing::Test {
  protected:
    WatchContract() { EXPECT_EQ(backend_.open(1), Errno::ok); }
    ~WatchContract() override {
        backend_.close_unpublished();
        for (const int fd : {fd_, peer_})
            close(fd);
    }
    WatchContract(const WatchContract&) = delete;
    WatchContract& operator=(const WatchContract&) = delete;

    void SetUp() override {
        std::array<int, 2> ends{};
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
        fd_ = ends[0];
        peer_ = ends[1];
        ASSERT_EQ(write(peer_, "x", 1), 1);
    }
    Errno watch(Mode read, Mode write, uint8_t rearm) {
        Interest want;
        want[Direction::read] = read;
        want[Direction::write] = write;
        return backend_.watch(fd_, want, rearm, kHandle, facts_);
    }
    // What the kernel tells is taken, and one-shots are spent, as the core does it.
    size_t collect() {
        std::array<Wakeup, 8> wakeups;
        const Result<size_t> got = backend_.collect(wakeups);
        for (size_t d = 0; d < kDirections; d++)
            for (size_t i = 0; i < got.value(); i++)
                if (facts_.armed[d] == Mode::once && facts_.lane[d] == wakeups[i].lane)
                    facts_.armed[d] = Mode::none;
        return got.value();
    }
    // The number is another socket's, or a file's, from now on.
    void become(bool file) {
        std::array<int, 2> ends{-1, -1};
        FILE* stream = file ? tmpfile() : nullptr;
        if (stream == nullptr) {
            ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
        }
        ASSERT_EQ(dup2(stream == nullptr ? ends[0] : fileno(stream), fd_), fd_);
        if (stream == nullptr)
            close(ends[0]);
        else
            (void)fclose(stream);
        close(peer_);
        peer_ = ends[1];
    }

    Backend backend_;
    FdFacts facts_;
    int fd_ = -1;
    int peer_ = -1;
};

TEST_F(WatchContract, AnotherFileIsNoEntry) {
    for (const Mode mode : {Mode::level, Mode::edge, Mode::once}) {
        ASSERT_EQ(watch(mode, Mode::none, kRead), Errno::ok);
        become(false);
        EXPECT_EQ(watch(mode, Mode::none, kRead), Errno::no_entry);
        facts_ = FdFacts();
        EXPECT_EQ(watch(mode, Mode::none, kRead), Errno::ok);
        EXPECT_EQ(watch(Mode::none, Mode::none, kRead), Errno::ok);
    }
}

// Also if the other file is one that cannot be waited for.
TEST_F(WatchContract, ARegularFileInItsPlaceIsNoEntry) {
    ASSERT_EQ(watch(Mode::level, Mode::none, kRead), Errno::ok);
    become(true);
    EXPECT_EQ(watch(Mode::edge, Mode::none, kRead), Errno::no_entry);
    facts_ = FdFacts();
    EXPECT_EQ(watch(Mode::edge, Mode::none, kRead), Errno::not_permitted);
}

// Also if only the direction that was not registered so far is wanted now.
TEST_F(WatchContract, AnotherFileIsNoEntryForTheOtherDirectionToo) {
    ASSERT_EQ(watch(Mode::none, Mode::edge, kWrite), Errno::ok);
    (void)collect();
    become(false);
    EXPECT_EQ(watch(Mode::level, Mode::edge, kRead), Errno::no_entry);
}

// Also if what is left of the old file is a spent one-shot that nobody wants any more.
TEST_F(WatchContract, AnotherFileIsNoEntryBesideASpentOneshot) {
    ASSERT_EQ(watch(Mode::none, Mode::level, kWrite), Errno::ok);
    ASSERT_EQ(watch(Mode::once, Mode::level, kRead), Errno::ok);
    EXPECT_GE(collect(), 1u);
    ASSERT_EQ(watch(Mode::none, Mode::none, kWrite), Errno::ok);
    become(false);
    if (facts_.registered == 0) return;  // this backend leaves nothing behind
    EXPECT_EQ(watch(Mode::none, Mode::level, kWrite), Errno::no_entry);
}

// To notice must not cost what an edge has told already.
TEST_F(WatchContract, AnEdgeIsNotRepeatedForTheSakeOfTheOtherDirection) {
    ASSERT_EQ(watch(Mode::none, Mode::edge, kWrite), Errno::ok);
    EXPECT_EQ(collect(), 1u);
    ASSERT_EQ(watch(Mode::edge, Mode::edge, kRead), Errno::ok);
    EXPECT_EQ(collect(), 1u);  // what is to be read, and not the space again
    EXPECT_EQ(collect(), 0u);
}

TEST_F(WatchContract, AnEdgeIsNotRepeatedWhenTheOtherDirectionEnds) {
    for (const Mode other : {Mode::level, Mode::edge, Mode::once}) {
        facts_ = FdFacts();
        ASSERT_EQ(watch(Mode::none, Mode::edge, kWrite), Errno::ok);
        ASSERT_EQ(watch(other, Mode::edge, kRead), Errno::ok);
        EXPECT_EQ(collect(), 2u);
        ASSERT_EQ(watch(Mode::none, Mode::edge, kRead), Errno::ok);
        EXPECT_EQ(collect(), 0u) << static_cast<int>(other);
        ASSERT_EQ(watch(Mode::none, Mode::none, kWrite), Errno::ok);
    }
}

}  // namespace
}  // namespace kq
