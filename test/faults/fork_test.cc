// SPDX-License-Identifier: BSD-2-Clause
// A process with a kqueue of KQUEUE_CPONFORK forks while the system refuses. The child has the
// whole copy, or the number of the kqueue is closed there. The parent still has all its knotes.
//
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>

#include "faults/dispatch.h"
#include "faults/injector.h"
#include "faults/scenarios.h"
#include "support/kq.h"
#include "support/leave.h"

namespace kqfaults {
namespace {

// ---- of fork(), only the library's fork handlers are inside ----
// Handlers that were registered before the library's handlers run next to the fork, on both sides
// of it. Handlers that were registered after them run first before the fork, and last after it.

bool wanted = false;
std::optional<Inside> inside;

void go_in() {
    if (wanted) inside.emplace();
}
void go_out() {
    inside.reset();
}
void go_in_as_child() {
    if (wanted) (void)begin_dispatch();  // children do not inherit it
    go_in();
}

// The library, which is in this program, registers its handlers in a constructor. 101 is earlier.
[[gnu::constructor(101)]] void register_before_the_library() {
    (void)pthread_atfork(go_out, go_in, go_in_as_child);
}

// ---- the test ----

constexpr int kReached = 1;
constexpr int kLost = 2;
constexpr int kWrong = 4;

class ForkFaults : public testing::Test {
  protected:
    void SetUp() override {
        possible_ = prepare();
        queue_ = high(::kqueuex(KQUEUE_CPONFORK));
        static const int after = pthread_atfork(go_in, go_out, go_out);
        ASSERT_EQ(after, 0);
        ASSERT_TRUE(change(ident(pipe_.first), kRead, EV_ADD | EV_CLEAR));
        ASSERT_TRUE(change(ident(sockets_.first), kRead, EV_ADD));
        ASSERT_TRUE(change(ident(sockets_.first), kWrite, EV_ADD | EV_CLEAR));
        ASSERT_TRUE(change(ident(place_.file), EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE));
        ASSERT_TRUE(change(ident(place_.self), EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE));
        ASSERT_TRUE(change(1, EVFILT_TIMER, EV_ADD, 0, 60'000));
        ASSERT_TRUE(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD));
        ASSERT_TRUE(change(2, EVFILT_USER, EV_ADD));
        ASSERT_TRUE(change(static_cast<uintptr_t>(getppid()), EVFILT_PROC, EV_ADD, NOTE_EXIT));
        (void)collect();
    }
    void TearDown() override { arm(What::nothing); }

    bool change(uintptr_t ident, int filter, unsigned flags, unsigned fflags = 0,
                intptr_t data = 0) const {
        struct kevent kev {};
        EV_SET(&kev, ident, static_cast<short>(filter), static_cast<unsigned short>(flags), fflags,
               data, nullptr);
        return ::kevent(*queue_, &kev, 1, nullptr, 0, nullptr) == 0;
    }
    // The number of events, or -1 with errno.
    int collect() const {
        struct kevent events[16];
        const timespec limit{2, 0};
        const timespec at_once{0, 0};
        const bool all = change(2, EVFILT_USER, 0, NOTE_TRIGGER);
        return ::kevent(*queue_, nullptr, 0, events, 16, all ? &limit : &at_once);
    }
    // Whether every knote reports its event.
    bool works() const {
        put(pipe_.second);
        put(sockets_.second);
        put(place_.file);
        (void)kill(getpid(), SIGUSR1);
        std::set<Key> missing{{ident(pipe_.first), kRead},
                              {ident(sockets_.first), kRead},
                              {ident(place_.file), EVFILT_VNODE},
                              {SIGUSR1, EVFILT_SIGNAL},
                              {2, EVFILT_USER}};
        (void)change(2, EVFILT_USER, 0, NOTE_TRIGGER);
        // Level-triggered events come at once, again and again. Files may be looked at only every
        // 20 ms.
        const timespec moment{0, 1'000'000};
        const timespec at_once{0, 0};
        for (int i = 0; i < 5'000 && !missing.empty(); i++) {
            if (i > 0) (void)nanosleep(&moment, nullptr);
            struct kevent events[16];
            const int count = ::kevent(*queue_, nullptr, 0, events, 16, &at_once);
            for (int e = 0; e < count; e++)
                missing.erase(Key{events[e].ident, events[e].filter});
        }
        const bool whole = change(1, EVFILT_TIMER, EV_ADD, 0, 60'000);
        return missing.empty() && whole;
    }
    void take_all() const {
        char bytes[64];
        (void)!read(*pipe_.first, bytes, sizeof bytes);
        (void)!read(*sockets_.first, bytes, sizeof bytes);
        struct kevent events[16];
        const timespec at_once{0, 0};
        (void)::kevent(*queue_, nullptr, 0, events, 16, &at_once);
    }
    // The child's report about the kqueue: kReached, kLost, kWrong.
    [[nodiscard]] int judge(size_t descriptors) const {
        int said = report().reached ? kReached : 0;
        const std::string what = report().what;
        arm(What::nothing);
        const bool open = fcntl(*queue_, F_GETFD) >= 0;
        if (!open) said |= kLost;
        if (kqtest::open_descriptors().size() > descriptors) said |= kWrong;
        if (open ? !works() : collect() != -1 || errno != EBADF) said |= kWrong;
        if ((said & kWrong) != 0)
            fprintf(stderr, "wrong after this was refused: %s\n", what.c_str());
        return said;
    }
    // Forks once, with the fault that is armed.
    int fork_once() {
        const size_t descriptors = kqtest::open_descriptors().size();
        wanted = true;
        const pid_t pid = fork();
        wanted = false;
        if (pid == 0) {
            (void)setrlimit(RLIMIT_NOFILE, &usual_);
            kqtest::leave(judge(descriptors));
        }
        int status = -1;
        (void)waitpid(pid, &status, 0);
        const bool reached = report().reached;
        arm(What::nothing);
        EXPECT_TRUE(WIFEXITED(status)) << status;
        EXPECT_EQ(kqtest::open_descriptors().size(), descriptors);
        take_all();  // the events and bytes of the child
        EXPECT_TRUE(works());
        take_all();
        const int said = WEXITSTATUS(status) | (reached ? kReached : 0);
        EXPECT_EQ(said & kWrong, 0);
        lost_ += (said & kLost) != 0 ? 1 : 0;
        return said;
    }

    Ends pipe_ = make_pipe();
    Ends sockets_ = make_sockets(1);
    Place place_;
    Fd queue_;
    rlimit usual_{};
    bool possible_ = false;
    int lost_ = 0;
};

TEST_F(ForkFaults, R332_EverySystemCall) {
    if (!possible_) GTEST_SKIP() << "system calls cannot be refused here";
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual_), 0);
    unsigned positions = 0;
    for (bool reached = true; reached && !HasFailure();) {
        positions++;
        for (unsigned reason = 0; reason < kMostReasons && reached && !HasFailure(); reason++) {
            arm(What::system_call, positions, reason);
            reached = (fork_once() & kReached) != 0;
            if (HasFailure()) ADD_FAILURE() << "position " << positions << ", reason " << reason;
        }
    }
    printf("%u positions, %d copies lost\n", positions - 1, lost_);
    EXPECT_GT(positions, 10u);
    EXPECT_GT(lost_, 0);
}

TEST_F(ForkFaults, R332_EveryAllocation) {
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual_), 0);
    unsigned positions = 0;
    for (bool reached = true; reached && !HasFailure();) {
        arm(What::allocation, ++positions);
        reached = (fork_once() & kReached) != 0;
        if (HasFailure()) ADD_FAILURE() << "allocation " << positions;
    }
    printf("%u allocations, %d copies lost\n", positions - 1, lost_);
    EXPECT_GT(positions, 1u);
}

TEST_F(ForkFaults, R332_EveryLimitOfDescriptors) {
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &usual_), 0);
    for (const int limit : {0, 3, 5, 6, 7, 8, 9, 10, 12, *queue_, *queue_ + 1}) {
        rlimit low = usual_;
        low.rlim_cur = static_cast<rlim_t>(limit);
        const size_t descriptors = kqtest::open_descriptors().size();
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
        arm(What::limit);
        const pid_t pid = fork();
        ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &usual_), 0);
        if (pid == 0) kqtest::leave(judge(descriptors));
        int status = -1;
        ASSERT_EQ(waitpid(pid, &status, 0), pid);
        ASSERT_TRUE(WIFEXITED(status));
        EXPECT_EQ(WEXITSTATUS(status) & kWrong, 0) << "limit " << limit;
        lost_ += (WEXITSTATUS(status) & kLost) != 0 ? 1 : 0;
        take_all();
        EXPECT_TRUE(works());
        take_all();
    }
    EXPECT_GT(lost_, 0);
}

}  // namespace
}  // namespace kqfaults
