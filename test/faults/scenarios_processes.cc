// SPDX-License-Identifier: BSD-2-Clause
// Processes and signals, while the system refuses.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "faults/injector.h"
#include "faults/scenarios.h"

namespace kqfaults {
namespace {

constexpr int kProc = EVFILT_PROC;
constexpr int kSignal = EVFILT_SIGNAL;

// ---- processes ----

int exits() {
    return 3;
}

int forks_once() {
    const pid_t pid = fork();
    if (pid == 0) _exit(5);
    (void)waitpid(pid, nullptr, 0);
    return 0;
}

int forks_and_executes() {
    (void)forks_once();
    execl("/bin/true", "true", static_cast<char*>(nullptr));
    return 127;
}

void children(Driver& d) {
    const Fd queue = d.kqueue();
    Child child(exits);
    d.change(queue, child.number(), kProc, EV_ADD, NOTE_EXIT);
    child.go();
    d.collect_until(queue, [&child](const struct kevent& event) {
        if (event.ident != child.number() || event.data != 3 << 8) throw Broken("another exit");
        return true;
    });
}

// The child has exited before it is watched, while the knote is disabled. Its number is added
// again.
void dead_children(Driver& d) {
    const Fd queue = d.kqueue();
    Child child(exits);
    child.go();
    siginfo_t info;
    (void)waitid(P_PID, static_cast<id_t>(child.number()), &info, WEXITED | WNOWAIT);
    d.change(queue, child.number(), kProc, EV_ADD | EV_DISABLE, NOTE_EXIT);
    d.expect_none(queue);
    d.change(queue, child.number(), kProc, EV_ADD, NOTE_EXIT | NOTE_EXITSTATUS);
    d.change(queue, child.number(), kProc, EV_ENABLE);
    d.expect(queue, {{child.number(), kProc}});
}

// A process that is not our child. Its parent, which is our child, makes it and reaps it.
void strangers(Driver& d) {
    const Ends numbers = make_pipe();
    const Ends end = make_pipe();
    Child parent([&numbers, &end] {
        const pid_t pid = fork();
        pollfd wait{*end.first, POLLIN, 0};
        if (pid == 0) {
            (void)poll(&wait, 1, -1);
            _exit(0);
        }
        (void)!write(*numbers.second, &pid, sizeof pid);
        (void)waitpid(pid, nullptr, 0);
        return 0;
    });
    parent.go();
    pollfd made{*numbers.first, POLLIN, 0};
    (void)poll(&made, 1, -1);
    pid_t pid = 0;
    if (read(*numbers.first, &pid, sizeof pid) != sizeof pid) throw Broken("no stranger");
    const Fd queue = d.kqueue();
    d.change(queue, static_cast<uintptr_t>(pid), kProc, EV_ADD, NOTE_EXIT);
    d.expect_none(queue);
    put(end.second);
    d.expect(queue, {{static_cast<uintptr_t>(pid), kProc}});
}

// Whether the kernel was made to say that it has dropped messages.
bool news_were_lost() {
    return report().fired && report().error == ENOBUFS;
}

// Forks and executions. After EV_ADD they need no more memory of ours, so none may be missed.
void news(Driver& d) {
    const Fd queue = d.kqueue();
    Child child(forks_and_executes);
    d.change(queue, child.number(), kProc, EV_ADD, NOTE_FORK | NOTE_EXEC | NOTE_EXIT);
    child.go();
    unsigned told = 0;
    d.collect_until(queue, [&told, &child](const struct kevent& event) {
        if (event.ident != child.number()) throw Broken("an event of another process");
        told |= event.fflags;
        return (event.fflags & NOTE_EXIT) != 0;
    });
    if (told != (NOTE_FORK | NOTE_EXEC | NOTE_EXIT) && !news_were_lost())
        throw Broken("not all was told: " + std::to_string(told));
}

struct Tracked {
    uintptr_t parent = 0;
    uintptr_t child = 0;
    unsigned told = 0;  // of the parent
    bool child_ended = false;

    bool take(const struct kevent& event) {
        if (event.ident == parent)
            told |= event.fflags;
        else if (event.fflags == NOTE_CHILD && event.data == static_cast<intptr_t>(parent))
            child = event.ident;
        else if (event.ident == child && (event.fflags & ~(NOTE_EXIT | NOTE_TRACKERR)) == 0)
            child_ended = child_ended || (event.fflags & NOTE_EXIT) != 0;
        else
            throw Broken("an event of another process");
        const bool untracked = (told & NOTE_TRACKERR) != 0;
        if (untracked && !report().fired) throw Broken("NOTE_TRACKERR for no reason");
        return (told & NOTE_EXIT) != 0 && (child_ended || untracked);
    }
};

// If a child cannot be tracked, its parent gets NOTE_TRACKERR. The parent's fork and exit are
// reported.
void tracking(Driver& d) {
    const Fd queue = d.kqueue();
    Child child(forks_once);
    Tracked all{child.number()};
    d.change(queue, child.number(), kProc, EV_ADD, NOTE_TRACK | NOTE_FORK | NOTE_EXIT);
    child.go();
    d.collect_until(queue, [&all](const struct kevent& event) { return all.take(event); });
    if ((all.told & NOTE_FORK) == 0 && !news_were_lost()) throw Broken("no NOTE_FORK");
    d.look(queue);
}

// Two kqueues track one process. The second one is not collected until the first has reported all.
void tracking_twice(Driver& d) {
    const Fd queues[] = {d.kqueue(), d.kqueue()};
    Child child(forks_once);
    Tracked all[] = {{child.number()}, {child.number()}};
    for (const Fd& queue : queues)
        d.change(queue, child.number(), kProc, EV_ADD, NOTE_TRACK | NOTE_FORK | NOTE_EXIT);
    child.go();
    for (int i = 0; i < 2; i++)
        d.collect_until(queues[i],
                        [&all, i](const struct kevent& event) { return all[i].take(event); });
}

// ---- signals ----

volatile sig_atomic_t handled = 0;

class Handler {
  public:
    explicit Handler(int number) : number_(number) {
        struct sigaction action {};
        action.sa_handler = [](int) { handled = handled + 1; };
        (void)sigaction(number, &action, &before_);
    }
    ~Handler() { (void)sigaction(number_, &before_, nullptr); }
    Handler(const Handler&) = delete;

  private:
    int number_;
    struct sigaction before_ {};
};

void signals(Driver& d) {
    const Fd queue = d.kqueue();
    const Fd other = d.kqueue();
    d.change(queue, SIGUSR1, kSignal, EV_ADD);
    d.change(other, SIGUSR1, kSignal, EV_ADD);
    d.look(queue);
    d.raise_signal(SIGUSR1);
    d.expect(queue, {{SIGUSR1, kSignal}});
    d.expect(other, {{SIGUSR1, kSignal}});
    d.expect_none(queue);
    d.change(queue, SIGUSR1, kSignal, EV_DELETE);
    d.change(queue, SIGUSR2, kSignal, EV_ADD);
}

void blocked_signals(Driver& d) {
    const Blocked blocked(SIGUSR1);
    const Fd queue = d.kqueue();
    d.change(queue, SIGUSR1, kSignal, EV_ADD);
    d.raise_signal(SIGUSR1);
    d.expect(queue, {{SIGUSR1, kSignal}});
    d.change(queue, SIGUSR1, kSignal, EV_DISABLE);
    d.raise_signal(SIGUSR1);
    d.expect_none(queue);
    d.change(queue, SIGUSR1, kSignal, EV_ENABLE);
    d.expect(queue, {{SIGUSR1, kSignal}});
}

// The program has a handler, which runs as before.
void handled_signals(Driver& d) {
    const Handler handler(SIGUSR1);
    const int before = handled;
    const Fd queue = d.kqueue();
    d.change(queue, SIGUSR1, kSignal, EV_ADD);
    d.raise_signal(SIGUSR1);
    d.expect(queue, {{SIGUSR1, kSignal}});
    {
        const Blocked blocked(SIGUSR1, false);
        d.raise_signal(SIGUSR1);
        d.expect(queue, {{SIGUSR1, kSignal}});
    }
    d.change(queue, SIGUSR1, kSignal, EV_DELETE);
    if (handled != before + 2) throw Broken("the program's handler did not run");
}

}  // namespace

std::vector<Scenario> process_scenarios() {
    return {
        {"children", children},
        {"dead_children", dead_children},
        {"strangers", strangers},
        {"news", news, Needs::news},
        {"tracking", tracking, Needs::news},
        {"tracking_twice", tracking_twice, Needs::news},
        {"signals", signals},
        {"blocked_signals", blocked_signals},
        {"handled_signals", handled_signals},
    };
}

}  // namespace kqfaults
