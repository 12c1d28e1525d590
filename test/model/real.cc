// SPDX-License-Identifier: BSD-2-Clause
// Slots as socket pairs, pipes and TCP connections of POSIX. See real.h.
//
// Slots are numbers from kFirst on, which no other file gets. So a slot that a program closes and
// opens again has the same number as before.
#include "model/real.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "model/tcp.h"
#include "support/library.h"

namespace kqmodel {
namespace {

constexpr int kFirst = 500;
constexpr int kNothing = kFirst + 100;  // never opened

class Real : public RealCalls {
  public:
    ~Real() override {
        for (int slot = 0; slot < kSlots; slot++)
            ::close(kFirst + slot);
    }

    bool readable(int index) override {
        kqtest::let_the_model_see(queue(index));
        pollfd pfd{queue(index), POLLIN, 0};
        return ::poll(&pfd, 1, 0) == 1;
    }

    void open(Kind kind, int a, int b) override {
        int ends[2];
        EXPECT_TRUE(make_pair(kind, ends));
        move(ends[0], kFirst + a);
        move(ends[1], kFirst + b);
        ends_[a] = kind == Kind::tcp ? ++last_end_ : 0;
        ends_[b] = kind == Kind::tcp ? ++last_end_ : 0;
        await_ends();
    }
    void close(int slot) override {
        EXPECT_EQ(::close(kFirst + slot), 0);
        ends_[slot] = 0;
        await_ends();
    }
    void dup(int from, int to) override {
        EXPECT_EQ(::dup3(kFirst + from, kFirst + to, O_CLOEXEC), kFirst + to);
        ends_[to] = ends_[from];
        await_ends();
    }
    void write(int slot, int64_t count) override { send(slot, count, 0); }
    void read(int slot, int64_t count) override {
        char bytes[1 << 16];
        while (count > 0) {
            const auto want = static_cast<size_t>(count) < sizeof bytes ? static_cast<size_t>(count)
                                                                        : sizeof bytes;
            const ssize_t got = ::read(kFirst + slot, bytes, want);
            ASSERT_GT(got, 0);
            count -= got;
        }
    }
    int64_t fill(int slot) override {
        int64_t all = 0;
        for (ssize_t n = 0; n >= 0; all += n > 0 ? n : 0)
            n = ::write(kFirst + slot, kBytes, sizeof kBytes);
        return all;
    }
    void shut(int slot) override {
        EXPECT_EQ(::shutdown(kFirst + slot, SHUT_WR), 0);
        const int peer = slot_of_end(peer_of(ends_[slot]));
        if (peer >= 0) tcp::await_end(kFirst + peer);
    }
    void urge(int slot) override { send(slot, 1, MSG_OOB); }
    void take(int slot) override {
        char byte = 0;
        EXPECT_EQ(::recv(kFirst + slot, &byte, 1, MSG_OOB), 1);
    }

  private:
    static constexpr char kBytes[4096] = {};

    bool make_pair(Kind kind, int ends[2]) {
        constexpr int kType = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
        switch (kind) {
            case Kind::pipe:
                return ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0;
            case Kind::tcp:
                return listener_.connect(ends);
            default:
                return ::socketpair(AF_UNIX, kType, 0, ends) == 0;
        }
    }

    // Ends of TCP connections: 1 and 2 are a pair, and so on. 0: another file.
    static int peer_of(int end) { return end == 0 ? 0 : ((end - 1) ^ 1) + 1; }
    [[nodiscard]] int slot_of_end(int end) const {
        for (int slot = 0; slot < kSlots && end != 0; slot++)
            if (ends_[slot] == end) return slot;
        return -1;
    }

    // A connection may have lost an end because its number was closed, or got another file.
    void await_ends() const {
        for (int slot = 0; slot < kSlots; slot++)
            if (ends_[slot] != 0 && slot_of_end(peer_of(ends_[slot])) < 0)
                tcp::await_end(kFirst + slot);
    }

    void send(int slot, int64_t count, int flags) {
        const auto size = static_cast<size_t>(count);
        if (ends_[slot] == 0) {
            EXPECT_EQ(::write(kFirst + slot, kBytes, size), count);
            return;
        }
        const int peer = kFirst + slot_of_end(peer_of(ends_[slot]));
        const uint64_t before = tcp::received(peer);
        EXPECT_EQ(::send(kFirst + slot, kBytes, size, flags), count);
        tcp::await_bytes(peer, before + size);
    }

    static void move(int from, int to) {
        EXPECT_EQ(::dup3(from, to, O_CLOEXEC), to);
        EXPECT_EQ(::close(from), 0);
    }

    [[nodiscard]] int number_of(int slot) const override { return kFirst + slot; }
    [[nodiscard]] int slot_of(int number) const override {
        return number >= kFirst && number < kNothing ? number - kFirst : -1;
    }

    tcp::Listener listener_;
    int ends_[kSlots] = {};
    int last_end_ = 0;
};

Relaxed relaxed() {
    if (kqtest::backend() == "posix")
        return {.poll = true,
                .edge = true,
                .eof = true,
                .pipe_data = PIPE_BUF,
                .no_ghosts = true,
                .looks = true};
    if (kqtest::backend() == "solaris")
        return {.edge = true, .eof = true, .pipe_data = PIPE_BUF, .no_ghosts = true, .looks = true};
    return {};
}

}  // namespace

Traits real_traits() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const int size = ::fcntl(ends[0], F_GETPIPE_SZ);
    ::close(ends[0]);
    ::close(ends[1]);
    return {.exact_clock = false,
            .start_ms = 0,
            .exact_room = false,
            .pipe_size = size,
            .doubled_edges = true,
            .plain = false,
            .faults = false,
            .urgent = true,
            .unsent = kqtest::backend() != "solaris",
            .relaxed = relaxed()};
}

std::unique_ptr<Subject> make_real() {
    return std::make_unique<Real>();
}

}  // namespace kqmodel
