// SPDX-License-Identifier: BSD-2-Clause
// The kqueue moves to another kernel queue while the system refuses (Kqueue::renew). If it cannot
// get another one, it stays and goes on working.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "faults/scenarios.h"

namespace kqfaults {
namespace {

// A descriptor is closed, but its open file lives on and goes on reporting. After a while the
// kqueue moves, with everything that it has.
void haunt(Driver& d, const Fd& queue) {
    Ends ghost = make_pipe();
    d.change(queue, ident(ghost.first), kRead, EV_ADD);
    const Fd kept = another(ghost.first);
    ghost.first.reset();
    put(ghost.second);
    for (int i = 0; i < 12; i++)
        d.look(queue);
}

void haunted(Driver& d) {
    const Fd queue = d.kqueue();
    const Ends alive = make_pipe();
    const Ends pair = make_sockets(SOCK_STREAM);
    d.change(queue, ident(alive.first), kRead, EV_ADD);
    d.change(queue, ident(pair.first), kRead, EV_ADD | EV_CLEAR);
    d.change(queue, ident(pair.first), kWrite, EV_ADD);
    d.expect(queue, {{ident(pair.first), kWrite}});
    d.change(queue, ident(pair.first), kWrite, EV_DELETE);
    haunt(d, queue);
    put(alive.second);
    put(pair.second);
    d.expect(queue, {{ident(alive.first), kRead}, {ident(pair.first), kRead}});
    take(alive.first);
    d.change(queue, 2, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER);
    d.expect(queue, {{2, EVFILT_USER}});
}

// The sources of all other events must move, too.
void haunted_sources(Driver& d) {
    const Place place;
    Child child([] { return 0; });
    const Fd queue = d.kqueue();
    const Fd inner = d.kqueue();
    const uintptr_t file = ident(place.file);
    d.change(queue, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_SECONDS, 1000);
    d.change(queue, 2, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE | NOTE_SECONDS, 4'000'000'000);
    d.change(queue, file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    d.change(queue, child.number(), EVFILT_PROC, EV_ADD, NOTE_EXIT);
    d.change(queue, ident(inner), kRead, EV_ADD);
    haunt(d, queue);
    put(place.file);
    d.expect(queue, {{file, EVFILT_VNODE}});
    child.go();
    d.expect(queue, {{child.number(), EVFILT_PROC}});
    d.change(queue, 1, EVFILT_TIMER, EV_ADD, 0, 1);
    d.expect(queue, {{1, EVFILT_TIMER}});
    const intptr_t soon = time(nullptr) * intptr_t{1'000'000} + 1;
    d.change(queue, 2, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE | NOTE_USECONDS, soon);
    d.expect(queue, {{2, EVFILT_TIMER}});
    d.change(inner, 1, EVFILT_USER, EV_ADD, NOTE_TRIGGER);
    d.expect(queue, {{ident(inner), kRead}});
}

// Blocked signals and news of processes come through objects that all kqueues share.
void haunted_signals(Driver& d) {
    const Blocked blocked(SIGUSR1);
    const Fd queue = d.kqueue();
    d.change(queue, SIGUSR1, EVFILT_SIGNAL, EV_ADD);
    haunt(d, queue);
    d.raise_signal(SIGUSR1);
    d.expect(queue, {{SIGUSR1, EVFILT_SIGNAL}});
}

void haunted_news(Driver& d) {
    Child child([] {
        execl("/bin/true", "true", static_cast<char*>(nullptr));
        return 127;
    });
    const Fd queue = d.kqueue();
    d.change(queue, child.number(), EVFILT_PROC, EV_ADD, NOTE_EXEC);
    haunt(d, queue);
    child.go();
    d.expect(queue, {{child.number(), EVFILT_PROC}});
}

// Another kqueue watches the one that moves.
void haunted_inner(Driver& d) {
    const Fd outer = d.kqueue();
    const Fd inner = d.kqueue();
    d.change(outer, ident(inner), kRead, EV_ADD);
    haunt(d, inner);
    d.look(outer);
    d.change(inner, 1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER);
    d.expect(outer, {{ident(inner), kRead}});
    d.expect(inner, {{1, EVFILT_USER}});
}

// The program polls another number of the kqueue. It would be left with the old kernel queue, so
// the kqueue keeps that one.
void haunted_shared(Driver& d) {
    const Fd queue = d.kqueue();
    const Fd other = another(queue, *queue + 1);
    d.change(queue, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    haunt(d, queue);
    d.change(queue, 1, EVFILT_USER, 0, NOTE_TRIGGER);
    pollfd wait{*other, POLLIN, 0};
    {
        const Unlimited unlimited;  // otherwise poll() is refused
        if (poll(&wait, 1, 10'000) != 1) throw Broken("a duplicate hears nothing");
    }
    d.expect(queue, {{1, EVFILT_USER}});
}

// The kqueue has another number, which is so large that the library does not look for it. This
// number must get the new kernel queue, too.
void haunted_duplicate(Driver& d) {
    const Fd queue = d.kqueue();
    constexpr int kBeyond = 1100;
    const Fd other = another(queue, kBeyond);
    if (!other) return;
    d.change(other, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    haunt(d, queue);
    d.change(other, 1, EVFILT_USER, 0, NOTE_TRIGGER);
    d.expect(other, {{1, EVFILT_USER}});
    d.change(queue, 1, EVFILT_USER, 0, NOTE_TRIGGER);
    d.expect(other, {{1, EVFILT_USER}});
}

}  // namespace

std::vector<Scenario> renewal_scenarios() {
    return {
        {"haunted", haunted},
        {"haunted_sources", haunted_sources},
        {"haunted_signals", haunted_signals},
        {"haunted_news", haunted_news, Needs::news},
        {"haunted_inner", haunted_inner},
        {"haunted_shared", haunted_shared},
        {"haunted_duplicate", haunted_duplicate, Needs::nothing, EBADF},
    };
}

}  // namespace kqfaults
