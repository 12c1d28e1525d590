// SPDX-License-Identifier: BSD-2-Clause
// Closing: the kqueue, under those who wait for it; sockets, whose values are used again.
#include "support.h"

namespace kqtest {
namespace {

TEST(Close, R10_AllWhoWaitAreWoken) {
    Queue q;
    std::atomic<int> woken{0};
    std::vector<std::thread> sleepers;
    for (int i = 0; i < 4; i++)
        sleepers.emplace_back([&woken, number = q.fd()] {
            struct kevent event;
            EXPECT_EQ(kevent(number, nullptr, 0, &event, 1, nullptr), -1);
            EXPECT_EQ(errno, EBADF);
            woken++;
        });
    std::this_thread::sleep_for(milliseconds(50));
    EXPECT_EQ(woken, 0);
    const auto begin = Clock::now();
    q.close();
    for (std::thread& thread : sleepers)
        thread.join();
    EXPECT_LT(Clock::now() - begin, milliseconds(3000));
}

// Nobody uses the library again, and yet what the kqueue held is freed.
TEST(Close, R5_EverythingIsFreedAtOnce) {
    Queue q;
    const std::string name =
        "\\\\.\\pipe\\libkqueue-close-" + std::to_string(GetCurrentProcessId());
    Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(q.change(1, EVFILT_USER, EV_ADD), 0);
    EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, 10), 0);
    const auto handles = [] {
        int count = 0;
        for (uintptr_t h = 4; h < 4096; h += 4) {
            DWORD flags = 0;
            if (GetHandleInformation(reinterpret_cast<HANDLE>(h), &flags) != 0) count++;
        }
        return count;
    };
    const int before = handles();
    q.close();
    int after = before;
    for (int i = 0; i < 200 && after > before - 4; i++) {
        std::this_thread::sleep_for(milliseconds(10));
        after = handles();
    }
    EXPECT_LE(after, before - 4);  // the port, two ends of a pipe, an event; a device
}

TEST(Close, R288_AClosedSocketTellsNothing) {
    Queue q;
    Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    q.expect_none();
    pair.a.close();
    q.expect_none(milliseconds(20));
}

// The value is used again at once, while a packet of the former socket is there, or after it was
// told, when nothing is outstanding.
TEST(Close, R290_AReusedValueIsAnotherSocket) {
    int reused = 0;
    for (int told = 0; told < 2; told++)
        for (int i = 0; i < 50; i++) {
            Queue q;
            Pair first;
            EXPECT_EQ(q.change(first.a, EVFILT_READ, EV_ADD | (i % 2 != 0 ? EV_CLEAR : 0)), 0);
            q.expect_none();
            first.b.send("old");
            if (told != 0) {
                EXPECT_EQ(q.one().data, 3);
            }
            const uintptr_t value = first.a;
            const Listener listener;
            first.a.close();
            const Socket second = listener.connect();
            const Socket peer(accept(listener.socket.get(), nullptr, nullptr));
            const bool again = static_cast<uintptr_t>(second) == value;
            if (again) reused++;
            peer.send("x");
            q.expect_none(milliseconds(1));
            if (!again) continue;
            EXPECT_EQ(q.change(value, EVFILT_READ, EV_ADD), 0);
            const struct kevent event = q.one();
            EXPECT_EQ(event.ident, value);
            EXPECT_EQ(event.data, 1);
        }
    EXPECT_GT(reused, 20);  // or nothing was tested
}

// Told once, so that nothing is outstanding, and no kevent() looks in between.
TEST(Close, R290_TheKnoteOfTheFormerSocketIsGone) {
    int reused = 0;
    for (int i = 0; i < 20; i++) {
        Queue q;
        Pair first;
        EXPECT_EQ(q.change(first.a, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
        first.b.send("old");
        EXPECT_EQ(q.one().data, 3);
        const uintptr_t value = first.a;
        const Listener listener;
        first.a.close();
        const Socket second = listener.connect();
        const Socket peer(accept(listener.socket.get(), nullptr, nullptr));
        if (static_cast<uintptr_t>(second) != value) continue;
        reused++;
        if (i % 2 == 0) {
            EXPECT_EQ(q.change(value, EVFILT_READ, EV_DELETE), ENOENT);
            continue;
        }
        peer.send("x");
        EXPECT_EQ(q.change(value, EVFILT_READ, EV_ADD), 0);
        EXPECT_EQ(q.one().data, 1);
    }
    EXPECT_GT(reused, 5);  // or nothing was tested
}

TEST(Close, R58_DeletingAClosedOne) {
    Queue q;
    Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    const uintptr_t value = pair.a;
    pair.a.close();
    const int error = q.change(value, EVFILT_READ, EV_DELETE);
    EXPECT_TRUE(error == EBADF || error == ENOENT) << error;
    EXPECT_EQ(q.change(value, EVFILT_READ, EV_ADD), EBADF);
}

TEST(Close, R57_NeverOpen) {
    Queue q;
    EXPECT_EQ(q.change(static_cast<uintptr_t>(-1), EVFILT_READ, EV_ADD), EBADF);
    EXPECT_EQ(q.change(1999, EVFILT_READ, EV_ADD), EBADF);
    EXPECT_EQ(q.change(4 * 4000, EVFILT_READ, EV_ADD), EBADF);
}

// Two threads wait, two make sockets, watch and close them.
struct Storm {
    Queue q;
    std::atomic<bool> stop{false};
    std::atomic<int> failures{0};
    std::atomic<int> done{0};

    void wait_for_events() {
        while (!stop) {
            struct kevent list[8];
            const timespec timeout{0, 10000000};
            if (kevent(q.fd(), nullptr, 0, list, 8, &timeout) < 0) failures++;
        }
        done++;
    }
    void make_sockets(int which) {
        for (int round = 0; round < 100; round++) {
            Pair pair;
            const int flags = round % 3 == 0 ? EV_CLEAR : round % 3 == 1 ? EV_ONESHOT : 0;
            if (q.change(pair.a, EVFILT_READ, EV_ADD | flags) != 0) failures++;
            if (round % 2 == which) (void)q.change(pair.a, EVFILT_WRITE, EV_ADD | EV_CLEAR);
            pair.b.send("x");
            if (is_wine()) {
                const auto events = q.collect(4);
                if (events.size() > 4) failures++;
            }
            if (round % 5 == 0 || is_wine()) (void)q.change(pair.a, EVFILT_READ, EV_DELETE);
            if (is_wine()) (void)q.change(pair.a, EVFILT_WRITE, EV_DELETE);
            pair.a.close();
        }
        done++;
    }
    [[nodiscard]] bool comes_to(int count) const {
        const auto begin = Clock::now();
        while (done < count && Clock::now() - begin < std::chrono::seconds(30))
            std::this_thread::sleep_for(milliseconds(5));
        return done >= count;
    }
};

// Wine's server may fail an assertion (server/fd.c, set_fd_events: poll_users[user] == fd) when a
// socket is closed that another thread has just asked AFD about. That ends the threads, and the
// test hangs. So there a socket leaves the kqueue before it is closed, and nobody waits meanwhile.
TEST(Close, AStormOfThreadsAndClosingSockets) {
    Storm storm;
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; i++) {
        if (!is_wine()) threads.emplace_back([&storm] { storm.wait_for_events(); });
        threads.emplace_back([&storm, i] { storm.make_sockets(i); });
    }
    const int waiting = is_wine() ? 0 : 2;
    EXPECT_TRUE(storm.comes_to(2));
    storm.stop = true;
    EXPECT_TRUE(storm.comes_to(2 + waiting));
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(storm.failures, 0);
    storm.q.expect_none();
}

}  // namespace
}  // namespace kqtest
