// SPDX-License-Identifier: BSD-2-Clause
// Processes to watch: children and grandchildren that wait for a command and then do one thing.
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

// A child that exits with `code` when the write end of `gate` is closed, which no child may keep.
// Its number; -1 if there can be no more.
pid_t start_at_gate(const Pipe& gate, int code);

// How many descriptors of this process are open.
int count_descriptors();

}  // namespace kqtest

#endif
