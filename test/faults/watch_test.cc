// SPDX-License-Identifier: BSD-2-Clause
// Backend::watch() fails half-way: it must change two epoll sets, and the second change is refused.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "backend.h"
#include "faults/injector.h"

namespace kqfaults {
namespace {

using kq::Errno;
using kq::Mode;

constexpr uint8_t kRead = 1;
constexpr kq::Handle kHandle(kq::Handle::Kind::descriptor, 1, 1);

class Watched {
  public:
    Watched() {
        EXPECT_EQ(backend_.open(1), Errno::ok);
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
        EXPECT_EQ(write(ends_[1], "x", 1), 1);
    }
    ~Watched() {
        arm(What::nothing);
        backend_.close_unpublished();
        for (const int fd : ends_)
            close(fd);
    }
    Watched(const Watched&) = delete;

    Errno watch(Mode read, Mode write, uint8_t rearm) {
        const Inside inside;
        kq::Interest want;
        want[kq::Direction::read] = read;
        want[kq::Direction::write] = write;
        return backend_.watch(ends_[0], want, rearm, kHandle, facts_);
    }
    // Whether the kernel reports only armed directions, each in its lane.
    bool tells_what_is_armed() {
        std::array<kq::Wakeup, 8> wakeups;
        const kq::Result<size_t> got = backend_.collect(wakeups);
        for (size_t i = 0; i < got.value(); i++) {
            bool armed = false;
            for (size_t d = 0; d < kq::kDirections; d++)
                armed =
                    armed || (facts_.armed[d] != Mode::none && facts_.lane[d] == wakeups[i].lane);
            if (!armed) return false;
        }
        return got.value() > 0;
    }

    [[nodiscard]] int lane_of_read() const { return facts_.lane[0]; }

  private:
    kq::Backend backend_;
    kq::FdFacts facts_;
    std::array<int, 2> ends_{-1, -1};
};

Errno refuse_at(unsigned position) {
    Watched socket;
    EXPECT_EQ(socket.watch(Mode::level, Mode::level, kRead), Errno::ok);
    arm(What::system_call, position);
    const Errno error = socket.watch(Mode::edge, Mode::level, kRead);
    EXPECT_EQ(error != Errno::ok, report().fired);
    EXPECT_TRUE(socket.tells_what_is_armed()) << report().what;
    EXPECT_EQ(socket.lane_of_read(), error == Errno::ok ? 1 : 0);
    return error;
}

// The direction that moved was left behind in the inner set. It woke all threads, for nothing.
TEST(Watch, WhatARefusedChangeHadDoneIsTakenBack) {
    if (!prepare()) GTEST_SKIP() << "system calls cannot be refused here";
    unsigned position = 1;
    while (position < 10 && refuse_at(position) != Errno::ok)
        position++;
    // Refused are: making a set, its mark, its place in the other set, the new lane, and the old
    // one. The sixth position has no call.
    EXPECT_EQ(position, 6u);
}

}  // namespace
}  // namespace kqfaults
