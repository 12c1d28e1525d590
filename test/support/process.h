// SPDX-License-Identifier: BSD-2-Clause
// Processes to watch: children and grandchildren that do one thing when they are told to.
#ifndef KQTEST_PROCESS_H
#define KQTEST_PROCESS_H

#include <sys/types.h>

#include <functional>

#include "support/fd.h"

namespace kqtest {

// Bodies that run between fork() and the end, so they make raw system calls only.
std::function<int()> exits_with(int code);
std::function<int()> killed_by(int signal);

// A child that sleeps until go(), then runs `body` and exits with its result. If its pipe is closed
// before go(), it ends. The destructor kills and reaps it.
class Sleeper {
  public:
    explicit Sleeper(std::function<int()> body = exits_with(0));
    Sleeper(Sleeper&&) noexcept;
    ~Sleeper();

    pid_t pid() const { return pid_; }
    void go();
    int reap();                // its wait status; blocks
    void wait_until_exited();  // leaves it to be reaped
    int go_and_reap() { return go(), reap(); }
    void go_and_exit() { go(), wait_until_exited(); }

  private:
    pid_t pid_ = -1;
    Fd go_;
};

// The same, but a grandchild: its parent is another process of ours, which reaps it on request.
class Stranger {
  public:
    explicit Stranger(std::function<int()> body = exits_with(0));
    ~Stranger();

    pid_t pid() const { return pid_; }
    void go();
    void wait_until_exited();
    void reap();

  private:
    void tell_parent(char what);

    pid_t parent_ = -1;
    pid_t pid_ = -1;
    Fd go_;
    Fd to_parent_;
    Fd from_parent_;
};

// How many descriptors of this process are open.
int count_descriptors();

}  // namespace kqtest

#endif
