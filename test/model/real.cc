// SPDX-License-Identifier: BSD-2-Clause
// kevent() itself, on socket pairs and pipes. See real.h.
//
// Slots are numbers from kFirst on, which nobody else is given: what a program closes and opens
// again has the number it had.
#include "model/real.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "support/library.h"

namespace kqmodel {
namespace {

constexpr int kFirst = 500;
constexpr int kNothing = kFirst + 100;  // never opened
constexpr timespec kAtOnce{0, 0};
constexpr timespec kBrief{0, 50'000};
// Instead of for ever: what is lost is to be told. What is waited for is there, or comes within
// some microseconds; and a call that finds its time over looks once more.
constexpr timespec kLong{0, 500'000'000};
constexpr timespec kInvalid{0, 1'000'000'000};

// What is not overwritten.
constexpr unsigned kUntouched = 0x5a5a;

class Real : public Subject {
  public:
    Real() {
        for (int& queue : queues_)
            queue = ::kqueue();
    }
    ~Real() override {
        for (const int queue : queues_)
            ::close(queue);
        for (int slot = 0; slot < kSlots; slot++)
            ::close(kFirst + slot);
    }

    Outcome kevent(const Step& call, Wait wait) override {
        const size_t changes = call.changes.size();
        const auto room = static_cast<size_t>(call.room);
        std::array<struct kevent, 80> input;
        std::array<struct kevent, 80> separate;
        EXPECT_LE(std::max(changes, room), input.size());
        fill_untouched(input, changes);
        if (!call.alias) fill_untouched(separate, 0);
        for (size_t i = 0; i < changes; i++)
            input[i] = to_kevent(call.changes[i]);
        std::array<struct kevent, 80>& output = call.alias ? input : separate;
        constexpr const timespec* kTimeouts[] = {&kAtOnce, &kBrief, &kLong, &kInvalid, &kAtOnce};
        Outcome outcome;
        errno = 0;
        outcome.result =
            ::kevent(queues_[call.queue], input.data(), static_cast<int>(changes), output.data(),
                     wait == Wait::negative ? -1 : call.room, kTimeouts[static_cast<size_t>(wait)]);
        outcome.error = outcome.result < 0 ? errno : 0;
        const size_t written = outcome.result < 0 ? 0 : static_cast<size_t>(outcome.result);
        if (outcome.result >= 0 && errno != 0) outcome.wrong = "errno was touched";
        for (size_t i = 0; i < written && i < output.size(); i++)
            outcome.entries.push_back(from_kevent(output[i]));
        if (outcome.result >= 0 && touched(output, written, call)) outcome.wrong = "wrote too much";
        return outcome;
    }

    bool readable(int queue) override {
        kqtest::let_the_model_see(queues_[queue]);
        pollfd pfd{queues_[queue], POLLIN, 0};
        return ::poll(&pfd, 1, 0) == 1;
    }

    void renew(int queue) override {
        EXPECT_EQ(::close(queues_[queue]), 0);
        queues_[queue] = ::kqueue();
    }

    Now now() override {
        timespec ts{};
        (void)::clock_gettime(CLOCK_MONOTONIC, &ts);
        return {int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec, 1'700'000'000'000'000'000};
    }
    void advance(Nanos) override {}

    void open(Kind kind, int a, int b) override {
        int ends[2];
        const int result =
            kind == Kind::pipe
                ? ::pipe2(ends, O_CLOEXEC | O_NONBLOCK)
                : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
        EXPECT_EQ(result, 0);
        move(ends[0], kFirst + a);
        move(ends[1], kFirst + b);
    }
    void close(int slot) override { EXPECT_EQ(::close(kFirst + slot), 0); }
    void dup(int from, int to) override {
        EXPECT_EQ(::dup3(kFirst + from, kFirst + to, O_CLOEXEC), kFirst + to);
    }
    void write(int slot, int64_t count) override {
        EXPECT_EQ(::write(kFirst + slot, kBytes, static_cast<size_t>(count)), count);
    }
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
    void shut(int slot) override { EXPECT_EQ(::shutdown(kFirst + slot, SHUT_WR), 0); }

  private:
    using Array = std::array<struct kevent, 80>;
    static constexpr char kBytes[4096] = {};

    static void move(int from, int to) {
        EXPECT_EQ(::dup3(from, to, O_CLOEXEC), to);
        EXPECT_EQ(::close(from), 0);
    }

    static bool is_descriptor(int filter) {
        return filter == EVFILT_READ || filter == EVFILT_WRITE;
    }

    [[nodiscard]] struct kevent to_kevent(const Entry& entry) const {
        auto ident = static_cast<uintptr_t>(entry.ident);
        if (is_descriptor(entry.filter)) {
            if (entry.ident < kSlots)
                ident = static_cast<uintptr_t>(kFirst + entry.ident);
            else if (entry.ident < kNeverOpen)
                ident = static_cast<uintptr_t>(queues_[entry.ident - kQueueIdent]);
            else
                ident = UINTPTR_MAX;
        }
        struct kevent kev;
        EV_SET(&kev, ident, static_cast<short>(entry.filter),
               static_cast<unsigned short>(entry.flags), entry.fflags,
               static_cast<intptr_t>(entry.data), reinterpret_cast<void*>(entry.tag));
        return kev;
    }

    [[nodiscard]] Entry from_kevent(const struct kevent& kev) const {
        Entry entry{kev.filter, static_cast<int>(kev.ident),           kev.flags, kev.fflags,
                    kev.data,   reinterpret_cast<uintptr_t>(kev.udata)};
        if (!is_descriptor(kev.filter)) return entry;
        if (kev.ident == UINTPTR_MAX) entry.ident = kNeverOpen;
        if (entry.ident >= kFirst && entry.ident < kNothing) entry.ident -= kFirst;
        for (int i = 0; i < kQueues; i++)
            if (static_cast<int>(kev.ident) == queues_[i]) entry.ident = kQueueIdent + i;
        return entry;
    }

    static void fill_untouched(Array& array, size_t from) {
        for (size_t i = from; i < array.size(); i++)
            array[i].flags = kUntouched;
    }

    // only the entries are written.
    [[nodiscard]] bool touched(const Array& array, size_t written, const Step& call) const {
        for (size_t i = written; i < array.size(); i++) {
            const bool change = call.alias && i < call.changes.size();
            const unsigned expected = change ? call.changes[i].flags & 0xffff : kUntouched;
            if (array[i].flags != expected) return true;
        }
        return false;
    }

    int queues_[kQueues] = {-1, -1};
};

Relaxed relaxed() {
    if (kqtest::backend() == "posix")
        return {.poll = true, .edge = true, .eof = true, .pipe_data = PIPE_BUF, .no_ghosts = true};
    if (kqtest::backend() == "solaris")
        return {.edge = true, .eof = true, .pipe_data = PIPE_BUF, .no_ghosts = true};
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
            .relaxed = relaxed()};
}

std::unique_ptr<Subject> make_real() {
    return std::make_unique<Real>();
}

}  // namespace kqmodel
