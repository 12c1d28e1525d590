// SPDX-License-Identifier: BSD-2-Clause
// The parts of scenarios. See scenarios.h.
#include "faults/scenarios.h"
#include "support/leave.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace kqfaults {

void put(const Fd& fd, const char* bytes) {
    if (write(*fd, bytes, 1) != 1) throw Broken("write()");
}

void take(const Fd& fd) {
    char byte;
    if (read(*fd, &byte, 1) != 1) throw Broken("read()");
}

Fd another(const Fd& fd, int from) {
    const Unlimited unlimited;
    return from == 0 ? high(dup(*fd)) : Fd(fcntl(*fd, F_DUPFD_CLOEXEC, from));
}

Ends make_pipe() {
    const Unlimited unlimited;
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) throw Broken("no pipe");
    return {high(ends[0]), high(ends[1])};
}

Ends make_sockets(int type) {
    const Unlimited unlimited;
    int ends[2] = {-1, -1};
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        throw Broken("no sockets");
    return {high(ends[0]), high(ends[1])};
}

Fd make_socket(int family, int type) {
    const Unlimited unlimited;
    return high(socket(family, type | SOCK_CLOEXEC, 0));
}

Ends make_connection() {
    const Fd listener = make_socket(AF_INET);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* name = reinterpret_cast<sockaddr*>(&address);
    Fd client = make_socket(AF_INET);
    if (bind(*listener, name, size) != 0 || listen(*listener, 1) != 0 ||
        getsockname(*listener, name, &size) != 0 || connect(*client, name, size) != 0)
        throw Broken("no connection");
    const Unlimited unlimited;
    Fd server = high(accept4(*listener, nullptr, nullptr, SOCK_CLOEXEC));
    return {std::move(client), std::move(server)};
}

Place::Place() {
    const Unlimited unlimited;
    if (mkdtemp(directory) == nullptr) throw Broken("no directory");
    path = std::string(directory) + "/file";
    file = high(open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    self = high(open(directory, O_RDONLY | O_CLOEXEC));
}

Place::~Place() {
    (void)unlink(path.c_str());
    (void)rmdir(directory);
}

Blocked::Blocked(int number, bool taken) : taken_(taken) {
    (void)sigemptyset(&set_);
    (void)sigaddset(&set_, number);
    (void)sigprocmask(SIG_BLOCK, &set_, &before_);
}

Blocked::~Blocked() {
    const timespec at_once{0, 0};
    if (taken_) (void)sigtimedwait(&set_, nullptr, &at_once);
    (void)sigprocmask(SIG_SETMASK, &before_, nullptr);
}

Child::Child(std::function<int()> body) : start_(make_pipe()), pid_(fork()) {
    if (pid_ != 0) return;
    char byte;
    (void)fcntl(*start_.first, F_SETFL, 0);
    (void)!read(*start_.first, &byte, 1);
    kqtest::leave(body());
}

Child::~Child() {
    if (pid_ <= 0) return;
    (void)kill(pid_, SIGKILL);
    reap();
}

void Child::reap() {
    (void)waitpid(std::exchange(pid_, -1), nullptr, 0);
}

const std::vector<Scenario>& scenarios() {
    static const std::vector<Scenario> all = [] {
        std::vector<Scenario> result;
        for (auto* part : {descriptor_scenarios, file_scenarios, process_scenarios,
                           renewal_scenarios, specific_scenarios, state_scenarios})
            for (const Scenario& one : part())
                result.push_back(one);
        return result;
    }();
    return all;
}

}  // namespace kqfaults
