// What the library is used for while the system refuses: every filter, and what is beside them.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "faults/driver.h"

namespace kqfaults {
namespace {

constexpr int kRead = EVFILT_READ;
constexpr int kWrite = EVFILT_WRITE;

void put(const Fd& fd, const char* bytes = "x") {
    if (write(*fd, bytes, 1) != 1) throw Broken("write()");
}

void take(const Fd& fd) {
    char byte;
    if (read(*fd, &byte, 1) != 1) throw Broken("read()");
}

Fd another(const Fd& fd) {
    const Unlimited unlimited;
    return high(dup(*fd));
}

Fd make_socket() {
    const Unlimited unlimited;
    return high(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

uintptr_t ident(const Fd& fd) {
    return static_cast<uintptr_t>(*fd);
}

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
}

// READ and WRITE of one descriptor in different modes, which the kernel has in two sets.
void two_modes(Driver& d) {
    constexpr unsigned kModes[] = {0, EV_CLEAR, EV_ONESHOT};
    for (const unsigned read : kModes)
        for (const unsigned write : kModes) {
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

// They change places: what was by level in one set goes to the other.
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

void user(Driver& d) {
    const Fd queue = d.kqueue();
    d.change(queue, 1, EVFILT_USER, EV_ADD | EV_CLEAR);
    d.change_wide(queue, 2, EVFILT_USER, EV_ADD | EV_ONESHOT);
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
    d.expect_none(queue);
}

void signals(Driver& d) {
    const Fd queue = d.kqueue();
    const Fd other = d.kqueue();
    d.change(queue, SIGUSR1, EVFILT_SIGNAL, EV_ADD);
    d.change(other, SIGUSR1, EVFILT_SIGNAL, EV_ADD);
    d.look(queue);
    (void)kill(getpid(), SIGUSR1);
    d.expect(queue, {{SIGUSR1, EVFILT_SIGNAL}});
    d.expect(other, {{SIGUSR1, EVFILT_SIGNAL}});
    d.change(queue, SIGUSR1, EVFILT_SIGNAL, EV_DELETE);
    d.change(queue, SIGUSR2, EVFILT_SIGNAL, EV_ADD);
}

void children(Driver& d) {
    const Fd queue = d.kqueue();
    const Ends pipe = make_pipe();
    const pid_t pid = fork();
    if (pid == 0) {
        char byte;
        (void)fcntl(*pipe.first, F_SETFL, 0);
        (void)!read(*pipe.first, &byte, 1);
        _exit(0);
    }
    const auto number = static_cast<uintptr_t>(pid);
    try {
        d.change(queue, number, EVFILT_PROC, EV_ADD, NOTE_EXIT);
        put(pipe.second);
        d.expect(queue, {{number, EVFILT_PROC}});
    } catch (...) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, nullptr, 0);
        throw;
    }
    (void)waitpid(pid, nullptr, 0);
}

// A directory of one's own, and a file in it.
struct Place {
    Place() {
        const Unlimited unlimited;
        if (mkdtemp(directory) == nullptr) throw Broken("no directory");
        path = std::string(directory) + "/file";
        file = high(open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
        self = high(open(directory, O_RDONLY | O_CLOEXEC));
    }
    ~Place() {
        (void)unlink(path.c_str());
        (void)rmdir(directory);
    }
    char directory[32] = "/tmp/kqfaults-XXXXXX";
    std::string path;
    Fd file;
    Fd self;
};

void files(Driver& d) {
    const Place place;
    const Fd queue = d.kqueue();
    const uintptr_t file = ident(place.file);
    const uintptr_t self = ident(place.self);
    d.change(queue, file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE);
    d.change(queue, self, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_DELETE);
    put(place.file);
    d.expect(queue, {{file, EVFILT_VNODE}});
    d.change(queue, file, EVFILT_VNODE, EV_ADD | EV_CLEAR, NOTE_WRITE | NOTE_DELETE);
    (void)unlink(place.path.c_str());
    d.expect(queue, {{file, EVFILT_VNODE}, {self, EVFILT_VNODE}});
    (void)rmdir(place.directory);
    d.expect(queue, {{self, EVFILT_VNODE}});
    d.change(queue, file, EVFILT_VNODE, EV_DELETE);
}

// A regular file is ready while there is something behind the offset.
void files_read(Driver& d) {
    const Place place;
    const Fd queue = d.kqueue();
    const uintptr_t fd = ident(place.file);
    d.change(queue, fd, kRead, EV_ADD | EV_CLEAR);
    d.look(queue);
    if (pwrite(*place.file, "abc", 3, 0) != 3) throw Broken("pwrite()");
    d.expect(queue, {{fd, kRead}});
    d.change(queue, fd, kRead, EV_DELETE);
    d.change(queue, fd, kRead, EV_ADD);
    d.expect(queue, {{fd, kRead}});
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

// A listener asks the kernel how many wait.
void listening(Driver& d) {
    const Fd listener = make_socket();
    const sa_family_t nameless = AF_UNIX;
    (void)bind(*listener, reinterpret_cast<const sockaddr*>(&nameless), sizeof nameless);
    (void)listen(*listener, 4);
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    (void)getsockname(*listener, reinterpret_cast<sockaddr*>(&address), &size);
    const Fd queue = d.kqueue();
    d.change(queue, ident(listener), kRead, EV_ADD);
    const Fd client = make_socket();
    if (connect(*client, reinterpret_cast<sockaddr*>(&address), size) != 0)
        throw Broken("connect()");
    d.expect(queue, {{ident(listener), kRead}});
}

// The descriptor is closed while its open file lives on, and goes on reporting: after a while
// the kqueue moves to another kernel queue, with all it has.
void haunted(Driver& d) {
    const Fd queue = d.kqueue();
    const Ends alive = make_pipe();
    const Ends pair = make_sockets(SOCK_STREAM);
    d.change(queue, ident(alive.first), kRead, EV_ADD);
    d.change(queue, ident(pair.first), kRead, EV_ADD | EV_CLEAR);
    d.change(queue, ident(pair.first), kWrite, EV_ADD);
    d.change(queue, 1, EVFILT_TIMER, EV_ADD, NOTE_SECONDS, 1000);
    d.expect(queue, {{ident(pair.first), kWrite}});
    Ends ghost = make_pipe();
    d.change(queue, ident(ghost.first), kRead, EV_ADD);
    const Fd kept = another(ghost.first);
    ghost.first.reset();
    put(ghost.second);
    d.change(queue, ident(pair.first), kWrite, EV_DELETE);
    for (int i = 0; i < 24; i++)
        d.look(queue);
    put(alive.second);
    put(pair.second);
    d.expect(queue, {{ident(alive.first), kRead}, {ident(pair.first), kRead}});
    take(alive.first);
    d.change(queue, 2, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER);
    d.expect(queue, {{2, EVFILT_USER}});
}

// A second number of the same kqueue. Which one that is can be read in /proc only: a number that
// is unknown while nothing can be opened is EBADF (L-DUP).
void duplicate(Driver& d) {
    Fd queue = d.kqueue();
    d.change(queue, 1, EVFILT_USER, EV_ADD);
    const Fd other = another(queue);
    queue.reset();
    d.change(other, 1, EVFILT_USER, 0, NOTE_TRIGGER);
    d.expect(other, {{1, EVFILT_USER}});
}

// So many that every table grows.
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

}  // namespace

const std::vector<Scenario>& scenarios() {
    static const std::vector<Scenario> all = {
        {"reading", reading},
        {"two_modes", two_modes},
        {"changing_modes", changing_modes},
        {"user", user},
        {"timers", timers},
        {"signals", signals},
        {"children", children},
        {"files", files},
        {"files_read", files_read},
        {"nested", nested},
        {"listening", listening},
        {"haunted", haunted},
        {"duplicate", duplicate, EBADF},
        {"many", many},
    };
    return all;
}

}  // namespace kqfaults
