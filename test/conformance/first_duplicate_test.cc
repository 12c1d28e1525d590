// SPDX-License-Identifier: BSD-2-Clause
// A kqueue is closed, and the library does not know that yet. Its number is given to a duplicate of
// another kqueue. Each test runs in a process of its own, because from the first
// duplicate on each call asks which kqueue has the number.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "support/kq.h"
#include "support/net.h"
#include "support/thread.h"

namespace kqtest {
namespace {

// Two kqueues. The first one is closed, and its number is given to a duplicate of the second one,
// which is the first duplicate that the library hears of.
class Two {
  public:
    // Both have the same knotes, with a udata that says whose they are. `between`: so many kqueues
    // were made and closed between the two.
    explicit Two(std::vector<Event> knotes, int between = 0)
        : second(make_after(between)), knotes_(std::move(knotes)) {
        add(first, 1);
        add(second, 2);
    }
    // From here on the number of the first kqueue names the second one.
    bool hand_number_over() const { return ::close(first) == 0 && ::dup(second) == first; }

    // Collects the only event by that number. Returns 0, or what is wrong.
    int expect_one(int filter) const {
        for (int i = 0; i < 500; i++) {
            Event event{};
            const timespec wait{0, i % 2 == 0 ? 0 : 10'000'000};
            const int n = ::kevent(first, nullptr, 0, &event, 1, &wait);
            if (n < 0 && errno != EBADF) return 20;
            if (n != 1) continue;
            if (event.udata != tag(2)) return 21;
            if (event.filter != filter && skipped_edges_told_again({event})) continue;
            return event.filter == filter ? 0 : 22;
        }
        return 23;
    }
    int apply(Event change) const { return ::kevent(first, &change, 1, nullptr, 0, nullptr); }

    const int first = ::kqueue();
    const int second;

  private:
    static int make_after(int between) {
        for (int i = 0; i < between; i++)
            ::close(::kqueue());
        return ::kqueue();
    }
    void add(int queue, unsigned which) const {
        for (Event knote : knotes_) {
            knote.udata = tag(which);
            EXPECT_EQ(::kevent(queue, &knote, 1, nullptr, 0, nullptr), 0);
        }
    }
    std::vector<Event> knotes_;
};

class FirstDuplicate : public KqTest {
  protected:
    static Event user(int flags, unsigned fflags = 0, void* udata = nullptr) {
        return change(1, EVFILT_USER, flags, fflags, 0, udata);
    }
    static Event read(int fd, int flags) { return change(fd, EVFILT_READ, EV_ADD | flags); }
    static Event write(int fd, int flags) { return change(fd, EVFILT_WRITE, EV_ADD | flags); }
};

// A byte comes before the number is used. The kernel reports it only once.
TEST_F(FirstDuplicate, R11_TakesNoEdgeAway) {
    Child child([] {
        const Pipe pipe = make_pipe();
        const Two two({read(*pipe.read, EV_CLEAR)});
        write_bytes(*pipe.write, 1);
        return two.hand_number_over() ? two.expect_one(EVFILT_READ) : 1;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

// The library tells kernel queues apart by one of 48 marks. No two existing ones have the same
// mark.
TEST_F(FirstDuplicate, R11_OfOneThatWasMadeMuchLater) {
    for (int between = 44; between < 52; between++) {
        Child child([between] {
            const Pipe pipe = make_pipe();
            const Two two({read(*pipe.read, EV_CLEAR)}, between);
            write_bytes(*pipe.write, 1);
            return two.hand_number_over() ? two.expect_one(EVFILT_READ) : 1;
        });
        EXPECT_EQ(child.wait(), 0) << between << child.errors();
    }
}

TEST_F(FirstDuplicate, R11_TakesNoOneshotAway) {
    Child child([] {
        const Pipe pipe = make_pipe();
        const Two two({read(*pipe.read, EV_ONESHOT)});
        write_bytes(*pipe.write, 1);
        return two.hand_number_over() ? two.expect_one(EVFILT_READ) : 1;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

// READ and WRITE of different modes.
TEST_F(FirstDuplicate, R11_TakesNoEdgeOfMixedModesAway) {
    Child child([] {
        const Pair sockets = make_socketpair(SOCK_STREAM);
        const Two two({write(*sockets.first, EV_CLEAR), read(*sockets.first, 0)});
        Event events[2];
        if (::kevent(two.second, nullptr, 0, events, 2, &kAtOnce) != 1) return 1;
        write_bytes(*sockets.second, 1);
        return two.hand_number_over() ? two.expect_one(EVFILT_READ) : 2;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

TEST_F(FirstDuplicate, R11_TakesNoTimerAway) {
    Child child([] {
        const Two two({change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 20)});
        if (!two.hand_number_over()) return 1;
        const int result = two.expect_one(EVFILT_TIMER);
        if (result != 0) return result;
        // The next timer comes, too.
        if (two.apply(change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 20, tag(2))) != 0) return 2;
        return two.expect_one(EVFILT_TIMER);
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

TEST_F(FirstDuplicate, R11_TakesNoTriggerAway) {
    Child child([] {
        const Two two({user(EV_ADD | EV_CLEAR)});
        const Event trigger = user(0, NOTE_TRIGGER, tag(2));
        if (::kevent(two.second, &trigger, 1, nullptr, 0, nullptr) != 0) return 1;
        return two.hand_number_over() ? two.expect_one(EVFILT_USER) : 2;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

TEST_F(FirstDuplicate, R11_TakesNoExitAway) {
    Child child([] {
        const pid_t pid = ::fork();
        if (pid == 0) {
            (void)::pause();
            ::_exit(0);
        }
        const Two two({change(static_cast<uintptr_t>(pid), EVFILT_PROC, EV_ADD, NOTE_EXIT)});
        if (!two.hand_number_over()) return 1;
        (void)::kill(pid, SIGKILL);
        siginfo_t info{};
        if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0) return 2;
        const int result = two.expect_one(EVFILT_PROC);
        (void)::waitpid(pid, nullptr, 0);
        return result;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

// Events that were pending in the closed kqueue are not reported.
TEST_F(FirstDuplicate, R10_NothingOfTheClosedOneIsTold) {
    Child child([] {
        const Two two({user(EV_ADD)});
        const Event triggers[] = {user(0, NOTE_TRIGGER, tag(1)), user(0, NOTE_TRIGGER, tag(2))};
        Event event{};
        if (::kevent(two.first, triggers, 1, &event, 1, &kAtOnce) != 1) return 1;
        if (!two.hand_number_over()) return 2;
        if (::kevent(two.first, nullptr, 0, &event, 1, &kAtOnce) != 0) return 3;
        if (::kevent(two.second, triggers + 1, 1, nullptr, 0, nullptr) != 0) return 4;
        return two.expect_one(EVFILT_USER);
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
}

// The first call after that is a change of a knote that both kqueues have.
TEST_F(FirstDuplicate, R11_ChangesWhatItNames) {
    Child child([] {
        const Pipe pipe = make_pipe();
        {
            const Two two({user(EV_ADD | EV_CLEAR)});
            if (!two.hand_number_over()) return 1;
            if (two.apply(user(0, NOTE_TRIGGER, tag(2))) != 0) return 2;
            if (const int result = two.expect_one(EVFILT_USER)) return result;
        }
        write_bytes(*pipe.write, 1);
        return 0;
    });
    EXPECT_EQ(child.wait(), 0) << child.errors();
    Child enabled([] {
        const Pipe pipe = make_pipe();
        const Two two({read(*pipe.read, EV_DISABLE)});
        write_bytes(*pipe.write, 1);
        if (!two.hand_number_over()) return 1;
        if (two.apply(change(*pipe.read, EVFILT_READ, EV_ENABLE, 0, 0, tag(2))) != 0) return 2;
        return two.expect_one(EVFILT_READ);
    });
    EXPECT_EQ(enabled.wait(), 0) << enabled.errors();
    Child deleted([] {
        const Two two({change(1, EVFILT_TIMER, EV_ADD, 0, 20), user(EV_ADD | EV_CLEAR)});
        if (!two.hand_number_over()) return 1;
        if (two.apply(change(1, EVFILT_TIMER, EV_DELETE)) != 0) return 2;
        if (two.apply(user(0, NOTE_TRIGGER, tag(2))) != 0) return 3;
        if (const int result = two.expect_one(EVFILT_USER)) return result;
        Event event{};
        const timespec wait{0, 60'000'000};
        return ::kevent(two.second, nullptr, 0, &event, 1, &wait);
    });
    EXPECT_EQ(deleted.wait(), 0) << deleted.errors();
}

}  // namespace
}  // namespace kqtest
