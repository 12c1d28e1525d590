// SPDX-License-Identifier: BSD-2-Clause
// Closing a kqueue while threads wait in it. Closing sockets whose values are used again.
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

// Whether there are so many handles within the time.
bool handles_fall_to(int count, milliseconds within) {
    const auto end = Clock::now() + within;
    while (handles() > count) {
        if (Clock::now() > end) return false;
        std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
}

// The program does not use the library again. Still, everything that the kqueue held must be freed.
TEST(Close, R5_EverythingIsFreedAtOnce) {
    Queue q;
    Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(q.change(1, EVFILT_USER, EV_ADD), 0);
    EXPECT_EQ(q.change(1, EVFILT_TIMER, EV_ADD, 0, 10), 0);
    const int before = handles();
    q.close();
    // the port, the two ends of a pipe, and a device
    EXPECT_TRUE(handles_fall_to(before - 4, milliseconds(2000)));
}

// A thread takes the packet of a socket out of the port. The kqueue is closed before the thread can
// look at it. Destroying the kqueue must not wait for this packet, which is not in the port any
// more.
TEST(Close, R5_WhileAThreadHasAPacket) {
    const Pair pair;
    constexpr int kRounds = 60;
    for (int i = 0; i < kRounds && !HasFailure(); i++) {
        const int before = handles();
        Queue q;
        EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
        std::thread sleeper([number = q.fd()] {
            struct kevent event;
            (void)kevent(number, nullptr, 0, &event, 1, nullptr);
        });
        std::this_thread::sleep_for(milliseconds(3));
        pair.b.send("x");
        q.close();
        sleeper.join();
        EXPECT_TRUE(handles_fall_to(before + 1, milliseconds(700))) << i;  // + the close watch
        (void)pair.a.receive();
    }
}

// When a thread ends, the system cancels everything that the thread has asked for.
TEST(Close, R10_TheThreadThatMadeItHasEnded) {
    int number = -1;
    std::thread([&number] { number = kqueue(); }).join();
    std::atomic<int> result{-2};
    std::atomic<int> error{0};
    std::thread sleeper([&] {
        struct kevent event;
        const timespec patience{10, 0};
        result = kevent(number, nullptr, 0, &event, 1, &patience);
        error = errno;
    });
    std::this_thread::sleep_for(milliseconds(50));
    const auto begin = Clock::now();
    EXPECT_EQ(_close(number), 0);
    sleeper.join();
    EXPECT_EQ(result, -1);
    EXPECT_EQ(error, EBADF);
    EXPECT_LT(Clock::now() - begin, milliseconds(5000));
}

// A file gets the number and the handle before the library notices the end of the kqueue.
TEST(Close, R10_AnotherFileHasTheNumberAndTheHandle) {
    const File file;
    int reused = 0;
    for (int i = 0; i < 50; i++) {
        Queue q;
        ASSERT_EQ(q.change(1, EVFILT_USER, EV_ADD, NOTE_TRIGGER), 0);
        const int number = q.fd();
        const intptr_t handle = _get_osfhandle(number);
        q.close();
        const int other = _open(file.name.c_str(), 0);
        if (other == number && _get_osfhandle(other) == handle) {
            reused++;
            struct kevent event;
            const timespec at_once{0, 0};
            EXPECT_EQ(kevent(number, nullptr, 0, &event, 1, &at_once), -1);
            EXPECT_EQ(errno, EBADF);
        }
        _close(other);
    }
    EXPECT_GT(reused, 10);  // otherwise nothing was tested
}

TEST(Close, R288_AClosedSocketTellsNothing) {
    Queue q;
    Pair pair;
    EXPECT_EQ(q.change(pair.a, EVFILT_READ, EV_ADD), 0);
    q.expect_none();
    pair.a.close();
    q.expect_none(milliseconds(20));
}

// The value is used again at once. In the first half a packet of the former socket is still
// pending. In the second half it was reported, and nothing is outstanding.
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
    EXPECT_GT(reused, 20);  // otherwise nothing was tested
}

// A call has room for only one of two directions. Then the socket is closed.
TEST(Close, R290_WhatACallHadNoRoomForIsNotToldOfAnotherSocket) {
    int reused = 0;
    for (int i = 0; i < 10; i++) {
        Queue q;
        const Pair other;
        Pair old;
        old.b.send("x");
        EXPECT_EQ(q.change(other.a, EVFILT_WRITE, EV_ADD), 0);
        EXPECT_EQ(q.change(old.a, EVFILT_WRITE, EV_ADD), 0);
        EXPECT_EQ(q.collect(2).size(), 2u);
        EXPECT_EQ(q.change(old.a, EVFILT_READ, EV_ADD), 0);
        EXPECT_EQ(q.collect(8).size(), 3u);
        EXPECT_EQ(q.collect(2).size(), 2u);
        const uintptr_t value = old.a;
        const Listener listener;
        old.a.close();
        const Socket fresh = listener.connect();
        if (fresh == value) reused++;
        EXPECT_EQ(q.collect(8).size(), 1u);
    }
    EXPECT_GT(reused, 5);  // otherwise nothing was tested
}

// The event was reported once, so nothing is outstanding. No kevent() looks in between.
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
    EXPECT_GT(reused, 5);  // otherwise nothing was tested
}

// No kqueue polls a socket for a disabled knote.
TEST(Close, R290_ADisabledKnoteGoesWithItsSocket) {
    int reused = 0;
    for (int i = 0; i < 20; i++) {
        Queue q;
        Pair first;
        EXPECT_EQ(q.change(first.a, EVFILT_READ, EV_ADD | (i % 2 == 0 ? EV_DISABLE : EV_CLEAR)), 0);
        EXPECT_EQ(q.change(first.a, EVFILT_READ, EV_DISABLE), 0);
        const uintptr_t value = first.a;
        const Listener listener;
        first.a.close();
        const Socket second = listener.connect();
        if (second != value) continue;
        reused++;
        Queue other;
        EXPECT_EQ(other.change(value, EVFILT_READ, EV_ADD), 0);
        EXPECT_EQ(q.change(value, EVFILT_READ, EV_DELETE), ENOENT);
    }
    EXPECT_GT(reused, 5);  // otherwise nothing was tested
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

// Two threads wait. Two others make sockets, watch them, and close them.
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
// test hangs. So under Wine a socket leaves the kqueue before it is closed, and no thread waits.
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
