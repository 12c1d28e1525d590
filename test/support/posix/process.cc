// SPDX-License-Identifier: BSD-2-Clause
#include "support/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "support/kq.h"
#include "support/leave.h"

namespace kqtest {
namespace {

// In a child: waits until the pipe says go. Ends the child if the writer is gone.
void wait_for_go(int fd) {
    char byte = 0;
    if (::read(fd, &byte, 1) != 1) ::_exit(99);
}

int status_of(pid_t pid) {
    int status = -1;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

void wait_and_leave(pid_t pid) {
    siginfo_t info;
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) < 0 &&
           errno == EINTR) {
    }
}

}  // namespace

std::function<int()> exits_with(int code) {
    return [code] { return code; };
}

std::function<int()> killed_by(int signal) {
    return [signal] {
        ::signal(signal, SIG_DFL);
        ::kill(::getpid(), signal);
        return 98;
    };
}

Sleeper::Sleeper(std::function<int()> body) {
    Pipe pipe = make_pipe();
    pid_ = ::fork();
    if (pid_ == 0) {
        ::close(*pipe.write);
        wait_for_go(*pipe.read);
        leave(body());
    }
    EXPECT_GT(pid_, 0);
    go_ = std::move(pipe.write);
}

Sleeper::Sleeper(Sleeper&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), go_(std::move(other.go_)) {}

Sleeper::~Sleeper() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    reap();
}

void Sleeper::go() {
    write_bytes(*go_, 1);
}

int Sleeper::reap() {
    return status_of(std::exchange(pid_, -1));
}

void Sleeper::wait_until_exited() {
    wait_and_leave(pid_);
}

Stranger::Stranger(std::function<int()> body) {
    Pipe go = make_pipe();
    Pipe to = make_pipe();
    Pipe from = make_pipe();
    parent_ = ::fork();
    if (parent_ == 0) {
        ::close(*to.write);
        const pid_t child = ::fork();
        if (child == 0) {
            for (const int fd : {*go.write, *to.read, *from.read, *from.write})
                ::close(fd);
            wait_for_go(*go.read);
            leave(body());
        }
        ::close(*go.write);
        if (::write(*from.write, &child, sizeof child) < 0) ::_exit(1);
        char what = 0;
        while (::read(*to.read, &what, 1) == 1) {
            if (what == 'w') wait_and_leave(child);
            if (what == 'r') status_of(child);
            if (::write(*from.write, &what, 1) < 0) ::_exit(1);
        }
        ::kill(child, SIGKILL);
        status_of(child);
        ::_exit(0);
    }
    EXPECT_EQ(::read(*from.read, &pid_, sizeof pid_), static_cast<ssize_t>(sizeof pid_));
    go_ = std::move(go.write);
    to_parent_ = std::move(to.write);
    from_parent_ = std::move(from.read);
}

Stranger::~Stranger() {
    go_.reset();
    to_parent_.reset();
    status_of(parent_);
}

void Stranger::go() {
    write_bytes(*go_, 1);
}

void Stranger::tell_parent(char what) {
    write_bytes(*to_parent_, std::string_view(&what, 1));
    read_bytes(*from_parent_, 1);
}

void Stranger::wait_until_exited() {
    tell_parent('w');
}

void Stranger::reap() {
    tell_parent('r');
}

pid_t start_at_gate(const Pipe& gate, int code) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    char byte = 0;
    ::close(*gate.write);
    ::_exit(::read(*gate.read, &byte, 1) == 0 ? code : 99);
}

int count_descriptors() {
    return static_cast<int>(open_descriptors().size());
}

}  // namespace kqtest
