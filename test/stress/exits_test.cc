// SPDX-License-Identifier: BSD-2-Clause
// Children exit while a thread begins to watch them. Another thread waits without a timeout,
// because a timeout would hide that it was not woken.
#include <sys/wait.h>
#include <unistd.h>

#include "stress/storm.h"

namespace kqstress {
namespace {

class ExitStorm : public Storm {
  protected:
    // Knotes of a signal that come and go. Each time the library looks which signals are pending
    // for the process.
    void watch_signals() const {
        const Queue q;
        while (running() && !HasFailure()) {
            EXPECT_EQ(q.apply(signals::add(SIGUSR1)), 0);
            EXPECT_EQ(q.apply(signals::remove(SIGUSR1)), 0);
        }
    }
};

TEST_F(ExitStorm, R211_AWaiterWithoutEndHearsOfEachExit) {
    rage([this] {
        const Queue q;
        ASSERT_EQ(q.apply(change(1, EVFILT_USER, EV_ADD)), 0);
        Lane* lane_of_all = nullptr;
        Lane lane("exits", [&] {
            const pid_t pid = ::fork();
            if (pid == 0) ::_exit(0);
            ASSERT_GT(pid, 0);
            EXPECT_EQ(q.apply(change(pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, lane_of_all)), 0);
        });
        lane_of_all = &lane;
        Thread waiter([&] {
            Event event{};
            while (::kevent(q.fd(), nullptr, 0, &event, 1, nullptr) == 1 &&
                   event.filter == EVFILT_PROC) {
                EXPECT_EQ(::waitpid(static_cast<pid_t>(event.ident), nullptr, 0),
                          static_cast<pid_t>(event.ident));
                Lane::receive(event);
            }
        });
        Thread signals([this] { watch_signals(); });
        while (running() && lane.drive()) {
        }
        EXPECT_EQ(q.apply(change(1, EVFILT_USER, 0, NOTE_TRIGGER)), 0);
        waiter.join();
        signals.join(milliseconds{600'000});
        lane.expect_all_delivered();
        note("exits", lane.sent());
    });
}

}  // namespace
}  // namespace kqstress
