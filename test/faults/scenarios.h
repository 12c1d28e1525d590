// SPDX-License-Identifier: BSD-2-Clause
// Shared by the scenarios: descriptors with numbers above low limits, and operations on them. These
// are never refused.
#ifndef KQFAULTS_SCENARIOS_H
#define KQFAULTS_SCENARIOS_H

#include <sys/types.h>

#include <csignal>
#include <functional>
#include <string>

#include "faults/driver.h"

namespace kqfaults {

constexpr int kRead = EVFILT_READ;
constexpr int kWrite = EVFILT_WRITE;

inline uintptr_t ident(const Fd& fd) {
    return static_cast<uintptr_t>(*fd);
}
void put(const Fd& fd, const char* bytes = "x");  // one byte
void take(const Fd& fd);                          // one byte

// Another number of the same file, not below `from`.
Fd another(const Fd& fd, int from = 0);
Ends make_pipe();
Ends make_sockets(int type);
Fd make_socket(int family, int type = 1 /* SOCK_STREAM */);
Ends make_connection();  // TCP, on 127.0.0.1

// A directory for this scenario alone, and a file in it.
struct Place {
    Place();
    ~Place();
    Place(const Place&) = delete;
    char directory[32] = "/tmp/kqfaults-XXXXXX";
    std::string path;
    Fd file;
    Fd self;
};

// While it lives, the program blocks a signal. `taken`: a pending signal is taken away at the end.
class Blocked {
  public:
    explicit Blocked(int number, bool taken = true);
    ~Blocked();
    Blocked(const Blocked&) = delete;

  private:
    bool taken_;
    sigset_t set_{};
    sigset_t before_{};
};

// A child that runs `body` after go(). It is killed and reaped in the end.
class Child {
  public:
    explicit Child(std::function<int()> body);
    ~Child();
    Child(const Child&) = delete;
    [[nodiscard]] uintptr_t number() const { return static_cast<uintptr_t>(pid_); }
    void go() const { put(start_.second); }
    void reap();

  private:
    Ends start_;
    pid_t pid_ = -1;
};

// The parts of scenarios().
std::vector<Scenario> descriptor_scenarios();
std::vector<Scenario> file_scenarios();
std::vector<Scenario> process_scenarios();
std::vector<Scenario> renewal_scenarios();
std::vector<Scenario> specific_scenarios();
std::vector<Scenario> state_scenarios();
// Whether file systems can be mounted. From then on this process has a mount namespace of its own.
bool may_mount();

}  // namespace kqfaults

#endif
