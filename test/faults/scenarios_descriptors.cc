// SPDX-License-Identifier: BSD-2-Clause
// EVFILT_READ and EVFILT_WRITE, timers, kqueues in kqueues, while the system refuses.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "faults/scenarios.h"

namespace kqfaults {
namespace {

void reading(Driver& d) {
    const Ends pipe = make_pipe();
    const Fd queue = d.kqueue();
    const uintptr_t fd = ident(pipe.first);
    put(pipe.second);
    d.change(queue, fd, kRead, EV_ADD);
    d.expect(queue, {{fd, kRead}});
    d.change(queue, fd, kRead, EV_DISABLE);
    d.expect_none(queue);
    d.change(queue, fd, kRead, EV_ENABLE);
    d.expect(queue, {{fd, kRead}});
    d.change(queue, fd, kRead, EV_DELETE);
    d.change(queue, fd, kRead, EV_ADD | EV_ONESHOT);
    d.expect(queue, {{fd, kRead}});
    d.change(queue, fd, kRead, EV_ADD | EV_CLEAR);
    d.expect(queue, {{fd, kRead}});
    put(pipe.second);
    d.expect(queue, {{fd, kRead}});
    d.change(queue, fd, kRead, EV_DELETE);
    d.change(queue, fd, kRead, EV_ADD | EV_DISABLE);
    d.change(queue, fd, kRead, EV_ENABLE);
    d.expect(queue, {{fd, kRead}});
}

// Both ends of a pipe, until it ends: the last event is EV_EOF.
void pipes(Driver& d) {
    Ends pipe = make_pipe();
    const Fd queue = d.kqueue();
    const uintptr_t in = ident(pipe.first);
    const uintptr_t out = ident(pipe.second);
    d.change(queue, out, kWrite, EV_ADD);
    d.expect(queue, {{out, kWrite}});
    d.change(queue, out, kWrite, EV_ADD, NOTE_LOWAT, 100);
    d.expect(queue, {{out, kWrite}});
    d.change(queue, out, kWrite, EV_DELETE);
    d.change(queue, in, kWrite, EV_ADD);  // the wrong end: it reports only the end of the pipe
    d.change(queue, in, kRead, EV_ADD | EV_DISPATCH);
    d.expect_none(queue);
    put(pipe.second);
    d.expect(queue, {{in, kRead}});
    d.change(queue, in, kRead, EV_ENABLE);
    d.expect(queue, {{in, kRead}});
    d.change(queue, in, kRead, EV_ENABLE);
    take(pipe.first);
    pipe.second.reset();
    d.expect(queue, {{in, kRead}, {in, kWrite}});
}

// The write end reports that its reader is gone.
void write_end(Driver& d) {
    Ends pipe = make_pipe();
    const Fd queue = d.kqueue();
    const uintptr_t out = ident(pipe.second);
    d.change(queue, out, kRead, EV_ADD);
    d.change(queue, out, kWrite, EV_ADD | EV_ONESHOT);
    d.expect(queue, {{out, kWrite}});
    d.expect_none(queue);
    pipe.first.reset();
    d.expect(queue, {{out, kRead}});
}

// READ and WRITE of one descriptor in different modes. The kernel has them in two epoll sets.
template <unsigned read>
void two_modes(Driver& d) {
    for (const unsigned write : {0, EV_CLEAR, EV_ONESHOT}) {
        const Ends pair = make_sockets(SOCK_STREAM);
        const Fd queue = d.kqueue();
        const uintptr_t fd = ident(pair.first);
        put(pair.second);
        d.change(queue, fd, kRead, EV_ADD | read);
        d.change(queue, fd, kWrite, EV_ADD | write);
        d.expect(queue, {{fd, kRead}, {fd, kWrite}});
        d.change(queue, fd, kRead, EV_ADD | read);
        d.change(queue, fd, kWrite, EV_ADD | write);
        d.expect(queue, {{fd, kRead}, {fd, kWrite}});
    }
}

// READ and WRITE change places: the level-triggered one moves to the other set.
void changing_modes(Driver& d) {
    const Ends pair = make_sockets(SOCK_STREAM);
    const Fd queue = d.kqueue();
    const uintptr_t fd = ident(pair.first);
    put(pair.second);
    d.change(queue, fd, kRead, EV_ADD);
    d.change(queue, fd, kWrite, EV_ADD);
    d.change(queue, fd, kRead, EV_ADD, NOTE_LOWAT, 1);
    d.expect(queue, {{fd, kRead}, {fd, kWrite}});
    d.change(queue, fd, kWrite, EV_ADD, NOTE_LOWAT, 1);
    d.change(queue, fd, kRead, EV_ADD, 0, 0);
    d.expect(queue, {{fd, kRead}, {fd, kWrite}});
    d.change(queue, fd, kRead, EV_DELETE);
    d.change(queue, fd, kRead, EV_ADD | EV_DISPATCH);
    d.expect(queue, {{fd, kRead}, {fd, kWrite}});
    d.change(queue, fd, kRead, EV_ENABLE);
    d.change(queue, fd, kWrite, EV_ADD, 0, 0);
    d.expect(queue, {{fd, kRead}, {fd, kWrite}});
    d.change(queue, fd, kWrite, EV_DISABLE);
    d.change(queue, fd, kRead, EV_ENABLE);
    d.expect(queue, {{fd, kRead}});
}

// A connection, from its start to its end.
void connection(Driver& d) {
    for (const unsigned mode : {0u, unsigned{EV_CLEAR}}) {
        Ends tcp = make_connection();
        const Fd queue = d.kqueue();
        const uintptr_t fd = ident(tcp.first);
        d.change(queue, fd, kWrite, EV_ADD | mode);
        d.expect(queue, {{fd, kWrite}});
        d.change(queue, fd, kWrite, EV_DELETE);
        d.change(queue, fd, kRead, EV_ADD | mode);
        d.expect_none(queue);
        put(tcp.second);
        d.expect(queue, {{fd, kRead}});
        take(tcp.first);
        d.expect_none(queue);
        const linger abortive{1, 0};
        (void)setsockopt(*tcp.second, SOL_SOCKET, SO_LINGER, &abortive, sizeof abortive);
        tcp.second.reset();
        d.expect(queue, {{fd, kRead}});
        d.change(queue, fd, kWrite, EV_ADD | mode);
        d.expect(queue, mode == 0 ? std::set<Key>{{fd, kRead}, {fd, kWrite}}
                                  : std::set<Key>{{fd, kWrite}});
    }
}

// Bytes behind TCP's urgent mark. Netlink counts them.
void urgent(Driver& d) {
    const Ends tcp = make_connection();
    const Fd queue = d.kqueue();
    const uintptr_t fd = ident(tcp.first);
    d.change(queue, fd, kRead, EV_ADD);
    char byte = 0;
    if (send(*tcp.second, "!", 1, MSG_OOB) != 1) throw Broken("send()");
    // It may take its time. poll() does not work while the limit of descriptors is 0.
    for (int i = 0; recv(*tcp.first, &byte, 1, MSG_OOB) != 1; i++)
        if (i == 2000 || usleep(1000) != 0) throw Broken("no urgent byte");
    d.expect_none(queue);
    put(tcp.second);
    d.expect(queue, {{fd, kRead}});
}

// Datagram sockets. The library asks how much they can take. It looks again at what an edge of an
// AF_UNIX socket has left.
void datagrams(Driver& d) {
    const Ends pair = make_sockets(SOCK_DGRAM);
    const Fd queue = d.kqueue();
    const uintptr_t fd = ident(pair.first);
    d.change(queue, fd, kRead, EV_ADD | EV_CLEAR);
    if (send(*pair.second, "ab", 2, 0) != 2) throw Broken("no datagram");
    put(pair.second);
    d.expect(queue, {{fd, kRead}});
    take(pair.first);
    d.expect(queue, {{fd, kRead}});
}

// AF_UNIX: streams end, and packets come one by one. The library looks at a socket that is not
// connected.
void local_sockets(Driver& d) {
    const Fd queue = d.kqueue();
    for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
        Ends pair = make_sockets(type);
        const uintptr_t fd = ident(pair.first);
        d.change(queue, fd, kRead, EV_ADD);
        put(pair.second);
        d.expect(queue, {{fd, kRead}});
        d.change(queue, fd, kWrite, EV_ADD | EV_ONESHOT);
        d.expect(queue, {{fd, kRead}, {fd, kWrite}});
        if (type != SOCK_STREAM) continue;
        take(pair.first);
        pair.second.reset();
        d.change(queue, fd, kWrite, EV_ADD);
        d.expect(queue, {{fd, kRead}, {fd, kWrite}});
    }
    const Fd alone = make_socket(AF_UNIX);
    d.change(queue, ident(alone), kRead, EV_ADD);
    d.expect_none(queue);
}

// Eventfds: the library reads their counter in /proc.
void counters(Driver& d) {
    const Fd queue = d.kqueue();
    const Fd counter = [] {
        const Unlimited unlimited;
        return high(eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK));
    }();
    const uintptr_t fd = ident(counter);
    d.change(queue, fd, kRead, EV_ADD | EV_CLEAR);
    d.change(queue, fd, kWrite, EV_ADD | EV_ONESHOT);
    d.expect(queue, {{fd, kRead}, {fd, kWrite}});
    eventfd_write(*counter, 1);
    d.expect(queue, {{fd, kRead}});
}

// /dev/null is always ready.
void devices(Driver& d) {
    const Fd queue = d.kqueue();
    const Fd null = [] {
        const Unlimited unlimited;
        return high(open("/dev/null", O_RDWR | O_CLOEXEC));
    }();
    d.change(queue, ident(null), kRead, EV_ADD);
    d.change(queue, ident(null), kWrite, EV_ADD);
    d.expect(queue, {{ident(null), kRead}, {ident(null), kWrite}});
}

void user(Driver& d) {
    const Fd queue = d.kqueue();
    d.change(queue, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    d.change_wide(queue, 2, EVFILT_USER, EV_ADD | EV_ONESHOT);
    d.change_wide(queue, 3, EVFILT_USER, EV_ADD, true);
    d.change(queue, 1, EVFILT_USER, 0, NOTE_TRIGGER);
    d.change(queue, 2, EVFILT_USER, 0, NOTE_TRIGGER);
    d.expect(queue, {{1, EVFILT_USER}, {2, EVFILT_USER}});
    d.expect_none(queue);
}

void timers(Driver& d) {
    const Fd queue = d.kqueue();
    d.change(queue, 1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 5);
    d.change(queue, 2, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE, 1000);
    d.expect(queue, {{1, EVFILT_TIMER}, {2, EVFILT_TIMER}});
    d.expect_none(queue, milliseconds{10});
    // Timers change to another clock, or to an earlier time.
    d.change(queue, 3, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 1000);
    d.change(queue, 3, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE, 1000);
    d.expect(queue, {{3, EVFILT_TIMER}});
    for (intptr_t i = 0; i < 12; i++)
        d.change(queue, 4, EVFILT_TIMER, EV_ADD | EV_DISPATCH, NOTE_SECONDS, 1000 - i);
    d.change(queue, 4, EVFILT_TIMER, EV_DISABLE);
    d.change(queue, 4, EVFILT_TIMER, EV_ADD, NOTE_USECONDS, 100);
    d.change(queue, 4, EVFILT_TIMER, EV_ENABLE);
    d.expect(queue, {{4, EVFILT_TIMER}});
}

// A timer goes to a clock that this kqueue has not had yet.
void another_clock(Driver& d) {
    const Fd queue = d.kqueue();
    d.change(queue, 1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 1000);
    d.change(queue, 1, EVFILT_TIMER, EV_ADD, NOTE_ABSOLUTE, 1000);
    d.expect(queue, {{1, EVFILT_TIMER}});
    constexpr unsigned kContinuous = NOTE_MACH_CONTINUOUS_TIME;
    d.change(queue, 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, NOTE_SECONDS, 1000);
    d.change(queue, 2, EVFILT_TIMER, EV_ADD, kContinuous | NOTE_BACKGROUND, 5);
    d.expect(queue, {{2, EVFILT_TIMER}});
    d.change(queue, 2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, kContinuous, 5);
    d.expect(queue, {{2, EVFILT_TIMER}});
}

void nested(Driver& d) {
    const Fd outer = d.kqueue();
    const Fd inner = d.kqueue();
    d.change(outer, ident(inner), kRead, EV_ADD);
    d.change(inner, 1, EVFILT_USER, EV_ADD, NOTE_TRIGGER);
    d.expect(outer, {{ident(inner), kRead}});
    d.change(inner, 1, EVFILT_USER, EV_DELETE);
    d.expect_none(outer);
    d.change(outer, ident(inner), kRead, EV_DELETE);
    d.change(outer, ident(inner), kRead, EV_ADD | EV_CLEAR);
    d.change(inner, 2, EVFILT_USER, EV_ADD, NOTE_TRIGGER);
    d.expect(outer, {{ident(inner), kRead}});
}

// For a listener, the library asks the kernel how many connections wait.
void listening(Driver& d) {
    for (const sa_family_t family : {AF_UNIX, AF_INET}) {
        const Fd listener = make_socket(family);
        sockaddr_storage address{};
        auto* name = reinterpret_cast<sockaddr*>(&address);
        address.ss_family = family;
        socklen_t size = family == AF_UNIX ? sizeof family : sizeof(sockaddr_in);
        (void)bind(*listener, name, size);
        (void)listen(*listener, 4);
        size = sizeof address;
        (void)getsockname(*listener, name, &size);
        const Fd queue = d.kqueue();
        d.change(queue, ident(listener), kRead, EV_ADD);
        const Fd client = make_socket(family);
        if (connect(*client, name, size) != 0) throw Broken("connect()");
        d.expect(queue, {{ident(listener), kRead}});
    }
}

// A second number of the same kqueue. It lives on when the first number is closed. Only /proc says
// which kqueue it is: L-DUP.
void duplicate(Driver& d) {
    Fd queue = d.kqueue();
    d.change(queue, 1, EVFILT_USER, EV_ADD);
    const Fd other = another(queue);
    d.change(other, 1, EVFILT_USER, 0, NOTE_TRIGGER);
    d.expect(queue, {{1, EVFILT_USER}});
    queue.reset();
    d.change(other, 2, EVFILT_USER, EV_ADD, NOTE_TRIGGER);
    d.expect(other, {{1, EVFILT_USER}, {2, EVFILT_USER}});
}

// The first number is closed before the second one was ever used, with and without knotes. Then
// another kqueue gets the first number.
void inherited(Driver& d) {
    for (const bool empty : {true, false}) {
        Fd queue = d.kqueue();
        if (!empty) d.change(queue, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
        const Fd other = another(queue, *queue + 1);  // near the first: the library looks there
        queue.reset();
        const Fd next = d.kqueue();
        if (empty) d.change(other, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
        d.change(other, 1, EVFILT_USER, 0, NOTE_TRIGGER);
        d.expect(other, {{1, EVFILT_USER}});
        d.look(next);
    }
}

// So many knotes that every table grows.
void many(Driver& d) {
    constexpr int kMany = 24;
    std::vector<Ends> pipes;
    const Fd queue = d.kqueue();
    for (int i = 0; i < kMany; i++) {
        pipes.push_back(make_pipe());
        d.change(queue, ident(pipes.back().first), kRead, EV_ADD);
        d.change(queue, static_cast<uintptr_t>(i), EVFILT_USER, EV_ADD);
        d.change(queue, static_cast<uintptr_t>(i), EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 1000 - i);
    }
    put(pipes.back().second);
    d.expect(queue, {{ident(pipes.back().first), kRead}});
}

// More knotes are ready than the library can collect without allocating memory.
void crowd(Driver& d) {
    constexpr int kMany = 70;
    const Ends pipe = make_pipe();
    const Fd queue = d.kqueue();
    std::vector<Fd> numbers;
    std::set<Key> all;
    for (int i = 0; i < kMany; i++) {
        {
            const Unlimited unlimited;
            numbers.emplace_back(::fcntl(*pipe.first, F_DUPFD_CLOEXEC, 3));
        }
        d.change(queue, ident(numbers.back()), kRead, EV_ADD | (i % 2 == 0 ? EV_CLEAR : 0));
        all.insert({ident(numbers.back()), kRead});
    }
    put(pipe.second);
    d.set_room(2 * kMany);
    d.expect(queue, all);
    take(pipe.first);
    put(pipe.second);
    d.expect(queue, all);
}

}  // namespace

std::vector<Scenario> descriptor_scenarios() {
    return {
        {"reading", reading},
        {"pipes", pipes},
        {"write_end", write_end},
        {"read_by_level", two_modes<0>},
        {"read_by_edge", two_modes<EV_CLEAR>},
        {"read_once", two_modes<EV_ONESHOT>},
        {"changing_modes", changing_modes},
        {"connection", connection},
        {"urgent", urgent},
        {"datagrams", datagrams},
        {"local_sockets", local_sockets},
        {"counters", counters},
        {"devices", devices},
        {"user", user},
        {"timers", timers},
        {"another_clock", another_clock},
        {"nested", nested},
        {"listening", listening},
        {"duplicate", duplicate, Needs::nothing, EBADF},
        {"inherited", inherited, Needs::nothing, EBADF},
        {"many", many},
        {"crowd", crowd},
    };
}

}  // namespace kqfaults
