// SPDX-License-Identifier: BSD-2-Clause
// Slots as TCP connections on 127.0.0.1 and pipes of the C library. See real.h.
//
// The system chooses the numbers. So a slot that is opened again may get another number, and a
// number may be given to another slot. Then the slot that had this number before gets a number that
// is not open.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

#include "model/real.h"

namespace kqmodel {
namespace {

constexpr int kNothing = 4'000'000;  // + slot: not open, since no handle is so large

using Clock = std::chrono::steady_clock;

// The network is asked until it has brought what was sent.
template <class Condition>
void await(Condition condition) {
    for (const auto begin = Clock::now(); !condition();) {
        if (Clock::now() - begin > std::chrono::seconds(2)) {
            ADD_FAILURE() << "the network brings nothing";
            return;
        }
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
}

class Real : public RealCalls {
  public:
    ~Real() override {
        for (int slot = 0; slot < kSlots; slot++)
            if (at(slot).open) close(slot);
    }

    // W-POLL: this is never called.
    bool readable(int /*queue*/) override { return false; }

    void open(Kind kind, int a, int b) override {
        int ends[2] = {-1, -1};
        for (const int slot : {a, b})
            if (at(slot).open) close(slot);
        const bool pipe = kind == Kind::pipe;
        EXPECT_EQ(pipe ? ::pipe(ends) : ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        at(a) = {ends[0], b, true, !pipe};
        at(b) = {ends[1], a, true, !pipe};
    }
    void close(int slot) override {
        Slot& me = at(slot);
        const bool resets = me.socket && bytes_in(me.number) > 0;
        EXPECT_EQ(::close(me.number), 0);
        me.open = false;
        const Slot& peer = at(me.peer);
        if (!me.socket || !peer.open || peer.peer != slot) return;
        // What is told of the end while there is something to read is for the system to say.
        if (resets)
            await([&] { return (ready(peer.number) & (POLLHUP | POLLERR)) != 0; });
        else if (bytes_in(peer.number) == 0)
            await([&] { return (ready(peer.number) & (POLLIN | POLLHUP)) != 0; });
    }
    void dup(int /*from*/, int /*to*/) override { ADD_FAILURE() << "nothing is duplicated"; }
    void write(int slot, int64_t count) override {
        const Slot& me = at(slot);
        const Slot& peer = at(me.peer);
        const int64_t before = me.socket ? bytes_in(peer.number) : 0;
        EXPECT_EQ(::write(me.number, kBytes, static_cast<size_t>(count)), count);
        if (me.socket) await([&] { return bytes_in(peer.number) >= before + count; });
    }
    void read(int slot, int64_t count) override {
        const Slot& me = at(slot);
        char bytes[1 << 16];
        while (count > 0) {
            const auto want = static_cast<size_t>(count) < sizeof bytes ? static_cast<size_t>(count)
                                                                        : sizeof bytes;
            const ssize_t got = ::read(me.number, bytes, want);
            ASSERT_GT(got, 0);
            count -= got;
        }
        const Slot& peer = at(me.peer);
        if (!me.socket || !peer.open || peer.peer != slot || bytes_in(me.number) > 0) return;
        await([&] { return (ready(peer.number) & POLLOUT) != 0; });
    }
    int64_t fill(int slot) override {
        const int number = at(slot).number;
        int64_t all = 0;
        EXPECT_EQ(::fcntl(number, F_SETFL, O_NONBLOCK), 0);
        for (ssize_t n = 0; n >= 0; all += n > 0 ? n : 0)
            n = ::write(number, kBytes, sizeof kBytes);
        EXPECT_EQ(::fcntl(number, F_SETFL, 0), 0);
        return all;
    }
    void shut(int slot) override {
        const Slot& me = at(slot);
        EXPECT_EQ(::shutdown(me.number, SHUT_WR), 0);
        const int peer = at(me.peer).number;
        if (bytes_in(peer) == 0) await([&] { return (ready(peer) & POLLIN) != 0; });
    }

    void urge(int /*slot*/) override { ADD_FAILURE() << "EVFILT_EXCEPT is not served"; }
    void take(int /*slot*/) override { ADD_FAILURE() << "EVFILT_EXCEPT is not served"; }

  private:
    static constexpr char kBytes[4096] = {};
    struct Slot {
        int number = -1;
        int peer = -1;
        bool open = false;
        bool socket = false;
    };

    Slot& at(int slot) { return slots_[static_cast<size_t>(slot)]; }

    static int64_t bytes_in(int number) {
        int bytes = 0;
        return ::ioctl(number, FIONREAD, &bytes) == 0 ? bytes : 0;
    }
    static int ready(int number) {
        pollfd pfd{number, POLLIN | POLLOUT, 0};
        return ::poll(&pfd, 1, 0) == 1 ? pfd.revents : 0;
    }

    [[nodiscard]] int number_of(int slot) const override {
        const Slot& me = slots_[static_cast<size_t>(slot)];
        return me.open || (me.number >= 0 && slot_of(me.number) == slot) ? me.number
                                                                         : kNothing + slot;
    }
    // Of those that had a number, the one that has it.
    [[nodiscard]] int slot_of(int number) const override {
        if (number >= kNothing && number < kNothing + kSlots) return number - kNothing;
        int found = -1;
        for (int slot = 0; slot < kSlots; slot++) {
            const Slot& other = slots_[static_cast<size_t>(slot)];
            if (other.number == number && (other.open || found < 0)) found = slot;
        }
        for (int index = 0; index < kQueues; index++)
            if (queue(index) == number) found = -1;
        return found;
    }

    std::array<Slot, kSlots> slots_{};
};

}  // namespace

Traits real_traits() {
    int ends[2] = {-1, -1};
    int buffer = 0;
    socklen_t size = sizeof buffer;
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    EXPECT_EQ(::getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &buffer, &size), 0);
    for (const int end : ends)
        ::close(end);
    return {.exact_clock = false,
            .start_ms = 0,
            .exact_room = false,
            .pipe_size = 65536,
            .doubled_edges = true,
            .plain = false,
            .faults = false,
            .tcp = true,
            .wandering_numbers = true,
            .relaxed = {.poll = true,
                        .no_poll = true,
                        .edge = true,
                        .eof = true,
                        .buffer = buffer,
                        .no_ghosts = true,
                        .nest = true,
                        .reused = true,
                        .pipe_room = true,
                        .no_dup = true}};
}

std::unique_ptr<Subject> make_real() {
    return std::make_unique<Real>();
}

}  // namespace kqmodel
