// SPDX-License-Identifier: BSD-2-Clause
// Contracts of the backend that no program sees directly, tested on the backend that is
// built, with real descriptors. watch(): a number now names another file. take_write().
#include "backend.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
    // P-EDGE: a kernel that knows no edges is looked at, and an edge is told again after a while.
    static bool may_be_told_again(Nanos start) {
        return !Backend::kHas.renewal && now(Clock::monotonic) - start >= 250 * kMillisecond;
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

// The same if the other file is one that the kernel cannot watch.
TEST_F(WatchContract, ARegularFileInItsPlaceIsNoEntry) {
    ASSERT_EQ(watch(Mode::level, Mode::none, kRead), Errno::ok);
    become(true);
    EXPECT_EQ(watch(Mode::edge, Mode::none, kRead), Errno::no_entry);
    facts_ = FdFacts();
    EXPECT_EQ(watch(Mode::edge, Mode::none, kRead), Errno::not_permitted);
}

// The same if now only the other direction is wanted, which was not registered before.
TEST_F(WatchContract, AnotherFileIsNoEntryForTheOtherDirectionToo) {
    ASSERT_EQ(watch(Mode::none, Mode::edge, kWrite), Errno::ok);
    (void)collect();
    become(false);
    EXPECT_EQ(watch(Mode::level, Mode::edge, kRead), Errno::no_entry);
}

// The same if only a spent one-shot is left of the old file, and no knote wants it any more.
TEST_F(WatchContract, AnotherFileIsNoEntryBesideASpentOneshot) {
    ASSERT_EQ(watch(Mode::none, Mode::level, kWrite), Errno::ok);
    ASSERT_EQ(watch(Mode::once, Mode::level, kRead), Errno::ok);
    EXPECT_GE(collect(), 1u);
    ASSERT_EQ(watch(Mode::none, Mode::none, kWrite), Errno::ok);
    become(false);
    if (facts_.registered == 0) return;  // this backend leaves nothing behind
    EXPECT_EQ(watch(Mode::none, Mode::level, kWrite), Errno::no_entry);
}

// Noticing another file must not report again what an edge has reported.
TEST_F(WatchContract, AnEdgeIsNotRepeatedForTheSakeOfTheOtherDirection) {
    const Nanos start = now(Clock::monotonic);
    ASSERT_EQ(watch(Mode::none, Mode::edge, kWrite), Errno::ok);
    EXPECT_EQ(collect(), 1u);
    ASSERT_EQ(watch(Mode::edge, Mode::edge, kRead), Errno::ok);
    const size_t second = collect();
    const size_t third = collect();
    if (second + third > 1 && may_be_told_again(start)) GTEST_SKIP() << "P-EDGE";
    EXPECT_EQ(second, 1u);  // there is something to read; the space is not reported again
    EXPECT_EQ(third, 0u);
}

TEST_F(WatchContract, AnEdgeIsNotRepeatedWhenTheOtherDirectionEnds) {
    for (const Mode other : {Mode::level, Mode::edge, Mode::once}) {
        facts_ = FdFacts();
        const Nanos start = now(Clock::monotonic);
        ASSERT_EQ(watch(Mode::none, Mode::edge, kWrite), Errno::ok);
        ASSERT_EQ(watch(other, Mode::edge, kRead), Errno::ok);
        EXPECT_EQ(collect(), 2u);
        ASSERT_EQ(watch(Mode::none, Mode::edge, kRead), Errno::ok);
        const size_t again = collect();
        if (again != 0 && may_be_told_again(start)) GTEST_SKIP() << "P-EDGE";
        EXPECT_EQ(again, 0u) << static_cast<int>(other);
        ASSERT_EQ(watch(Mode::none, Mode::none, kWrite), Errno::ok);
    }
}

// ---- take_write(), where the backend has one ----

class WriteContract : public testing::Test {
  protected:
    static constexpr uint32_t kFiles = 2;
    using Told = std::array<uint32_t, kFiles>;

    WriteContract() {
        EXPECT_EQ(backend_.open(1), Errno::ok);
        for (uint32_t i = 0; i < kFiles; i++) {
            files_[i] = tmpfile();
            const int fd = fileno(files_[i]);
            EXPECT_EQ(descriptor::classify(fd, facts_[i]), Errno::ok);
            EXPECT_EQ(backend_.watch_file(fd, kModified | kAttributes, handle(i), facts_[i]),
                      Errno::ok);
        }
    }
    ~WriteContract() override {
        backend_.close_unpublished();
        for (FILE* file : files_)
            (void)fclose(file);
    }
    WriteContract(const WriteContract&) = delete;
    WriteContract& operator=(const WriteContract&) = delete;

    void SetUp() override {
        if (!takes_writes<Backend>()) GTEST_SKIP() << "this backend has no take_write()";
    }
    static Handle handle(uint32_t i) { return {Handle::Kind::descriptor, i, 1}; }
    void overwrite(uint32_t i) { ASSERT_EQ(pwrite(fileno(files_[i]), "x", 1, 0), 1); }
    void change_mode(uint32_t i) { ASSERT_EQ(fchmod(fileno(files_[i]), 0640), 0); }
    // What the backend reports after take_write() has answered false, for each file.
    static Told rest(Backend& backend) {
        Told told{};
        take_rest_of_files(
            backend,
            [](void* all, Handle file, uint32_t changes) {
                (*static_cast<Told*>(all))[file.index()] |= changes;
            },
            &told);
        return told;
    }
    // Another queue watches both files, too. There is no descriptor left, so it must share the
    // inotify instance of the first one.
    void watch_in(Backend& other, FdFacts (&facts)[kFiles]) {
        ASSERT_EQ(other.open(2), Errno::ok);
        struct rlimit before {};
        ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
        struct rlimit none = before;
        none.rlim_cur = 3;
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
        for (uint32_t i = 0; i < kFiles; i++)
            EXPECT_EQ(other.watch_file(fileno(files_[i]), kModified, handle(i), facts[i]),
                      Errno::ok);
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    }

    Backend backend_;
    FILE* files_[kFiles] = {};
    FdFacts facts_[kFiles];
};

TEST_F(WriteContract, OneWriteIsTakenAndOver) {
    for (const uint32_t i : {0u, 1u, 0u}) {
        overwrite(i);
        Handle taken{};
        ASSERT_TRUE(take_write(backend_, taken));
        EXPECT_EQ(taken.bits(), handle(i).bits());
        EXPECT_FALSE(take_write(backend_, taken)) << "taken twice";
        EXPECT_EQ(rest(backend_), Told{});
    }
}

TEST_F(WriteContract, EverythingElseIsToldAsTheRest) {
    Handle taken{};
    overwrite(0);
    overwrite(1);
    EXPECT_FALSE(take_write(backend_, taken));
    EXPECT_EQ(rest(backend_), (Told{kModified, kModified}));
    change_mode(1);
    EXPECT_FALSE(take_write(backend_, taken));
    EXPECT_EQ(rest(backend_), (Told{0, kAttributes}));
    overwrite(0);
    change_mode(0);
    EXPECT_FALSE(take_write(backend_, taken));
    EXPECT_EQ(rest(backend_), (Told{kModified | kAttributes, 0}));
}

TEST_F(WriteContract, WhatIsNotWantedIsNotTaken) {
    overwrite(0);
    ASSERT_EQ(backend_.watch_file(fileno(files_[0]), kAttributes, handle(0), facts_[0]), Errno::ok);
    Handle taken{};
    EXPECT_FALSE(take_write(backend_, taken));
    EXPECT_EQ(rest(backend_), Told{});
}

// Two queues share the reports of the system. A report for both queues, or for the other one, is no
// single write.
TEST_F(WriteContract, WhatConcernsAnotherQueueIsTold) {
    Backend other;
    FdFacts facts[kFiles];
    watch_in(other, facts);
    Handle taken{};
    overwrite(0);
    EXPECT_FALSE(take_write(backend_, taken));
    EXPECT_EQ(rest(backend_), (Told{kModified, 0}));
    ASSERT_EQ(backend_.watch_file(fileno(files_[1]), 0, handle(1), facts_[1]), Errno::ok);
    overwrite(1);
    EXPECT_FALSE(take_write(backend_, taken));
    EXPECT_EQ(rest(backend_), Told{});
    EXPECT_TRUE(other.files_told());
    EXPECT_FALSE(take_write(other, taken)) << "both have been read already";
    EXPECT_EQ(rest(other), (Told{kModified, kModified}));
    overwrite(1);
    ASSERT_TRUE(take_write(other, taken));
    EXPECT_EQ(taken.bits(), handle(1).bits());
    other.close_unpublished();
}

// A report that another queue has read before is older than the one that can be read now.
TEST_F(WriteContract, WhatAnotherQueueHasReadIsNotForgotten) {
    Backend other;
    FdFacts facts[kFiles];
    watch_in(other, facts);
    Handle taken{};
    ASSERT_EQ(backend_.watch_file(fileno(files_[1]), 0, handle(1), facts_[1]), Errno::ok);
    overwrite(0);
    EXPECT_FALSE(take_write(backend_, taken));
    overwrite(1);
    EXPECT_FALSE(take_write(other, taken));
    EXPECT_EQ(rest(other), (Told{kModified, kModified}));
    other.close_unpublished();
}

}  // namespace
}  // namespace kq
